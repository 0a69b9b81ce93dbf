"""What is asked for, and what becomes of what is not given: by a scripted exchange, our own Protocol."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from loader_ws.app import filling
from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.filled_receiving import FilledReceiving
from loader_ws.app.holes import Hole
from loader_ws.app.listening import Connection, Listening
from loader_ws.app.sequence import Mark, sequence_of
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.records import AggTrade, Record, Trade
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import History, Latest
from streamforge_common.history.pages import Page, PageContent

REFUSED = FatalError("no such symbol", code="exchange_refused")


def dataset_of(market: str, data_type: str) -> Dataset:
    identity = {"queue_id": "wf-a", "target": "loader-ws", "telemetry_id": "loader-ws__a", "attempt": 1}
    what = {"exchange": "binance", "market": market, "symbol": "BTCUSDT", "type": data_type}
    return Dataset.of(Command.model_validate({**identity, **what, "command": CommandKind.START, "timestamp": 0.0}))


def record_of(record_id: int) -> Record:
    identity = {"key": f"k{record_id}", "exchange": "binance", "market": "", "symbol": "BTCUSDT", "type": ""}
    values = {"price": 1.0, "quantity": 1.0, "trade_time": record_id, "is_buyer_maker": True}
    return AggTrade(**identity, **values, agg_trade_id=record_id, first_trade_id=1, last_trade_id=1)


def trade_of(record_id: int) -> Record:
    identity = {"key": f"k{record_id}", "exchange": "binance", "market": "", "symbol": "BTCUSDT", "type": ""}
    return Trade(**identity, price=1.0, quantity=1.0, trade_time=record_id, is_buyer_maker=True, trade_id=record_id)


class NoStreams:
    def connect(self, dataset: Dataset) -> AbstractAsyncContextManager[Connection]:
        raise AssertionError("nothing is received here")


class NoFrames:
    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        raise AssertionError("nothing is received here")

    async def ask_anew(self, dataset: Dataset) -> None:
        raise AssertionError("nothing is received here")


class ScriptedExchange:
    """Gives what it has; answers come in order, the last one stays."""

    trouble = ""
    closed_for_s = 0.0
    time_ms = 0

    def __init__(self, *answers: Sequence[int] | FatalError) -> None:
        self.asked: list[tuple[int, int] | str] = []
        self._answers = list(answers)

    def _answer(self) -> Sequence[int]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, FatalError):
            raise answer
        return answer

    async def learn_limits(self, symbol: str) -> None:
        self.asked.append("limits")

    async def learn_time(self) -> int:
        return self.time_ms

    async def fetch(self, history: History, symbol: str, page: Page) -> PageContent:
        self.asked.append((page.first, page.last))
        return PageContent([record_of(it) for it in self._answer() if page.first <= it <= page.last], (), 17)

    async def fetch_latest(self, latest: Latest, symbol: str) -> tuple[Sequence[Record], int]:
        self.asked.append("latest")
        return [trade_of(it) for it in self._answer()], 17


async def fill(
    exchange: ScriptedExchange, holes: Sequence[tuple[int, int]], market: str = "spot", data_type: str = "ws_agg_trades"
) -> tuple[FilledReceiving, list[int]]:
    """Let holes be filled until there is nothing left to do."""
    dataset, backlog = dataset_of(market, data_type), Backlog()
    sequence = sequence_of(dataset.stream, Mark(0, 10_000, tuple(Hole(*hole) for hole in holes)))
    receiving = FilledReceiving(dataset, NoStreams(), backlog, sequence, exchange)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(receiving.fill())
        for _ in range(100):
            await asyncio.sleep(0)
        task.cancel()
    values = [json.loads(value) for _, value, _ in backlog.take()]
    return receiving, [value.get("agg_trade_id", value.get("trade_id")) for value in values]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "SETTLED_AFTER_MS", 0)
    monkeypatch.setattr(filling, "_LATEST_EVERY_S", 0)


async def test_exactly_what_is_missing_is_asked_for_the_newest_first_page_by_page() -> None:
    exchange = ScriptedExchange(range(10_000))
    receiving, filled = await fill(exchange, [(5, 8), (2_000, 4_500)])
    assert exchange.asked == ["limits", (2_000, 2_999), (3_000, 3_999), (4_000, 4_499), (5, 7)]
    assert filled == [*range(2_000, 4_500), *range(5, 8)]
    assert (receiving.filled, len(receiving.mark.holes), receiving.untold_gaps) == (2_503, 0, [])


async def test_what_does_not_come_is_asked_for_once_more_and_is_then_the_exchange_s_gap() -> None:
    receiving, filled = await fill(ScriptedExchange([5], [5, 7], []), [(5, 9)])
    assert filled == [5, 7]
    assert [(gap.start, gap.end, gap.missing) for gap in receiving.untold_exchange_gaps] == [(6, 7, 1), (8, 9, 1)]
    assert not receiving.mark.holes


async def test_what_may_lie_too_far_back_is_not_the_exchange_s_gap_as_its_archives_have_it() -> None:
    receiving, filled = await fill(ScriptedExchange([7]), [(5, 9)], market="um")
    assert filled == [7]
    assert [(gap.start, gap.end) for gap in receiving.untold_gaps] == [(5, 7)]
    assert [(gap.start, gap.end) for gap in receiving.untold_exchange_gaps] == [(8, 9)]


async def test_the_latest_are_asked_for_until_they_reach_the_end_of_the_hole() -> None:
    exchange = ScriptedExchange([6, 7], [7, 9, 10, 11])
    receiving, filled = await fill(exchange, [(5, 11)], market="um", data_type="ws_trades")
    assert exchange.asked == ["limits", "latest", "latest"]
    assert filled == [6, 7, 9, 10]
    assert [(gap.start, gap.end) for gap in receiving.untold_gaps] == [(5, 6)], "beyond the reach"
    assert [(gap.start, gap.end) for gap in receiving.untold_exchange_gaps] == [(8, 9)], "left out between two others"


async def test_candles_that_closed_while_nobody_listened_are_asked_for_before_the_next_one_closes() -> None:
    hour_ms = 3_600_000
    dataset, backlog = dataset_of("spot", "ws_candles_1h"), Backlog()
    exchange = ScriptedExchange([])
    exchange.time_ms = 5 * hour_ms + 1
    sequence = sequence_of(dataset.stream, Mark(0, hour_ms))
    receiving = FilledReceiving(dataset, NoStreams(), backlog, sequence, exchange)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(receiving.fill())
        await asyncio.sleep(0)
        assert exchange.asked == []
        listening = Listening(dataset, NoFrames(), backlog, receiving.intake, silence_s=None, on_answer=lambda: None)
        receiving.note_granted(listening, is_anew=True)
        for _ in range(100):
            await asyncio.sleep(0)
        task.cancel()
    assert exchange.asked[0:2] == ["limits", (2 * hour_ms, 4 * hour_ms)]
    assert [(gap.start, gap.end, gap.missing) for gap in receiving.untold_exchange_gaps] == [
        (2 * hour_ms, 5 * hour_ms, 3)
    ]
    assert receiving.mark == Mark(0, 4 * hour_ms)


async def test_what_the_exchange_refuses_is_a_gap_and_not_the_end() -> None:
    refused, _ = await fill(ScriptedExchange(REFUSED), [(5, 9)])
    assert refused.mark.holes == ()
    assert [(gap.start, gap.end) for gap in refused.untold_gaps] == [(5, 9)]


async def test_what_nobody_can_be_asked_for_is_given_up_at_once() -> None:
    exchange = ScriptedExchange([])
    receiving, _ = await fill(exchange, [(5, 9)], data_type="ws_book_ticker")
    assert exchange.asked == []
    assert [(gap.start, gap.end, gap.missing) for gap in receiving.untold_gaps] == [(5, 9, None)]
