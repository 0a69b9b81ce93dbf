"""The whole loader as a process between a real broker and the simulated futures and Bybit, which misbehave."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

HOUR_MS = 3_600_000
AUGUST_2024 = 1_722_470_400_000


def driver_of(broker: Broker, exchange: str, market: str, kind: str, time_range: str, **more: object) -> TaskDriver:
    fields = {"exchange": exchange, "market": market, "symbol": "BTCUSDT", "type": f"api_{kind}", **more}
    return TaskDriver(
        broker.bootstrap_servers, "loader-producer", secrets.token_hex(3), **fields, time_range=time_range
    )


def addresses(exchange: str) -> dict[str, str]:
    return {"BINANCE_FUTURES_REST_URL": exchange, "BYBIT_REST_URL": exchange}


async def ask(exchange: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(exchange + path) as response:
        text = await response.text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


async def plan_faults(exchange: str, faults: list[dict[str, object]]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=faults) as response:
        assert response.status == 200, await response.text()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loader.log"


@pytest.mark.parametrize(
    ("exchange", "market", "kind", "path", "days", "records"),
    [
        ("binance", "um", "mark_candles_1h", "/fapi/v1/markPriceKlines", 250, 6_000),
        ("binance", "um", "funding_rate", "/fapi/v1/fundingRate", 410, 1_230),
        ("bybit", "spot", "candles_1h", "/v5/market/kline", 250, 6_000),
        ("bybit", "linear", "funding_rate", "/v5/market/funding/history", 80, 240),
        ("bybit", "linear", "open_interest_1h", "/v5/market/open-interest", 60, 1_440),
    ],
)
async def test_every_misbehaviour_is_outlasted_without_loss_or_repeat(
    kafka_broker: Broker,
    simulated_exchange: str,
    log: Path,
    exchange: str,
    market: str,
    kind: str,
    path: str,
    days: int,
    records: int,
) -> None:
    faults = ["500", "reset", "html", "truncated_json", "malformed_json", "429", "missing_rows", "duplicated_rows"]
    plan = [{"path": path, "kind": it, "after": at, "seconds": 1, "count": 1} for at, it in enumerate(faults)]
    await plan_faults(simulated_exchange, plan)
    end_ms = AUGUST_2024
    start_ms = end_ms - days * 24 * HOUR_MS
    time_range = f"{rfc3339(start_ms)}/{rfc3339(end_ms)}"
    driver = driver_of(kafka_broker, exchange, market, kind, time_range)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert [fault["fired"] for fault in await ask(simulated_exchange, "/_sim/faults")] == [1] * len(faults)
    keys = [message.key.decode() for message in await driver.read(driver.kafka_topic)]
    ids = [int(key.rpartition(":")[2]) for key in keys]
    assert len(ids) == records
    assert ids == sorted(set(ids))
    assert start_ms <= ids[0]
    assert ids[-1] < end_ms
    last = (await driver.events())[-1]
    assert (last.status, last.exchange_gaps) == (TaskStatus.COMPLETED, None)
    refused = [request for request in await ask(simulated_exchange, "/_sim/requests") if request["in_ban"]]
    assert refused == []


def rfc3339(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()


@pytest.mark.parametrize(
    ("kind", "instead"), [("agg_trades", "dump_agg_trades"), ("open_interest_1h", "does not load")]
)
async def test_what_lies_beyond_the_reach_of_the_exchange_is_refused_by_the_loader_too(
    kafka_broker: Broker, simulated_exchange: str, log: Path, kind: str, instead: str
) -> None:
    driver = driver_of(kafka_broker, "binance", "um", kind, "2024-08-01:2024-08-02", options={"source": "rest"})
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await driver.events())[-1]
    assert last.error is not None
    assert (last.error.code, last.finished) == ("beyond_reach", True)
    assert instead in last.error.detail
    assert await driver.read(driver.kafka_topic) == []


@pytest.mark.parametrize(("exchange", "market"), [("binance", "um"), ("bybit", "spot"), ("bybit", "linear")])
async def test_a_symbol_that_there_is_not_is_refused(
    kafka_broker: Broker, simulated_exchange: str, log: Path, exchange: str, market: str
) -> None:
    fields = {"exchange": exchange, "market": market, "symbol": "NOSUCHUSDT", "type": "api_candles_1d"}
    driver = TaskDriver(
        kafka_broker.bootstrap_servers,
        "loader-producer",
        secrets.token_hex(3),
        **fields,
        time_range="2024-08-01:2024-08-02",
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await driver.events())[-1]
    assert last.error is not None
    assert last.error.code == "exchange_refused"
    assert "NOSUCHUSDT" in last.error.detail


async def test_a_funding_that_the_exchange_lacks_is_asked_for_again_and_reported(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    # Both answers lack the middle rows of three days: one of nine is the first to go.
    await plan_faults(simulated_exchange, [{"path": "/v5/market/funding/history", "kind": "missing_rows", "count": 2}])
    driver = driver_of(kafka_broker, "bybit", "linear", "funding_rate", "2024-08-01:2024-08-04")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    times = [json.loads(message.value)["funding_time"] for message in await driver.read(driver.kafka_topic)]
    lost = sorted({AUGUST_2024 + slot * 8 * HOUR_MS for slot in range(9)} - set(times))
    last = (await driver.events())[-1]
    gaps = [(gap.start, gap.end, gap.missing) for gap in last.exchange_gaps or ()]
    assert lost
    assert gaps == [(lost[0] - 8 * HOUR_MS + 1, lost[-1] + 8 * HOUR_MS, len(lost))]
    (told,) = {event.spacing_ms for event in await driver.events() if event.spacing_ms is not None}
    assert told == 8 * HOUR_MS
