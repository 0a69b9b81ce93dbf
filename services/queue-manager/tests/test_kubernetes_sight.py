"""How a Job stands, and why, from what the API server shows; the objects are cut down from a real one's answers."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from queue_manager.adapters.kubernetes.sight import (
    KubernetesDeployment,
    KubernetesJob,
    Pod,
    deployment_as_seen,
    job_as_seen,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
START_S = 600


def at(age_s: float) -> str:
    return (NOW - timedelta(seconds=age_s)).isoformat().replace("+00:00", "Z")


def job(age_s=5, deleting=False, **status) -> KubernetesJob:
    labels = {
        "streamforge.io/queue-id": "wf-a",
        "streamforge.io/target": "loader-producer",
        "streamforge.io/telemetry-id": "loader-producer__a1b2c3",
        "streamforge.io/attempt": "2",
    }
    metadata = {"name": "loader-producer-a1b2c3-2", "labels": labels, "creationTimestamp": at(age_s)}
    if deleting:
        metadata["deletionTimestamp"] = at(1)
    return msgspec.convert({"metadata": metadata, "status": {"startTime": at(age_s), **status}}, KubernetesJob)


def deployment(age_s=5, deleting=False) -> KubernetesDeployment:
    labels = {"streamforge.io/queue-id": "wf-a", "streamforge.io/attempt": "2"}
    metadata = {"name": "arango-connector-a1b2c3-2", "labels": labels, "creationTimestamp": at(age_s)}
    return msgspec.convert(
        {"metadata": metadata | ({"deletionTimestamp": at(1)} if deleting else {})}, KubernetesDeployment
    )


def pod(age_s=5, phase="Running", state=None, conditions=(), last=None, restarts=0, **status) -> Pod:
    metadata = {"name": f"pod-{age_s}", "creationTimestamp": at(age_s)}
    containers = []
    if state is not None:
        containers.append({"name": "job", "state": state, "lastState": last or {}, "restartCount": restarts})
    shown = {"phase": phase, "conditions": list(conditions), "containerStatuses": containers, **status}
    return msgspec.convert({"metadata": metadata, "status": shown}, Pod)


def ended(exit_code, reason="Error", **more):
    return {"terminated": {"exitCode": exit_code, "reason": reason, **more}}


def condition(kind, reason="", message="", status="True"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(1)}


RUNNING = {"running": {}}
BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
PULLING = {"waiting": {"reason": "ImagePullBackOff"}}
MOST_RESTARTS = 6


def seen(job, *pods, bare_for_s=None):
    bare_since = None if bare_for_s is None else NOW - timedelta(seconds=bare_for_s)
    if isinstance(job, KubernetesDeployment):
        return deployment_as_seen(job, pods, NOW, START_S, MOST_RESTARTS, bare_since)
    return job_as_seen(job, pods, NOW, START_S, bare_since)


def test_a_job_that_runs_has_nothing_to_tell():
    shown = seen(job(active=1), pod(state={"running": {}}))

    assert (shown.status, shown.reason, shown.is_stuck, shown.exit_code) == ("running", None, False, None)
    assert (shown.name, shown.attempt, shown.started_at) == ("loader-producer-a1b2c3-2", 2, "2026-01-01T11:59:55Z")
    assert (shown.queue_id, shown.target, shown.telemetry_id) == ("wf-a", "loader-producer", "loader-producer__a1b2c3")


def test_a_job_that_is_complete_has_succeeded():
    shown = seen(job(completionTime=at(1), conditions=[condition("Complete")]), pod(phase="Succeeded", state=ended(0)))

    assert (shown.status, shown.exit_code, shown.finished_at) == ("succeeded", 0, "2026-01-01T11:59:59Z")


def test_a_job_between_two_pods_is_being_restarted_and_says_why():
    shown = seen(job(active=0, failed=1), pod(phase="Failed", state=ended(1)))

    assert (shown.status, shown.restarts, shown.exit_code) == ("restarting", 1, 1)
    assert shown.reason == "Error: it ended with exit code 1; its log says why"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (pod(state=ended(137, "OOMKilled")), "OOMKilled: it took more memory"),
        (pod(state=ended(137)), "Killed: something killed it"),
        (pod(state=ended(42)), "Fatal: it ended with exit code 42"),
        (pod(state=ended(143)), "Interrupted: it was told to end while it worked"),
        (pod(state=ended(128, "StartError", message="exec: no such file")), "StartError: it ended with exit code 128"),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted: its node ran short"),
        (pod(phase="Failed", reason="SomethingNew", message="who knows"), "SomethingNew: who knows"),
        (
            pod(
                phase="Failed",
                state=ended(143),
                conditions=[condition("DisruptionTarget", "EvictionByEvictionAPI", "drained")],
            ),
            "EvictionByEvictionAPI: it had to leave its node; drained",
        ),
        (
            pod(phase="Pending", state={"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}}),
            "ImagePullBackOff: its image cannot be pulled",
        ),
        (
            pod(phase="Pending", state={"waiting": {"reason": "CreateContainerConfigError", "message": "no secret"}}),
            "CreateContainerConfigError: a ConfigMap, a Secret",
        ),
        (
            pod(phase="Pending", conditions=[condition("PodScheduled", "Unschedulable", "0/3 nodes", "False")]),
            "Unschedulable: no node takes it; 0/3 nodes",
        ),
    ],
)
def test_what_is_wrong_with_a_pod_is_said_in_words(broken, told):
    assert seen(job(active=1), broken).reason.startswith(told)


@pytest.mark.parametrize(
    "state", [{"waiting": {"reason": "ContainerCreating"}}, {"waiting": {"reason": "PodInitializing"}}, None]
)
def test_a_pod_on_its_way_is_nothing_to_tell_of_however_long_it_takes(state):
    shown = seen(job(age_s=9_000, active=1), pod(age_s=9_000, phase="Pending", state=state))

    assert (shown.reason, shown.is_stuck) == (None, False)


@pytest.mark.parametrize(
    ("reason", "pods", "told"),
    [
        (
            "BackoffLimitExceeded",
            [pod(9, state=ended(1)), pod(3, state=ended(137, "OOMKilled"))],
            "BackoffLimitExceeded: 7 of its pods failed, the last one by OOMKilled: it took more memory",
        ),
        (
            "BackoffLimitExceeded",
            [],
            "BackoffLimitExceeded: 7 of its pods failed, the last one by what they said is gone",
        ),
        ("DeadlineExceeded", [], "DeadlineExceeded: it took longer than it may in all"),
        ("PodFailurePolicy", [pod(state=ended(42))], "Fatal: it ended with exit code 42"),
        ("PodFailurePolicy", [], "PodFailurePolicy: matched rule 0"),
    ],
)
def test_why_a_job_failed_is_said_in_words(reason, pods, told):
    shown = seen(job(failed=7, conditions=[condition("Failed", reason, "matched rule 0")]), *pods)

    assert shown.status == "failed"
    assert shown.reason.startswith(told)
    assert shown.finished_at == "2026-01-01T11:59:59Z"


@pytest.mark.parametrize(("age_s", "is_stuck"), [(START_S - 1, False), (START_S + 1, True)])
def test_a_job_whose_pod_cannot_start_is_stuck_after_a_while(age_s, is_stuck):
    backing_off = {"waiting": {"reason": "ImagePullBackOff"}}

    pulling = seen(job(age_s, active=1), pod(age_s, phase="Pending", state=backing_off))
    without_pods = seen(job(age_s), bare_for_s=age_s)

    assert (pulling.is_stuck, without_pods.is_stuck) == (is_stuck, is_stuck)
    assert pulling.status.is_live
    assert without_pods.status.is_live
    assert not is_stuck or pulling.reason.endswith("; it was given 600 s to start")
    assert not is_stuck or without_pods.reason.startswith("NoPod: no pod could be made; `kubectl describe job")


def test_a_job_whose_pod_was_interrupted_is_being_restarted_and_is_not_stuck_without_one():
    told_to_end = seen(job(age_s=9_000, active=0), pod(9_000, phase="Failed", state=ended(143)))
    gone = seen(job(age_s=9_000, active=0), bare_for_s=5)

    assert (told_to_end.status, told_to_end.restarts, told_to_end.exit_code) == ("restarting", 0, 143)
    assert told_to_end.reason.startswith("Interrupted:")
    assert (gone.status.is_live, gone.is_stuck) == (True, False)


def test_a_job_without_a_pod_is_given_as_long_as_kubernetes_may_take_for_the_next_one():
    assert not job_as_seen(job(9_000), (), NOW, 4, NOW - timedelta(seconds=599)).is_stuck
    assert job_as_seen(job(9_000), (), NOW, 4, NOW - timedelta(seconds=601)).is_stuck


@pytest.mark.parametrize(
    "held", [job(9_000, deleting=True), job(9_000, conditions=[condition("Suspended")]), job(9_000, failed=1)]
)
def test_a_job_that_is_held_deleted_or_between_pods_is_not_stuck(held):
    shown = seen(held, bare_for_s=9_000)

    assert not shown.is_stuck
    assert shown.status.is_live


def test_a_job_of_several_pods_is_stuck_only_when_none_of_them_works():
    works, waits = pod(9_000, state=RUNNING), pod(9_000, phase="Pending", state=PULLING)

    assert not seen(job(9_000, active=2), works, waits).is_stuck
    assert seen(job(9_000, active=1), pod(9_500, phase="Failed", state=ended(143)), waits).is_stuck


def test_a_deployment_lives_until_it_is_deleted_and_says_what_is_wrong_with_its_pods():
    works = seen(deployment(), pod(state=RUNNING, last=ended(1), restarts=2), pod(3, phase="Pending", state=PULLING))
    starts_again = seen(deployment(), pod(state=BACKING_OFF, last=ended(137, "OOMKilled"), restarts=3))
    deleting = seen(deployment(deleting=True), pod(state=BACKING_OFF, last=ended(42), restarts=9))

    assert (works.name, works.queue_id, works.attempt) == ("arango-connector-a1b2c3-2", "wf-a", 2)
    assert (works.status, works.restarts, works.exit_code, works.ends_by_itself) == ("running", 2, 1, False)
    assert works.reason.startswith("ImagePullBackOff:")
    assert (starts_again.status, starts_again.has_failed) == ("restarting", False)
    assert starts_again.reason.startswith("OOMKilled: it took more memory")
    assert (deleting.status.is_live, deleting.has_failed, deleting.is_stuck) == (True, False, False)
    assert deleting.reason.startswith("Deleting:")


@pytest.mark.parametrize(
    ("instance", "has_failed"),
    [
        (pod(state=BACKING_OFF, last=ended(42), restarts=1), True),
        (pod(state=RUNNING, last=ended(42), restarts=1), False),
        (pod(state=BACKING_OFF, last=ended(1), restarts=MOST_RESTARTS), False),
        (pod(state=BACKING_OFF, last=ended(1), restarts=MOST_RESTARTS + 1), True),
        (pod(state=RUNNING, last=ended(1), restarts=MOST_RESTARTS + 1), False),
    ],
)
def test_a_deployment_has_failed_when_starting_an_instance_again_cannot_help(instance, has_failed):
    shown = seen(deployment(), instance, pod(state=RUNNING))

    assert (shown.has_failed, shown.status.is_live, shown.is_stuck) == (has_failed, True, False)


@pytest.mark.parametrize(
    ("pods", "bare_for_s", "is_stuck"),
    [
        ([pod(START_S + 1, phase="Pending", state=PULLING)], None, True),
        ([pod(START_S - 1, phase="Pending", state=PULLING)], None, False),
        ([pod(START_S + 1, phase="Pending", state=PULLING), pod(state=RUNNING)], None, False),
        ([], START_S + 1, True),
        ([], START_S - 1, False),
    ],
)
def test_a_deployment_of_which_no_pod_can_start_is_stuck_after_a_while(pods, bare_for_s, is_stuck):
    shown = seen(deployment(9_000), *pods, bare_for_s=bare_for_s)

    assert shown.is_stuck == is_stuck
    assert not is_stuck or shown.reason.endswith("; it was given 600 s to start")


def test_a_long_message_is_cut():
    shown = seen(job(), pod(phase="Failed", reason="Evicted", message="x" * 5_000))

    assert len(shown.reason) < 400


@pytest.mark.parametrize("label", ["streamforge.io/job", "batch.kubernetes.io/job-name"])
def test_a_pod_is_of_its_job_whichever_queue_manager_made_that(label):
    shown = msgspec.convert({"metadata": {"name": "loader-a-1-x7k2p", "labels": {label: "loader-a-1"}}}, Pod)

    assert shown.job_name == "loader-a-1"
