"""Order books by the whole loader, between a real broker and an exchange that loses, repeats and spoils messages."""

import asyncio
import gzip
import json
import secrets
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import Event, TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker
from streamforge_local.testing import exchange_served

SHARED = Path(__file__).parents[4] / "shared/data"
ADDRESSES = {
    "BINANCE_SPOT_WS_URL": "ws",
    "BINANCE_FUTURES_WS_URL": "ws",
    "BYBIT_WS_URL": "ws",
    "BINANCE_SPOT_REST_URL": "http",
    "BINANCE_FUTURES_REST_URL": "http",
    "BYBIT_REST_URL": "http",
}
FASTER = "20"
"""Times: two hundred messages a second."""
FAULTS = [
    {"kind": "lost_message", "after": 150},
    {"kind": "duplicated_message", "after": 200, "count": 20},
    {"kind": "truncated_frame", "after": 350},
    {"kind": "reordered_message", "after": 550},
]
LOSSES = 3


async def driver_of(broker: Broker, **fields: object) -> TaskDriver:
    fields = {"symbol": "BTCUSDT", "time_range": "", **fields}
    driver = TaskDriver(broker.bootstrap_servers, "loader-ws", secrets.token_hex(3), **fields)
    await driver.create_topics(partitions=3)
    await driver.tell(CommandKind.START)
    return driver


def addresses(url: str) -> dict[str, str]:
    return {name: url.replace("http", scheme) for name, scheme in ADDRESSES.items()}


async def published(driver: TaskDriver) -> list[dict[str, Any]]:
    """Return the records, all of which share one key, and so one partition."""
    messages = await driver.read(driver.kafka_topic)
    kept = [message for message in messages if not dict(message.headers).get("rejected")]
    assert len({(message.key, message.partition) for message in kept}) == 1
    return [json.loads(message.value) for message in kept]


def shown(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("event_time", "bids", "asks")}


async def get(url: str, path: str, **query: str) -> list[Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}", params=query) as response:
        assert response.status == 200, await response.text()
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def plan(url: str, faults: list[dict[str, object]]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{url}/_sim/faults", json=faults) as response:
        assert response.status == 200, await response.text()


async def fired(url: str) -> list[int]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_sim/faults") as response:
        return [fault["fired"] for fault in await response.json()]


async def true_book(url: str, market: str, record: dict[str, Any]) -> dict[str, Any]:
    """The exchange's own book at the update of a record, as it must be published."""
    query = {"market": market, "symbol": "BTCUSDT", "update_id": str(record["update_id"])}
    (book,) = await get(url, "/_sim/book", **query)
    sides = {side: [[float(p), float(q)] for p, q in book[side][: record["levels"]]] for side in ("bids", "asks")}
    return {"event_time": book["time_us"] // 1000, **sides}


def told(events: list[Event]) -> list[tuple[int, int]]:
    return [(gap.start, gap.end) for event in events for gap in event.gaps or ()]


@pytest.mark.parametrize(
    ("exchange", "market", "stream"),
    [
        ("binance", "spot", "btcusdt@depth*"),
        ("binance", "um", "btcusdt@depth*"),
        ("bybit", "linear", "orderbook.*"),
    ],
)
async def test_every_book_is_the_exchanges_own_at_that_update_and_the_time_without_one_is_told(
    kafka_broker: Broker, tmp_path: Path, exchange: str, market: str, stream: str
) -> None:
    options, where = {"levels": 20, "every": 1}, f"{exchange}:{market}"
    driver = await driver_of(kafka_broker, exchange=exchange, market=market, type="ws_order_book", options=options)
    async with exchange_served("--speed", FASTER) as url:
        await plan(url, [{"path": stream, **fault} for fault in FAULTS])
        async with driver.job(tmp_path / "log", **addresses(url)) as job:
            while await fired(url) != [fault.get("count", 1) for fault in FAULTS]:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.1)
            so_far = (await driver.events())[-1].records_written
            await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > so_far + 5)
            await driver.tell(CommandKind.STOP)
            assert await job.exit_code() == 0, job.log()
        records, events = await published(driver), await driver.events()
        truth = [await true_book(url, where, record) for record in records]
        served = await get(url, "/_sim/served", market=where, kind="depth", symbol="BTCUSDT")

    assert [shown(record) for record in records] == truth
    times = [record["event_time"] for record in records]
    assert times == sorted(set(times))
    gaps = told(events)
    # On a busy machine the next message is lost before the book is right again.
    assert 1 <= len(gaps) <= LOSSES
    for start, end in gaps:
        assert end in times
        assert not any(start < time < end for time in times)
    # Of a message that was never sent whole the exchange tells by leaving it out.
    sent = sorted(line["item"].get("E") or line["item"]["cts"] for line in served)
    breaks = [before for before, after in pairwise(sent) if after - before > 100]
    assert breaks
    assert all(any(start <= before < end for start, end in gaps) for before in breaks)


@pytest.fixture(scope="session")
def capture() -> Path:
    path = SHARED / "binance-ws-2024-08/usdm_btcusdt_20240808.gz"
    if not path.exists():
        pytest.skip("the recorded connections in ../shared/data are not here")
    return path


@pytest.fixture(scope="session")
def recorded(capture: Path) -> list[dict[str, Any]]:
    """The exchange's own differences."""
    with gzip.open(capture, "rt") as lines:
        frames = (json.loads(line.partition(" ")[2]) for line in lines if '"depthUpdate"' in line)
        return [frame["data"] for frame in frames]


async def test_every_recorded_difference_is_published_once_in_order(
    kafka_broker: Broker, capture: Path, recorded: list[dict[str, Any]], tmp_path: Path
) -> None:
    driver = await driver_of(kafka_broker, exchange="binance", market="um", type="ws_depth")
    replay = exchange_served("--replay", str(capture), "--speed", "0")
    async with replay as url, driver.job(tmp_path / "log", **addresses(url)) as job:
        await driver.wait_for(TaskStatus.LOADING, lambda event: event.last_id == recorded[-1]["E"])
        await driver.tell(CommandKind.STOP)
        assert await job.exit_code() == 0, job.log()
    records = await published(driver)
    assert len(records) == len(recorded) == 6_551
    for record, update in zip(records, recorded, strict=True):
        ids = [record[name] for name in ("first_update_id", "last_update_id", "previous_update_id", "event_time")]
        assert ids == [update[name] for name in ("U", "u", "pu", "E")]
        assert dict(record["bids"]) == {float(price): float(quantity) for price, quantity in update["b"]}
        assert dict(record["asks"]) == {float(price): float(quantity) for price, quantity in update["a"]}
    assert told(await driver.events()) == []


async def test_books_of_a_replay_are_made_of_the_recorded_snapshot(
    kafka_broker: Broker, capture: Path, tmp_path: Path
) -> None:
    options = {"levels": 10, "every": 2}
    driver = await driver_of(kafka_broker, exchange="binance", market="um", type="ws_order_book", options=options)
    async with exchange_served("--replay", str(capture), "--speed", "20") as url:
        async with driver.job(tmp_path / "log", **addresses(url)) as job:
            await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 10)
            await driver.tell(CommandKind.STOP)
            assert await job.exit_code() == 0, job.log()
        records = await published(driver)
        truth = [await true_book(url, "binance:um", record) for record in records[:20]]
    assert [shown(record) for record in records[:20]] == truth
