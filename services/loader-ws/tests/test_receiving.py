"""When the loader connects anew, by a scripted exchange: our own Protocol, no socket and no clock of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import stamina

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.listening import Listening
from loader_ws.app.receiving import Receiving
from loader_ws.app.sequence import Mark, sequence_of
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.records import Trade
from streamforge_common.errors import FatalError, TransientError

GRANTED = {"result": None, "id": 1}


def trade(number: int) -> dict[str, object]:
    data = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "1.5", "q": "2", "T": 1_000 + number, "m": True}
    return {"stream": "btcusdt@trade", "data": data}


class ScriptedExchange:
    """Each connection sends its frames and is then silent; after the last one the test is over."""

    def __init__(self, connections: Sequence[Sequence[object]]) -> None:
        self._connections = list(connections)
        self.patience_s: list[float | None] = []
        """How long each connection was allowed to be silent in the end."""
        self.is_over = asyncio.Event()

    @asynccontextmanager
    async def connect(self, dataset: Dataset) -> AsyncIterator["ScriptedConnection"]:
        if not self._connections:
            self.is_over.set()
            await asyncio.Event().wait()
        yield ScriptedConnection(self, self._connections.pop(0))


class ScriptedConnection:
    def __init__(self, exchange: ScriptedExchange, frames: Sequence[object]) -> None:
        self._exchange = exchange
        self._frames = list(frames)

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        if self._frames:
            frame = self._frames.pop(0)
            return frame if isinstance(frame, bytes) else json.dumps(frame).encode(), 17
        self._exchange.patience_s.append(within_s)
        raise TransientError("silent")


NO_MATTER = {"silence_s": None, "on_answer": lambda: None}


def bybit_trade(time_ms: int) -> Trade:
    identity = {"key": f"k{time_ms}", "exchange": "bybit", "market": "spot", "symbol": "BTCUSDT", "type": "trades"}
    values = {"trade_id": f"{time_ms}", "price": 1.0, "quantity": 1.0}
    return Trade(**identity, **values, trade_time=time_ms, is_buyer_maker=True)


def dataset_of(**fields: object) -> Dataset:
    defaults = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT", "type": "ws_trades"}
    identity = {"queue_id": "wf-a", "target": "loader-ws", "telemetry_id": "loader-ws__a", "attempt": 1}
    command = {"command": CommandKind.START, "kafka_topic": "wf-a-data", "timestamp": 0.0}
    dataset = Dataset.of(Command.model_validate({**defaults, **identity, **command, **fields}))
    return replace(dataset, market=replace(dataset.market, connect_every_s=0.0))


async def receive(
    connections: Sequence[Sequence[object]], backlog: Backlog | None = None
) -> tuple[Receiving, Backlog, ScriptedExchange]:
    dataset, exchange, backlog = dataset_of(), ScriptedExchange(connections), backlog or Backlog()
    receiving = Receiving(dataset, exchange, backlog, sequence_of(dataset.stream, Mark()))
    with stamina.set_testing(True, attempts=2_000):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(receiving.receive())
            await exchange.is_over.wait()
            task.cancel()
    return receiving, backlog, exchange


async def test_a_connection_is_opened_anew_and_what_was_missed_is_a_hole() -> None:
    receiving, backlog, _ = await receive([[GRANTED, trade(1), trade(2)], [GRANTED, trade(2), trade(5)]])
    assert [json.loads(value)["trade_id"] for _, value, _ in backlog.take()] == [1, 2, 5]
    assert receiving.mark == Mark(1, 5, ((3, 5),))
    assert (receiving.repeated, receiving.reconnects, receiving.trouble) == (1, 1, "silent")


async def test_a_server_that_is_leaving_is_listened_to_while_the_next_connection_is_opened() -> None:
    shutdown = {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}
    receiving, backlog, _ = await receive([[GRANTED, trade(1), shutdown, trade(2)], [GRANTED, trade(2)], []])
    assert [json.loads(value)["trade_id"] for _, value, _ in backlog.take()] == [1, 2]
    assert (receiving.repeated, receiving.reconnects) == (1, 0)


async def test_a_quiet_symbol_is_given_more_time_by_each_connection_and_an_answer_is_no_data() -> None:
    *_, exchange = await receive([[GRANTED], [GRANTED], [GRANTED], [GRANTED, trade(1)], []])
    assert [round(patience_s or 0) for patience_s in exchange.patience_s] == [60, 120, 240, 480, 10]


async def test_even_after_months_of_silence_a_connection_is_given_ten_minutes() -> None:
    *_, exchange = await receive([[GRANTED]] * 1_100)
    assert round(exchange.patience_s[-1] or 0) == 600


async def test_while_there_is_no_room_the_exchange_is_not_called_silent() -> None:
    backlog = Backlog()
    backlog.add([(b"k", b"v", [])] * 20_000)
    asyncio.get_running_loop().call_later(1.0, backlog.take)
    *_, exchange = await receive([[]], backlog)
    assert [round(patience_s or 0) for patience_s in exchange.patience_s] == [10]


async def test_what_is_no_record_is_kept_as_it_came_and_the_rest_goes_on() -> None:
    spoilt = {"stream": "btcusdt@trade", "data": {"e": "trade", "s": "ETHUSDT"}}
    _, backlog, _ = await receive([[GRANTED, b"\xff{", spoilt, trade(1)]])
    kept = backlog.take()
    assert [key for key, _, _ in kept] == [b"", b"", b"binance:spot:BTCUSDT:trades:1"]
    assert kept[0][1] == b"\xff{"
    assert json.loads(kept[1][1]) == spoilt["data"]
    assert all(dict(headers)["receipt_time_ms"] == b"17" for _, _, headers in kept)
    assert [bool(dict(headers).get("rejected")) for _, _, headers in kept] == [True, True, False]


async def test_a_stream_that_the_exchange_refuses_is_the_end() -> None:
    refusal = {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}
    with pytest.raises(ExceptionGroup) as caught:
        await receive([[refusal]])
    failure: BaseException = caught.value
    while isinstance(failure, ExceptionGroup):
        (failure,) = failure.exceptions
    assert isinstance(failure, FatalError)
    assert failure.code == "exchange_refused"
    assert "2 Invalid request" in str(failure)


@pytest.mark.parametrize(
    ("lost_at_ms", "other_since_ms", "holes"),
    [
        (200, 150, []),
        (200, 200, []),
        # What was under way to the one is older than all that the other brings.
        (200, 260, [(200, 260)]),
        # The other has brought nothing yet: what is missing ends with its first record.
        (200, None, [(200, 300)]),
    ],
)
async def test_two_connections_stand_in_for_each_other_once_both_have_brought_the_same(
    lost_at_ms: int, other_since_ms: int | None, holes: list[tuple[int, int]]
) -> None:
    dataset = dataset_of(exchange="bybit")
    receiving = Receiving(dataset, ScriptedExchange([]), Backlog(), sequence_of(dataset.stream, Mark(0, lost_at_ms)))
    lost, other = (
        Listening(dataset, ScriptedConnection(ScriptedExchange([]), []), Backlog(), receiving.intake, **NO_MATTER)
        for _ in range(2)
    )
    for listening in (lost, other):
        receiving.note_granted(listening, is_anew=False)
    receiving.intake.sequence.admit(bybit_trade(lost_at_ms), 0)
    lost.first_ms, lost.last_ms, other.first_ms = 100, lost_at_ms, other_since_ms
    receiving.note_ended(lost, "cut")
    receiving.intake.sequence.admit(bybit_trade(300), 0)
    assert list(receiving.mark.holes) == holes
    assert receiving.trouble == ""


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": "api_candles_5m"}, "is not live"),
        ({"type": "ws_mark_price"}, "does not push 'mark_price'"),
        ({"market": "moon"}, "no live streams"),
        ({"options": {"duration": "long"}}, "expected seconds"),
    ],
)
def test_what_cannot_be_loaded_is_refused(fields: dict[str, object], why: str) -> None:
    with pytest.raises(FatalError, match=why):
        dataset_of(**fields)


async def test_a_full_backlog_has_no_room_until_it_is_taken() -> None:
    backlog = Backlog()
    backlog.add([(b"k", b"v", [])] * 20_000)
    waiting = asyncio.ensure_future(backlog.wait_for_room())  # noqa: TID251  # to see that it does not end
    await asyncio.sleep(0)
    assert not waiting.done()
    backlog.take()
    await waiting
