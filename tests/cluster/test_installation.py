"""The whole platform on a real cluster, installed with Helm from the images that `make images` has built.

Kafka, the database and the exchange are processes of this machine. `STREAMFORGE_TEST_HOST` is the address under which
pods reach it; without it these tests are skipped. They build on each other: install, work, upgrade, uninstall.
"""

import time

import httpx
import pytest
from kubernetes import client

from tests.cluster.conftest import RULES, model
from tests.cluster.installation import QUEUE_MANAGER, RELEASE, installed, neighbours_in

pytestmark = pytest.mark.timeout(600)

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_1m", "time_range": "2024-08-01:2024-09-30"}
FIRST_MS, STEP_MS, COUNT = 1_722_470_400_000, 60_000, 60 * 1_440
ENDS_WITHIN_S = 240
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def neighbours(administrator, tmp_path_factory):
    with neighbours_in(tmp_path_factory.mktemp("neighbours")) as neighbours:
        yield neighbours


@pytest.fixture(scope="module")
def release(administrator, neighbours, tmp_path_factory):
    with installed(administrator, neighbours, tmp_path_factory.mktemp("values"), {}) as release:
        yield release


def slow_down(neighbours):
    """Have the exchange take its time for most pages, so that there is time to interfere."""
    faults = [{"path": KLINES, "kind": "slow", "after": 12, "count": 70, "seconds": 2}]
    httpx.put(f"{neighbours.exchange}/_sim/faults", json=faults).raise_for_status()


def jobs_of(administrator, release, queue_id):
    selector = f"streamforge.io/queue-id={queue_id}"
    return client.BatchV1Api(administrator).list_namespaced_job(release.namespace, label_selector=selector).items


def is_all_there(neighbours, document):
    (dataset,) = document["datasets"]
    keys = {f"binance:spot:BTCUSDT:candles_1m:{FIRST_MS + n * STEP_MS}" for n in range(COUNT)}
    return neighbours.stored(dataset["collection_name"]) == keys


def test_it_is_well_and_lets_nobody_in_without_a_key(release):
    assert "Phase:          Succeeded" in release.helm("test", RELEASE)


def test_a_workflow_ends_with_every_record_stored(release, neighbours, administrator):
    with release.workflows() as workflows:
        queue_id = workflows.submit(CANDLES)["queue_id"]
        ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)
        quality = workflows.find(queue_id, "/quality")

    assert (ended["status"], quality["verdict"]) == ("completed", "complete"), ended
    assert is_all_there(neighbours, ended)
    jobs = jobs_of(administrator, release, queue_id)
    assert {job.metadata.labels["streamforge.io/target"] for job in jobs} == {"loader-producer", "arango-connector"}
    assert all(job.status.succeeded == 1 for job in jobs)


def test_pods_that_are_deleted_go_on_in_the_same_attempt(release, neighbours, administrator):
    core = client.CoreV1Api(administrator)
    slow_down(neighbours)
    with release.workflows() as workflows:
        queue_id = workflows.submit({**CANDLES, "collection_name": "interrupted"})["queue_id"]
        wait_for(lambda: all(task["records_written"] for task in workflows.find(queue_id)["tasks"]))
        selector = f"streamforge.io/queue-id={queue_id}"
        core.delete_collection_namespaced_pod(release.namespace, label_selector=selector)
        ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    assert ended["status"] == "completed", ended
    assert [task["attempt"] for task in ended["tasks"]] == [1, 1]
    assert is_all_there(neighbours, ended)
    pods = core.list_namespaced_pod(release.namespace, label_selector=selector).items
    assert {pod.metadata.labels["streamforge.io/target"] for pod in pods} == {"loader-producer", "arango-connector"}


def test_an_upgrade_does_not_disturb_a_workflow_that_runs(release, neighbours, administrator):
    slow_down(neighbours)
    with release.workflows() as workflows:
        queue_id = workflows.submit({**CANDLES, "collection_name": "upgraded"})["queue_id"]
        wait_for(lambda: all(task["records_written"] for task in workflows.find(queue_id)["tasks"]))
        before = {job.metadata.uid for job in jobs_of(administrator, release, queue_id)}
    release.bring_about("--set", "logs.level=DEBUG")
    with release.workflows() as workflows:
        ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    assert ended["status"] == "completed", ended
    assert {job.metadata.uid for job in jobs_of(administrator, release, queue_id)} == before
    assert is_all_there(neighbours, ended)


def test_service_accounts_may_do_what_the_role_says_and_nothing_else(release, administrator):
    allowed = {(resource, verb) for rule in RULES for resource in rule["resources"] for verb in rule["verbs"]}
    resources = {
        "batch": ["jobs"],
        "": ["pods", "pods/log", "pods/exec", "secrets", "configmaps", "events", "services"],
    }
    resources |= {"apps": ["deployments"], "rbac.authorization.k8s.io": ["roles", "rolebindings"]}
    verbs = ["create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"]

    def may(account):
        return {
            (resource, verb)
            for group, names in resources.items()
            for resource in names
            for verb in verbs
            if can(administrator, release.namespace, account, group, resource, verb)
        }

    assert may(QUEUE_MANAGER) == allowed
    assert may("sf-streamforge-jobs") == set()


def test_uninstalling_leaves_jobs_and_secrets_and_nothing_else(release, administrator):
    release.helm("uninstall", RELEASE, "--wait")
    core, left = client.CoreV1Api(administrator), f"app.kubernetes.io/instance={RELEASE}"

    assert core.list_namespaced_config_map(release.namespace, label_selector=left).items == []
    assert core.list_namespaced_service(release.namespace, label_selector=left).items == []
    assert core.list_namespaced_service_account(release.namespace, label_selector=left).items == []
    rights = client.RbacAuthorizationV1Api(administrator)
    assert rights.list_namespaced_role(release.namespace, label_selector=left).items == []
    assert (
        client.AppsV1Api(administrator).list_namespaced_deployment(release.namespace, label_selector=left).items == []
    )
    jobs = client.BatchV1Api(administrator).list_namespaced_job(release.namespace, label_selector=left).items
    assert {job.metadata.labels["app.kubernetes.io/managed-by"] for job in jobs} == {"queue-manager"}


def can(administrator, namespace, account, group, resource, verb):
    resource, _, part = resource.partition("/")
    asked = {"namespace": namespace, "group": group, "resource": resource, "subresource": part, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": asked},
    }
    made = model(client.V1SubjectAccessReview, review)
    return client.AuthorizationV1Api(administrator).create_subject_access_review(made).status.allowed


def wait_for(holds):
    deadline = time.monotonic() + ENDS_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.2)
