"""What breaks in a trial: each kind does one thing to a workflow that is under way, and says how that is known."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.installation import QUEUE_MANAGER, RELEASE
from tests.cluster.trials.scene import NotFiredError, Scene

LOADER, CONNECTOR = "loader-producer", "arango-connector"
_KUBELET_S, _API_SERVER_S = 120.0, 30.0


@dataclass(frozen=True)
class Kind:
    """One way to break things."""

    strike: Callable[[Scene], str] | None
    """Breaks something, with the workflow under way; returns the proof. None: the values alone do it."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the chart, as `--set` takes them, beside the installation's."""
    error: tuple[str, str] | None = None
    """Code and a word of the error with which the workflow must end; None: it must complete."""


def _delete_pod(target: str) -> Callable[[Scene], str]:
    def strike(scene: Scene) -> str:
        name = _one_pod(scene, target)
        scene.core.delete_namespaced_pod(name, scene.release.namespace)
        return f"deleted {name}"

    return strike


def _delete_job(scene: Scene) -> str:
    selector = f"streamforge.io/queue-id={scene.queue_id}"
    jobs = scene.batch.list_namespaced_job(scene.release.namespace, label_selector=selector).items
    alive = [job.metadata.name for job in jobs if job.status.active]
    if not alive:
        raise NotFiredError("there was no job left to delete")
    name = scene.rng.choice(sorted(alive))
    scene.batch.delete_namespaced_job(name, scene.release.namespace, propagation_policy="Background")
    return f"deleted {name}"


def _delete_queue_manager(scene: Scene) -> str:
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=queue-manager"
    pods = scene.core.list_namespaced_pod(scene.release.namespace, label_selector=selector).items
    names = sorted(pod.metadata.name for pod in pods)
    # All replicas at once: with one left nothing would have happened.
    for name in names:
        scene.core.delete_namespaced_pod(name, scene.release.namespace, grace_period_seconds=0)
    return f"killed {', '.join(names)} of {QUEUE_MANAGER}"


def _kill_process(scene: Scene) -> str:
    target = scene.rng.choice([LOADER, CONNECTOR])
    marks = {f"QUEUE_ID={scene.queue_id}", f"TARGET={target}"}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = set((folder / "environ").read_bytes().decode(errors="replace").split("\0"))
        except OSError:
            continue
        if marks <= variables:
            os.kill(int(folder.name), signal.SIGKILL)
            return f"killed process {folder.name} of {target}"
    raise NotFiredError(f"no process of {target} runs on this machine")


def _freeze(program: str, seconds: float) -> Callable[[Scene], str]:
    """Stop a component of the cluster that runs on this machine; its connections stay open and nobody answers."""

    def strike(scene: Scene) -> str:
        scene.require_under_way()
        found = [folder for folder in Path("/proc").glob("[0-9]*") if _program_of(folder) == program]
        if not found:
            raise NotFiredError(f"{program} does not run on this machine")
        pid = int(found[0].name)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return f"{program}, process {pid}, stood still for {seconds:g} s"

    return strike


def _program_of(folder: Path) -> str:
    try:
        return Path((folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")).name
    except OSError:
        return ""


def _one_pod(scene: Scene, target: str) -> str:
    pods = scene.pods(target)
    if not pods:
        raise NotFiredError(f"no pod of {target} was left")
    return str(pods[0].metadata.name)


def _of_target(target: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"jobs.targets.{target}.{name}": value for name, value in values.items()}


KINDS = {
    "delete-loader-pod": Kind(_delete_pod(LOADER)),
    "delete-connector-pod": Kind(_delete_pod(CONNECTOR)),
    "delete-job": Kind(_delete_job),
    "delete-queue-manager": Kind(_delete_queue_manager),
    "kill-process": Kind(_kill_process),
    "freeze-api-server": Kind(_freeze("kube-apiserver", _API_SERVER_S)),
    "freeze-kubelet": Kind(_freeze("kubelet", _KUBELET_S)),
    "out-of-memory": Kind(
        None,
        values={
            **_of_target(CONNECTOR, {"limits.memory": "24Mi", "requests.memory": "24Mi"}),
            "jobs.backoffLimit": "1",
        },
        error=("job_failed", "OOMKilled"),
    ),
    "missing-image": Kind(
        None,
        values={**_of_target(CONNECTOR, {"image": "registry.invalid/none:1"}), "jobs.startSeconds": "10"},
        error=("launch_refused", "image cannot be pulled"),
    ),
    "unschedulable": Kind(
        None,
        values={**_of_target(LOADER, {"requests.cpu": "999000m"}), "jobs.startSeconds": "10"},
        error=("launch_refused", "Unschedulable"),
    ),
}
