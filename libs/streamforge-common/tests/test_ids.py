import re
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.intervals import INTERVALS
from streamforge_common.ids import (
    COLLECTION_PATTERN,
    SYMBOL_PATTERN,
    make_collection_name,
    make_data_topic,
    make_job_name,
    make_queue_id,
    make_telemetry_id,
    new_suffix,
    suffix_of,
)

DAY = date(2024, 8, 1)
symbols = st.from_regex(SYMBOL_PATTERN, fullmatch=True)
types = st.sampled_from([f"api_candles_{name}" for name in INTERVALS] + ["ws_agg_trades"])


def test_the_names_of_the_contracts_example() -> None:
    assert make_queue_id("BTCUSDT-api_candles_5m", DAY, "a1b2c3") == "wf-btcusdt-api_candles_5m-20240801-a1b2c3"
    assert (
        make_collection_name("binance", "spot", "BTCUSDT", "api_candles_5m", DAY) == "btcusdt_api_candles_5m_2024_08_01"
    )
    assert (
        make_collection_name("bybit", "linear", "1INCH-USDT", "ws_trades", DAY)
        == "bybit_linear_1inch_usdt_ws_trades_2024_08_01"
    )
    assert make_collection_name("binance", "spot", "1INCHUSDT", "ws_trades", DAY) == "s_1inchusdt_ws_trades_2024_08_01"


@given(symbols, types)
def test_a_queue_id_is_a_label_of_kubernetes_and_names_a_topic(symbol: str, data_type: str) -> None:
    queue_id = make_queue_id(f"{symbol}-{data_type}", DAY, new_suffix())
    assert len(queue_id) <= 63
    assert re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", queue_id)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,249}", make_data_topic(queue_id))


@given(symbols, types)
def test_a_collection_name_is_one_that_a_request_may_give(symbol: str, data_type: str) -> None:
    assert COLLECTION_PATTERN.fullmatch(make_collection_name("binance", "spot", symbol, data_type, DAY))


def test_the_suffix_is_found_again_in_the_names_of_a_task() -> None:
    suffix = new_suffix()
    telemetry_id = make_telemetry_id("loader-producer", suffix)
    assert suffix_of(telemetry_id) == suffix
    assert make_job_name(telemetry_id, 2) == f"loader-producer-{suffix}-2"
