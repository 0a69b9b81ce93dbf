"""Fifty workflows on two replicas of queue-manager, of which one is killed at random over and over.

Each Job must be created once. A watch that runs from before the first workflow sees every creation, also of a Job that
is gone again later.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx
from kubernetes import client, watch

from tests.cluster.installation import RELEASE, Neighbours, Release, installed
from tests.embedded.workflows import ENDED, Document, Workflows

WORKFLOWS = 50
_CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
_VALUES = {"queueManager": {"maxRunningWorkflows": 5}}
"""Per replica: as many pods as one node bears."""
_BETWEEN_KILLS_S = (20.0, 60.0)
_END_WITHIN_S = 1_500.0
_LOOK_EVERY_S = 2.0


def run_replicas(
    administrator: client.ApiClient, neighbours: Neighbours, folder: Path, seed: str, say: Callable[[str], None]
) -> bool:
    """Run it; says whether all went well."""
    with installed(administrator, neighbours, folder, _VALUES) as release:
        created: Counter[str] = Counter()
        ended = threading.Event()
        watching = threading.Thread(target=_count_creations, args=(administrator, release.namespace, created, ended))
        watching.start()
        try:
            kills, documents = _run(administrator, release, Random(seed))
        finally:
            ended.set()
            watching.join()
    failures = _find_failures(documents, created)
    say(f"{len(documents)} workflows, {len(created)} jobs, {kills} replicas killed, seed {seed}: {failures or 'well'}")
    return not failures


def _run(administrator: client.ApiClient, release: Release, rng: Random) -> tuple[int, Sequence[Document]]:
    """Return how many replicas were killed, and the workflows as they were seen last."""
    submitted: list[str] = []
    documents: Sequence[Document] = []
    kills, kill_at, deadline = 0, time.monotonic() + rng.uniform(*_BETWEEN_KILLS_S), time.monotonic() + _END_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(TimeoutError, ConnectionError, httpx.HTTPError), release.workflows() as workflows:
            while len(submitted) < WORKFLOWS and time.monotonic() < kill_at:
                submitted.append(_submit(workflows, len(submitted)))
            while time.monotonic() < kill_at:
                documents = [workflows.find(queue_id) for queue_id in submitted]
                if len(documents) == WORKFLOWS and all(document["status"] in ENDED for document in documents):
                    return kills, documents
                time.sleep(_LOOK_EVERY_S)
        if time.monotonic() > kill_at:
            kills += _kill_one(administrator, release, rng)
            kill_at = time.monotonic() + rng.uniform(*_BETWEEN_KILLS_S)
    return kills, documents


def _submit(workflows: Workflows, number: int) -> str:
    """Start a workflow; asked for again after an outage it is the same one."""
    body = {**_CANDLES, "collection_name": f"replicas_{number}"}
    answer = workflows.http.post("/workflows", json=body, headers={"Idempotency-Key": f"replicas-{number}"})
    return str(answer.raise_for_status().json()["queue_id"])


def _kill_one(administrator: client.ApiClient, release: Release, rng: Random) -> int:
    """Kill one of the replicas that are ready, without any grace; returns how many were."""
    core = client.CoreV1Api(administrator)
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=queue-manager"
    pods = core.list_namespaced_pod(release.namespace, label_selector=selector).items
    names = sorted(pod.metadata.name for pod in pods if pod.status.phase == "Running")
    if not names:
        return 0
    core.delete_namespaced_pod(rng.choice(names), release.namespace, grace_period_seconds=0)
    return 1


def _count_creations(
    administrator: client.ApiClient, namespace: str, created: "Counter[str]", ended: threading.Event
) -> None:
    """Count the Jobs that are created, by name, until all has ended; one uid is one creation."""
    seen: set[str] = set()
    batch = client.BatchV1Api(administrator)
    while not ended.is_set():
        for change in watch.Watch().stream(batch.list_namespaced_job, namespace, timeout_seconds=5):
            job = change["object"]
            if job.metadata.uid not in seen:
                seen.add(job.metadata.uid)
                created[job.metadata.name] += 1


def _find_failures(documents: Sequence[Document], created: "Counter[str]") -> list[str]:
    failures = [f"{it['queue_id']} is {it['status']}" for it in documents if it["status"] != "completed"]
    if len(documents) != WORKFLOWS:
        failures.append(f"only {len(documents)} were submitted in time")
    failures += [f"{name} was created {times} times" for name, times in created.items() if times != 1]
    attempts = {task["attempt"] for document in documents for task in document["tasks"]}
    if attempts != {1}:
        failures.append(f"there were attempts {sorted(attempts)}")
    wanted = sum(len(document["tasks"]) for document in documents)
    if len(created) != wanted:
        failures.append(f"{len(created)} jobs for {wanted} tasks")
    return failures
