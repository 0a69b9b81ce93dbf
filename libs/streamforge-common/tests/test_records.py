"""What is a record, and what is not: the check that stands between the topic and the database."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.contract.records import AggTrade, Candle
from streamforge_common.errors import RejectedRecordError

CHECKS = {name: RecordCheck("binance", "spot", "BTCUSDT", record_kind(f"candles_{name}")) for name in INTERVALS}
TRADES = RecordCheck("binance", "spot", "BTCUSDT", record_kind("agg_trades"))
finite = st.floats(allow_nan=False, allow_infinity=False)


def record(open_time: int = 1_722_470_400_000, **changes: Any) -> dict[str, Any]:
    fields = {
        "_key": f"binance:spot:BTCUSDT:candles_5m:{open_time}",
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "candles_5m",
        "open_time": open_time,
        "close_time": open_time + 299_999,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.5),
    }
    return {**fields, **changes}


@given(st.sampled_from(INTERVALS), st.integers(0, 4_000_000_000_000), st.lists(finite, min_size=5, max_size=5))
def test_what_a_loader_encodes_is_a_record(name: str, time_ms: int, numbers: list[float]) -> None:
    interval = Interval(name)
    open_time = interval.floor(time_ms) if interval.floor(time_ms) >= 0 else interval.ceil(time_ms)
    kind = f"candles_{name}"
    names = ("open", "high", "low", "close", "volume")
    candle = Candle(
        key=f"binance:spot:BTCUSDT:{kind}:{open_time}",
        exchange="binance",
        market="spot",
        symbol="BTCUSDT",
        type=kind,
        open_time=open_time,
        close_time=interval.close_time(open_time),
        **dict(zip(names, numbers, strict=True)),
    )
    value = msgspec.json.encode(candle)
    assert CHECKS[name].check(value) == candle
    assert "trades" not in json.loads(value)


@given(st.sampled_from(INTERVALS), st.binary())
def test_any_bytes_are_a_record_or_rejected(name: str, value: bytes) -> None:
    with pytest.raises(RejectedRecordError):
        CHECKS[name].check(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda it: st.lists(it), max_leaves=3
)


@given(st.sampled_from(INTERVALS), st.sampled_from(sorted(record())), json_values)
def test_any_value_in_any_field_is_a_record_or_rejected(name: str, field: str, value: Any) -> None:
    changed = {**record(type=f"candles_{name}", _key=f"binance:spot:BTCUSDT:candles_{name}:1"), field: value}
    if field == "open_time":
        changed["_key"] = f"binance:spot:BTCUSDT:candles_{name}:{value}"
    try:
        checked = CHECKS[name].check(json.dumps(changed).encode())
    except RejectedRecordError:
        return
    assert checked.key == changed["_key"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (record(symbol="ETHUSDT"), "does not belong"),
        (record(_key="binance:spot:BTCUSDT:candles_5m:1"), "is not that of open_time"),
        (record(close_time=1_722_470_400_000), "does not fit open time"),
        (record(1_722_470_400_001), "is not on the grid"),
        (record(open=None), "Expected `float`"),
        (record(trades=-1), "Expected `int` >= 0"),
        (record(open_time=1_722_470_400_000_000), "Expected `int` <="),
        ({}, "missing required field"),
        ([], "not a candles_5m record"),
    ],
)
def test_the_reason_says_what_is_wrong(value: Any, why: str) -> None:
    with pytest.raises(RejectedRecordError, match=why):
        CHECKS["5m"].check(json.dumps(value).encode())


def test_a_record_of_a_basket_belongs_to_one_of_its_symbols_and_has_its_key() -> None:
    check = RecordCheck("binance", "spot", "MULTI", record_kind("candles_5m"), ["ETHUSDT", "BTCUSDT"]).check
    assert check(json.dumps(record()).encode()).symbol == "BTCUSDT"
    with pytest.raises(RejectedRecordError, match="is not that of open_time"):
        check(json.dumps(record(symbol="ETHUSDT")).encode())
    with pytest.raises(RejectedRecordError, match="does not belong to 'binance:spot:MULTI:candles_5m:'"):
        check(json.dumps(record(symbol="LTCUSDT")).encode())


def test_unknown_fields_are_left_alone() -> None:
    assert CHECKS["5m"].check(json.dumps(record(note="later")).encode()).key == record()["_key"]


def trade(**changes: Any) -> dict[str, Any]:
    fields = {
        "_key": "binance:spot:BTCUSDT:agg_trades:26129",
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "agg_trades",
        "agg_trade_id": 26129,
        "price": 0.01633102,
        "quantity": 4.70443515,
        "first_trade_id": 27781,
        "last_trade_id": 27782,
        "trade_time": 1498793709153,
        "is_buyer_maker": True,
    }
    return {**fields, **changes}


def test_an_aggregate_trade_is_read_and_written_as_it_is() -> None:
    read = TRADES.check(json.dumps(trade()).encode())
    assert isinstance(read, AggTrade)
    assert json.loads(msgspec.json.encode(read)) == trade()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (trade(agg_trade_id=26130), "is not that of agg_trade_id 26130"),
        (trade(_key="binance:spot:BTCUSDT:agg_trades:026129"), "is not that of agg_trade_id"),
        (trade(is_buyer_maker="true"), "Expected `bool`"),
        (trade(trade_time=1498793709153000), "Expected `int` <="),
        (trade(type="trades"), "does not belong"),
        (record(), "not a agg_trades record"),
    ],
)
def test_what_is_no_aggregate_trade_of_the_dataset_is_rejected(value: Any, why: str) -> None:
    with pytest.raises(RejectedRecordError, match=why):
        TRADES.check(json.dumps(value).encode())
