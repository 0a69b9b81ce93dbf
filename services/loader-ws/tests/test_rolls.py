"""Ends of connections that leave no hole: the real client, between a simulated exchange and a backlog."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from loader_ws.adapters.websocket import StreamClient
from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.receiving import Receiving
from loader_ws.app.sequence import Mark, sequence_of
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_local.testing import exchange_served

LIFE_S = 2.0
"""So long the loader believes that a connection lives."""
CUT_AFTER_S = 6.0
"""When it is cut in truth: so late that even on a busy machine the next one is there."""


@pytest.fixture
async def exchange() -> AsyncIterator[str]:
    async with exchange_served("--speed", "20", "--connection-seconds", str(CUT_AFTER_S)) as url:
        yield url


def dataset_of(exchange: str, market: str, life_s: float | None) -> Dataset:
    identity = {"queue_id": "wf-a", "target": "loader-ws", "telemetry_id": "loader-ws__a", "attempt": 1}
    what = {"exchange": exchange, "market": market, "symbol": "BTCUSDT", "type": "ws_trades"}
    start = Command.model_validate({**identity, **what, "command": CommandKind.START, "timestamp": 0.0})
    dataset = Dataset.of(start)
    return replace(dataset, market=replace(dataset.market, life_s=life_s))


async def plan(exchange: str, fault: dict[str, object]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=[fault]) as answer:
        assert answer.status == 200


@asynccontextmanager
async def received(exchange: str, dataset: Dataset) -> AsyncIterator[tuple[Receiving, Backlog]]:
    backlog = Backlog()
    sequence = sequence_of(dataset.stream, Mark())
    receiving = Receiving(dataset, StreamClient(exchange.replace("http", "ws")), backlog, sequence)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(receiving.receive())
        yield receiving, backlog
        task.cancel()


async def take_until(backlog: Backlog, exchange: str, connections: int) -> list[int]:
    """Take ids until the exchange has let in so many connections."""
    ids: list[int] = []
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{exchange}/_sim/requests") as response:
                requests = map(json.loads, (await response.text()).splitlines())
            is_enough = sum(request["status"] == 101 for request in requests) >= connections
            await asyncio.sleep(0.5)
            ids += [int(json.loads(value)["trade_id"]) for _, value, _ in backlog.take()]
            if is_enough:
                return ids


@pytest.mark.parametrize("market", ["spot", "um"])
async def test_the_next_connection_is_there_before_the_exchange_cuts_the_one_before(exchange: str, market: str) -> None:
    dataset = dataset_of("binance", market, LIFE_S)
    async with received(exchange, dataset) as (receiving, backlog):
        ids = await take_until(backlog, exchange, 4 * dataset.stream.connections)
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert (len(receiving.mark.holes), receiving.reconnects, receiving.trouble) == (0, 0, "")
    assert receiving.repeated


async def test_a_server_that_is_leaving_is_left_without_a_hole(exchange: str) -> None:
    async with received(exchange, dataset_of("binance", "spot", None)) as (receiving, backlog):
        await plan(exchange, {"path": "btcusdt@trade", "kind": "server_shutdown", "after": 50, "seconds": 3})
        ids = await take_until(backlog, exchange, 2)
        ids += await take_until(backlog, exchange, 2)
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert (len(receiving.mark.holes), receiving.reconnects) == (0, 0)


async def test_what_one_of_two_connections_misses_the_other_brings(exchange: str) -> None:
    async with received(exchange, dataset_of("bybit", "spot", None)) as (receiving, backlog):
        ids = await take_until(backlog, exchange, 2)
        await asyncio.sleep(1.5)
        await plan(exchange, {"path": "publicTrade.BTCUSDT", "kind": "disconnect"})
        ids += await take_until(backlog, exchange, 3)
        ids += await take_until(backlog, exchange, 3)
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert (receiving.mark.holes, receiving.reconnects) == ((), 1)
