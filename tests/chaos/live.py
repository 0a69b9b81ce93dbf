"""Live loaders under fire: a hundred disconnects, and kills at random moments; what is missing must be told.

All streams of the simulated market run beside each other, ten times faster than they would. A disconnect cuts every
connection of a stream at the same message, so that there is a time without any.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
from arango.database import StandardDatabase

from tests.e2e.conftest import opened, read_documents
from tests.embedded.platform import UP, EmbeddedPlatform
from tests.embedded.processes import jobs_of, kill, wait_until
from tests.embedded.workflows import Document, Workflows

_SPEED = "10"
_WITHIN_S = 120.0
_GROWS_BY = 30
"""Records by which every stream grows from one disconnect to the next: it is there again."""
_LATEST_MESSAGES = 50
"""A disconnect comes at most so many messages after the one before has been got over."""
_LONGEST_LIFE_S = 6.0
"""A loader is killed at most so long after it has begun to publish, or goes on to."""
_KILLS = (1, 3)
"""The launcher gives up after six restarts."""


@dataclass(frozen=True)
class Case:
    """One stream, and what is promised of it."""

    exchange: str
    market: str
    symbol: str
    kind: str
    stream: str
    connections: int = 1
    is_filled: bool = True
    """Whether nothing may be missing; else what is missing must have been told."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.exchange} {self.market} {self.kind}"

    @property
    def body(self) -> Document:
        """What is posted."""
        identity = {"exchange": self.exchange, "market": self.market, "symbol": self.symbol}
        return {**identity, "type": f"ws_{self.kind}"}


_CASES = (
    Case("binance", "spot", "BTCUSDT", "trades", "btcusdt@trade"),
    Case("binance", "spot", "BTCUSDT", "agg_trades", "btcusdt@aggTrade"),
    Case("binance", "um", "SOLUSDT", "agg_trades", "solusdt@aggTrade"),
    Case("binance", "um", "ETHUSDT", "trades", "ethusdt@trade", connections=2, is_filled=False),
    Case("bybit", "spot", "ETHUSDT", "trades", "publicTrade.ETHUSDT", connections=2, is_filled=False),
    Case("bybit", "linear", "BTCUSDT", "trades", "publicTrade.BTCUSDT", connections=2, is_filled=False),
)


def run_live(folder: Path, disconnects: int, trials: int, say: Callable[[str], None]) -> bool:
    """Cut streams so many times, kill loaders in so many workflows; tell what came of it, and whether it is right."""
    rng = Random(f"live:{disconnects}")  # repeatable is what is wanted
    home = folder / f"live-{time.time_ns()}"
    with EmbeddedPlatform(home, "simulated", command=(*UP, "--speed", _SPEED)) as platform:
        workflows = Workflows(platform.url)
        for database in opened(platform):
            field = _Field(platform, workflows, database)
            faults = _disconnect(field, disconnects, rng, say)
            faults += [fault for trial in range(trials) for fault in _kill(field, trial, rng, say)]
        workflows.close()
    for fault in faults:
        say(f"WRONG: {fault}")
    return not faults


@dataclass(frozen=True)
class _Field:
    """Where trials take place."""

    platform: EmbeddedPlatform
    workflows: Workflows
    database: StandardDatabase

    def count(self, collection: str) -> int:
        """Count what is stored."""
        return self.database.collection(collection).count() if self.database.has_collection(collection) else 0

    def wait_for_more(self, collections: list[str], records: int) -> None:
        """Wait until so many more records are in each collection."""
        enough = {collection: self.count(collection) + records for collection in collections}
        wait_until(
            lambda: all(self.count(collection) >= least for collection, least in enough.items()),
            _WITHIN_S,
            f"more records in {enough}",
        )

    def served(self, case: Case) -> dict[int, Document]:
        """Return what the exchange has given, by id."""
        query = {"symbol": case.symbol, "market": f"{case.exchange}:{case.market}", "kind": case.kind}
        with httpx.stream("GET", f"{self.platform.exchange_url}/_sim/served", params=query, timeout=60) as lines:
            items = [json.loads(line)["item"] for line in lines.iter_lines()]
        return {item["a"] if "a" in item else item["id"]: item for item in items}

    def told(self, queue_id: str) -> Iterator[Document]:
        """Yield every gap that the loader has told."""
        path: str | None = "/events?limit=1000"
        while path is not None:
            page = self.workflows.find(queue_id, path)
            for item in page["items"]:
                if item["kind"] == "event":
                    yield from item["data"].get("gaps") or ()
                    yield from item["data"].get("exchange_gaps") or ()
            path = f"/events?limit=1000&cursor={page['next_cursor']}" if page["next_cursor"] else None


def _disconnect(field: _Field, disconnects: int, rng: Random, say: Callable[[str], None]) -> list[str]:
    """Cut all streams together, again and again."""
    submitted = [field.workflows.submit(case.body) for case in _CASES]
    collections = [document["datasets"][0]["collection_name"] for document in submitted]
    field.wait_for_more(collections, _GROWS_BY)
    for _ in range(disconnects):
        plan = [
            {
                "path": case.stream,
                "kind": "disconnect",
                "count": case.connections,
                "after": rng.randrange(_LATEST_MESSAGES) * case.connections,
            }
            for case in _CASES
        ]
        assert httpx.put(f"{field.platform.exchange_url}/_sim/faults", json=plan).status_code == 200
        wait_until(lambda: _have_fired(field), _WITHIN_S, "all disconnects")
        field.wait_for_more(collections, _GROWS_BY)
    faults = []
    for case, document in zip(_CASES, submitted, strict=True):
        faults += _judge(field, case, document["queue_id"], f"{disconnects} disconnects", say)
    return faults


def _have_fired(field: _Field) -> bool:
    faults = httpx.get(f"{field.platform.exchange_url}/_sim/faults").json()
    return all(fault["remaining"] == 0 for fault in faults)


def _kill(field: _Field, trial: int, rng: Random, say: Callable[[str], None]) -> list[str]:
    """`kill -9` the loader of a workflow, one to three times, at random moments."""
    case = Case("binance", "spot", f"Q{trial:03d}USDT", "trades", f"q{trial:03d}usdt@trade")
    document = field.workflows.submit(case.body)
    queue_id, collection = document["queue_id"], document["datasets"][0]["collection_name"]
    kills = rng.randint(*_KILLS)
    for _ in range(kills):
        field.wait_for_more([collection], 1)
        time.sleep(rng.uniform(0.0, _LONGEST_LIFE_S))
        (loader,) = jobs_of(field.platform.home, "loader-ws", queue_id)
        kill(loader.pid)
    field.wait_for_more([collection], _GROWS_BY)
    return _judge(field, case, queue_id, f"trial {trial}, {kills} kills", say)


def _judge(field: _Field, case: Case, queue_id: str, what: str, say: Callable[[str], None]) -> list[str]:
    """Stop a workflow and compare: stored = served minus what was told, and nothing of it twice."""
    if case.is_filled:
        wait_until(lambda: _quality(field, queue_id)["missing"] == 0, _WITHIN_S, f"the last hole of {case.name}")
    field.workflows.steer(queue_id, "stop")
    ended = field.workflows.wait_ended(queue_id, _WITHIN_S)
    quality = _quality(field, queue_id)
    documents = read_documents(field.database, ended["datasets"][0]["collection_name"]).values()
    id_field = "agg_trade_id" if case.kind == "agg_trades" else "trade_id"
    stored = {int(document[id_field]): document for document in documents}
    served, told = field.served(case), list(field.told(queue_id))
    missing = set(range(min(stored), max(stored) + 1)) - stored.keys()
    say(
        f"{case.name:<24} {what}: {len(stored):,} stored, {len(missing):,} missing, {quality['filled']:,} filled, "
        f"{quality['reconnects']} reconnects, {len(told)} gaps told, {quality['repeated']} repeated, "
        f"{quality['verdict']}"
    )
    return [
        f"{case.name}, {what}: {fault}"
        for fault, is_so in (
            ("ended otherwise than stopped", ended["status"] != "stopped"),
            ("something is stored that was never served", not stored.keys() <= served.keys()),
            ("something is stored otherwise than served", not _are_equal(stored, served)),
            ("something is missing that nobody was told of", not _is_told(missing, stored, told)),
            ("something is missing", case.is_filled and bool(missing)),
            ("the verdict is not complete", case.is_filled and quality["verdict"] != "complete"),
            ("something was rejected", bool(quality["rejected"])),
            ("something came twice although nothing was killed", "kills" not in what and bool(quality["repeated"])),
        )
        if is_so
    ]


def _quality(field: _Field, queue_id: str) -> Document:
    (quality,) = field.workflows.find(queue_id, "/quality")["datasets"]
    return dict(quality)


def _are_equal(stored: dict[int, Document], served: dict[int, Any]) -> bool:
    names = (("p", "price"), ("q", "qty"), ("T", "time"))
    return all(
        [document["price"], document["quantity"], document["trade_time"]]
        == [float(next(served[number][name] for name in pair if name in served[number])) for pair in names]
        for number, document in stored.items()
    )


def _is_told(missing: set[int], stored: dict[int, Document], told: list[Document]) -> bool:
    """Say whether every missing id lies in a gap: by its number, or between the times of its neighbours."""
    if all(gap.get("missing") is not None for gap in told):
        return missing == {number for gap in told for number in range(gap["from"], gap["to"])}
    breaks = [(before, after) for before, after in pairwise(sorted(stored)) if after != before + 1]
    return all(
        any(gap["from"] <= stored[before]["trade_time"] and stored[after]["trade_time"] <= gap["to"] for gap in told)
        for before, after in breaks
    )
