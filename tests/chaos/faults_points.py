"""queue-manager dies at named points: right before and right after each of its side effects."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.arena import Order
from tests.chaos.oracle import Expectation, query
from tests.chaos.trial import Fault, NotFiredError, Scene
from tests.chaos.up import deaths_of
from tests.embedded.processes import jobs_of, wait_until

_DEAD_WITHIN_S = 200.0
"""Six deaths, with up to 15 s until queue-manager is started again after each."""
_GONE_WITHIN_S = 200.0


class DieAround(Fault):
    """queue-manager dies before one call of each of some side effects, and after another one."""

    expectation = Expectation(killed=frozenset({"queue-manager"}))

    def __init__(self, latest: Mapping[str, int]) -> None:
        """Set up; `latest` says of each effect how many calls of one process pass at the most before it dies."""
        self._latest = latest
        self._points = [f"{moment}-{effect}" for effect in latest for moment in ("before", "after")]
        self._folder: Path

    def arm(self, scene: Scene) -> None:
        """Say where it dies."""
        self._folder = deaths_of(scene.arena.home)
        self._folder.mkdir(exist_ok=True)
        for file in self._folder.iterdir():
            file.unlink()
        for point in self._points:
            _, _, effect = point.partition("-")
            (self._folder / point).write_text(str(scene.rng.randint(0, self._latest[effect])))

    def strike(self, scene: Scene) -> None:
        """Wait for all deaths; some effects come only after the end of a workflow."""
        deadline = time.monotonic() + _DEAD_WITHIN_S
        while len(self._deaths()) < len(self._points) and time.monotonic() < deadline:
            time.sleep(0.05)

    def calm(self, scene: Scene) -> None:
        """Let it live."""
        for point in self._points:
            (self._folder / point).unlink(missing_ok=True)

    def prove(self, scene: Scene) -> str:
        """It noted each death before it died, with the process id of then."""
        deaths = self._deaths()
        now = scene.arena.platform.pid_of("queue-manager")
        if len(deaths) < len(self._points) or any(death.endswith(f".{now}") for death in deaths):
            raise NotFiredError(f"died at {deaths}, and {now} runs")
        return f"died at {', '.join(deaths)}; now {now}"

    def _deaths(self) -> Sequence[str]:
        return sorted(file.name for file in self._folder.glob("*.*"))


class DieWhileDeleting(DieAround):
    """The same while a workflow is removed with its data: all of it must go, and nothing else."""

    def arm(self, scene: Scene) -> None:
        """Nothing dies before there is something to delete."""
        self._folder = deaths_of(scene.arena.home)

    def strike(self, scene: Scene) -> None:
        """Have one more workflow, which no oracle asks for, and remove it."""
        workflows = scene.arena.workflows
        order = Order.draw(scene.rng)
        document = workflows.submit(order.body)
        ended = workflows.wait_ended(document["queue_id"], scene.arena.patience_s)
        assert ended["status"] == "completed", ended
        super().arm(scene)
        url = f"/workflows/{document['queue_id']}"
        wait_until(lambda: _is_deleted(workflows.http, url), _GONE_WITHIN_S, f"{url} to be gone")
        topic = document["datasets"][0]["kafka_topic"]
        topics = asyncio.run(_topics(scene.arena.platform.info["kafka_bootstrap_servers"]))
        assert topic not in topics, f"{topic} is left over"
        collections = query(scene.arena, "FOR c IN COLLECTIONS() RETURN c.name", {})
        assert document["datasets"][0]["collection_name"] not in collections, "the collection is left over"
        for collection in ("workflow_events", "rejected_records"):
            aql = "FOR d IN @@collection FILTER d.queue_id == @id COLLECT WITH COUNT INTO n RETURN n"
            (left,) = query(scene.arena, aql, {"@collection": collection, "id": document["queue_id"]})
            assert left == 0, f"{left} documents of it are left over in {collection}"


class DieWhileRepairing(DieAround):
    """The same while a workflow is repaired: what was removed of it must be back, and nothing else is loaded."""

    def arm(self, scene: Scene) -> None:
        """Nothing dies before there is something to repair."""
        self._folder = deaths_of(scene.arena.home)

    def strike(self, scene: Scene) -> None:
        """Have one more workflow, which no oracle asks for, remove some of its documents, and repair it."""
        workflows = scene.arena.workflows
        document = workflows.submit(Order.draw(scene.rng).body)
        queue_id, collection = document["queue_id"], document["datasets"][0]["collection_name"]
        workflows.wait_ended(queue_id, scene.arena.patience_s)
        whole = workflows.find(queue_id, "/quality")["datasets"][0]
        removed = scene.rng.randint(1, 3_000)
        aql = "FOR d IN @@collection SORT d.open_time LIMIT 100, @removed REMOVE d IN @@collection"
        query(scene.arena, aql, {"@collection": collection, "removed": removed})
        super().arm(scene)
        url = f"/workflows/{queue_id}"
        wait_until(lambda: _is_repaired(workflows.http, url), _GONE_WITHIN_S, f"{url} to be repaired")
        super().strike(scene)
        ended = workflows.wait_ended(queue_id, scene.arena.patience_s)
        assert ended["status"] == "completed", ended
        found = workflows.find(queue_id, "/quality")["datasets"][0]
        assert (found["verdict"], found["stored"], found["repeated"]) == ("complete", whole["stored"], removed), found


class DieWhileStopping(DieAround):
    """The same while a workflow is stopped whose loader does not end by itself, so that its job has to be deleted."""

    def strike(self, scene: Scene) -> None:
        """Let a loader stand still, stop its workflow, and go on with it afterwards."""
        queue_id = scene.rng.choice(scene.queue_ids)
        for loader in jobs_of(scene.arena.home, "loader-producer", queue_id):
            os.kill(loader.pid, signal.SIGSTOP)
        scene.arena.workflows.steer(queue_id, "stop")
        super().strike(scene)
        ended = scene.arena.workflows.wait_ended(queue_id, scene.arena.patience_s)
        assert ended["status"] == "stopped", ended
        scene.arena.workflows.steer(queue_id, "retry")


class Together(Fault):
    """Several faults in one trial."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = faults
        killed = frozenset[str]().union(*(fault.expectation.killed for fault in faults))
        self.expectation = Expectation(killed=killed)

    def arm(self, scene: Scene) -> None:
        """Prepare all."""
        for fault in self._faults:
            fault.arm(scene)

    def strike(self, scene: Scene) -> None:
        """Let all strike."""
        for fault in self._faults:
            fault.strike(scene)

    def calm(self, scene: Scene) -> None:
        """Take all back."""
        for fault in self._faults:
            fault.calm(scene)

    def prove(self, scene: Scene) -> str:
        """All have shown."""
        return "; ".join(fault.prove(scene) for fault in self._faults)


def _is_deleted(http: httpx.Client, url: str) -> bool:
    try:
        answer = http.delete(url, params={"data": "true"})
        assert answer.status_code in (204, 404) or answer.status_code >= 500, answer.text
        return http.get(url).status_code == 404
    except httpx.TransportError:
        return False


def _is_repaired(http: httpx.Client, url: str) -> bool:
    try:
        answer = http.post(f"{url}/repair")
    except httpx.TransportError:
        return False
    assert answer.status_code == 202 or answer.status_code >= 500, answer.text
    return answer.status_code == 202


async def _topics(bootstrap_servers: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()
