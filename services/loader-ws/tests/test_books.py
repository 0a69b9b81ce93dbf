"""Differences and books on their way through the loader: what is published, what is told, when help is asked for."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import stamina

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.receivers import receiver_of
from loader_ws.app.receiving import Receiving
from loader_ws.app.sequence import Mark
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.records import DepthSnapshot, Record
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.exchanges.rest import Poll

GRANTED = {"result": None, "id": 1}
BIDS, ASKS = [["10", "1"]], [["11", "1"]]


def update(first: int, last: int, at_ms: int = 0, bids: Sequence[object] = (), asks: Sequence[object] = ()) -> object:
    data = {"e": "depthUpdate", "E": at_ms or last, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return {"stream": "btcusdt@depth@100ms", "data": data}


def levels(kind: str, number: int, bids: Sequence[object] = (), asks: Sequence[object] = ()) -> object:
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": number, "seq": number}
    return {"topic": "orderbook.200.BTCUSDT", "type": kind, "ts": number, "cts": number, "data": data}


def snapshot_at(update_id: int) -> DepthSnapshot:
    identity = {"key": "k", "exchange": "binance", "market": "spot", "symbol": "BTCUSDT", "type": "depth_snapshot"}
    return DepthSnapshot(
        **identity, update_id=update_id, limit=5_000, bids=[(10.0, 1.0)], asks=[(11.0, 1.0)], receipt_time=0
    )


class ScriptedExchange:
    """Sends its frames, waits for a snapshot where it says `SNAPSHOT`, and is then silent; after that all is over."""

    def __init__(self, connections: Sequence[Sequence[object]], snapshots: Sequence[int]) -> None:
        self._connections = list(connections)
        self._snapshots = list(snapshots)
        self.fetched = asyncio.Event()
        self.asked_anew = 0
        self.is_over = asyncio.Event()

    @asynccontextmanager
    async def connect(self, dataset: Dataset) -> AsyncIterator["ScriptedConnection"]:
        if not self._connections:
            self.is_over.set()
            await asyncio.Event().wait()
        yield ScriptedConnection(self, self._connections.pop(0))

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        assert (poll.kind.name, symbol, limit) == ("depth_snapshot", "BTCUSDT", 5_000)
        # Handed over before the next frame is taken.
        asyncio.get_running_loop().call_later(0.01, self.fetched.set)
        return snapshot_at(self._snapshots.pop(0))


SNAPSHOT = object()


class ScriptedConnection:
    def __init__(self, exchange: ScriptedExchange, frames: Sequence[object]) -> None:
        self._exchange = exchange
        self._frames = list(frames)

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        while self._frames and self._frames[0] is SNAPSHOT:
            self._frames.pop(0)
            await self._exchange.fetched.wait()
            self._exchange.fetched.clear()
        if self._frames:
            return json.dumps(self._frames.pop(0)).encode(), 17
        raise TransientError("silent")

    async def ask_anew(self, dataset: Dataset) -> None:
        self._exchange.asked_anew += 1


def dataset_of(exchange: str, data_type: str, **options: object) -> Dataset:
    fields = {"exchange": exchange, "market": "spot", "symbol": "BTCUSDT", "type": data_type, "options": options}
    identity = {"queue_id": "wf-a", "target": "loader-ws", "telemetry_id": "loader-ws__a", "attempt": 1}
    command = {"command": CommandKind.START, "kafka_topic": "wf-a-data", "timestamp": 0.0}
    dataset = Dataset.of(Command.model_validate({**fields, **identity, **command}))
    return replace(dataset, market=replace(dataset.market, connect_every_s=0.0))


async def receive(
    dataset: Dataset, *connections: Sequence[object], snapshots: Sequence[int] = (), mark: Mark | None = None
) -> tuple[Receiving, list[dict[str, Any]], ScriptedExchange]:
    exchange, backlog = ScriptedExchange(connections, snapshots), Backlog()
    receiving = receiver_of(dataset, exchange, exchange, backlog, mark or Mark())
    with stamina.set_testing(True, attempts=100):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(receiving.receive())
            await exchange.is_over.wait()
            task.cancel()
    published = backlog.take()
    assert {key for key, _, _ in published} <= {f"{dataset.market.exchange}:spot:BTCUSDT:{dataset.type[3:]}".encode()}
    return receiving, [json.loads(value) for _, value, _ in published], exchange


def gaps(receiving: Receiving) -> list[tuple[int, int]]:
    assert all(gap.missing is None for gap in receiving.untold_gaps)
    return [(gap.start, gap.end) for gap in receiving.untold_gaps]


async def test_differences_are_published_as_they_come_and_a_missing_one_is_told() -> None:
    frames = [GRANTED, update(1, 5), update(6, 9), update(6, 9), update(20, 22), update(10, 19), update(23, 24)]
    receiving, records, _ = await receive(dataset_of("binance", "ws_depth"), frames)
    assert [record["last_update_id"] for record in records] == [5, 9, 22, 19, 24]
    assert gaps(receiving) == [(9, 22)]
    assert (receiving.repeated, receiving.mark) == (1, Mark(5, 24))


async def test_differences_that_go_on_behind_a_reconnect_are_no_gap_and_those_behind_a_restart_are() -> None:
    first, second = [GRANTED, update(1, 5)], [GRANTED, update(6, 9)]
    receiving, _, _ = await receive(dataset_of("binance", "ws_depth"), first, second, mark=Mark(1, 3))
    assert gaps(receiving) == [(3, 5)]


async def test_differences_of_bybit_are_asked_for_anew_where_one_is_missing() -> None:
    frames = [levels("snapshot", 7, BIDS, ASKS), levels("delta", 8), levels("delta", 10), levels("snapshot", 12)]
    receiving, records, exchange = await receive(dataset_of("bybit", "ws_depth"), frames)
    assert [(record["last_update_id"], record.get("is_snapshot")) for record in records] == [
        (7, True),
        (8, None),
        (10, None),
        (12, True),
    ]
    assert (gaps(receiving), exchange.asked_anew) == ([(8, 10), (10, 12)], 1)


async def test_books_begin_with_a_snapshot_and_their_loss_is_told_with_its_bounds() -> None:
    frames = [GRANTED, update(1, 5), SNAPSHOT, update(6, 9, bids=[["10", "3"]]), update(10, 12)]
    frames += [update(15, 18), SNAPSHOT, update(19, 22), SNAPSHOT, update(23, 24)]
    dataset = dataset_of("binance", "ws_order_book", levels=1, every=0)
    # The second snapshot is older than the differences that have waited for it.
    receiving, records, _ = await receive(dataset, frames, snapshots=[7, 13, 20])
    assert [(record["update_id"], record["bids"], record["asks"]) for record in records] == [
        (9, [[10.0, 3.0]], [[11.0, 1.0]]),
        (12, [[10.0, 3.0]], [[11.0, 1.0]]),
        (24, [[10.0, 1.0]], [[11.0, 1.0]]),
    ]
    assert records[0]["_key"] == "binance:spot:BTCUSDT:order_book:9-1"
    assert gaps(receiving) == [(12, 24)]
    assert (1, "times synchronised anew") in receiving.counts


async def test_a_book_of_bybit_that_is_lost_is_subscribed_to_anew_and_a_lost_answer_is_asked_for_again() -> None:
    frames = [levels("snapshot", 7, BIDS, ASKS), levels("delta", 9)]
    frames += [levels("delta", 10 + number) for number in range(100)]
    frames += [levels("snapshot", 500, BIDS, ASKS), levels("delta", 501, [["10", "2"]])]
    dataset = dataset_of("bybit", "ws_order_book", levels=1, every=0)
    receiving, records, exchange = await receive(dataset, frames)
    assert [record["update_id"] for record in records] == [7, 500, 501]
    assert records[-1]["_key"] == "bybit:spot:BTCUSDT:order_book:501-501-1"
    assert (gaps(receiving), exchange.asked_anew) == ([(7, 500)], 2)


async def test_a_book_that_is_lost_in_the_end_is_told_up_to_the_last_difference() -> None:
    frames = [levels("snapshot", 7, BIDS, ASKS), levels("delta", 8), levels("delta", 11), levels("delta", 12)]
    receiving, records, _ = await receive(dataset_of("bybit", "ws_order_book", levels=1, every=0), frames)
    assert [record["update_id"] for record in records] == [7, 8]
    assert gaps(receiving) == []
    receiving.give_up_holes()
    assert gaps(receiving) == [(8, 12)]


async def test_the_exchanges_restart_begins_a_book_anew() -> None:
    frames = [levels("snapshot", 700, BIDS, ASKS), {**msgspec.to_builtins(levels("delta", 1, BIDS, ASKS)), "cts": 900}]
    dataset = dataset_of("bybit", "ws_order_book", levels=1, every=0)
    receiving, records, exchange = await receive(dataset, frames)
    assert [record["_key"].rpartition(":")[2] for record in records] == ["700-700-1", "900-1-1"]
    assert (gaps(receiving), exchange.asked_anew) == ([(700, 900)], 0)


async def test_books_come_at_the_chosen_pace_by_the_exchanges_own_time() -> None:
    frames = [GRANTED, update(1, 5, 900), SNAPSHOT]
    frames += [update(4 + number * 2, 5 + number * 2, 900 + number * 300) for number in range(1, 8)]
    dataset = dataset_of("binance", "ws_order_book", levels=1, every=1)
    _, records, _ = await receive(dataset, frames, snapshots=[5])
    assert [record["event_time"] for record in records] == [1200, 2100, 3000]


@pytest.mark.parametrize(
    ("exchange", "options", "why"),
    [
        ("binance", {"levels": 501}, "1 to 500"),
        ("bybit", {"levels": 201}, "1 to 200"),
        ("binance", {"levels": 1.5}, "how many levels"),
        ("binance", {"every": -1}, "expected seconds"),
    ],
)
def test_an_impossible_pace_or_depth_is_refused(exchange: str, options: dict[str, object], why: str) -> None:
    with pytest.raises(FatalError, match=why):
        dataset_of(exchange, "ws_order_book", **options)
