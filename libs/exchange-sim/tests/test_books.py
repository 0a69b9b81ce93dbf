"""Simulated and recorded order books: their sequences, their snapshots, and that both tell the same book."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from exchange_sim.exchange import OtherMarkets
from exchange_sim.recording.market import RecordedMarket
from exchange_sim.simulation.books import MOMENT_US, SimulatedBooks
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket
from exchange_sim.streaming.captures import CaptureFeed, read_captures

AUGUST_2024_US = 1_722_470_400_000_000
Sides = tuple[dict[str, str], dict[str, str]]


class SteppedClock:
    """Goes on by a moment and a bit whenever it is asked."""

    def __init__(self) -> None:
        self.now_us = AUGUST_2024_US

    def __call__(self) -> int:
        self.now_us += MOMENT_US + 13_000
        return self.now_us


@pytest.fixture
def other_markets() -> OtherMarkets:
    return OtherMarkets(
        um=SimulatedDerivatives(0, "binance:um"),
        bybit_spot=SimulatedMarket(0, "bybit:spot"),
        linear=SimulatedDerivatives(0, "bybit:linear"),
    )


def changed(book: Sides, bids: list[list[str]], asks: list[list[str]]) -> Sides:
    """Apply a difference in the plainest way there is."""
    after = ({**book[0], **dict(bids)}, {**book[1], **dict(asks)})
    return tuple({p: q for p, q in side.items() if float(q)} for side in after)  # type: ignore[return-value]


async def true_book(session: ClientSession, market: str, update_id: int) -> Sides:
    query = {"market": market, "symbol": "BTCUSDT", "update_id": str(update_id)}
    async with session.get("/_sim/book", params=query) as response:
        book = await response.json()
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    return dict(book["bids"]), dict(book["asks"])


@pytest.mark.parametrize("market", ["binance:spot", "binance:um", "bybit:spot", "bybit:linear"])
def test_every_moment_leads_from_one_book_to_the_next_and_no_book_is_crossed_on_the_way(market: str) -> None:
    book = SimulatedBooks(0).book(market, "BTCUSDT")
    assert book is not None
    start = AUGUST_2024_US // MOMENT_US
    view = book.book_at_end(start)
    for number in range(start + 1, start + 40):
        moment, sides = book.moment(number), (dict(view.bids), dict(view.asks))
        assert moment.before_id == view.update_id < moment.first_id <= moment.last_id
        assert len(moment.changes) <= moment.last_id - moment.first_id + 1 or market.startswith("bybit:")
        for is_bid, price, quantity in moment.changes:
            sides = changed(sides, [[price, quantity]] if is_bid else [], [] if is_bid else [[price, quantity]])
            assert max(map(float, sides[0])) < min(map(float, sides[1]))
        view = book.book_at_end(number)
        assert sides == (dict(view.bids), dict(view.asks))
        assert book.book_at(view.update_id) == view
        assert moment.changes


@pytest.mark.parametrize(
    ("market", "stream", "path"),
    [
        ("binance:spot", "/stream?streams=btcusdt@depth@100ms", "/api/v3/depth"),
        ("binance:um", "/public/stream?streams=btcusdt@depth@0ms", "/fapi/v1/depth"),
    ],
)
async def test_a_snapshot_of_binance_and_the_messages_behind_it_make_the_true_book(
    open_exchange, other_markets: OtherMarkets, market: str, stream: str, path: str
) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=SteppedClock(), others=other_markets)
    async with session.ws_connect(stream) as socket:
        messages = [json.loads((await socket.receive()).data)["data"]]
        async with session.get(path, params={"symbol": "BTCUSDT", "limit": "1000"}) as response:
            snapshot = await response.json()
        while messages[-1]["u"] < snapshot["lastUpdateId"]:
            messages.append(json.loads((await socket.receive()).data)["data"])
        messages += [json.loads((await socket.receive()).data)["data"] for _ in range(5)]
    for before, after in pairwise(messages):
        assert before["u"] == (after["pu"] if market == "binance:um" else after["U"] - 1)
    behind = [it for it in messages if it["u"] > snapshot["lastUpdateId"]]
    whole = await true_book(session, market, snapshot["lastUpdateId"])
    assert snapshot["bids"] == [list(level) for level in whole[0].items()][:1000]
    assert snapshot["asks"] == [list(level) for level in whole[1].items()][:1000]
    book = whole
    for message in behind:
        book = changed(book, message["b"], message["a"])
        assert book == await true_book(session, market, message["u"])
    async with session.get("/_sim/served", params={"kind": "depth_snapshot", "market": market}) as response:
        assert json.loads(await response.text())["item"] == snapshot


async def bybit_message(socket: ClientWebSocketResponse):
    while "topic" not in (message := await socket.receive_json()):
        pass
    return message


async def test_each_subscription_of_bybit_begins_with_all_levels(open_exchange, other_markets: OtherMarkets) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=SteppedClock(), others=other_markets)
    async with session.ws_connect("/v5/public/linear") as socket:
        for _ in range(2):
            await socket.send_json({"op": "subscribe", "args": ["orderbook.200.BTCUSDT"]})
            first = await bybit_message(socket)
            book = changed(({}, {}), first["data"]["b"], first["data"]["a"])
            assert (first["type"], max(map(len, book)) <= 200) == ("snapshot", True)
            update_id = first["data"]["u"]
            for _ in range(3):
                delta = await bybit_message(socket)
                update_id += 1
                book = changed(book, delta["data"]["b"], delta["data"]["a"])
                assert (delta["type"], delta["data"]["u"]) == ("delta", update_id)
                assert book == await true_book(session, "bybit:linear", update_id)
            await socket.send_json({"op": "unsubscribe", "args": ["orderbook.200.BTCUSDT"]})
            while "topic" in await socket.receive_json():
                pass


@pytest.fixture
def recorded(tmp_path: Path) -> CaptureFeed:
    """A difference, a snapshot that lies within the next one, and another difference."""
    lines = [
        {"stream": "btcusdt@depth@100ms", "data": {"e": "depthUpdate", "U": 1, "u": 5, "b": [["9", "1"]], "a": []}},
        {"lastUpdateId": 7, "bids": [["10", "1"]], "asks": [["11", "1"]]},
        {"stream": "btcusdt@depth@100ms", "data": {"e": "depthUpdate", "U": 6, "u": 9, "b": [["10", "2"]], "a": []}},
        {"stream": "btcusdt@depth@100ms", "data": {"e": "depthUpdate", "U": 10, "u": 12, "b": [["10", "0"]], "a": []}},
    ]
    with gzip.open(tmp_path / "btcusdt_20240808.gz", "wt") as file:
        file.writelines(f"{1_723_161_254_087_896_568 + at} {json.dumps(line)}\n" for at, line in enumerate(lines))
    return CaptureFeed(read_captures(tmp_path), speed=0)


async def test_a_recorded_book_is_answered_as_far_as_it_has_been_played(open_exchange, recorded: CaptureFeed) -> None:
    session = await open_exchange(RecordedMarket({}), feed=recorded, books=recorded)
    query = {"symbol": "BTCUSDT"}
    async with session.get("/api/v3/depth", params=query) as response:
        assert await response.json() == {"lastUpdateId": 7, "bids": [["10", "1"]], "asks": [["11", "1"]]}
    async with session.ws_connect("/stream?streams=btcusdt@depth@100ms") as socket:
        assert [json.loads((await socket.receive()).data)["data"]["u"] for _ in range(3)] == [5, 9, 12]
    async with session.get("/api/v3/depth", params=query) as response:
        assert await response.json() == {"lastUpdateId": 12, "bids": [], "asks": [["11", "1"]]}
    assert await true_bids(session, 9) == [["10", "2"]]
    async with session.get("/api/v3/depth", params={"symbol": "ETHUSDT"}) as response:
        assert (await response.json())["code"] == -1121


async def true_bids(session: ClientSession, update_id: int):
    query = {"market": "binance:spot", "symbol": "BTCUSDT", "update_id": str(update_id)}
    async with session.get("/_sim/book", params=query) as response:
        return (await response.json())["bids"]


@pytest.mark.parametrize("kind", ["reordered_message", "truncated_frame"])
async def test_a_message_comes_late_or_cut_off(open_exchange, kind: str) -> None:
    session = await open_exchange(SimulatedMarket(0), clock=SteppedClock())
    plan = [{"path": "*@depth*", "kind": kind, "after": 1}]
    async with session.put("/_sim/faults", json=plan) as response:
        assert response.status == 200
    async with session.ws_connect("/stream?streams=btcusdt@depth@100ms") as socket:
        texts = [(await socket.receive()).data for _ in range(4)]
    if kind == "truncated_frame":
        with pytest.raises(json.JSONDecodeError):
            json.loads(texts.pop(1))
        first, third, fourth = (json.loads(text)["data"] for text in texts)
        assert (third["U"], fourth["U"]) == (first["u"] + 512 + 1, third["u"] + 1)
    else:
        first, third, second, fourth = (json.loads(text)["data"] for text in texts)
        assert (second["U"], third["U"], fourth["U"]) == (first["u"] + 1, second["u"] + 1, third["u"] + 1)
