"""Live baskets: the whole loader as a process, and what of its place fits into the checkpoint."""

import asyncio
import json
import secrets
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loader_ws.app.holes import Hole
from loader_ws.app.place import Place
from loader_ws.app.sequence import Mark
from streamforge_common.contract.baskets import MOST_LIVE
from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import SymbolReport, TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker
from streamforge_local.testing import exchange_served

DEAD = "NOSUCHUSDT"
SYMBOLS = ["BTCUSDT", "ETHUSDT", DEAD, "LTCUSDT", "SOLUSDT"]
MANY = [*SYMBOLS, *(f"{base}USDT" for base in ("XRP", "ADA", "DOGE", "TRX", "AVAX", "LINK", "DOT", "BCH"))]
"""More than Bybit takes in one request on spot."""


def environment(exchange: str) -> dict[str, str]:
    streams = exchange.replace("http", "ws")
    return {
        "BINANCE_SPOT_WS_URL": streams,
        "BINANCE_SPOT_REST_URL": exchange,
        "BYBIT_WS_URL": streams,
        "BYBIT_REST_URL": exchange,
    }


async def ask(exchange: str, path: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(exchange + path) as response:
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def plan(exchange: str, *faults: dict[str, object]) -> None:
    body = [{"path": "*", **fault} for fault in faults]
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=body) as response:
        assert response.status == 200, await response.text()


async def driver_of(broker: Broker, exchange: str, data_type: str, symbols: list[str]) -> TaskDriver:
    fields = {"exchange": exchange, "market": "spot", "symbol": "MULTI", "type": data_type, "time_range": ""}
    driver = TaskDriver(
        broker.bootstrap_servers, "loader-ws", secrets.token_hex(3), **fields, options={"symbols": symbols}
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    return driver


async def told_of(driver: TaskDriver) -> dict[str, SymbolReport]:
    return {report.symbol: report for event in await driver.events() for report in event.symbols or ()}


async def ids_of(driver: TaskDriver) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for message in await driver.read(driver.kafka_topic):
        _, _, symbol, _, number = message.key.decode().split(":")
        ids[symbol].append(number)
    return ids


async def until_all_have_come(driver: TaskDriver, symbols: list[str], number: int) -> None:
    while True:
        ids = await ids_of(driver)
        if all(len(ids[symbol]) >= number for symbol in symbols if symbol != DEAD):
            return
        await asyncio.sleep(0.5)


async def test_a_basket_on_one_connection_is_whole_after_disconnects_and_a_kill(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    log = tmp_path / "loader.log"
    async with exchange_served("--speed", "20") as exchange:
        driver = await driver_of(kafka_broker, "binance", "ws_agg_trades", SYMBOLS)
        async with driver.job(log, **environment(exchange)) as job:
            await until_all_have_come(driver, SYMBOLS, 20)
            await plan(exchange, {"kind": "disconnect", "count": 1}, {"kind": "lost_message", "count": 3, "after": 9})
            await until_all_have_come(driver, SYMBOLS, 100)
            job.process.kill()
            await job.exit_code()
        async with driver.job(log, **environment(exchange)) as job:
            await until_all_have_come(driver, SYMBOLS, 200)
            await driver.tell(CommandKind.STOP)
            assert await job.exit_code() == 0, job.log()
        requests = await ask(exchange, "/_sim/requests")

    told, ids = await told_of(driver), await ids_of(driver)
    assert set(told) == set(SYMBOLS)
    dead = told.pop(DEAD)
    assert dead.error is not None
    assert (dead.error.code, ids[DEAD]) == ("exchange_refused", [])
    for symbol, report in told.items():
        assert report.first_id is not None
        assert report.last_id is not None
        assert {int(number) for number in ids[symbol]} == set(range(report.first_id, report.last_id + 1)), symbol
    connections = [request for request in requests if request["path"] == "/stream"]
    assert len(connections) <= 4
    assert (await driver.events())[-1].status is TaskStatus.STOPPED


async def test_more_topics_than_one_request_may_ask_for_are_asked_for_in_several(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    async with exchange_served() as exchange:
        driver = await driver_of(kafka_broker, "bybit", "ws_trades", MANY)
        async with driver.job(tmp_path / "loader.log", **environment(exchange)) as job:
            await until_all_have_come(driver, MANY, 1)
            await driver.tell(CommandKind.STOP)
            assert await job.exit_code() == 0, job.log()
        requests = await ask(exchange, "/_sim/requests")

    refused = {symbol for symbol, report in (await told_of(driver)).items() if report.error is not None}
    assert refused == {DEAD}
    ids = await ids_of(driver)
    assert all(len(numbers) == len(set(numbers)) for numbers in ids.values())
    # Trades that nobody numbers are listened to on two connections.
    assert len([request for request in requests if request["path"] == "/v5/public/spot"]) <= 4


@pytest.mark.parametrize("holes", [0, 1, 60])
def test_the_place_of_as_many_symbols_as_there_may_be_fits_into_the_checkpoint(holes: int) -> None:
    first = 10**15
    of_each = tuple(Hole(first + 10 * at, first + 10 * at + 5) for at in range(holes))
    place = Place(attempt=999, began_s=1_764_000_000.123, symbols=(Mark(first, first + 10**6, of_each),) * MOST_LIVE)
    text = place.encode()
    assert len(text) <= 4_096
    kept = Place.decode(text).mark.symbols
    assert [(mark.first, mark.last) for mark in kept] == [(first, first + 10**6)] * MOST_LIVE
    for mark in kept:
        assert all(any(hole.start <= it.start and it.end <= hole.end for hole in mark.holes) for it in of_each)
