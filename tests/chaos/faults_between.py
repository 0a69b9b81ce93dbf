"""Deaths between two steps that belong together, made certain by holding the second step up."""

import asyncio
import time

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.chaos.faults_database import faults_of, set_faults
from tests.chaos.oracle import Expectation
from tests.chaos.trial import Fault, NotFiredError, Scene
from tests.chaos.up import gate_of
from tests.embedded.processes import jobs_of, kill, wait_until

_IMPORTS = "/_api/import"
_LOADED_WITHIN_S = 90.0
_EVENTS_TOPIC, _EVENTS_GROUP = "queue-events", "queue-manager"


class KillBeforeStored(Fault):
    """Connectors are killed with a batch in hand that the database has refused so far, after they were told to drain.

    What was acknowledged before it was stored is lost then, and whoever forgets at its start what it was told before
    waits for ever.
    """

    def __init__(self) -> None:
        self._killed: list[int] = []
        self._refused = 0

    def arm(self, scene: Scene) -> None:
        """Let the database refuse every import after the first few."""
        set_faults(scene, [{"kind": "status", "path": _IMPORTS, "after": scene.rng.randint(0, 4)}])

    def strike(self, scene: Scene) -> None:
        """Wait until the connectors are told to drain, kill them, let the database work again."""
        wait_until(lambda: all(_is_told_to_drain(scene, each) for each in scene.queue_ids), _LOADED_WITHIN_S, "drain")
        self._refused = faults_of(scene)[0].get("hits", 0)
        for connector in jobs_of(scene.arena.home, "arango-connector"):
            if connector.is_job_of in scene.queue_ids:
                kill(connector.pid)
                self._killed.append(connector.pid)
        set_faults(scene, [])

    def prove(self, scene: Scene) -> str:
        """The database counts what it refused; the pids are gone."""
        if not (self._refused and self._killed):
            raise NotFiredError(f"refused {self._refused} imports, killed {self._killed}")
        return f"refused {self._refused} imports, then killed {self._killed}"


class ReadEventsAgain(Fault):
    """queue-manager dies, and its place on `queue-events` goes back to the beginning: nothing may be noted twice."""

    expectation = Expectation(killed=frozenset({"queue-manager"}))

    def __init__(self) -> None:
        self._proof = ""

    def strike(self, scene: Scene) -> None:
        """Kill it, move the place, let it come back."""
        wait_until(lambda: all(_has_published(scene, each) for each in scene.queue_ids), _LOADED_WITHIN_S, "records")
        time.sleep(scene.rng.uniform(0.0, 4.0))
        gate = gate_of(scene.arena.home, "queue-manager")
        pid = scene.arena.platform.pid_of("queue-manager")
        gate.touch()
        kill(pid)
        before = asyncio.run(_rewind(scene.arena.platform.info["kafka_bootstrap_servers"]))
        gate.unlink()
        if before:
            self._proof = f"killed {pid}, moved its place on {_EVENTS_TOPIC} from {before} to 0"

    def calm(self, scene: Scene) -> None:
        """Open the gate."""
        gate_of(scene.arena.home, "queue-manager").unlink(missing_ok=True)

    def prove(self, scene: Scene) -> str:
        """There was a place, with events of these workflows before it, and the broker took the new one."""
        if not self._proof:
            raise NotFiredError("no place was kept yet")
        return self._proof


class WhileLoading(Fault):
    """Another fault, at a moment when pages are on their way to the broker: a slow exchange makes it last."""

    def __init__(self, fault: Fault) -> None:
        self.expectation = fault.expectation
        self._fault = fault
        self._loading = 0

    def arm(self, scene: Scene) -> None:
        """Slow the exchange down."""
        plan = [{"path": "/api/v3/klines", "kind": "slow", "count": 10_000, "seconds": 2.5}]
        assert httpx.put(f"{scene.arena.platform.exchange_url}/_sim/faults", json=plan).status_code == 200
        self._fault.arm(scene)

    def strike(self, scene: Scene) -> None:
        """Wait until every loader has published something."""
        wait_until(lambda: all(_has_published(scene, each) for each in scene.queue_ids), _LOADED_WITHIN_S, "records")
        self._loading = sum(not _is_told_to_drain(scene, each) for each in scene.queue_ids)
        self._fault.strike(scene)

    def calm(self, scene: Scene) -> None:
        """Let the exchange be as fast as it can."""
        httpx.delete(f"{scene.arena.platform.exchange_url}/_sim/faults")
        self._fault.calm(scene)

    def prove(self, scene: Scene) -> str:
        """Some had not completed when it began."""
        if not self._loading:
            raise NotFiredError("every loader had completed before")
        return f"{self._fault.prove(scene)}, while {self._loading} loaders published"


def _has_published(scene: Scene, queue_id: str) -> bool:
    tasks = scene.arena.workflows.find(queue_id)["tasks"]
    return any(task["target"] == "loader-producer" and task["records_written"] > 0 for task in tasks)


def _is_told_to_drain(scene: Scene, queue_id: str) -> bool:
    trail = scene.arena.workflows.audit_trail(queue_id)
    return any(item["kind"] == "command" and item["data"]["command"] == "drain" for item in trail)


async def _rewind(bootstrap_servers: str) -> int | None:
    partition = TopicPartition(_EVENTS_TOPIC, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=_EVENTS_GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([partition])
        before: int | None = await consumer.committed(partition)
        await consumer.commit({partition: 0})
        return before
    finally:
        await consumer.stop()
