"""The whole loader as a process, between a real broker and a simulated or recorded exchange."""

import asyncio
import gzip
import json
import re
import secrets
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import Event, TaskStatus
from streamforge_common.kafka.topics import Topics
from streamforge_common.testing import RunningJob, TaskDriver
from streamforge_local.kafka.broker import Broker
from streamforge_local.testing import exchange_served

CAPTURE = Path(__file__).parents[4] / "shared/data/binance-ws-2024-08/btcusdt_20240808.gz"
TRADES = 9_757
TRADE_STREAM = "btcusdt@trade"
FAST = "40"
"""Times faster: the capture of five and a half minutes takes eight seconds."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loader.log"


@pytest.fixture(scope="session")
def capture() -> Path:
    if not CAPTURE.exists():
        pytest.skip("the recorded connections in ../shared/data are not here")
    return CAPTURE


@pytest.fixture(scope="session")
def recorded_trades(capture: Path) -> list[dict[str, Any]]:
    """The exchange's own messages."""
    with gzip.open(capture, "rt") as lines:
        frames = (json.loads(line.partition(" ")[2]) for line in lines)
        return [frame["data"] for frame in frames if frame.get("stream") == TRADE_STREAM]


@pytest.fixture
async def as_fast_as_read(capture: Path) -> AsyncIterator[str]:
    async with exchange_served("--replay", str(capture), "--speed", "0") as url:
        yield url


@pytest.fixture
async def replayed(capture: Path) -> AsyncIterator[str]:
    async with exchange_served("--replay", str(capture), "--speed", FAST) as url:
        yield url


@pytest.fixture
async def twenty_times_faster() -> AsyncIterator[str]:
    """A simulated market whose minutes take three seconds."""
    async with exchange_served("--speed", "20") as url:
        yield url


@pytest.fixture
async def simulated() -> AsyncIterator[str]:
    async with exchange_served() as url:
        yield url


async def driver_of(broker: Broker, **fields: object) -> TaskDriver:
    defaults = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT", "type": "ws_trades", "time_range": ""}
    driver = TaskDriver(broker.bootstrap_servers, "loader-ws", secrets.token_hex(3), **{**defaults, **fields})
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    return driver


def address(exchange: str) -> dict[str, str]:
    markets = ("BINANCE_SPOT", "BINANCE_FUTURES", "BYBIT")
    streams = {f"{market}_WS_URL": exchange.replace("http", "ws") for market in markets}
    return streams | {f"{market}_REST_URL": exchange for market in markets}


async def served(exchange: str, kind: str, market: str = "binance:spot") -> dict[str, Any]:
    """What the exchange has sent, by the key that the record must have; of candles those that were closed."""
    query = {"symbol": "BTCUSDT", "kind": kind, "market": market}
    async with aiohttp.ClientSession() as session, session.get(f"{exchange}/_sim/served", params=query) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    items = [line["item"] for line in lines if not line["open"]]
    return {f"{market}:BTCUSDT:{kind}:{id_of(item)}": item for item in items}


def id_of(item: Any) -> int:
    """A candle's open time, or a trade's id by one of its names."""
    return item[0] if isinstance(item, list) else next(item[name] for name in ("a", "t", "id") if name in item)


async def plan(exchange: str, *faults: dict[str, object]) -> None:
    body = [{"path": "*", **fault} for fault in faults]
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=body) as response:
        assert response.status == 200, await response.text()


async def text_of(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


async def fired(exchange: str) -> list[int]:
    async with aiohttp.ClientSession() as session, session.get(f"{exchange}/_sim/faults") as response:
        return [fault["fired"] for fault in await response.json()]


async def stop(driver: TaskDriver, job: RunningJob) -> None:
    await driver.tell(CommandKind.STOP)
    assert await job.exit_code() == 0, job.log()


async def published(driver: TaskDriver) -> list[dict[str, Any]]:
    messages = await driver.read(driver.kafka_topic)
    for message in messages:
        assert message.key.decode() == json.loads(message.value)["_key"]
        assert dict(message.headers)["receipt_time_ms"].isdigit()
    return [json.loads(message.value) for message in messages]


async def wait_for_records(driver: TaskDriver, more: int) -> None:
    """Wait until so many more messages are on the topic than now; progress is told too seldom to wait for it."""

    async def count() -> int:
        return sum((await topics.end_offsets(driver.kafka_topic)).values())

    async with Topics(driver.kafka) as topics:
        enough = await count() + more
        while await count() < enough:  # noqa: ASYNC110  # another process publishes
            await asyncio.sleep(0.1)


async def wait_for_trade(driver: TaskDriver, trade_id: int) -> None:
    """Wait until a trade is on the topic."""
    while all(record["trade_id"] != trade_id for record in await published(driver)):  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.5)


def missing(events: list[Event]) -> set[int]:
    """The ids of all gaps that were told."""
    return {found for event in events for gap in event.gaps or () for found in range(gap.start, gap.end)}


async def test_every_recorded_trade_is_published_once_in_order_and_as_the_exchange_wrote_it(
    kafka_broker: Broker, as_fast_as_read: str, recorded_trades: list[dict[str, Any]], log: Path
) -> None:
    driver = await driver_of(kafka_broker)
    async with driver.job(log, **address(as_fast_as_read)) as job:
        await wait_for_trade(driver, recorded_trades[-1]["t"])
        await stop(driver, job)

    records = await published(driver)
    assert len(records) == TRADES
    assert [record["trade_id"] for record in records] == [trade["t"] for trade in recorded_trades]
    for record, trade in zip(records, recorded_trades, strict=True):
        assert (record["price"], record["quantity"]) == (float(trade["p"]), float(trade["q"]))
        assert (record["trade_time"], record["is_buyer_maker"]) == (trade["T"], trade["m"])
    assert {record["_key"] for record in records} == (await served(as_fast_as_read, "trades")).keys()
    last = (await driver.events())[-1]
    assert (last.status, last.finished, last.records_written) == (TaskStatus.STOPPED, True, TRADES)
    assert missing(await driver.events()) == set()


async def test_what_is_lost_on_the_way_is_told_with_its_bounds_and_nothing_comes_twice(
    kafka_broker: Broker, replayed: str, recorded_trades: list[dict[str, Any]], log: Path
) -> None:
    await plan(
        replayed,
        {"kind": "disconnect", "after": 500},
        {"kind": "lost_message", "after": 600, "count": 3},
        {"kind": "duplicated_message", "after": 700, "count": 50},
        {"kind": "disconnect", "after": 2_000},
        {"kind": "server_shutdown", "after": 3_000, "seconds": 0.1},
    )
    driver = await driver_of(kafka_broker)
    async with driver.job(log, **address(replayed)) as job:
        await wait_for_trade(driver, recorded_trades[-1]["t"])
        await stop(driver, job)

    assert await fired(replayed) == [1, 3, 50, 1, 1]
    keys = [record["_key"] for record in await published(driver)]
    ids = {int(key.rpartition(":")[2]) for key in keys}
    gone = missing(await driver.events())
    assert len(keys) == len(ids)
    assert ids | gone == {trade["t"] for trade in recorded_trades if trade["t"] >= min(ids)}
    assert not ids & gone
    # What was on its way when the connection was cut is not known to have arrived.
    assert set(keys) <= (await served(replayed, "trades")).keys()
    assert gone


async def test_after_kills_what_was_missed_is_brought_even_what_was_being_brought(
    kafka_broker: Broker, twenty_times_faster: str, log: Path
) -> None:
    driver = await driver_of(kafka_broker)
    async with driver.job(log, **address(twenty_times_faster)) as job:
        await wait_for_records(driver, 300)
        job.process.kill()
        await job.exit_code()
    await plan(twenty_times_faster, {"path": "/api/v3/historicalTrades", "kind": "503", "count": 1_000})
    async with driver.job(log, **address(twenty_times_faster)) as job:
        trouble = await driver.wait_for(TaskStatus.LOADING, lambda event: "status 503" in event.message)
        assert "1 holes being filled" in trouble.message
        job.process.kill()
        await job.exit_code()
    await plan(twenty_times_faster)
    async with driver.job(log, **address(twenty_times_faster)) as job:
        await wait_for_records(driver, 600)
        await stop(driver, job)

    ids = {record["trade_id"] for record in await published(driver)}
    assert ids == set(range(min(ids), max(ids) + 1))
    assert missing(await driver.events()) == set()
    assert (await driver.events())[-2].reconnects == 2


async def test_a_ban_is_told_and_nothing_is_asked_for_in_it(
    kafka_broker: Broker, twenty_times_faster: str, log: Path
) -> None:
    driver = await driver_of(kafka_broker)
    async with driver.job(log, **address(twenty_times_faster)) as job:
        await wait_for_records(driver, 50)
        await plan(
            twenty_times_faster,
            {"path": "/api/v3/historicalTrades", "kind": "418", "seconds": 600},
            {"path": "btcusdt@trade", "kind": "disconnect"},
        )
        told = await driver.wait_for(TaskStatus.LOADING, lambda event: event.banned_until is not None)
        written = told.records_written
        await wait_for_records(driver, 100)
        await stop(driver, job)

    requests = map(json.loads, (await text_of(f"{twenty_times_faster}/_sim/requests")).splitlines())
    assert not [request for request in requests if request["in_ban"]]
    stopped = (await driver.events())[-1]
    assert stopped.records_written > written, "the stream goes on"
    assert missing(await driver.events()), "what a stop leaves open is a gap"


async def test_for_its_duration_it_loads_what_happens_and_then_is_complete(
    kafka_broker: Broker, simulated: str, log: Path
) -> None:
    driver = await driver_of(kafka_broker, type="ws_agg_trades", options={"duration": 4})
    async with driver.job(log, **address(simulated)) as job:
        assert await job.exit_code() == 0, job.log()

    records = await published(driver)
    rows = await served(simulated, "agg_trades")
    keys = [record["_key"] for record in records]
    # What was on its way when the time was over is not part of it.
    assert keys == list(rows)[: len(keys)]
    assert [record["price"] for record in records] == [float(rows[key]["p"]) for key in keys]
    events = await driver.events()
    assert [event.status for event in events] == ["starting", "loading", "loading", "completed"], "progress is rare"
    last = events[-1]
    assert (last.status, last.finished, last.end_offsets) == (TaskStatus.COMPLETED, True, {"0": len(records)})
    assert (last.first_id, last.last_id) == (records[0]["agg_trade_id"], records[-1]["agg_trade_id"])


@pytest.mark.parametrize(
    ("exchange", "market", "kind"),
    [
        ("binance", "um", "agg_trades"),
        ("binance", "um", "candles_1m"),
        ("bybit", "spot", "trades"),
        ("bybit", "linear", "candles_1m"),
    ],
)
async def test_every_exchange_is_listened_to_in_its_own_protocol(
    kafka_broker: Broker, twenty_times_faster: str, log: Path, exchange: str, market: str, kind: str
) -> None:
    fields = {"exchange": exchange, "market": market, "type": f"ws_{kind}", "options": {"duration": 5}}
    driver = await driver_of(kafka_broker, **fields)
    async with driver.job(log, **address(twenty_times_faster)) as job:
        assert await job.exit_code() == 0, job.log()

    keys = [record["_key"] for record in await published(driver)]
    # What was on its way when the time was over is not part of it.
    assert keys == list(await served(twenty_times_faster, kind, f"{exchange}:{market}"))[: len(keys)]
    assert keys
    assert not any(event.gaps for event in await driver.events())


@pytest.mark.parametrize(
    ("exchange", "market", "stream", "speed"),
    [
        ("binance", "spot", "btcusdt@trade", "20"),
        # Of these there are the latest thousand only, which are those of a minute.
        ("binance", "um", "btcusdt@trade", "1"),
        ("bybit", "linear", "publicTrade.BTCUSDT", "1"),
    ],
)
async def test_what_was_missed_is_brought_afterwards_in_full(
    kafka_broker: Broker, log: Path, exchange: str, market: str, stream: str, speed: str
) -> None:
    fields = {"exchange": exchange, "market": market, "options": {"duration": 6}}
    driver = await driver_of(kafka_broker, **fields)
    async with exchange_served("--speed", speed) as url, driver.job(log, **address(url)) as job:
        await wait_for_records(driver, 20)
        # As many as there are connections at most, so that there is a time without one.
        await plan(url, {"path": stream, "kind": "disconnect", "count": 2})
        assert await job.exit_code() == 0, job.log()
        assert await fired(url) == [2]

    ids = [int(record["_key"].rpartition(":")[2]) for record in await published(driver)]
    events = await driver.events()
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert not [gap for event in events for gap in event.gaps or ()]
    assert (events[-1].status, events[-2].reconnects) == (TaskStatus.COMPLETED, 2)
    assert events[-2].filled


async def test_history_and_what_is_pushed_make_one_dataset_without_a_seam(
    kafka_broker: Broker, twenty_times_faster: str, log: Path
) -> None:
    time_ms = json.loads(await text_of(f"{twenty_times_faster}/api/v3/time"))["serverTime"]
    start_ms = time_ms - 300_000
    start = datetime.fromtimestamp(start_ms / 1000, UTC).isoformat()
    driver = await driver_of(kafka_broker, type="ws_agg_trades", options={"duration": 4, "backfill": start})
    async with driver.job(log, **address(twenty_times_faster)) as job:
        assert await job.exit_code() == 0, job.log()

    ids = sorted(record["agg_trade_id"] for record in await published(driver))
    query = f"symbol=BTCUSDT&startTime={start_ms}&limit=1"
    (oldest,) = json.loads(await text_of(f"{twenty_times_faster}/api/v3/aggTrades?{query}"))
    assert ids == list(range(oldest["a"], ids[-1] + 1))
    last = (await driver.events())[-1]
    assert (last.first_id, last.last_id) == (ids[0], ids[-1])


async def test_candles_from_before_are_there_before_the_next_one_closes(
    kafka_broker: Broker, simulated: str, log: Path
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = hour - timedelta(hours=2)
    fields = {"exchange": "bybit", "market": "linear", "type": "ws_candles_1h"}
    driver = await driver_of(kafka_broker, **fields, options={"duration": 3, "backfill": start.isoformat()})
    async with driver.job(log, **address(simulated)) as job:
        assert await job.exit_code() == 0, job.log()

    start_ms = int(start.timestamp()) * 1000
    # The hour may have ended meanwhile.
    assert [record["open_time"] for record in await published(driver)][:2] == [start_ms, start_ms + 3_600_000]


async def test_where_nothing_can_be_asked_for_a_reconnect_is_a_gap_in_time(
    kafka_broker: Broker, twenty_times_faster: str, log: Path
) -> None:
    """Of spot Bybit gives the latest sixty trades: at this pace those of a fraction of a second."""
    await plan(twenty_times_faster, {"kind": "disconnect", "after": 200, "count": 2})
    fields = {"exchange": "bybit", "market": "spot", "type": "ws_trades", "options": {"duration": 5}}
    driver = await driver_of(kafka_broker, **fields)
    async with driver.job(log, **address(twenty_times_faster)) as job:
        assert await job.exit_code() == 0, job.log()

    keys = [record["_key"] for record in await published(driver)]
    (gap,) = [gap for event in await driver.events() for gap in event.gaps or ()]
    assert len(keys) == len(set(keys)) > 100
    rows = await served(twenty_times_faster, "trades", "bybit:spot")
    assert gap.missing is None
    ids = sorted(int(key.rpartition(":")[2]) for key in keys)
    first, last = ids[0], ids[-1]
    gone = set(range(first, last + 1)) - set(ids)
    assert gone
    before, after = (rows[f"bybit:spot:BTCUSDT:trades:{it}"]["time"] for it in (min(gone) - 1, max(gone) + 1))
    assert gap.start <= before <= after <= gap.end


async def test_what_was_missed_in_a_pause_is_brought_afterwards(
    kafka_broker: Broker, simulated: str, log: Path
) -> None:
    driver = await driver_of(kafka_broker, type="ws_agg_trades")
    async with driver.job(log, **address(simulated)) as job:
        await wait_for_records(driver, 1)
        await driver.tell(CommandKind.PAUSE)
        await driver.wait_for(TaskStatus.PAUSED)
        await driver.tell(CommandKind.RESUME)
        await wait_for_records(driver, 10)
        await stop(driver, job)

    ids = [record["agg_trade_id"] for record in await published(driver)]
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert missing(await driver.events()) == set()


async def test_sigterm_publishes_what_has_come_and_reports_nothing_final(
    kafka_broker: Broker, simulated: str, log: Path
) -> None:
    driver = await driver_of(kafka_broker, type="ws_agg_trades")
    async with driver.job(log, **address(simulated)) as job:
        port = (await driver.wait_for(TaskStatus.STARTING)).metrics_port
        await wait_for_records(driver, 1)
        metrics = await text_of(f"http://127.0.0.1:{port}/metrics")
        job.process.send_signal(signal.SIGTERM)
        assert await job.exit_code() == 0, job.log()

    events = await driver.events()
    assert not any(event.finished for event in events)
    assert float(re.search(r'messages_processed_total\{stream="btcusdt@aggTrade"\} (\S+)', metrics)[1]) > 0
    assert float(re.search(r'streamforge_freshness_seconds\{type="ws_agg_trades"\} (\S+)', metrics)[1]) >= 0
    assert events[-1].records_written == len(await published(driver))


async def test_an_exchange_that_is_away_is_tried_again_and_found_when_it_comes(
    kafka_broker: Broker, log: Path, unused_tcp_port: int
) -> None:
    driver = await driver_of(kafka_broker, type="ws_agg_trades")
    async with driver.job(log, BINANCE_SPOT_WS_URL=f"ws://127.0.0.1:{unused_tcp_port}") as job:
        trouble = await driver.wait_for(TaskStatus.LOADING, lambda event: "trying again" in event.message)
        assert "cannot be reached" in trouble.message
        async with exchange_served("--port", str(unused_tcp_port)):
            await wait_for_records(driver, 1)
            await stop(driver, job)


@pytest.mark.parametrize(("scheme", "code"), [("ws", "exchange_refused"), ("http", "bad_address")])
async def test_an_address_without_streams_ends_the_job(
    kafka_broker: Broker, simulated: str, log: Path, scheme: str, code: str
) -> None:
    driver = await driver_of(kafka_broker)
    async with driver.job(log, BINANCE_SPOT_WS_URL=f"{simulated.replace('http', scheme)}/nothing") as job:
        assert await job.exit_code() == 42, await asyncio.to_thread(job.log)

    last = (await driver.events())[-1]
    assert last.error is not None
    assert (last.status, last.error.code) == (TaskStatus.ERROR, code)
