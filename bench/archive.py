"""A month of aggregate trades from an archive onto a topic and on into the database, in flat memory."""

import asyncio
import os
from itertools import pairwise
from pathlib import Path
from time import monotonic

import httpx
import msgspec

from bench import stage
from bench.archive_sides import Given, paths_of
from bench.market import start_command
from bench.observing import Observer
from bench.results import Figure, Section
from bench.rounds import Measured, Rounds, Spread
from bench.sides import run_side
from streamforge_common.arango.database import ensure_database

_SIDES = "bench.archive_sides"
_MADE_WITHIN_S = 1_800.0
"""The exchange draws a month's trades when they are asked for first."""
_STORED_MAX = 3_000_000
_PARTS = 5
"""Of a side's time; of each it is told how much memory was taken in it."""
_FLAT = 1.1
_HOW = (
    "{records:,} simulated aggregate trades of BTCUSDT, {days} days in {files} packed files, each side in a fresh "
    "process. **loader**: `ArchiveLoading.load` with the loader's own clients: fetch, prove, read, encode, publish, "
    "checkpoint. **bare**: the same files on this disk through `zipfile`, `str.split`, msgspec's JSON encoder and "
    "confluent-kafka's `Producer`, with the loader's keys, values and header. Both acks=all, idempotent, zstd. "
    "**connector**: {stored:,} of them from the loader's topic into arangolite, with the connector's own code. Memory "
    "is resident, the most of samples ten times a second, in each fifth of a side's time."
)


def sections(folder: Path, days: int) -> list[Section]:
    """Measure it on the first days of a month; 31 are the month's own file."""
    with stage.exchange(folder) as exchange, stage.broker(folder) as bootstrap_servers, stage.arangolite(folder) as db:
        asyncio.run(ensure_database(stage.arango_settings(db.url)))
        files = [_fetch(exchange.url, path, folder) for path in paths_of(days)]
        given = Given(bootstrap_servers, exchange.url, db.url, days, files, topic=_new_topic())
        loader, loader_mib = _observe("loader", given)
        bare, _ = _observe("bare", msgspec.structs.replace(given, topic=_new_topic()))
        stored = min(int(loader["records"]), _STORED_MAX)
        connector, connector_mib = _observe("connector", msgspec.structs.replace(given, records=stored))
    told = Rounds({"loader": [loader], "bare": [bare], "connector": [connector]})
    wall, cpu = "records_per_s", "records_per_cpu_s"
    figures = [
        Figure("**loader / bare, wall time**", told.ratio("loader", "bare", wall), at_least=0.5),
        Figure("loader / bare, CPU", told.ratio("loader", "bare", cpu)),
        *(Figure(side, told.value(side, wall), "records/s") for side in ("loader", "bare", "connector")),
        *(Figure(side, told.value(side, cpu), "records per CPU second") for side in ("loader", "bare", "connector")),
        *_memory("loader", loader_mib),
        *_memory("connector", connector_mib),
    ]
    how = _HOW.format(records=int(loader["records"]), days=days, files=len(files), stored=stored)
    return [Section("Archive: packed files to acknowledgement, and on into the database", how, figures)]


def _new_topic() -> str:
    return start_command("loader-producer", 1).kafka_topic


def _fetch(exchange_url: str, path: str, folder: Path) -> str:
    """Have the exchange make a file, and keep it for the side that does not ask for it."""
    kept = folder / path.rpartition("/")[2]
    with (
        httpx.stream("GET", exchange_url + path, trust_env=False, timeout=_MADE_WITHIN_S) as answer,
        kept.open("wb") as file,
    ):
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            file.write(piece)
    return str(kept)


def _observe(side: str, given: Given) -> tuple[Measured, list[float]]:
    """Run a side, and return beside its figures how many MiB it took in each part of its time."""
    with Observer(os.getpid()) as observer:
        measured = run_side(_SIDES, side, given)
        ended_s = monotonic()
    samples = observer.usage()[_SIDES].resident
    # What comes before is imports and connecting.
    began_s = ended_s - measured["wall_s"]
    bounds = [began_s + (ended_s - began_s) * part / _PARTS for part in range(_PARTS + 1)]
    parts = [[size for at_s, size in samples if low <= at_s < high] for low, high in pairwise(bounds)]
    return measured, [max(part, default=0) / 2**20 for part in parts]


def _memory(side: str, mib: list[float]) -> list[Figure]:
    figures = [Figure(f"**{side}, memory: last fifth / second fifth**", Spread.of([mib[-1] / mib[1]]), at_most=_FLAT)]
    figures += [Figure(f"{side}, fifth {part}", Spread.of([size]), "MiB") for part, size in enumerate(mib, start=1)]
    return figures
