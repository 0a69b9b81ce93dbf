"""The whole loader as a process, told which ranges to repair: it asks for those and for nothing else."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.repair import Repair
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
AUGUST_2024 = 1_722_470_400_000
DAYS = "2024-08-01:2024-08-11"


async def begun(broker: Broker, ranges: list[tuple[int, int]], **fields: str) -> TaskDriver:
    driver = TaskDriver(
        broker.bootstrap_servers,
        "loader-producer",
        secrets.token_hex(3),
        **{"exchange": "binance", "market": "spot", "symbol": "BTCUSDT", "time_range": DAYS, **fields},
        options={"repair": Repair(number=1, ranges=ranges).model_dump(mode="json")},
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    return driver


def addresses(exchange: str) -> dict[str, str]:
    return {"BINANCE_SPOT_REST_URL": exchange, "BINANCE_FUTURES_REST_URL": exchange}


async def pages_asked_for(exchange: str, path: str, *bounds: str) -> list[tuple[int, ...]]:
    async with aiohttp.ClientSession() as session, session.get(f"{exchange}/_sim/requests") as response:
        requests: list[dict[str, Any]] = [json.loads(line) for line in (await response.text()).splitlines()]
    queries = [dict(parse_qsl(it["query"])) for it in requests if it["path"] == path]
    return [tuple(int(query[bound]) for bound in bounds) for query in queries]


async def published(driver: TaskDriver, field: str) -> list[int]:
    return [json.loads(message.value)[field] for message in await driver.read(driver.kafka_topic)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loader.log"


def minutes(first: int, end: int) -> tuple[int, int]:
    return AUGUST_2024 + first * MINUTE_MS, AUGUST_2024 + end * MINUTE_MS


async def test_a_repair_goes_on_after_a_kill_and_asks_for_each_missing_page_alone(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    holes = [minutes(3, 4), minutes(100, 8_300), minutes(14_399, 14_400)]
    driver = await begun(kafka_broker, holes, type="api_candles_1m")

    async with aiohttp.ClientSession() as session:
        slow = [{"path": "/api/v3/klines", "kind": "slow", "count": 20, "after": 2, "seconds": 1.5}]
        assert (await session.put(f"{simulated_exchange}/_sim/faults", json=slow)).status == 200
        async with driver.job(log, **addresses(simulated_exchange)) as job:
            # A page is reported before its checkpoint is saved: of the first one that is sure after the second. There
            # are more pages than are under way at once, so not all of them come between two reports.
            await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 1)
            job.process.kill()
            await job.exit_code()
        assert (await session.delete(f"{simulated_exchange}/_sim/faults")).status < 300
    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    times = await published(driver, "open_time")
    missing = [time for first, end in holes for time in range(first, end, MINUTE_MS)]
    assert sorted(set(times)) == missing
    assert len(times) <= len(missing) + 1_000
    full = [minutes(first, first + 1_000) for first in range(100, 8_100, 1_000)]
    pages = [minutes(3, 4), *full, minutes(8_100, 8_300), minutes(14_399, 14_400)]
    asked = await pages_asked_for(simulated_exchange, "/api/v3/klines", "startTime", "endTime")
    assert {(first, last - last % MINUTE_MS + MINUTE_MS) for first, last in asked} == set(pages)
    last_event = (await driver.events())[-1]
    assert (last_event.status, last_event.first_id, last_event.last_id) == (TaskStatus.COMPLETED, None, None)


async def test_what_an_archive_lacked_is_asked_for_over_rest(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    driver = await begun(kafka_broker, [(4_000, 4_001), (5_000, 6_500)], type="dump_agg_trades")

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert await published(driver, "agg_trade_id") == [4_000, *range(5_000, 6_500)]
    asked = await pages_asked_for(simulated_exchange, "/api/v3/aggTrades", "fromId", "limit")
    assert sorted(asked) == [(4_000, 1), (5_000, 1_000), (6_000, 500)]


async def test_a_silence_is_asked_for_with_both_of_its_neighbours(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    silence = (AUGUST_2024 + 8 * HOUR_MS + 1, AUGUST_2024 + 32 * HOUR_MS)
    driver = await begun(kafka_broker, [silence], market="um", type="api_funding_rate")

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert await published(driver, "funding_time") == [AUGUST_2024 + hour * HOUR_MS for hour in (8, 16, 24, 32)]
    assert (await driver.events())[-1].exchange_gaps is None
