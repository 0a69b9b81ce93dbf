"""Live streams over real connections: the protocol, what is sent, what counts as served, and the faults."""

import asyncio
import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from exchange_sim.errors import RecordingError
from exchange_sim.exchange import OtherMarkets
from exchange_sim.ledger import Ledger
from exchange_sim.recording.market import RecordedMarket
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket
from exchange_sim.streaming.captures import CaptureFeed, read_captures
from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Push, Topic

AUGUST_2024_US = 1_722_470_400_000_000
TRADE = {"e": "trade", "E": 1_723_161_255_343, "s": "BTCUSDT", "p": "61837.63000000", "q": "0.02000000", "m": True}
ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)


class MovedClock:
    """Stands still but where it is told to go on."""

    def __init__(self) -> None:
        self.now_us = AUGUST_2024_US

    def __call__(self) -> int:
        return self.now_us


async def ask(socket: ClientWebSocketResponse, method: object, *params: object, ask_id: int = 1):
    await socket.send_json({"method": method, "params": params, "id": ask_id})
    return await socket.receive_json()


async def served(session: ClientSession, **query: str):
    async with session.get("/_sim/served", params=query) as response:
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def plan(session: ClientSession, kind: str, **fields: object) -> None:
    async with session.put("/_sim/faults", json=[{"path": "*", "kind": kind, **fields}]) as response:
        assert response.status == 200, await response.text()


async def fired(session: ClientSession) -> int:
    async with session.get("/_sim/faults") as response:
        (fault,) = await response.json()
    return fault["fired"]


@pytest.fixture
def six_trades(tmp_path: Path) -> CaptureFeed:
    """Trades 0 to 5 of a recorded connection, played as fast as they are read."""
    with gzip.open(tmp_path / "btcusdt_20240808.gz", "wt") as lines:
        for number in range(6):
            frame = {"stream": "btcusdt@trade", "data": {**TRADE, "t": number}}
            lines.write(f"{1_723_161_254_087_896_568 + number} {json.dumps(frame)}\n")
    return CaptureFeed(read_captures(tmp_path), speed=0)


@pytest.fixture
def open_and_closed_candle(tmp_path: Path) -> CaptureFeed:
    """The same candle twice on a recorded connection to Binance, and on one to somewhere else."""
    kept = [
        {"t": "header", "format": 2},
        {"t": "connect", "conn": "a", "ts": 1.0, "addr": "wss://stream.binance.com:9443/stream?streams=x"},
        {"t": "connect", "conn": "b", "ts": 1.0, "addr": "wss://elsewhere.invalid/stream"},
    ]
    for number, is_closed in enumerate([False, True]):
        frame = {"stream": "nknusdt@kline_1m", "data": {"e": "kline", "E": number, "k": {"x": is_closed}}}
        kept += [{"t": "recv", "conn": conn, "ts": 2.0 + number, "data": json.dumps(frame)} for conn in "ab"]
    (tmp_path / "some.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    return CaptureFeed(read_captures(tmp_path), speed=0)


@pytest.fixture
def two_candles(tmp_path: Path) -> CaptureFeed:
    """A closed candle and the one behind it in one message of Bybit."""
    bars = [{"start": 1, "confirm": True}, {"start": 2, "confirm": False}]
    frame = {"topic": "kline.1.ETHUSDT", "data": bars, "ts": 3}
    lines = [
        {"t": "connect", "conn": "a", "addr": "wss://stream.bybit.com/v5/public/linear"},
        {"t": "recv", "conn": "a", "ts": 2.0, "data": json.dumps({"success": True, "op": "subscribe"})},
        {"t": "recv", "conn": "a", "ts": 2.0, "data": json.dumps(frame)},
    ]
    (tmp_path / "bybit.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return CaptureFeed(read_captures(tmp_path), speed=0)


@pytest.fixture
def other_markets() -> OtherMarkets:
    return OtherMarkets(
        um=SimulatedDerivatives(0, "binance:um"),
        bybit_spot=SimulatedMarket(0, "bybit:spot"),
        linear=SimulatedDerivatives(0, "bybit:linear"),
    )


async def test_subscriptions_are_answered_listed_and_taken_back_and_nonsense_is_refused(open_exchange) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=MovedClock())
    async with session.ws_connect("/stream?streams=ethusdt@trade") as socket:
        assert await ask(socket, "SUBSCRIBE", "btcusdt@trade", ask_id=7) == {"result": None, "id": 7}
        assert await ask(socket, "UNSUBSCRIBE", "ethusdt@trade") == {"result": None, "id": 1}
        assert await ask(socket, "LIST_SUBSCRIPTIONS") == {"result": ["btcusdt@trade"], "id": 1}
        assert (await ask(socket, "SING"))["error"]["code"] == 2
        await socket.send_str("{")
        assert (await socket.receive_json())["error"]["code"] == 3


async def test_a_connection_has_at_most_1024_streams_and_5_messages_a_second(open_exchange) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=MovedClock())
    async with session.ws_connect("/ws") as socket:
        many = [f"s{number}usdt@trade" for number in range(1_025)]
        assert (await ask(socket, "SUBSCRIBE", *many))["error"]["code"] == 2
        for _ in range(5):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        messages = [await socket.receive() for _ in range(5)]
        assert messages[-1].type in ENDS
        assert socket.close_code == 1008


async def test_at_most_300_connections_are_opened_in_five_minutes(open_exchange) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=MovedClock())
    for _ in range(300):
        async with session.ws_connect("/ws"):
            pass
    with pytest.raises(WSServerHandshakeError, match="429"):
        await session.ws_connect("/ws")


async def pushed_as_time_goes_by(socket: ClientWebSocketResponse, clock: MovedClock, enough: Callable[[list], bool]):
    """Let the market's time go on, half a second at a look, until enough has come."""
    messages: list = []
    while not enough(messages):
        clock.now_us += 500_000
        with suppress(TimeoutError):
            while True:
                messages.append(await socket.receive_json(timeout=0.1))
    return messages


async def test_what_happens_in_the_simulated_market_is_pushed_and_is_what_rest_gives(open_exchange) -> None:
    clock = MovedClock()
    session = await open_exchange(SimulatedMarket(0), clock=clock)

    def of(messages: list, stream: str) -> list:
        return [it["data"] for it in messages if it["stream"] == f"btcusdt@{stream}"]

    def closed(messages: list) -> list:
        return [it["k"] for it in of(messages, "kline_1s") if it["k"]["x"]]

    streams = "/".join(f"btcusdt@{name}" for name in ("aggTrade", "trade", "kline_1s"))
    async with session.ws_connect(f"/stream?streams={streams}") as socket:
        messages = await pushed_as_time_goes_by(socket, clock, lambda it: len(closed(it)) >= 3)

    candles, agg_trades, trades = closed(messages), of(messages, "aggTrade"), of(messages, "trade")
    query = {"symbol": "BTCUSDT", "interval": "1s", "startTime": candles[0]["t"], "limit": len(candles)}
    async with session.get("/api/v3/klines", params=query) as response:
        rows = await response.json()
    assert [[it[name] for name in "tohlcvTqnVQ"] for it in candles] == [row[:11] for row in rows]
    query = {"symbol": "BTCUSDT", "fromId": agg_trades[0]["a"], "limit": len(agg_trades)}
    async with session.get("/api/v3/aggTrades", params=query) as response:
        rows = await response.json()
    assert [{name: it[name] for name in row} for it, row in zip(agg_trades, rows, strict=True)] == rows
    lines = await served(session, kind="trades")
    assert [line["item"]["id"] for line in lines] == [it["t"] for it in trades]
    assert [line["item"]["price"] for line in lines] == [it["p"] for it in trades]


async def test_futures_have_their_own_paths_and_trades(open_exchange, other_markets) -> None:
    clock = MovedClock()
    session = await open_exchange(SimulatedMarket(0), clock=clock, others=other_markets)
    async with session.ws_connect("/market/stream?streams=btcusdt@aggTrade") as socket:
        messages = await pushed_as_time_goes_by(socket, clock, bool)
    lines = await served(session, kind="agg_trades", market="binance:um")
    assert [line["item"]["a"] for line in lines] == [it["data"]["a"] for it in messages]


async def test_streams_of_all_symbols_hold_those_of_each_one_and_others_with_the_coin_as_margin(
    open_exchange, other_markets
) -> None:
    clock = MovedClock()
    session = await open_exchange(SimulatedMarket(0), clock=clock, others=other_markets)

    def of(messages: list, stream: str) -> list:
        return [it["data"] for it in messages if it["stream"] == stream]

    def contracts(items: list) -> set:
        return {(it["s"] if "s" in it else it["o"]["s"], it["st"]) for it in items}

    names = ["btcusdt@markPrice@1s", "!markPrice@arr@1s", "btcusdt@forceOrder", "!forceOrder@arr"]
    async with session.ws_connect(f"/market/stream?streams={'/'.join(names)}") as socket:
        messages = await pushed_as_time_goes_by(socket, clock, lambda it: len(of(it, "btcusdt@forceOrder")) >= 2)

    marks, lists, closed, all_closed = (of(messages, name) for name in names)
    assert marks == [item for listed in lists for item in listed if item["s"] == "BTCUSDT"]
    assert closed == [item for item in all_closed if item["o"]["s"] == "BTCUSDT"]
    for items in (lists[0], all_closed):
        assert {("BTCUSDT", 1), ("ETHUSDT", 1), ("BTCUSD_PERP", 2)} < contracts(items)
    lines = await served(session, kind="liquidations", market="binance:um", symbol="ALL")
    assert [line["item"] for line in lines] == all_closed


async def test_a_recorded_connection_is_played_whole_from_the_first_subscription(open_exchange, six_trades) -> None:
    session = await open_exchange(RecordedMarket({}), feed=six_trades)
    async with session.ws_connect("/ws/btcusdt@trade") as socket:
        trades = [await socket.receive_json() for _ in range(6)]
    assert trades == [{**TRADE, "t": number} for number in range(6)]
    lines = await served(session, symbol="BTCUSDT", kind="trades")
    assert [(line["item"], line["times"]) for line in lines] == [(trade, 1) for trade in trades]


async def test_of_recorded_candles_the_closed_ones_are_served(open_exchange, open_and_closed_candle) -> None:
    session = await open_exchange(RecordedMarket({}), feed=open_and_closed_candle)
    async with session.ws_connect("/ws/nknusdt@kline_1m") as socket:
        assert [(await socket.receive_json())["k"]["x"] for _ in range(2)] == [False, True]
    (line,) = await served(session, kind="candles_1m")
    assert line["item"]["E"] == 1


def test_a_line_that_is_no_frame_is_named(tmp_path) -> None:
    with gzip.open(tmp_path / "btcusdt_1.gz", "wt") as lines:
        lines.write('17 {"stream":"a@trade","data":{}}\nnonsense\n')
    with pytest.raises(RecordingError, match="line 2"):
        read_captures(tmp_path)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("lost_message", [0, 1, 3, 4, 5]), ("duplicated_message", [0, 1, 2, 2, 3, 4, 5]), ("stall", [0, 1])],
)
async def test_messages_are_lost_and_repeated_on_demand(open_exchange, six_trades, kind, expected) -> None:
    session = await open_exchange(RecordedMarket({}), feed=six_trades)
    await plan(session, kind, after=2, seconds=600)
    async with session.ws_connect("/ws/btcusdt@trade") as socket:
        assert [(await socket.receive_json())["t"] for _ in expected] == expected
        assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade"]
    assert await fired(session) == 1
    lines = await served(session, kind="trades")
    assert [number for line in lines for number in [line["item"]["t"]] * line["times"]] == expected


async def test_a_connection_is_cut_on_demand_and_the_next_one_goes_on(open_exchange, six_trades) -> None:
    session = await open_exchange(RecordedMarket({}), feed=six_trades)
    await plan(session, "disconnect", after=2)
    numbers = []
    for _ in range(2):
        async with session.ws_connect("/ws/btcusdt@trade") as socket:
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                numbers.append(message.json()["t"])
                if numbers[-1] == 5:
                    break
    lines = await served(session, kind="trades")
    assert 5 in numbers
    assert 2 not in numbers
    assert set(numbers) <= {line["item"]["t"] for line in lines}


async def test_who_leaves_with_a_full_backlog_holds_up_nobody() -> None:
    connection = Connection(None, None, Ledger(), is_combined=False)
    push = Push(Topic("binance:spot", "btcusdt@trade"), b"{}", None)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(10_000):
            await connection.put(push, waits=True)
        waiting = group.create_task(connection.put(push, waits=True))
        await asyncio.sleep(0)
        assert not waiting.done()
        connection.end()


async def test_a_shutdown_is_told_before_the_connection_is_cut(open_exchange, six_trades) -> None:
    session = await open_exchange(RecordedMarket({}), feed=six_trades)
    await plan(session, "server_shutdown", after=1, seconds=0.1)
    async with session.ws_connect("/stream?streams=btcusdt@trade") as socket:
        messages = [await socket.receive_json() for _ in range(7)]
        assert (messages[2]["stream"], messages[2]["data"]["e"]) == ("!serverShutdown", "serverShutdown")
        assert (await socket.receive()).type in ENDS


async def test_a_connection_ends_when_its_time_is_over(open_exchange) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=MovedClock(), connection_s=0.2)
    async with session.ws_connect("/ws") as socket:
        assert (await socket.receive()).type in ENDS
        assert socket.close_code == 1001
    async with session.get("/_sim/requests") as response:
        (line,) = (await response.text()).splitlines()
    assert (json.loads(line)["path"], json.loads(line)["status"]) == ("/ws", 101)


async def test_topics_of_bybit_are_granted_and_refused_and_a_ping_is_answered(open_exchange) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=MovedClock())

    async def send(socket: ClientWebSocketResponse, **message: object) -> tuple[bool, str, str]:
        await socket.send_json({"req_id": "7", **message})
        answer = await socket.receive_json()
        assert answer["req_id"] == "7"
        return answer["success"], answer["op"], answer["ret_msg"]

    async with session.ws_connect("/v5/public/spot") as socket:
        assert await send(socket, op="subscribe", args=["publicTrade.BTCUSDT"]) == (True, "subscribe", "")
        assert await send(socket, op="subscribe", args=["poetry.BTCUSDT"]) == (
            False,
            "subscribe",
            "Invalid topic: poetry.BTCUSDT",
        )
        many = [f"publicTrade.S{number}USDT" for number in range(11)]
        assert (await send(socket, op="subscribe", args=many))[0] is False
        assert await send(socket, op="ping") == (True, "ping", "pong")
    async with session.ws_connect("/v5/public/linear") as socket:
        assert (await send(socket, op="subscribe", args=many))[0] is True
        far_too_many = [f"publicTrade.S{number}USDT" for number in range(1_200)]
        assert (await send(socket, op="subscribe", args=far_too_many))[0] is False


async def test_trades_and_candles_of_bybit_are_pushed(open_exchange, other_markets) -> None:
    clock = MovedClock()
    session = await open_exchange(SimulatedMarket(0), clock=clock, others=other_markets)
    for market in ("spot", "linear"):
        async with session.ws_connect(f"/v5/public/{market}") as socket:
            await socket.send_json({"op": "subscribe", "args": ["publicTrade.BTCUSDT", "kline.1.BTCUSDT"]})
            messages = await pushed_as_time_goes_by(socket, clock, lambda it: any(map(closes, it)))
        query = {"symbol": "BTCUSDT", "market": f"bybit:{market}"}
        trades = [line["item"] for line in await served(session, **query, kind="trades")]
        pushed = [item for it in messages if it.get("topic") == "publicTrade.BTCUSDT" for item in it["data"]]
        name = "id" if market == "spot" else "a"
        assert [item["i"] for item in pushed] == [str(row[name]) for row in trades]
        (candle,) = [it["data"][0] for it in messages if closes(it)]
        (line,) = [line for line in await served(session, **query, kind="candles_1m") if not line["open"]]
        assert [candle[it] for it in ("start", "open", "high", "low", "close", "volume")] == line["item"][:6]


def closes(message) -> bool:
    return message.get("topic", "").startswith("kline") and message["data"][0]["confirm"]


async def test_of_a_recorded_message_with_two_candles_the_closed_one_is_served(open_exchange, two_candles) -> None:
    session = await open_exchange(RecordedMarket({}), feed=two_candles)
    async with session.ws_connect("/v5/public/linear") as socket:
        await socket.send_json({"op": "subscribe", "args": ["kline.1.ETHUSDT"]})
        messages = [await socket.receive_json() for _ in range(2)]
    assert [bar["confirm"] for message in messages if "topic" in message for bar in message["data"]] == [True, False]
    (line,) = await served(session, kind="candles_1m")
    assert (line["market"], line["item"]["start"]) == ("bybit:linear", 1)
