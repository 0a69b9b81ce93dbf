"""From the exchange to the database through the whole platform, against each part alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from uuid import uuid4

import httpx
import msgspec

from bench import connector, exchange_side, loader_sides, stage
from bench.market import SYMBOL, TYPE, fetch_pages, make_records, range_of, save_pages
from bench.observing import Observer, Usage
from bench.results import Figure, Section
from bench.rounds import Measured, Rounds, Spread, run_rounds
from bench.sides import run_side
from streamforge_common.settings import ArangoSettings
from streamforge_local.client.api import QueueManager
from streamforge_local.client.documents import Workflow
from streamforge_local.client.following import follow
from streamforge_local.home import PlatformInfo

PROCESSES = ("exchange_sim", "loader_producer", "kafka", "arango_connector", "arangolite", "queue_manager")
SERVICES = ("loader_producer", "arango_connector", "arangolite", "queue_manager")
"""Whose memory must not grow with what they have done."""

_MILLION_TRADES = "2024-03-05T00:00:00Z/2024-03-06T07:00:00Z"
"""Has so many in the simulated market."""
_FLAT = 1.1
"""What counts as flat."""
_HOW = (
    "A workflow of {records:,} minute candles on the embedded platform, from the first page asked for to the "
    "connector's last report, every process on the same cores; the exchange's limit is lifted. Each part alone on"
    " the same servers: **exchange**: the same pages, asked for as the loader does and thrown away; **loader** "
    "and **connector** as in the sections above. CPU seconds are those of the workflow, the start of its two jobs"
    " included."
)
_HOW_MEMORY = (
    "Resident memory (the most of samples ten times a second) of a new platform that loads one workflow of "
    "{trades:,} aggregated trades: until 100,000 of them are stored, and until all are."
)


class _Request(msgspec.Struct):
    """What the exchange noted of a request."""

    at: int
    path: str


@dataclass(frozen=True, slots=True)
class Parts:
    """How many pages the parts are measured with, and how many records go the whole way."""

    pages: int
    records: int


def sections(folder: Path, quick: bool) -> list[Section]:
    """Measure it."""
    parts, rounds = (Parts(50, 100_000), 1) if quick else (Parts(200, 1_000_000), 5)
    told = _measure(folder / "rate", parts, rounds=rounds)
    rate = "records_per_s"
    alone = ("exchange", "loader", "connector")
    slowest = min(alone, key=lambda part: told.value(part, rate).median)
    figures = [
        Figure(f"**whole way / {slowest} alone**, the slowest", told.ratio("whole", slowest, rate), at_least=0.5),
        Figure("whole way", told.value("whole", rate), "records/s"),
        *(Figure(f"{part} alone", told.value(part, rate), "records/s") for part in alone),
        Figure("whole way, all processes", told.value("whole", "cpu_s"), "CPU s per million records"),
        *(Figure(name, told.value("whole", name), "CPU s per million records") for name in PROCESSES),
    ]
    whole_way = Section("Whole way: exchange-sim to ArangoDB", _HOW.format(records=parts.records), figures)
    if quick:
        return [whole_way]
    memory, trades = _measure_memory(folder / "memory", few=100_000, many=1_000_000)
    figures = []
    for name, (at_few, at_many) in memory.items():
        figures.append(Figure(f"**{name}: at the end / 100,000**", Spread.of([at_many / at_few]), at_most=_FLAT))
        figures.append(Figure(f"{name} at the end", Spread.of([at_many / 2**20]), "MiB"))
    return [whole_way, Section("Memory while a million trades pass", _HOW_MEMORY.format(trades=trades), figures)]


def _measure(folder: Path, parts: Parts, *, rounds: int) -> Rounds:
    """Load the same range the whole way again and again, and in between each part alone."""
    folder.mkdir()
    with stage.exchange(folder) as exchange, stage.platform(folder, exchange.url) as (info, platform_pid):
        pages = fetch_pages(exchange.url, parts.pages)
        path = folder / "whole-way-pages"
        save_pages(pages, path)
        database = ArangoSettings.model_validate(
            {
                name: getattr(info, name)
                for name in ("arango_url", "arango_database", "arango_username", "arango_password")
            }
        )
        target = connector.Target(info.kafka_bootstrap_servers, database, path, make_records(pages))
        given_to_loader = loader_sides.Given(info.kafka_bootstrap_servers, str(path))
        given_to_exchange = exchange_side.Given(exchange.url, parts.pages)
        return run_rounds(
            {
                "whole": lambda: _load(info, exchange, platform_pid, parts.records),
                "exchange": lambda: run_side("bench.exchange_side", "exchange", given_to_exchange),
                "loader": lambda: run_side("bench.loader_sides", "loader", given_to_loader),
                "connector": lambda: target.run("connector"),
            },
            rounds,
        )


def _measure_memory(folder: Path, *, few: int, many: int) -> tuple[Mapping[str, tuple[int, int]], int]:
    """Return what each service had in memory at most until few trades were stored, and until all were; and how many.

    On a new platform, and with one load of all of them, so that the first number holds the same start as the second.
    """
    folder.mkdir()
    request = {"symbol": SYMBOL, "type": "api_agg_trades", "time_range": _MILLION_TRADES}
    with stage.exchange(folder) as exchange, stage.platform(folder, exchange.url) as (info, platform_pid):
        with Observer(platform_pid) as observer, QueueManager(info.queue_manager_url) as queue_manager:
            few_at_s = None
            for workflow in _progress(queue_manager, request):
                if few_at_s is None and workflow.records_of("arango-connector") >= few:
                    few_at_s = monotonic()
        assert few_at_s is not None
        trades = workflow.records_of("arango-connector")
        assert trades >= many, f"{trades} are fewer than {many}"
        usage = observer.usage()
        return {name: (usage[name].peak_bytes(few_at_s), usage[name].peak_bytes()) for name in SERVICES}, trades


def _load(info: PlatformInfo, exchange: stage.Server, platform_pid: int, records: int) -> Measured:
    with QueueManager(info.queue_manager_url) as queue_manager:
        with Observer(platform_pid, exchange.pid) as observer:
            request = {"symbol": SYMBOL, "type": TYPE, "time_range": range_of(records)}
            *_, workflow = _progress(queue_manager, request)
        assert workflow.records_of("arango-connector") == records, workflow.raw
        taken_s = _last_stored_s(queue_manager, workflow) - _first_asked_s(exchange.url, workflow)
        _forget(info, workflow)
    usage = observer.usage()
    cpu_s = {name: _cpu_s(usage, name) / records * 1e6 for name in PROCESSES}
    return {"records": records, "records_per_s": records / taken_s, "cpu_s": sum(cpu_s.values()), **cpu_s}


def _progress(queue_manager: QueueManager, request: Mapping[str, str]) -> Iterator[Workflow]:
    """Submit a workflow and follow it to its good end."""
    submitted = queue_manager.submit({**request, "collection_name": f"bench_{uuid4().hex}"})
    for workflow in follow(queue_manager, submitted.queue_id):
        yield workflow
    assert workflow.status == "completed", workflow.raw


def _first_asked_s(exchange_url: str, workflow: Workflow) -> float:
    """When the exchange was first asked for candles of a workflow."""
    created_ms = datetime.fromisoformat(workflow.created_at).timestamp() * 1000
    journal = httpx.get(f"{exchange_url}/_sim/requests", trust_env=False, timeout=60.0).raise_for_status()
    requests = (msgspec.json.decode(line, type=_Request) for line in journal.content.splitlines())
    return min(it.at for it in requests if it.at > created_ms and it.path.endswith("/klines")) / 1000


def _last_stored_s(queue_manager: QueueManager, workflow: Workflow) -> float:
    """When the connector said that everything is stored."""
    events = (item.data for item in queue_manager.audit_trail(workflow.queue_id, 0) if item.kind == "event")
    return max(float(it["timestamp"]) for it in events if it["producer"].startswith("arango-connector__"))


def _cpu_s(usage: Mapping[str, Usage], name: str) -> float:
    return usage[name].cpu_s if name in usage else 0.0


def _forget(info: PlatformInfo, workflow: Workflow) -> None:
    """Give back the disk, so that no round finds the database larger than another did."""
    url = f"{info.queue_manager_url}/workflows/{workflow.queue_id}"
    httpx.delete(url, params={"data": "true"}, trust_env=False, timeout=60.0).raise_for_status()
