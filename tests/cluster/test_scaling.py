"""KEDA scales the connector of a live workflow; it has to be installed on the cluster, else this is skipped."""

import gzip
import json

import httpx
import pytest
from kubernetes import client

from tests.cluster.installation import installed, neighbours_in
from tests.embedded.processes import wait_until

pytestmark = pytest.mark.timeout(900)

PARTITIONS = 3
CALM_S = 20
BEFORE, BURST, AFTER = (50, 20), (200_000, 40), (20_000, 200)
"""Trades, and the seconds in which they come."""
IMPORT_S = 5.0
"""A database that takes so long has one connector store some 2,000 a second, so it falls behind in the second part."""
FIRST_ID, FIRST_MS = 1_000_000, 1_722_470_400_000
SCALES_WITHIN_S, DRAINS_WITHIN_S = 240, 180


def frame(number, at_ms):
    data = {
        "e": "trade",
        "E": at_ms,
        "s": "BTCUSDT",
        "t": FIRST_ID + number,
        "p": f"{60_000 + number % 977}.25",
        "q": "0.015",
        "T": at_ms,
        "m": number % 2 == 0,
        "M": True,
    }
    return json.dumps({"stream": "btcusdt@trade", "data": data})


@pytest.fixture(scope="module")
def burst(tmp_path_factory):
    """A recorded connection on which trades come slowly, then fast, then slowly."""
    folder, number, at_ms = tmp_path_factory.mktemp("burst"), 0, float(FIRST_MS)
    with gzip.open(folder / "btcusdt_20240801.gz", "wb", compresslevel=1) as lines:
        for trades, seconds in (BEFORE, BURST, AFTER):
            for _ in range(trades):
                lines.write(f"{int(at_ms * 1e6)} {frame(number, int(at_ms))}\n".encode())
                number, at_ms = number + 1, at_ms + seconds * 1_000 / trades
    return folder


@pytest.fixture(scope="module")
def neighbours(administrator, burst, tmp_path_factory):
    with neighbours_in(tmp_path_factory.mktemp("neighbours"), "--replay", str(burst)) as neighbours:
        yield neighbours


@pytest.fixture(scope="module")
def release(administrator, neighbours, tmp_path_factory):
    kinds = client.ApiextensionsV1Api(administrator).list_custom_resource_definition().items
    if "scaledobjects.keda.sh" not in {kind.metadata.name for kind in kinds}:
        pytest.skip("KEDA is not installed on the cluster")
    values = {
        "queueManager": {"replicas": 1, "dataTopicPartitions": PARTITIONS},
        "liveConnectors": {"keda": {"enabled": True, "lagThreshold": 1_000, "calmSeconds": CALM_S}},
    }
    with installed(administrator, neighbours, tmp_path_factory.mktemp("values"), values) as release:
        yield release


def test_a_live_connector_follows_a_burst_and_nothing_is_lost_or_stored_twice(release, neighbours, administrator):
    apps, namespace = client.AppsV1Api(administrator), release.namespace
    left = "app.kubernetes.io/managed-by=queue-manager"

    def instances():
        deployments = apps.list_namespaced_deployment(namespace, label_selector=left).items
        return sum(deployment.status.ready_replicas or 0 for deployment in deployments)

    with release.workflows() as workflows:
        queue_id = workflows.submit({"symbol": "BTCUSDT", "type": "ws_trades"})["queue_id"]
        wait_until(lambda: instances() == 1, SCALES_WITHIN_S, "the first instance")
        neighbours.be_slow(IMPORT_S)
        wait_until(lambda: instances() == PARTITIONS, SCALES_WITHIN_S, "an instance for each partition")
        wait_until(
            lambda: sum(map(bool, stored_by_instance(workflows, queue_id).values())) >= PARTITIONS,
            SCALES_WITHIN_S,
            "each of them to store something",
        )
        neighbours.be_slow(None)
        wait_until(lambda: instances() == 1, SCALES_WITHIN_S + DRAINS_WITHIN_S, "the calm after it")
        workflows.steer(queue_id, "stop")
        ended = workflows.wait_ended(queue_id, DRAINS_WITHIN_S)
        quality = workflows.find(queue_id, "/quality")

    assert ended["status"] == "stopped", ended
    assert (quality["verdict"], quality["datasets"][0]["repeated"]) == ("complete", 0)
    (dataset,) = ended["datasets"]
    numbers = sorted(int(key.rpartition(":")[2]) - FIRST_ID for key in neighbours.stored(dataset["collection_name"]))
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > BEFORE[0] + BURST[0]
    assert {item["t"] - FIRST_ID for item in served(neighbours)} >= set(numbers)
    connector = next(task for task in ended["tasks"] if task["target"] == "arango-connector")
    assert connector["attempt"] == 1
    assert connector["records_written"] >= len(numbers) - 1_000
    assert apps.list_namespaced_deployment(namespace, label_selector=left).items == []
    assert client.CoreV1Api(administrator).list_namespaced_pod(namespace, label_selector=left).items != []
    wait_until(lambda: not what_scales(administrator, namespace), SCALES_WITHIN_S, "what scales it to be gone, too")


def stored_by_instance(workflows, queue_id):
    """Records by the name of each instance."""
    tasks = workflows.find(queue_id)["tasks"]
    return {name: each["records_written"] for task in tasks for name, each in task["instances"].items()}


def served(neighbours):
    answer = httpx.get(f"{neighbours.exchange}/_sim/served", params={"symbol": "BTCUSDT", "kind": "trades"}, timeout=60)
    return [json.loads(line)["item"] for line in answer.text.splitlines()]


def what_scales(administrator, namespace):
    scaled = client.CustomObjectsApi(administrator).list_namespaced_custom_object(
        "keda.sh", "v1alpha1", namespace, "scaledobjects"
    )
    pods_scalers = client.AutoscalingV2Api(administrator).list_namespaced_horizontal_pod_autoscaler(namespace)
    return [*scaled["items"], *pods_scalers.items]
