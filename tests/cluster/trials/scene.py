"""What a trial plays on: an installation, a workflow that is under way, and what must hold when it has ended."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
from kubernetes import client

from tests.cluster.installation import RELEASE, Neighbours, Release
from tests.embedded.workflows import ENDED, Document, Workflows

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_1m", "time_range": "2024-08-01:2024-08-21"}
FIRST_MS, STEP_MS, COUNT = 1_722_470_400_000, 60_000, 20 * 1_440
_SLOW_PAGES = [{"path": "/api/v3/klines", "kind": "slow", "after": 3, "count": 1_000, "seconds": 2}]
"""Some fifteen seconds of work, so that there is time to interfere."""
UNDER_WAY_WITHIN_S, ENDS_WITHIN_S, LEAVES_WITHIN_S = 120.0, 600.0, 60.0
_FORWARDED_FOR_S = 15.0
"""A way to the API that leads to a pod that is gone is given up after so long."""
_LOOK_EVERY_S = 0.5


class NotFiredError(Exception):
    """The fault did not show, so the trial says nothing."""


@dataclass
class Scene:
    """One trial's view of the world."""

    release: Release
    neighbours: Neighbours
    administrator: client.ApiClient
    rng: Random
    queue_id: str = ""

    @property
    def core(self) -> client.CoreV1Api:
        """Pods."""
        return client.CoreV1Api(self.administrator)

    @property
    def batch(self) -> client.BatchV1Api:
        """Jobs."""
        return client.BatchV1Api(self.administrator)

    def begin(self, collection: str) -> None:
        """Submit the workflow; its pages are slow."""
        httpx.put(f"{self.neighbours.exchange}/_sim/faults", json=_SLOW_PAGES).raise_for_status()
        with self.release.workflows() as workflows:
            self.queue_id = workflows.submit({**CANDLES, "collection_name": collection})["queue_id"]

    def wait_under_way(self) -> None:
        """Return at a random moment while both tasks are at work."""
        with self.release.workflows() as workflows:

            def works() -> bool:
                tasks = workflows.find(self.queue_id)["tasks"]
                return all(task["records_written"] for task in tasks)

            wait_for(works, UNDER_WAY_WITHIN_S, "both tasks to be at work")
        time.sleep(self.rng.uniform(0, 3))

    def require_under_way(self) -> None:
        """Raise NotFiredError where the workflow has ended: what breaks later breaks nothing."""
        with self.release.workflows() as workflows:
            if workflows.find(self.queue_id)["status"] in ENDED:
                raise NotFiredError("the workflow had ended before anything broke")

    def pods(self, target: str) -> Sequence[Any]:
        """List a target's pods that have not ended."""
        selector = f"streamforge.io/queue-id={self.queue_id},streamforge.io/target={target}"
        pods = self.core.list_namespaced_pod(self.release.namespace, label_selector=selector).items
        return [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]

    def ended(self) -> tuple[Document, Document, list[Document]]:
        """Wait for the end through outages of everything; return the document, the report and the audit trail."""
        httpx.delete(f"{self.neighbours.exchange}/_sim/faults").raise_for_status()

        def read(workflows: Workflows) -> tuple[Document, Document, list[Document]]:
            document = workflows.wait_ended(self.queue_id, _FORWARDED_FOR_S)
            return document, workflows.find(self.queue_id, "/quality"), workflows.audit_trail(self.queue_id)

        deadline = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(TimeoutError, ConnectionError, httpx.TransportError), self.release.workflows() as workflows:
                return read(workflows)
        raise TimeoutError(f"{self.queue_id} has not ended within {ENDS_WITHIN_S:g} s")

    def left_over(self) -> list[str]:
        """Name what still runs for the workflow."""
        selector = f"streamforge.io/queue-id={self.queue_id}"
        pods = self.core.list_namespaced_pod(self.release.namespace, label_selector=selector).items
        jobs = self.batch.list_namespaced_job(self.release.namespace, label_selector=selector).items
        alive = [pod.metadata.name for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]
        return alive + [job.metadata.name for job in jobs if job.status.active]


def leaving_replicas(release: Release, administrator: client.ApiClient) -> list[str]:
    """Name the pods of queue-manager that are told to end and have not yet."""
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=queue-manager"
    pods = client.CoreV1Api(administrator).list_namespaced_pod(release.namespace, label_selector=selector).items
    return [pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is not None]


def wait_for(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for something. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(_LOOK_EVERY_S)


def find_faults(scene: Scene, collection: str, expected_error: tuple[str, str] | None) -> list[str]:
    """Say what is wrong in the end.

    Args:
        scene: Whose workflow has been broken.
        collection: Where it stores.
        expected_error: Code, and a word of the message, with which it must end; None: it must complete.
    """
    document, quality, trail = scene.ended()
    faults = [f"{name} outlives its workflow" for name in scene.left_over()]
    if [item["seq"] for item in trail] != list(range(1, len(trail) + 1)):
        faults.append("the audit trail has holes")
    error = document["error"] or {}
    if expected_error is not None:
        code, word = expected_error
        if document["status"] != "error" or error.get("code") != code or word not in error.get("detail", ""):
            faults.append(f"it ended {document['status']} with {error}, expected {code} and {word!r}")
        return faults
    if document["status"] != "completed":
        return [*faults, f"it ended {document['status']} with {error}"]
    wanted = {f"binance:spot:BTCUSDT:candles_1m:{FIRST_MS + number * STEP_MS}" for number in range(COUNT)}
    stored = scene.neighbours.stored(collection)
    if stored != wanted or quality["verdict"] != "complete":
        faults.append(f"{len(wanted - stored)} missing, {len(stored - wanted)} too many, report {quality['verdict']}")
    return faults
