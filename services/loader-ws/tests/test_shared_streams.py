"""Sharing connections, against a connection of our own that answers as Bybit does: one wrong name refuses all."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from loader_ws.app.dataset import Dataset
from loader_ws.app.shared_streams import SharedStreams
from streamforge_common.errors import TransientError
from streamforge_common.exchanges import STREAM_MARKETS

MARKET = replace(STREAM_MARKETS["bybit", "spot"], names_max=3, ask_every_s=0.01, connect_every_s=0.0)
GRANTED = {"success": True, "ret_msg": "", "op": "subscribe"}


def dataset(symbol: str) -> Dataset:
    return Dataset(MARKET, MARKET.streams["trades"], symbol, "ws_trades", "topic", None)


@dataclass
class Line:
    """One connection."""

    asked: list[list[str]] = field(default_factory=list)
    frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    async def ask(self, *datasets: Dataset) -> None:
        symbols = [it.symbol for it in datasets]
        self.asked.append(symbols)
        refused = {**GRANTED, "success": False, "ret_msg": "Invalid topic"}
        self.frames.put_nowait(json.dumps(refused if "DEAD" in symbols else GRANTED).encode())

    async def ask_anew(self, of: Dataset) -> None:
        await self.ask(of)

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        frame = await self.frames.get()
        if frame is None:
            raise TransientError("cut")
        return frame, 1

    def push(self, symbol: str) -> None:
        self.frames.put_nowait(json.dumps({"topic": f"publicTrade.{symbol}", "of": symbol}).encode())


class Exchange:
    """Opens connections."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    @asynccontextmanager
    async def open(self, of: Dataset):
        self.lines.append(Line())
        yield self.lines[-1]


@pytest.fixture
async def exchange() -> Exchange:
    return Exchange()


async def until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(0.01)


async def listen(streams: SharedStreams, symbol: str, frames: dict[str, list]) -> None:
    """Keep what comes of a symbol until its connection ends."""
    try:
        async with streams.connect(dataset(symbol)) as connection:
            while True:
                frame, _ = await connection.next_frame(5.0)
                frames.setdefault(symbol, []).append(json.loads(frame))
    except TransientError as exc:
        frames.setdefault(symbol, []).append(str(exc))


async def test_streams_share_a_connection_and_only_the_one_that_is_refused_is_told_so(exchange: Exchange) -> None:
    streams, frames = SharedStreams(exchange), {}
    async with streams.kept(), asyncio.TaskGroup() as group:
        for symbol in ("A", "B", "DEAD", "C", "D"):
            group.create_task(listen(streams, symbol, frames))
        await until(lambda: len(frames) == 5)
        (line,) = exchange.lines
        for symbol in ("D", "A", "D"):
            line.push(symbol)
        line.frames.put_nowait(None)
    assert {symbol: [it["success"] for it in got if "success" in it] for symbol, got in frames.items()} == {
        symbol: [symbol != "DEAD"] for symbol in ("A", "B", "DEAD", "C", "D")
    }
    assert [it["of"] for it in frames["D"] if "of" in it] == ["D", "D"]
    assert {got[-1] for got in frames.values()} == {"cut"}
    assert max(map(len, line.asked)) <= 3


async def test_a_listener_that_leaves_at_once_costs_the_others_nothing(exchange: Exchange) -> None:
    streams, frames = SharedStreams(exchange), {}
    async with streams.kept(), asyncio.TaskGroup() as group:
        for symbol in ("A", "B", "C"):
            group.create_task(listen(streams, symbol, frames))
        leaving = group.create_task(listen(streams, "E", frames))
        await asyncio.sleep(0)
        leaving.cancel()
        await until(lambda: len(frames) == 3)
        exchange.lines[0].frames.put_nowait(None)
    assert {symbol: got[0] for symbol, got in frames.items()} == dict.fromkeys("ABC", GRANTED)


async def test_the_same_stream_again_is_on_another_connection(exchange: Exchange) -> None:
    streams, frames = SharedStreams(exchange), {}
    async with streams.kept(), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(listen(streams, "A", frames))
        await until(lambda: len(frames.get("A", ())) == 2)
        assert [line.asked for line in exchange.lines] == [[["A"]], [["A"]]]
        for line in exchange.lines:
            line.frames.put_nowait(None)
