"""What holds for every market's live streams, and what all recorded connections prove of their parsers."""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.contract.records import Record
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import STREAM_MARKETS
from streamforge_common.exchanges.streams import Answered, Heartbeat, Leaving, Pushed, Stream, StreamMarket
from streamforge_common.settings import ExchangeSettings

SHARED = Path(__file__).parents[4] / "shared/data"
FIXTURES = SHARED / "json-fixtures"
RECEIVED_MS = 1_723_161_254_087
BINANCE_SPOT, BINANCE_UM = STREAM_MARKETS["binance", "spot"], STREAM_MARKETS["binance", "um"]
BYBIT_SPOT, BYBIT_LINEAR = STREAM_MARKETS["bybit", "spot"], STREAM_MARKETS["bybit", "linear"]
MARKETS = [pytest.param(market, id=f"{market.exchange}-{market.market}") for market in STREAM_MARKETS.values()]
STREAMS = [
    pytest.param(market, stream, id=f"{market.exchange}-{market.market}-{kind}")
    for market in STREAM_MARKETS.values()
    for kind, stream in market.streams.items()
    if DataType.parse(f"ws_{kind}").family is None or kind.endswith("_5m")
]
"""One interval stands for all of its family."""
CAPTURES = [
    pytest.param(*capture, id=capture[0])
    for capture in (
        ("binance-ws-2024-08/btcusdt_20240808.gz", BINANCE_SPOT),
        ("binance-ws-2024-08/btcusdt_20240809.gz", BINANCE_SPOT),
        ("binance-ws-2024-08/usdm_btcusdt_20240808.gz", BINANCE_UM),
        ("binance-ws-2021-10/binance_spot.jsonl.gz", BINANCE_SPOT),
        ("binance-ws-2021-10/binance_us.jsonl.gz", BINANCE_SPOT),
        ("bybit-ws-2026-08/bybit_v5.jsonl.gz", BYBIT_LINEAR),
    )
]
TRADE = {"price": "p", "quantity": "q"}
DECIMALS: dict[str, dict[str, dict[str, str]]] = {
    "binance": {
        "trades": TRADE,
        "agg_trades": TRADE,
        "depth": {},
        "book_ticker": {"bid_price": "b", "bid_quantity": "B", "ask_price": "a", "ask_quantity": "A"},
        "candles_1m": {
            "open": "o",
            "high": "h",
            "low": "l",
            "close": "c",
            "volume": "v",
            "quote_volume": "q",
            "taker_buy_volume": "V",
            "taker_buy_quote_volume": "Q",
        },
    },
    "bybit": {
        "trades": {"price": "p", "quantity": "v"},
        "candles_1m": {
            **{name: name for name in ("open", "high", "low", "close", "volume")},
            "quote_volume": "turnover",
        },
        "mark_price": {"mark_price": "markPrice", "index_price": "indexPrice", "funding_rate": "fundingRate"},
        "depth": {},
    },
}
"""Field of the record to the exchange's name of it; of the levels of books the loader's tests tell."""
BINANCE_KINDS = {"trade": "trades", "aggTrade": "agg_trades", "bookTicker": "book_ticker", "kline_1m": "candles_1m"}
BINANCE_KINDS |= {"depth@100ms": "depth", "depth@0ms": "depth"}
BYBIT_KINDS = {"publicTrade": "trades", "kline": "candles_1m", "tickers": "mark_price", "orderbook": "depth"}


def frames_of(name: str) -> Iterator[bytes]:
    """Read the frames that were received, in either of the two line formats."""
    path = SHARED / name
    if not path.exists():
        pytest.skip("the recorded connections in ../shared/data are not here")
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith("{"):
                kept = json.loads(line)
                if kept["t"] == "recv":
                    yield kept["data"].encode()
            elif (text := line.partition(" ")[2]).startswith('{"stream"'):
                yield text.encode()


def independent_items(frame: bytes, exchange: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Tell what a frame holds by plain JSON alone: kind, symbol and the exchange's own fields."""
    read = json.loads(frame)
    if exchange == "binance":
        symbol, _, suffix = read["stream"].partition("@")
        item = read["data"]
        if suffix in BINANCE_KINDS and item.get("k", {"x": True})["x"]:
            yield BINANCE_KINDS[suffix], symbol.upper(), item.get("k", item)
    elif "topic" in read and (kind := BYBIT_KINDS.get(read["topic"].partition(".")[0])):
        items = read["data"] if isinstance(read["data"], list) else [read["data"]]
        for item in items:
            if item.get("confirm", True) and (kind != "mark_price" or "markPrice" in item):
                yield kind, read["topic"].rpartition(".")[2], item


@pytest.mark.parametrize(("name", "market"), CAPTURES)
def test_every_recorded_message_is_read_without_loss(name: str, market: StreamMarket) -> None:
    expected = defaultdict(list)
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for frame in frames_of(name):
        for kind, symbol, item in independent_items(frame, market.exchange):
            expected[kind, symbol].append(item)
        incoming = market.read(frame)
        if not isinstance(incoming, Pushed):
            assert isinstance(incoming, Answered | Heartbeat)
            continue
        symbol = incoming.stream.rpartition(".")[2].partition("@")[0].upper()
        streams = [stream for stream in market.streams.values() if stream.name(symbol) == incoming.stream]
        # Books are made of the differences.
        streams = [stream for stream in streams if stream.kind.name != "order_book"]
        for stream in streams:
            found[stream.kind.name, symbol] += stream.parse(incoming.message, symbol, RECEIVED_MS).records

    assert sum(map(len, found.values())) > 0
    assert Counter({of: len(records) for of, records in found.items() if records}) == Counter(
        {of: len(items) for of, items in expected.items()}
    )
    for (kind, symbol), items in expected.items():
        check = RecordCheck(market.exchange, market.market, symbol, record_kind(kind)).check
        names = DECIMALS[market.exchange][kind]
        for record, item in zip(found[kind, symbol], items, strict=True):
            assert check(msgspec.json.encode(record)) == record
            for field, theirs in names.items():
                stored = getattr(record, field)
                assert stored == (float(item[theirs]) if theirs in item else msgspec.UNSET)


NAMES = ["e", "E", "s", "k", "o", "data", "topic", "stream", "ts", "cts", "b", "a", "u"]
messages = st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["BTCUSDT", "1.5"]),
    lambda it: st.lists(it) | st.dictionaries(st.sampled_from(NAMES), it),
    max_leaves=8,
).map(lambda it: json.dumps(it).encode())


@pytest.mark.parametrize(("market", "stream"), STREAMS)
@given(message=messages)
def test_any_message_is_read_or_rejected(market: StreamMarket, stream: Stream, message: bytes) -> None:
    kind = stream.kind if stream.book is None else record_kind("depth")
    check = RecordCheck(market.exchange, market.market, "BTCUSDT", kind)
    with suppress(RejectedRecordError):
        for record in stream.parse(message, "BTCUSDT", RECEIVED_MS).records:
            if kind.fault_of(record) is None:
                assert check.check(msgspec.json.encode(record)) == record


@pytest.mark.parametrize("market", MARKETS)
@given(frame=messages)
def test_any_frame_is_something_or_rejected(market: StreamMarket, frame: bytes) -> None:
    with suppress(RejectedRecordError):
        market.read(frame)


@pytest.mark.parametrize("market", MARKETS)
def test_every_market_has_an_address_and_kinds_that_the_platform_knows(market: StreamMarket) -> None:
    assert getattr(ExchangeSettings(), market.base_url_setting).startswith("wss://")
    names = {(stream.path, stream.name("BTCUSDT")) for stream in market.streams.values()}
    # Books are made of the differences.
    assert len(names) == len(market.streams) - 1
    assert not market.streams.keys() & market.lacks.keys()
    for kind, stream in market.streams.items():
        assert DataType.parse(f"ws_{kind}").kind == kind
        assert record_kind(kind) is stream.kind


def read_one(market: StreamMarket, kind: str, item: object, symbol: str = "BTCUSDT") -> dict[str, Any]:
    """Read a message that holds one record, and return it as it is published, without its identity."""
    (record,) = market.streams[kind].parse(json.dumps(item).encode(), symbol, RECEIVED_MS).records
    assert market.streams[kind].kind.fault_of(record) is None
    published = msgspec.json.encode(record)
    assert RecordCheck(market.exchange, market.market, symbol, record_kind(kind)).check(published) == record
    fields = json.loads(published)
    return {name: fields[name] for name in fields if name not in ("exchange", "market", "symbol", "type")}


def test_documented_messages_of_futures_are_read_under_the_names_of_the_contract() -> None:
    mark = {"e": "markPriceUpdate", "E": 1562305380000, "s": "BTCUSDT", "p": "11794.15", "i": "11784.62", "st": 1}
    funding = {"r": "0.00038167", "T": 1562306400000}
    expected = {"event_time": 1562305380000, "mark_price": 11794.15, "index_price": 11784.62}
    key = "binance:um:BTCUSDT:mark_price:1562305380000"
    assert read_one(BINANCE_UM, "mark_price", mark | funding) == expected | {
        "_key": key,
        "funding_rate": 0.00038167,
        "next_funding_time": 1562306400000,
    }
    assert read_one(BINANCE_UM, "mark_price", mark | {"r": "", "T": 0}) == expected | {"_key": key}

    order = {"s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "q": "0.014", "p": "9910.00", "T": 1568014460890}
    assert read_one(BINANCE_UM, "liquidations", {"e": "forceOrder", "E": 1568014460893, "o": order}) == {
        "_key": "binance:um:BTCUSDT:liquidations:1568014460890-sell-9910.0-0.014-0",
        "event_time": 1568014460893,
        "trade_time": 1568014460890,
        "side": "sell",
        "price": 9910.0,
        "quantity": 0.014,
        "position_side": "long",
    }


def test_a_trade_that_is_not_of_the_market_is_passed_over_and_not_missing() -> None:
    trade = {"e": "trade", "s": "BTCUSDT", "t": 7, "p": "1", "q": "2", "T": 3, "m": True, "X": "INSURANCE_FUND"}
    parsed = BINANCE_UM.streams["trades"].parse(json.dumps(trade).encode(), "BTCUSDT", RECEIVED_MS)
    assert (parsed.records, parsed.passed_over) == ((), (7,))


def test_equal_liquidations_of_one_message_stay_two_and_the_side_is_that_of_the_position() -> None:
    closed = {"T": 1739502302929, "s": "BTCUSDT", "S": "Buy", "v": "20000", "p": "0.04499"}
    message = {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": 1739502303204, "data": [closed, closed]}
    parsed = BYBIT_LINEAR.streams["liquidations"].parse(json.dumps(message).encode(), "BTCUSDT", RECEIVED_MS)
    tails = [record.key.removeprefix("bybit:linear:BTCUSDT:liquidations:") for record in parsed.records]
    assert tails == [f"1739502302929-buy-0.04499-20000.0-{number}" for number in (0, 1)]
    assert {record.position_side for record in parsed.records} == {"long"}


def test_best_prices_of_bybit_are_named_by_time_and_update_and_an_empty_side_is_absent() -> None:
    message = {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "ts": 1672304484978, "cts": 1672304484976}
    message["data"] = {"s": "BTCUSDT", "b": [["16493.50", "0.006"]], "a": [], "u": 18521288, "seq": 7961638724}
    assert read_one(BYBIT_SPOT, "book_ticker", message) == {
        "_key": "bybit:spot:BTCUSDT:book_ticker:1672304484976-18521288",
        "update_id": 18521288,
        "bid_price": 16493.5,
        "bid_quantity": 0.006,
        "event_time": 1672304484976,
    }


def test_best_prices_without_a_time_carry_when_they_were_received() -> None:
    ticker = {"u": 7, "s": "BTCUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}
    assert read_one(BINANCE_SPOT, "book_ticker", ticker)["receipt_time"] == RECEIVED_MS


def test_candles_of_months_have_the_exchanges_name_and_the_contracts_kind() -> None:
    stream = BINANCE_SPOT.streams["candles_1mo"]
    assert stream.name("BTCUSDT") == "btcusdt@kline_1M"
    bar = dict.fromkeys("ochlvqVQ", "1.5") | {"t": 1722470400000, "T": 1725148799999, "i": "1M", "n": 1, "x": True}
    fields = read_one(BINANCE_SPOT, "candles_1mo", {"e": "kline", "s": "BTCUSDT", "k": bar})
    assert fields["_key"] == "binance:spot:BTCUSDT:candles_1mo:1722470400000"


@pytest.mark.parametrize(
    ("market", "frame", "expected"),
    [
        (BINANCE_SPOT, {"result": None, "id": 1}, Answered(None)),
        (BINANCE_SPOT, {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}, Answered("2 Invalid request")),
        (BINANCE_UM, {"code": 2, "msg": "Invalid request", "id": 1}, Answered("2 Invalid request")),
        (BINANCE_SPOT, {"e": "serverShutdown", "E": 1770123456789}, Leaving()),
        (BINANCE_SPOT, {"stream": "!serverShutdown", "data": {"e": "serverShutdown"}}, Leaving()),
        (BYBIT_SPOT, {"success": True, "ret_msg": "pong", "op": "ping"}, Heartbeat()),
        (BYBIT_SPOT, {"success": True, "ret_msg": "", "op": "subscribe"}, Answered(None)),
        (BYBIT_SPOT, {"success": True, "ret_msg": "", "op": "unsubscribe"}, Answered(None)),
        (BYBIT_SPOT, {"success": False, "ret_msg": "Invalid topic", "op": "subscribe"}, Answered("Invalid topic")),
    ],
)
def test_frames_that_are_no_data_are_told_apart(market: StreamMarket, frame: dict[str, Any], expected: object) -> None:
    assert market.read(json.dumps(frame).encode()) == expected


@given(
    contracts=st.lists(
        st.tuples(st.sampled_from(["BTCUSDT", "ETHUSDT", "BTCUSD_PERP"]), st.sampled_from([None, 1, 2]))
    ),
    is_list=st.booleans(),
)
def test_of_an_all_market_stream_the_contracts_with_the_coin_as_margin_are_left_out(
    contracts: list[tuple[str, int | None]], is_list: bool
) -> None:
    stream = BINANCE_UM.streams["mark_price"]
    mark = {"e": "markPriceUpdate", "E": 1_562_305_380_000, "p": "11794.15", "i": "11784.62", "r": "0.0004", "T": 1}
    items = [{**mark, "s": symbol, **({} if margin is None else {"st": margin})} for symbol, margin in contracts]
    message = items if is_list else (items[:1] or [{**mark, "s": "BTCUSDT"}])[0]
    records = stream.parse(json.dumps(message).encode(), "ALL", RECEIVED_MS).records
    given = message if isinstance(message, list) else [message]
    assert [record.symbol for record in records] == [it["s"] for it in given if it.get("st") != 2]
    check = RecordCheck("binance", "um", "ALL", record_kind("mark_price")).check
    assert [check(msgspec.json.encode(record)) for record in records] == list(records)


def test_liquidations_of_all_symbols_are_those_of_each_one() -> None:
    stream = BINANCE_UM.streams["liquidations"]
    order = {
        "s": "BTCUSDT",
        "S": "SELL",
        "o": "LIMIT",
        "f": "IOC",
        "q": "0.014",
        "p": "9910.00000000",
        "T": 1_568_014_460_893,
    }
    message = json.dumps({"e": "forceOrder", "E": 1_568_014_460_893, "o": order, "st": 1}).encode()
    of_all, of_one = (list(stream.parse(message, symbol, RECEIVED_MS).records) for symbol in ("ALL", "BTCUSDT"))
    assert of_all == of_one != []
    assert not stream.parse(message.replace(b'"st": 1', b'"st": 2'), "ALL", RECEIVED_MS).records
    assert (stream.name("ALL"), BINANCE_UM.streams["mark_price"].name("ALL")) == (
        "!forceOrder@arr",
        "!markPrice@arr@1s",
    )


@pytest.mark.parametrize(("market", "stream"), [it for it in STREAMS if it.values[1].is_of_all])
@given(message=messages)
def test_any_message_of_all_symbols_is_read_or_rejected(market: StreamMarket, stream: Stream, message: bytes) -> None:
    with suppress(RejectedRecordError):
        stream.parse(message, "ALL", RECEIVED_MS)


def test_a_difference_of_futures_is_read_best_first_with_the_ids_that_the_exchange_gives() -> None:
    update = {
        "e": "depthUpdate",
        "E": 123456789,
        "T": 123456788,
        "s": "BTCUSDT",
        "st": 1,
        "U": 157,
        "u": 160,
        "pu": 149,
    }
    update |= {"b": [["1.5", "2"], ["1.7", "0.000"], ["1.5", "3"]], "a": [["2.5", "1"], ["1.9", "4"]]}
    assert read_one(BINANCE_UM, "depth", update) == {
        "_key": "binance:um:BTCUSDT:depth:160",
        "event_time": 123456789,
        "first_update_id": 157,
        "last_update_id": 160,
        "previous_update_id": 149,
        "bids": [[1.7, 0.0], [1.5, 3.0]],
        "asks": [[1.9, 4.0], [2.5, 1.0]],
    }


def test_a_book_of_bybit_whose_ids_begin_anew_is_all_levels_whatever_it_calls_itself() -> None:
    message = {"topic": "orderbook.200.BTCUSDT", "type": "delta", "ts": 1672304484978, "cts": 1672304484976}
    message["data"] = {"s": "BTCUSDT", "b": [["16493.50", "0.006"]], "a": [], "u": 1, "seq": 7961638724}
    assert read_one(BYBIT_LINEAR, "depth", message) == {
        "_key": "bybit:linear:BTCUSDT:depth:1672304484976-1",
        "event_time": 1672304484976,
        "last_update_id": 1,
        "is_snapshot": True,
        "bids": [[16493.5, 0.006]],
        "asks": [],
    }
    message["data"]["u"] = 2
    assert "is_snapshot" not in read_one(BYBIT_LINEAR, "depth", message)
