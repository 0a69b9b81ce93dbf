"""Binance's answers: read exactly, and nothing but RejectedRecordError for what is none."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.records import AggTrade, Record, Trade
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.exchanges.rest import End

SHARED = Path(__file__).parents[4] / "shared/data"
DECIMALS = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
ROW = [1499040000000, *5 * ["0.1"], 1499644799999, "2.5", 308, "1.5", "3.5", "0"]


CANDLES, TRADES = SPOT.histories["candles_5m"], SPOT.histories["agg_trades"]
TRADE = {"a": 26129, "p": "0.01633102", "q": "4.70443515", "f": 27781, "l": 27782, "T": 1498793709153, "m": True}


def parse(body: bytes) -> Sequence[Record]:
    return CANDLES.parse(body, "BTCUSDT")


def parse_trades(body: bytes) -> Sequence[Record]:
    return TRADES.parse(body, "BTCUSDT")


def parse_limit(body: bytes) -> int | None:
    return SPOT.parse_limit(body, "BTCUSDT")


def test_every_recorded_decimal_is_read_as_the_nearest_double() -> None:
    recording = SHARED / "binance-candles/BTCUSDT-5m-2022-07-14_2022-08-16.csv.gz"
    if not recording.exists():
        pytest.skip("the recorded candles in ../shared/data are not here")
    with gzip.open(recording, "rt") as lines:
        rows = [line.rstrip("\n").split(",") for line in lines]
    body = json.dumps([[int(row[0]), *row[1:6], int(row[6]), row[7], int(row[8]), *row[9:]] for row in rows]).encode()
    for candle, row in zip(parse(body), rows, strict=True):
        assert (candle.open_time, candle.close_time, candle.trades) == (int(row[0]), int(row[6]), int(row[8]))
        for field, at in DECIMALS.items():
            assert getattr(candle, field) == float(row[at])


def test_an_aggregate_trade_is_read_under_the_names_of_the_contract() -> None:
    body = json.dumps([{**TRADE, "M": True, "nq": "later"}]).encode()
    assert parse_trades(body) == [
        AggTrade(
            key="binance:spot:BTCUSDT:agg_trades:26129",
            exchange="binance",
            market="spot",
            symbol="BTCUSDT",
            type="agg_trades",
            agg_trade_id=26129,
            price=0.01633102,
            quantity=4.70443515,
            first_trade_id=27781,
            last_trade_id=27782,
            trade_time=1498793709153,
            is_buyer_maker=True,
        )
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("p", "nan"), ("q", "inf"), ("p", None), ("a", -1), ("a", 2**60), ("T", 10**18), ("m", 3), ("f", -2)],
)
def test_a_row_that_is_no_aggregate_trade_spoils_the_page(field: str, value: object) -> None:
    with pytest.raises(RejectedRecordError):
        parse_trades(json.dumps([TRADE, {**TRADE, field: value}]).encode())


def test_trades_are_asked_for_by_id_and_the_ends_of_a_range_by_time() -> None:
    assert TRADES.ends is not None
    page = TRADES.request("BTCUSDT", 100, 1_099)
    assert dict(page.params) == {"symbol": "BTCUSDT", "fromId": "100", "limit": "1000"}
    first, last = TRADES.ends.first("BTCUSDT", 5_000), TRADES.ends.last("BTCUSDT", 9_000)
    assert dict(first.params) == {"symbol": "BTCUSDT", "startTime": "5000", "limit": "1"}
    assert dict(last.params) == {"symbol": "BTCUSDT", "endTime": "8999", "limit": "1"}
    assert (page.weight, first.weight, last.weight) == (4, 4, 4)


def test_a_trade_is_read_under_the_names_of_the_contract() -> None:
    captured = SHARED / "json-fixtures/binance/spot/http_json/trades_response.json"
    if not captured.exists():
        pytest.skip("the captured answers in ../shared/data are not here")
    rows = json.loads(captured.read_bytes())
    assert SPOT.histories["trades"].parse(captured.read_bytes(), "BTCUSDT") == [
        Trade(
            key=f"binance:spot:BTCUSDT:trades:{row['id']}",
            exchange="binance",
            market="spot",
            symbol="BTCUSDT",
            type="trades",
            trade_id=row["id"],
            price=float(row["price"]),
            quantity=float(row["qty"]),
            quote_quantity=float(row["quoteQty"]),
            trade_time=row["time"],
            is_buyer_maker=row["isBuyerMaker"],
        )
        for row in rows
    ]


def test_single_trades_are_asked_for_by_id_and_their_ends_through_the_aggregate_trades() -> None:
    history = SPOT.histories["trades"]
    assert history.ends is not None
    page = history.request("BTCUSDT", 100, 1_099)
    assert (page.path, page.weight) == ("/api/v3/historicalTrades", 25)
    assert dict(page.params) == {"symbol": "BTCUSDT", "fromId": "100", "limit": "1000"}
    assert history.ends.first("BTCUSDT", 5_000).path == "/api/v3/aggTrades"
    body = json.dumps([TRADE]).encode()
    assert history.ends.parse_first(body, "BTCUSDT") == [End(27781, 1498793709153)]
    assert history.ends.parse_last(body, "BTCUSDT") == [End(27782, 1498793709153)]
    nameless = json.dumps([{**TRADE, "f": -1, "l": -1}]).encode()
    with pytest.raises(RejectedRecordError):
        history.ends.parse_first(nameless, "BTCUSDT")


def test_the_captured_answer_of_the_exchange_is_read() -> None:
    captured = SHARED / "json-fixtures/binance/spot/http_json/klines_response.json"
    if not captured.exists():
        pytest.skip("the captured answers in ../shared/data are not here")
    assert parse(captured.read_bytes())


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20))
def test_any_decimal_string_is_read_as_the_nearest_double(number: object) -> None:
    text = f"{number:f}"
    [candle] = parse(json.dumps([[ROW[0], text, *ROW[2:]]]).encode())
    assert candle.open == float(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e400", "1_0", " 1", "0x1", ""])
def test_what_is_no_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(RejectedRecordError):
        parse(json.dumps([[ROW[0], text, *ROW[2:]]]).encode())


@pytest.mark.parametrize("at", [0, 6, 8])
@pytest.mark.parametrize("number", [-1, 10**30, "1e99", None, 1.5])
def test_a_time_or_count_beyond_all_bounds_is_refused(at: int, number: object) -> None:
    with pytest.raises(RejectedRecordError):
        parse(json.dumps([[*ROW[:at], number, *ROW[at + 1 :]]]).encode())


@pytest.mark.parametrize("read", [parse, parse_trades, SPOT.parse_time, parse_limit])
@given(
    body=st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda it: json.dumps(it).encode())
)
def test_any_body_is_read_or_rejected(read: Callable[[bytes], object], body: bytes) -> None:
    try:
        read(body)
    except RejectedRecordError:
        return


@given(st.binary())
def test_a_refusal_is_understood_or_not_one(body: bytes) -> None:
    assert SPOT.parse_refusal(400, body) is None


def test_the_exchanges_own_words_are_kept() -> None:
    refusal = SPOT.parse_refusal(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert refusal is not None
    assert (refusal.code, refusal.message) == (-1121, "Invalid symbol.")


def test_the_limit_is_that_of_weight_per_minute() -> None:
    orders = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100}
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
    assert parse_limit(json.dumps({"rateLimits": [orders, weight]}).encode()) == 1200
    assert parse_limit(json.dumps({"rateLimits": [orders]}).encode()) is None


def test_a_month_is_asked_for_as_binance_writes_it() -> None:
    request = SPOT.histories["candles_1mo"].request("BTCUSDT", 1, 2)
    assert request.params["interval"] == "1M"
