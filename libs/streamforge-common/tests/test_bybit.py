"""Bybit's answers: the envelope, the order of rows, and what a refusal asks for."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.records import Candle, FundingRate, OpenInterest, PriceCandle, Trade
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import STREAM_MARKETS, at_the_same_address
from streamforge_common.exchanges.bybit import LINEAR, SPOT
from streamforge_common.exchanges.rest import RefusedError, RestMarket

FIXTURES = Path(__file__).parents[4] / "shared/data/json-fixtures/bybit"
OPENED_MS = 1_670_608_800_000


def captured(name: str) -> bytes:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip("the captured answers in ../shared/data are not here")
    return path.read_bytes()


def answer(rows: list[object], **result: object) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {**result, "list": rows}, "time": 1}).encode()


def row(open_time: int, *prices: str) -> list[str]:
    return [str(open_time), *prices]


def test_candles_come_newest_first_and_leave_oldest_first_without_what_bybit_does_not_count() -> None:
    rows = [
        row(OPENED_MS + 300_000, "17055.5", "17073", "17027", "17071", "268611", "15.74462667"),
        row(OPENED_MS, "1", "2", "0.5", "1.5", "0", "0"),
    ]
    first, second = SPOT.histories["candles_5m"].parse(answer(rows, category="spot", symbol="BTCUSDT"), "BTCUSDT")
    assert isinstance(first, Candle)
    assert first.open_time == OPENED_MS
    expected = {
        "_key": f"bybit:spot:BTCUSDT:candles_5m:{OPENED_MS + 300_000}",
        "exchange": "bybit",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "candles_5m",
        "open_time": OPENED_MS + 300_000,
        "close_time": OPENED_MS + 599_999,
        "open": 17055.5,
        "high": 17073.0,
        "low": 17027.0,
        "close": 17071.0,
        "volume": 268611.0,
        "quote_volume": 15.74462667,
    }
    assert json.loads(encoded(second)) == expected


def encoded(record: object) -> bytes:
    return msgspec.json.encode(record)


def test_the_captured_candles_are_read() -> None:
    body = captured("http_get_klines_linear.json")
    [candle] = LINEAR.histories["candles_1m"].parse(body, "BTCUSDT")
    [raw] = json.loads(body)["result"]["list"]
    assert isinstance(candle, Candle)
    numbers = [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume]
    assert numbers == [float(text) for text in raw[1:]]


def test_the_captured_funding_is_read_and_names_its_interval() -> None:
    body = captured("http_get_funding_history.json")
    records = LINEAR.histories["funding_rate"].parse(body, "BTCUSDT")
    raw = json.loads(body)["result"]["list"][::-1]
    assert records == [
        FundingRate(
            key=f"bybit:linear:BTCUSDT:funding_rate:{it['fundingRateTimestamp']}",
            exchange="bybit",
            market="linear",
            symbol="BTCUSDT",
            type="funding_rate",
            funding_time=int(it["fundingRateTimestamp"]),
            funding_rate=float(it["fundingRate"]),
        )
        for it in raw
    ]
    spacing = LINEAR.histories["funding_rate"].spacing
    assert spacing is not None
    instruments = captured("http_get_instruments_linear_symbol_type.json")
    assert spacing.parse(instruments, "TSLAUSDT") == 8 * 3_600_000


@pytest.mark.parametrize(("name", "market"), [("linear", LINEAR), ("spot", SPOT)])
def test_a_symbol_is_looked_for_among_the_captured_instruments(name: str, market: RestMarket) -> None:
    body = captured(f"http_get_instruments_{name}.json")
    assert market.parse_limit(body, "BTCUSDT") is None
    with pytest.raises(RefusedError, match="there is no symbol 'NOSUCHUSDT'"):
        market.parse_limit(body, "NOSUCHUSDT")


def test_a_candle_of_a_price_has_five_columns() -> None:
    body = answer([row(OPENED_MS, "-0.0001", "0.5", "-1", "0.25")], symbol="BTCUSDT")
    [candle] = LINEAR.histories["premium_candles_1mo"].parse(body, "BTCUSDT")
    assert isinstance(candle, PriceCandle)
    assert (candle.open, candle.close) == (-0.0001, 0.25)
    assert "mark_candles_5m" not in SPOT.histories


def test_open_interest_is_read_in_the_base_asset_only() -> None:
    body = answer([{"openInterest": "461134384.00000001", "timestamp": str(OPENED_MS), "new": 1}], symbol="BTCUSDT")
    [measured] = LINEAR.histories["open_interest_5m"].parse(body, "BTCUSDT")
    assert isinstance(measured, OpenInterest)
    assert (measured.time, measured.open_interest) == (OPENED_MS, float("461134384.00000001"))
    assert b"open_interest_value" not in encoded(measured)


@pytest.mark.parametrize(
    ("code", "retry_after_s"), [(10001, None), (10006, 5.0), (10018, 5.0), (10016, 0.0), (10000, 0.0)]
)
def test_a_refusal_with_status_200_says_whether_to_ask_again(code: int, retry_after_s: float | None) -> None:
    body = json.dumps({"retCode": code, "retMsg": "no", "result": {}, "retExtInfo": {}, "time": 1}).encode()
    for parse in (LINEAR.histories["candles_1m"].parse, LINEAR.parse_limit):
        with pytest.raises(RefusedError) as refused:
            parse(body, "BTCUSDT")
        assert (refused.value.refusal.code, refused.value.refusal.retry_after_s) == (code, retry_after_s)


def test_too_frequent_access_asks_for_ten_minutes_of_silence() -> None:
    refusal = SPOT.parse_refusal(403, b"<html>Access Too Frequent</html>")
    assert refusal is not None
    assert refusal.retry_after_s == 600
    assert SPOT.parse_refusal(403, b"<html>not from your country</html>") is None


def test_rows_of_another_symbol_are_no_page() -> None:
    with pytest.raises(RejectedRecordError, match="rows of 'ETHUSDT'"):
        SPOT.histories["candles_5m"].parse(answer([], symbol="ETHUSDT"), "BTCUSDT")


@pytest.mark.parametrize("price", ["nan", "inf", "1e400", "1_0", " 1", "", None])
def test_what_is_no_decimal_number_is_refused(price: str) -> None:
    rows = [row(OPENED_MS, price, "1", "1", "1", "1", "1")]
    with pytest.raises(RejectedRecordError):
        SPOT.histories["candles_5m"].parse(answer(rows), "BTCUSDT")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20))
def test_any_decimal_string_is_read_as_the_nearest_double(number: object) -> None:
    text = f"{number:f}"
    [candle] = SPOT.histories["candles_5m"].parse(answer([row(OPENED_MS, *6 * [text])]), "BTCUSDT")
    assert isinstance(candle, Candle)
    assert candle.high == candle.quote_volume == float(text)


def test_pages_are_asked_for_as_windows_that_fit_into_one_answer() -> None:
    request = LINEAR.histories["candles_1d"].request("BTCUSDT", 5, 9)
    window = {"start": "5", "end": "9", "limit": "1000"}
    assert request.path == "/v5/market/kline"
    assert dict(request.params) == {"category": "linear", "symbol": "BTCUSDT", "interval": "D", **window}
    funding = LINEAR.histories["funding_rate"].request("BTCUSDT", 5, 9)
    window = {"startTime": "5", "endTime": "9", "limit": "200"}
    assert dict(funding.params) == {"category": "linear", "symbol": "BTCUSDT", **window}
    measured = LINEAR.histories["open_interest_5m"].request("BTCUSDT", 5, 9)
    assert measured.params["intervalTime"] == "5min"
    assert (request.pool.limit, request.pool.window_s, request.pool.used_header) == (600, 5, None)


def test_both_markets_of_bybit_are_closed_together() -> None:
    assert at_the_same_address("bybit", "spot") == [("bybit", "spot"), ("bybit", "linear")]
    assert at_the_same_address("binance", "um") == [("binance", "um")]


def test_a_trade_is_the_same_record_among_the_latest_and_in_the_stream() -> None:
    """The row is the documentation's, its names those of the stream's message."""
    trade = {"execId": "2100000000007764263", "symbol": "BTCUSDT", "price": "16618.49", "size": "0.00012"}
    latest = [trade | {"side": "Sell", "time": "1672052955758", "isBlockTrade": False, "seq": "1"}]
    latest.append({**latest[0], "execId": "2100000000007764262", "time": "1672052955757"})
    earlier, record = SPOT.latest["trades"].parse(answer(latest), "BTCUSDT")
    pushed = {"T": 1672052955758, "s": "BTCUSDT", "S": "Sell", "v": "0.00012", "p": "16618.49"}
    message = {"topic": "publicTrade.BTCUSDT", "ts": 1, "data": [pushed | {"i": "2100000000007764263"}]}
    stream = STREAM_MARKETS["bybit", "spot"].streams["trades"]
    assert stream.parse(json.dumps(message).encode(), "BTCUSDT", 0).records == [record]
    assert isinstance(earlier, Trade)
    assert earlier.trade_time == 1672052955757
    others = [{**latest[0], "symbol": "ETHUSDT"}]
    with pytest.raises(RejectedRecordError, match="trades of others"):
        SPOT.latest["trades"].parse(answer(others), "BTCUSDT")
