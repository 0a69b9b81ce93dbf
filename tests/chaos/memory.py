"""Does the memory of the services stay flat while the database stands still and the exchange goes on to give?"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median

import httpx
from bench.observing import Observer

from tests.chaos.arena import Arena, Order
from tests.embedded.offsets import ends_and_places
from tests.embedded.processes import wait_until

SERVICES = {
    "loader_producer": "loader-producer",
    "arango_connector": "arango-connector",
    "tests.chaos.mortal_queue_manager": "queue-manager",
    "exchange_sim": "exchange-sim",
    "kafka": "kafka",
    "tests.chaos.faulty_arangolite": "arangolite",
}
"""The modules that run, and the services that they are."""
_TOLERANCE = 0.10
_JUDGED = frozenset(SERVICES.values()) - {"kafka"}
"""Kafka's heap grows up to the bound that it was started with, whatever it has to do."""
_ORDERS, _DAYS = 2, 500
_ANSWERS_TAKE_S = 6.0
"""Of the exchange: slow enough that loaders still have pages to ask for when the pause is over."""
_WARM_UP_S = 60.0
_BEFORE_S = 15.0
"""What is compared with: the median of so long before the pause."""
_COMPLETED_WITHIN_S = 1_200.0
_STORED_FIRST = 20_000


def run_memory(folder: Path, seconds: float, say: Callable[[str], None]) -> bool:
    """Stop the database for so long while workflows run, tell how the memory went, and whether it was flat."""
    rng = Random(f"memory:{seconds}")  # repeatable is what is wanted
    with Arena(folder, {"OUTAGE_SECONDS": str(int(seconds) + 600)}) as arena:
        slow = [{"path": "/api/v3/klines", "kind": "slow", "count": 1_000_000, "seconds": _ANSWERS_TAKE_S}]
        assert httpx.put(f"{arena.platform.exchange_url}/_sim/faults", json=slow).status_code == 200
        queue_ids = [_submit(arena, rng) for _ in range(_ORDERS)]
        wait_until(lambda: all(_stored(arena, each) >= _STORED_FIRST for each in queue_ids), 300, "the first records")
        time.sleep(_WARM_UP_S)
        components = ("kafka", "arangolite", "exchange-sim", "queue-manager")
        roots = [arena.platform.pid_of(each) for each in components]
        jobs = [each.pid for each in arena.platform.processes() if each.is_job_of and " -m " in each.command]
        with Observer(*roots, *jobs) as observer:
            time.sleep(_BEFORE_S)
            published = [_end_of_topic(arena, each) for each in queue_ids]
            began = time.monotonic()
            database = arena.platform.pid_of("arangolite")
            os.kill(database, signal.SIGSTOP)
            try:
                time.sleep(seconds)
                meanwhile = [_end_of_topic(arena, each) for each in queue_ids]
            finally:
                os.kill(database, signal.SIGCONT)
            ended = time.monotonic()
        httpx.delete(f"{arena.platform.exchange_url}/_sim/faults")
        wait_until(lambda: _is_healthy(arena), 120, "the platform to be healthy again")
        grown = [after - before for after, before in zip(meanwhile, published, strict=True)]
        say(f"the database stood still for {ended - began:.0f} s; {sum(grown):,} records were published meanwhile")
        usage = observer.usage()
        flat = [_tell(name, usage[module].resident, began, ended, say) for module, name in SERVICES.items()]
        verdicts = [_verdict(arena, each) for each in queue_ids]
        say(f"the workflows ended {verdicts}")
        return all(flat) and all(grown) and set(verdicts) == {"complete"}


def _submit(arena: Arena, rng: Random) -> str:
    order = Order.draw(rng)
    start = order.start.replace(year=2021)
    body = {**order.body, "time_range": f"{start:%Y-%m-%d}:{start + timedelta(days=_DAYS):%Y-%m-%d}"}
    return str(arena.workflows.submit(body)["queue_id"])


def _end_of_topic(arena: Arena, queue_id: str) -> int:
    """Ask the broker: what queue-manager knows stands still with its database."""
    ends, _ = ends_and_places(arena.platform.info["kafka_bootstrap_servers"], f"{queue_id}-data", "nobody")
    return sum(ends.values())


def _stored(arena: Arena, queue_id: str) -> int:
    tasks = arena.workflows.find(queue_id)["tasks"]
    return next(int(task["records_written"]) for task in tasks if task["target"] == "arango-connector")


def _is_healthy(arena: Arena) -> bool:
    return arena.workflows.http.get("/health").status_code == 200


def _verdict(arena: Arena, queue_id: str) -> str:
    document = arena.workflows.wait_ended(queue_id, _COMPLETED_WITHIN_S)
    assert document["status"] == "completed", document
    return str(arena.workflows.find(queue_id, "/quality")["verdict"])


def _tell(
    name: str, resident: Sequence[tuple[float, int]], began: float, ended: float, say: Callable[[str], None]
) -> bool:
    before = median(size for at, size in resident if at < began)
    during = [size for at, size in resident if began <= at <= ended]
    least, most = min(during) / before - 1, max(during) / before - 1
    flat = name not in _JUDGED or (least >= -_TOLERANCE and most <= _TOLERANCE)
    said = f"{name:<17} {before / 2**20:7.1f} MiB before, {least:+.1%} to {most:+.1%} meanwhile"
    say(said if flat else f"{said}  NOT FLAT")
    return flat
