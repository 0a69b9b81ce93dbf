"""How a job stands, from what the API server shows of it and of its pods; and why, so that a person understands it.

The fields are those of https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/ (v1.34, read on
2026-11-25), as far as they are looked at here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

import msgspec

from queue_manager.adapters.kubernetes.manifest import (
    ATTEMPT,
    CONTAINER,
    INTERRUPTED_EXIT_CODE,
    JOB,
    QUEUE_ID,
    TARGET,
    TELEMETRY_ID,
)
from queue_manager.app.ports import Job, JobStatus
from streamforge_common.errors import FATAL_EXIT_CODE

_LONGEST_MESSAGE = 300
"""Of Kubernetes' own words in a reason; image pulls repeat themselves."""
_KILLED = 137
_LONGEST_BACK_OFF = timedelta(minutes=10)
"""For so long at most a Job waits before it makes the next pod; nothing in it tells that from never having had one."""

_JOB_OF_CONTROLLER = "batch.kubernetes.io/job-name"
"""By which Kubernetes itself tells pods of Jobs apart."""
_BACKING_OFF = "CrashLoopBackOff"
_ENDED_PHASES = ("Succeeded", "Failed")
_WAITING = {
    "ErrImagePull": "its image cannot be pulled; check its name, its tag and the image pull secrets",
    "ImagePullBackOff": "its image cannot be pulled; check its name, its tag and the image pull secrets",
    "ErrImageNeverPull": "its image is not on the node, and the pull policy forbids to fetch it",
    "InvalidImageName": "the name of its image is none",
    "CreateContainerConfigError": "a ConfigMap, a Secret or a setting of the pod that it needs is missing or wrong",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
"""Reasons why a container waits that do not pass by themselves."""

_ENDED_POD = {
    "Evicted": "its node ran short of something and evicted it",
    "DeadlineExceeded": "it took longer than it may in all (activeDeadlineSeconds)",
    "NodeLost": "its node is gone",
    "Shutdown": "its node was shut down",
    "Terminated": "its node was shut down",
    "Preempting": "it made room for a pod of higher priority",
    "UnexpectedAdmissionError": "its node did not admit it",
    "OutOfcpu": "its node had no CPU left for it",
    "OutOfmemory": "its node had no memory left for it",
    "OutOfpods": "its node had room for no more pods",
}
"""Reasons why a pod as a whole ended."""


class _Shown(msgspec.Struct, rename="camel", frozen=True):
    """What the API server shows; unknown fields are skipped."""


class Metadata(_Shown, frozen=True):
    """Of any object."""

    name: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    resource_version: str = ""


class Condition(_Shown, frozen=True):
    """Something that holds, or does not, of a Job or a pod."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class KubernetesJobStatus(_Shown, frozen=True):
    """`status` of a Job."""

    start_time: datetime | None = None
    completion_time: datetime | None = None
    active: int = 0
    failed: int = 0
    conditions: list[Condition] = []


class KubernetesJob(_Shown, frozen=True):
    """A Job."""

    metadata: Metadata
    status: KubernetesJobStatus = KubernetesJobStatus()


class KubernetesDeployment(_Shown, frozen=True):
    """A Deployment."""

    metadata: Metadata


class Waiting(_Shown, frozen=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Terminated(_Shown, frozen=True):
    """How a container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


class Running(_Shown, frozen=True):
    """That a container runs."""


class ContainerState(_Shown, frozen=True):
    """One of them, or none."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Shown, frozen=True):
    """Of one container."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    """How it ended before it was started again."""
    restart_count: int = 0


class PodStatus(_Shown, frozen=True):
    """`status` of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []


class Pod(_Shown, frozen=True):
    """A pod."""

    metadata: Metadata
    status: PodStatus = PodStatus()

    @property
    def job_name(self) -> str:
        """The job that it is of; pods that were made before there was our label have the controller's."""
        return self.metadata.labels.get(JOB) or self.metadata.labels.get(_JOB_OF_CONTROLLER, "")

    @property
    def container_status(self) -> ContainerStatus:
        """What is shown of the one container."""
        found = (it for it in self.status.container_statuses if it.name == CONTAINER)
        return next(found, ContainerStatus(CONTAINER))

    @property
    def container(self) -> ContainerState:
        """How the one container stands."""
        return self.container_status.state

    @property
    def last_end(self) -> Terminated | None:
        """How its container ended last; None where it has not."""
        return self.container.terminated or self.container_status.last_state.terminated

    def condition(self, kind: str) -> Condition | None:
        """Find a condition."""
        return next((it for it in self.status.conditions if it.type == kind), None)


def job_as_seen(
    job: KubernetesJob, pods: Sequence[Pod], now: datetime, start_s: float, bare_since: datetime | None = None
) -> Job:
    """Say how a Job stands.

    Args:
        job: As the API server shows it.
        pods: Those that it has made and that are still there.
        now: The time.
        start_s: How long a pod may be unable to start before the job is stuck.
        bare_since: Without any pod: since when that is so.
    """
    pods = _oldest_first(pods, now)
    status, reason = _standing(job, pods)
    waits_since = _waits_since(job, pods, bare_since)
    patience = _patience(pods, start_s)
    is_stuck = status.is_live and waits_since is not None and now - waits_since > patience
    if is_stuck:
        reason = f"{reason or _no_pod('job', job.metadata.name)}; it was given {patience.total_seconds():g} s to start"
    return Job(
        **_identity(job.metadata),
        status=status,
        started_at=_written(job.status.start_time),
        finished_at=_written(_finished_at(job)),
        exit_code=_exit_code(pods),
        reason=reason,
        restarts=job.status.failed,
        is_stuck=is_stuck,
    )


def deployment_as_seen(
    deployment: KubernetesDeployment,
    pods: Sequence[Pod],
    now: datetime,
    start_s: float,
    most_restarts: int,
    bare_since: datetime | None = None,
) -> Job:
    """Say how a Deployment stands, which lives until it is deleted.

    Args:
        deployment: As the API server shows it.
        pods: Those of its instances.
        now: The time.
        start_s: How long pods may be unable to start before the job is stuck, if none runs.
        most_restarts: How often an instance may fail before the job has failed.
        bare_since: Without any pod: since when that is so.
    """
    pods = _oldest_first(pods, now)
    metadata = deployment.metadata
    is_deleting = metadata.deletion_timestamp is not None
    reason = next(filter(None, map(pod_trouble, reversed(pods))), None)
    hopeless = next((pod for pod in pods if _is_hopeless(pod, most_restarts)), None)
    held_since = _held_since(pods) if pods else bare_since
    patience = _patience(pods, start_s)
    is_stuck = not is_deleting and held_since is not None and now - held_since > patience
    if is_deleting:
        reason = "Deleting: it is gone when its pods are"
    elif is_stuck:
        reason = (
            f"{reason or _no_pod('deployment', metadata.name)}; it was given {patience.total_seconds():g} s to start"
        )
    elif hopeless is not None:
        reason = pod_trouble(hopeless)
    is_between_starts = not any(pod.container.running for pod in pods) and any(pod.last_end for pod in pods)
    return Job(
        **_identity(metadata),
        status=JobStatus.RESTARTING if is_between_starts else JobStatus.RUNNING,
        started_at=_written(metadata.creation_timestamp),
        finished_at=None,
        exit_code=_exit_code(pods),
        reason=reason,
        restarts=sum(pod.container_status.restart_count for pod in pods),
        is_stuck=is_stuck,
        has_failed=hopeless is not None and not is_deleting,
        ends_by_itself=False,
    )


def _is_hopeless(pod: Pod, most_restarts: int) -> bool:
    """Say whether starting a container again has been tried often enough, or cannot help."""
    waiting, end = pod.container.waiting, pod.last_end
    if end is None or waiting is None or waiting.reason != _BACKING_OFF:
        return False
    return end.exit_code == FATAL_EXIT_CODE or pod.container_status.restart_count > most_restarts


class _Identity(TypedDict):
    name: str
    queue_id: str
    target: str
    telemetry_id: str
    attempt: int


def _identity(metadata: Metadata) -> _Identity:
    labels = metadata.labels
    return {
        "name": metadata.name,
        "queue_id": labels.get(QUEUE_ID, ""),
        "target": labels.get(TARGET, ""),
        "telemetry_id": labels.get(TELEMETRY_ID, ""),
        "attempt": int(labels.get(ATTEMPT, "0")),
    }


def _oldest_first(pods: Sequence[Pod], now: datetime) -> Sequence[Pod]:
    return sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp or now, pod.metadata.name))


def _patience(pods: Sequence[Pod], start_s: float) -> timedelta:
    start = timedelta(seconds=start_s)
    return start if pods else max(start, _LONGEST_BACK_OFF)


def _standing(job: KubernetesJob, pods: Sequence[Pod]) -> tuple[JobStatus, str | None]:
    if _condition(job, "Complete"):
        return JobStatus.SUCCEEDED, None
    trouble = next(filter(None, map(pod_trouble, reversed(pods))), None)
    failed = _condition(job, "Failed")
    if failed is not None:
        return JobStatus.FAILED, _why_failed(job, failed, trouble)
    if job.metadata.deletion_timestamp is not None:
        return JobStatus.RUNNING, "Deleting: it is gone when its pods are"
    if _condition(job, "Suspended"):
        return JobStatus.RUNNING, "Suspended: somebody holds it back (spec.suspend)"
    # A pod that was interrupted is not counted as failed.
    is_between_pods = job.status.active == 0 and (job.status.failed > 0 or bool(_exit_code(pods)))
    return JobStatus.RESTARTING if is_between_pods else JobStatus.RUNNING, trouble


def _why_failed(job: KubernetesJob, failed: Condition, trouble: str | None) -> str:
    match failed.reason:
        case "BackoffLimitExceeded":
            told = trouble or "what they said is gone with them"
            return f"BackoffLimitExceeded: {job.status.failed} of its pods failed, the last one by {told}"
        case "DeadlineExceeded":
            return f"DeadlineExceeded: {_ENDED_POD['DeadlineExceeded']}"
        case "PodFailurePolicy" if trouble is not None:
            return trouble
        case _:
            return f"{failed.reason or 'Failed'}: {_short(failed.message)}"


def pod_trouble(pod: Pod) -> str | None:
    """Say what is wrong with a pod: a word of Kubernetes', and a sentence; None where nothing is."""
    status, state = pod.status, pod.container
    if status.reason:
        told = _ENDED_POD.get(status.reason, "")
        return f"{status.reason}: {'; '.join(filter(None, [told, _short(status.message)]))}"
    if state.terminated is not None and state.terminated.exit_code != 0:
        return _why_terminated(pod, state.terminated)
    if state.waiting is not None and state.waiting.reason == _BACKING_OFF and pod.last_end is not None:
        return _why_terminated(pod, pod.last_end)
    if state.waiting is not None and state.waiting.reason in _WAITING:
        told = "; ".join(filter(None, [_WAITING[state.waiting.reason], _short(state.waiting.message)]))
        return f"{state.waiting.reason}: {told}"
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return f"{scheduled.reason or 'Unschedulable'}: no node takes it; {_short(scheduled.message)}"
    return None


def _why_terminated(pod: Pod, ended: Terminated) -> str:
    disrupted = pod.condition("DisruptionTarget")
    if disrupted is not None and disrupted.status == "True":
        return f"{disrupted.reason}: it had to leave its node; {_short(disrupted.message)}"
    if ended.reason == "OOMKilled":
        return "OOMKilled: it took more memory than the limit of its target allows; raise that limit"
    if ended.exit_code == FATAL_EXIT_CODE:
        return f"Fatal: it ended with exit code {ended.exit_code}, trying again cannot help; its log says why"
    if ended.exit_code == INTERRUPTED_EXIT_CODE:
        return "Interrupted: it was told to end while it worked; the next pod goes on from there"
    if ended.exit_code == _KILLED:
        return f"Killed: something killed it (exit code {_KILLED})"
    told = _short(ended.message) or "its log says why"
    return f"{ended.reason or 'Error'}: it ended with exit code {ended.exit_code}; {told}"


def _waits_since(job: KubernetesJob, pods: Sequence[Pod], bare_since: datetime | None) -> datetime | None:
    """Since when its pods, or the want of any, keep the job from running; None where nothing does."""
    if job.metadata.deletion_timestamp is not None or _condition(job, "Suspended"):
        return None
    if not pods:
        return bare_since if job.status.active == 0 and job.status.failed == 0 else None
    return _held_since(pods)


def _held_since(pods: Sequence[Pod]) -> datetime | None:
    """Since when none of the pods that have not ended can start; None where one runs, or may start any moment."""
    waiting = [pod for pod in pods if pod.status.phase not in _ENDED_PHASES]
    is_held = all(pod.status.phase == "Pending" and pod_trouble(pod) is not None for pod in waiting)
    return waiting[-1].metadata.creation_timestamp if waiting and is_held else None


def _no_pod(kind: str, name: str) -> str:
    return f"NoPod: no pod could be made; `kubectl describe {kind} {name}` says why (a quota, Pod Security)"


def _condition(job: KubernetesJob, kind: str) -> Condition | None:
    return next((it for it in job.status.conditions if it.type == kind and it.status == "True"), None)


def _finished_at(job: KubernetesJob) -> datetime | None:
    failed = _condition(job, "Failed")
    return job.status.completion_time or (failed.last_transition_time if failed is not None else None)


def _exit_code(pods: Sequence[Pod]) -> int | None:
    """Of the last container that ended."""
    ended = [end for pod in pods if (end := pod.last_end) is not None]
    return ended[-1].exit_code if ended else None


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 1]}…"
