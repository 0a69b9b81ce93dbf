"""What is a record, and what is not: the check that stands between the topic and the database."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.records import Candle, RecordCheck
from streamforge_common.errors import RejectedRecordError

CHECKS = {name: RecordCheck("binance", "spot", "BTCUSDT", DataType.parse(f"api_candles_{name}")) for name in INTERVALS}
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
    assert CHECKS[name].check(value) == candle.key
    assert msgspec.json.decode(value, type=Candle) == candle
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
        key = CHECKS[name].check(json.dumps(changed).encode())
    except RejectedRecordError:
        return
    assert key == changed["_key"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (record(symbol="ETHUSDT"), "does not belong"),
        (record(_key="binance:spot:BTCUSDT:candles_5m:1"), "is not that of open time"),
        (record(close_time=1_722_470_400_000), "does not fit open time"),
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


def test_unknown_fields_are_left_alone() -> None:
    assert CHECKS["5m"].check(json.dumps(record(note="later")).encode()) == record()["_key"]
