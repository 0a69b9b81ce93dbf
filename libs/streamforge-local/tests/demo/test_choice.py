"""What the demo asks for, by what the exchange has; and how it says where the data come from."""

from datetime import UTC, datetime

import pytest
from dirty_equals import IsPartialDict
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.time_range import TimeRange
from streamforge_local.demo.choice import Offer, choose, choose_offer
from streamforge_local.demo.report import ExchangeUsed
from streamforge_local.errors import PlatformError
from streamforge_local.home import PlatformInfo

MINUTE_MS, DAY_MS = 60_000, 86_400_000
JULY_14 = 1_657_756_800_000


def offer(mode="replay", symbol="BTCUSDT", kind="candles_5m", first=JULY_14, last=JULY_14, items=1):
    return Offer(mode, symbol, kind, first, last, items)


def test_live_is_the_last_full_thirty_days():
    info = PlatformInfo(
        queue_manager_url="",
        kafka_bootstrap_servers="",
        arango_url="",
        arango_database="",
        arango_username="",
        arango_password="",
        exchange="live",
    )

    choice = choose(info, datetime(2026, 3, 2, 23, 59, tzinfo=UTC))

    assert choice.request == {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2026-01-31:2026-03-02"}


def test_a_recording_is_loaded_as_a_whole_in_days_where_it_has_whole_days():
    recorded = offer(last=JULY_14 + 34 * DAY_MS - 5 * MINUTE_MS, items=9_792)

    assert choose_offer([recorded]).request == {
        "symbol": "BTCUSDT",
        "type": "api_candles_5m",
        "time_range": "2022-07-14:2022-08-17",
    }


def test_a_recording_of_odd_hours_is_loaded_as_a_whole_too():
    recorded = offer(kind="candles_1h", first=JULY_14 + 60 * MINUTE_MS, last=JULY_14 + 180 * MINUTE_MS)

    assert choose_offer([recorded]).time_range == "2022-07-14T01:00:00Z/2022-07-14T04:00:00Z"


@given(first=st.integers(0, 500_000), candles=st.integers(1, 5_000))
def test_the_range_of_a_recording_holds_its_candles_and_no_others(first, candles):
    first_ms = JULY_14 + first * 5 * MINUTE_MS
    choice = choose_offer([offer(first=first_ms, last=first_ms + (candles - 1) * 5 * MINUTE_MS)])

    time_range, data_type = TimeRange.parse(choice.time_range), DataType.parse(choice.request["type"])
    assert time_range.start_ms == first_ms
    assert data_type.interval.count(time_range.start_ms, time_range.end_ms) == candles


def test_bitcoin_comes_first_and_then_the_most_candles():
    others = [
        offer(symbol="ADAUSDT", kind="candles_1m", items=9_000),
        offer(symbol="ETHUSDT", kind="candles_1m", items=10_000),
        offer(symbol="ETHUSDT", kind="agg_trades", items=99_000),
    ]

    assert choose_offer([*others, offer()]).symbol == "BTCUSDT"
    assert choose_offer(others).request == IsPartialDict(symbol="ETHUSDT", type="api_candles_1m")


def test_the_simulated_market_is_asked_for_34_days():
    choice = choose_offer([offer("simulated", last=JULY_14 + 4_000 * DAY_MS)])

    assert choice.time_range == "2024-07-14:2024-08-17"


def test_a_recording_without_candles_is_told():
    with pytest.raises(PlatformError, match="no candles"):
        choose_offer([offer(kind="agg_trades")])


@pytest.mark.parametrize(
    ("asked_for", "kind", "override", "described"),
    [
        ("auto", "live", None, "LIVE: the real Binance, over the internet"),
        (
            *("auto", "simulated", None),
            "SIMULATED: Binance does not answer from here; invented prices, served on this machine",
        ),
        ("simulated", "simulated", None, "SIMULATED: invented prices, served on this machine"),
        ("replay:a/B-5m-1.csv", "replay", None, "REPLAY: recorded data of B-5m-1.csv, served on this machine"),
        ("auto", "live", "http://mine", "YOUR OWN: http://mine, which BINANCE_SPOT_REST_URL names"),
        ("simulated", "simulated", "http://mine", "YOUR OWN: http://mine, which BINANCE_SPOT_REST_URL names"),
    ],
)
def test_nobody_takes_invented_or_recorded_data_for_live_ones(asked_for, kind, override, described):
    assert ExchangeUsed(asked_for, kind, override).described == described
