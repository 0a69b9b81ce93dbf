"""Baskets: what is kept of their place, and the whole loader between a real broker and the simulated exchange."""

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader_producer.app.basket_loading import BasketLoading, Part
from loader_producer.app.place import ArchivePlace, decode_place
from streamforge_common.contract.commands import Command, CommandKind, Wanted
from streamforge_common.contract.events import Event, ExchangeGap, SymbolReport, TaskStatus
from streamforge_common.errors import FatalError
from streamforge_common.job import Completed, Ending, JobRun
from streamforge_common.settings import JobSettings
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

DEAD = "NOSUCHUSDT"
SYMBOLS = ["BTCUSDT", "ETHUSDT", DEAD, "LTCUSDT", "SOLUSDT"]
AGAIN_AT_MOST = 4
"""Symbols under way at once, each of which may repeat a page."""


class KilledError(Exception):
    """The process is gone."""


class Stage:
    """What outlives a kill: the log of events, the topic, the checkpoint."""

    def __init__(self, life: int) -> None:
        self.events: list[Event] = []
        self.pages: Counter[tuple[str, int]] = Counter()
        self.saved: str | None = None
        self.longest = 0
        self.life = life
        """Steps until the process is killed."""

    async def step(self) -> None:
        self.life -= 1
        if self.life == 0:
            raise KilledError
        await asyncio.sleep(0)

    async def write(self, topic: str, key: str, value: bytes) -> int:
        await self.step()
        self.events.append(Event.model_validate_json(value))
        return 0

    async def publish(self, records: object, headers: object) -> None:
        raise AssertionError("these symbols publish by themselves")

    async def load(self) -> str | None:
        return self.saved

    async def save(self, text: str) -> None:
        await self.step()
        self.saved, self.longest = text, max(self.longest, len(text.encode()))


class Loading:
    """Plays the loading of a symbol with so many pages, the last of which the exchange does not have."""

    def __init__(self, stage: Stage, part: Part, pages: int | None) -> None:
        self.stage, self.part, self.pages = stage, part, pages

    async def load(self, end_offsets: object) -> Ending:
        if self.pages is None:
            raise ExceptionGroup("of its asyncio tasks", [FatalError("no such symbol", code="exchange_refused")])
        saved = await self.part.load()
        begin = 0 if saved is None else decode_place(saved, ArchivePlace).offset
        await self.part.report(TaskStatus.LOADING, "begins", first_id=0)
        for page in range(begin, self.pages):
            await self.stage.step()
            self.stage.pages[self.part.symbol, page] += 1
            self.part.records_written += 1
            path = (
                f"data/futures/um/monthly/premiumIndexKlines/{self.part.symbol}/15m/{self.part.symbol}-15m-2024-08.zip"
            )
            place = ArchivePlace(start_ms=1_722_470_400_000, attempt=1, path=path, sha256="f" * 64, offset=page + 1)
            await self.part.save(place.encode())
        gap = ExchangeGap(start=self.pages, end=self.pages + 1, missing=1)
        return Completed("", first_id=0, last_id=self.pages, exchange_gaps=[gap])


async def no_ends(topic: str) -> Mapping[int, int]:
    return {0: 0}


async def run_once(stage: Stage, pages: Mapping[str, int | None]) -> Ending:
    settings = JobSettings(queue_id="wf-1", target="loader-producer", telemetry_id="loader-producer__1")
    start = Command(
        command=CommandKind.START,
        queue_id="wf-1",
        target="loader-producer",
        telemetry_id="loader-producer__1",
        attempt=1,
        timestamp=0,
    )
    run = JobRun(settings, start, Wanted(start=start), stage)
    basket = BasketLoading(
        run,
        list(pages),
        loading_of=lambda part: Loading(stage, part, pages[part.symbol]),
        at_once=4,
        data_topic=stage,
        places=stage,
    )
    return await basket.load(no_ends)


async def run_to_the_end(stage: Stage, pages: Mapping[str, int | None], lives: list[int]) -> Ending:
    ending: Ending | None = None
    for life in [*lives, 0]:
        stage.life = life
        try:
            ending = await run_once(stage, pages)
        except* KilledError:
            pass
    assert ending is not None
    return ending


def told_of(events: list[Event]) -> dict[str, SymbolReport]:
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    for report in (report for event in events for report in event.symbols or ()):
        told[report.symbol] |= report.model_dump(exclude_defaults=True)
    return {symbol: SymbolReport.model_validate(report) for symbol, report in told.items()}


@settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(st.none() | st.integers(0, 6), min_size=2, max_size=30).filter(any),
    lives=st.lists(st.integers(1, 60), max_size=4),
)
def test_wherever_it_is_killed_every_symbol_is_loaded_and_told_of(pages: list[int | None], lives: list[int]) -> None:
    wanted = {f"S{number}USDT": length for number, length in enumerate(pages)}
    stage = Stage(0)

    ending = asyncio.run(run_to_the_end(stage, wanted, lives))

    assert isinstance(ending, Completed)
    assert set(stage.pages) == {(symbol, page) for symbol, length in wanted.items() for page in range(length or 0)}
    assert sum(count - 1 for count in stage.pages.values()) <= AGAIN_AT_MOST * len(lives)
    told = told_of(stage.events)
    assert {symbol: (it.is_loaded, it.last_id) for symbol, it in told.items() if it.error is None} == {
        symbol: (True, length) for symbol, length in wanted.items() if length is not None
    }
    assert {symbol for symbol, it in told.items() if it.error is not None} == {
        symbol for symbol, length in wanted.items() if length is None
    }
    refused = sum(length is None for length in pages)
    assert f"of {len(pages) - refused} symbols" in ending.message


def test_the_place_of_a_thousand_symbols_fits_into_the_checkpoint() -> None:
    stage = Stage(0)
    asyncio.run(run_once(stage, {f"{number:04}LONGESTSYMBOLUSDT_240927": 3 for number in range(1_000)}))
    assert 1_000 < stage.longest < 4_096


def test_where_not_one_symbol_can_be_loaded_the_job_fails() -> None:
    with pytest.raises(FatalError, match="not one of the symbols"):
        asyncio.run(run_once(Stage(0), {"AUSDT": None, "BUSDT": None}))


async def plan_faults(exchange: str, faults: list[dict[str, object]]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=faults) as response:
        assert response.status == 200, await response.text()


def driver_of(broker: Broker, data_type: str, time_range: str) -> TaskDriver:
    fields = {"exchange": "binance", "market": "spot", "symbol": "MULTI", "options": {"symbols": SYMBOLS}}
    return TaskDriver(
        broker.bootstrap_servers,
        "loader-producer",
        secrets.token_hex(3),
        **fields,
        type=data_type,
        time_range=time_range,
    )


@pytest.mark.parametrize(
    ("data_type", "time_range", "path"),
    [
        ("api_candles_1m", "2024-08-01:2024-08-04", "/api/v3/klines"),
        ("api_agg_trades", "2024-08-01T00:00:00Z/2024-08-01T00:06:00Z", "/api/v3/aggTrades"),
    ],
)
async def test_after_a_kill_in_the_middle_every_symbol_goes_on_and_the_dead_one_says_why(
    kafka_broker: Broker, simulated_exchange: str, tmp_path: Path, data_type: str, time_range: str, path: str
) -> None:
    log = tmp_path / "loader.log"
    driver = driver_of(kafka_broker, data_type, time_range)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=simulated_exchange) as job:
        await plan_faults(simulated_exchange, [{"path": path, "kind": "slow", "count": 40, "after": 9, "seconds": 1}])
        await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 1_000)
        job.process.kill()
        await job.exit_code()
    await plan_faults(simulated_exchange, [])
    async with driver.job(log, BINANCE_SPOT_REST_URL=simulated_exchange) as job:
        assert await job.exit_code() == 0, job.log()

    keys = [message.key.decode() for message in await driver.read(driver.kafka_topic)]
    ids: dict[str, set[int]] = defaultdict(set)
    for key in keys:
        _, _, symbol, _, number = key.split(":")
        ids[symbol].add(int(number))
    assert len(keys) - len(set(keys)) <= AGAIN_AT_MOST * 1_000
    told = told_of(await driver.events())
    assert set(told) == set(SYMBOLS)
    dead = told.pop(DEAD).error
    assert dead is not None
    assert (dead.code, "-1121" in dead.detail) == ("exchange_refused", True)
    step = 60_000 if "candles" in data_type else 1
    for symbol, report in told.items():
        assert report.first_id is not None
        assert report.last_id is not None
        assert ids[symbol] == set(range(report.first_id, report.last_id + 1, step))
    last = (await driver.events())[-1]
    assert (last.status, last.symbol, last.end_offsets) == (TaskStatus.COMPLETED, "MULTI", {"0": len(keys)})
    assert "symbols under way" in await asyncio.to_thread(job.log)


async def test_a_repair_loads_of_the_symbols_it_names_the_ranges_that_each_lacks(
    kafka_broker: Broker, simulated_exchange: str, tmp_path: Path
) -> None:
    start_ms, minute_ms = 1_722_470_400_000, 60_000
    holes = {
        "ETHUSDT": [(start_ms + 3 * minute_ms, start_ms + 5 * minute_ms)],
        "LTCUSDT": [(start_ms, start_ms + minute_ms), (start_ms + 9 * minute_ms, start_ms + 10 * minute_ms)],
    }
    driver = driver_of(kafka_broker, "api_candles_1m", "2024-08-01:2024-08-02")
    await driver.create_topics()
    await driver.tell(CommandKind.START, options={"symbols": SYMBOLS, "repair": {"number": 2, "symbols": holes}})

    async with driver.job(tmp_path / "loader.log", BINANCE_SPOT_REST_URL=simulated_exchange) as job:
        assert await job.exit_code() == 0, job.log()

    keys = {message.key.decode() for message in await driver.read(driver.kafka_topic)}
    assert keys == {
        f"binance:spot:{symbol}:candles_1m:{open_time}"
        for symbol, ranges in holes.items()
        for start, end in ranges
        for open_time in range(start, end, minute_ms)
    }
    # What was known of a symbol before stays what it was.
    assert not any(report.is_loaded or report.last_id for report in told_of(await driver.events()).values())
