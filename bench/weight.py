"""How much of an exchange's limit loaders use, and that none is ever refused, over full minutes of its clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec

from bench import stage
from bench.market import SYMBOL, TYPE, range_of
from bench.results import Figure, Section
from bench.rounds import Spread
from streamforge_common.contract.commands import CommandKind
from streamforge_common.testing import RunningJob, TaskDriver

_LIMIT = 1_200
_RECORDS = 2_500_000
"""More than the limit lets pass in the time."""
_MINUTE_MS = 60_000
_LOOK_S = 2.0
_REFUSED = (418, 429)

_HOW = (
    f"{{}} on minute candles of exchange-sim, which enforces {_LIMIT:,} a minute; what was used is what the exchange "
    "itself has noted, by the clock's minutes."
)
_SIDES = {1: ("REST history under a weight limit", "A loader job"), 2: ("The same, shared", "Two loader jobs at once")}
"""Number of loaders to the section's title and who loads."""


class _Request(msgspec.Struct):
    """What the exchange noted of a request."""

    at: int
    weight: int
    status: int | None


def sections(folder: Path, quick: bool) -> list[Section]:
    """Load against an enforced limit until some full minutes are over, alone and two at once."""
    return [_section(folder / str(loaders), loaders, quick) for loaders in _SIDES]


def _section(folder: Path, loaders: int, quick: bool) -> Section:
    folder.mkdir()
    with stage.broker(folder) as bootstrap_servers, stage.exchange(folder, _LIMIT) as exchange:
        requests = asyncio.run(_load_all(folder, bootstrap_servers, exchange.url, loaders, minutes=1 if quick else 3))
    used: Counter[int] = Counter()
    for request in requests:
        used[request.at // _MINUTE_MS] += request.weight
    # The minute in which it began and the one in which it was stopped are not full.
    full = [used[minute] / _LIMIT for minute in sorted(used)[1:-1]]
    refused = sum(request.status in _REFUSED for request in requests)
    figures = [
        Figure(f"**weight used / limit**, each of {len(full)} full minutes", Spread.of(full), at_least=0.9),
        Figure("**requests refused** (429, 418)", Spread.of([refused]), "of all", at_most=0),
        Figure("requests", Spread.of([len(requests)])),
    ]
    title, who = _SIDES[loaders]
    return Section(title, _HOW.format(who), figures)


async def _load_all(
    folder: Path, bootstrap_servers: str, exchange_url: str, loaders: int, *, minutes: int
) -> list[_Request]:
    """Let loaders work until some minutes are over, and return what the exchange was asked."""
    async with AsyncExitStack() as stack:
        jobs = [
            await stack.enter_async_context(_job(folder / f"loader-{number}.log", bootstrap_servers, exchange_url))
            for number in range(loaders)
        ]
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60.0))
        while True:
            await asyncio.sleep(_LOOK_S)
            for job in jobs:
                assert job.process.returncode is None, job.log()
            journal = (await http.get(f"{exchange_url}/_sim/requests")).raise_for_status()
            requests = [msgspec.json.decode(line, type=_Request) for line in journal.content.splitlines()]
            if len({request.at // _MINUTE_MS for request in requests}) >= minutes + 2:
                return requests


@asynccontextmanager
async def _job(log: Path, bootstrap_servers: str, exchange_url: str) -> AsyncIterator[RunningJob]:
    driver = TaskDriver(
        bootstrap_servers,
        "loader-producer",
        uuid4().hex[:6],
        exchange="binance",
        market="spot",
        symbol=SYMBOL,
        type=TYPE,
        time_range=range_of(_RECORDS),
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_url) as job:
        yield job
