"""Made-up records: valid by the contract's own check, the same each time, inside their range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dummy_service.app.series import Series
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.intervals import INTERVALS
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError

KINDS = [*(f"candles_{interval}" for interval in INTERVALS), "agg_trades"]
RANGE = "2024-07-31T23:58:30Z/2024-09-02T12:00:00Z"


def start(data_type: str, time_range: str = RANGE) -> Command:
    return Command(
        command=CommandKind.START,
        queue_id="wf-x",
        target="loader-producer",
        telemetry_id="loader-producer__abcdef",
        attempt=1,
        exchange="binance",
        market="spot",
        symbol="BTCUSDT",
        type=data_type,
        time_range=time_range,
        timestamp=1_722_470_400.25,
    )


@pytest.mark.parametrize("kind_name", KINDS)
@given(share=st.floats(0, 1))
def test_every_record_is_valid_and_inside_the_range(kind_name: str, share: float) -> None:
    kind = record_kind(kind_name)
    series = Series.of(start(f"api_{kind_name}"), None)
    assert series.published is not None
    place = int(share * (series.published - 1))

    key, value = series.message(place)

    record = RecordCheck("binance", "spot", "BTCUSDT", kind).check(value)
    assert key.decode() == record.key
    time_range = TimeRange.parse(RANGE)
    assert time_range.start_ms <= kind.time_of(record) < time_range.end_ms
    assert series.message(place) == (key, value)
    assert series.ends is not None
    assert series.ends[0] <= kind.id_of(record) <= series.ends[1]


def test_all_candles_of_the_range_are_published_unless_fewer_are_asked_for() -> None:
    day = "2024-08-01:2024-08-02"
    whole, half = Series.of(start("api_candles_5m", day), None), Series.of(start("api_candles_5m", day), 144)
    assert (whole.published, half.published) == (288, 144)
    assert half.ends == whole.ends


def test_trades_are_as_many_as_asked_for_and_none_is_missing_then() -> None:
    series = Series.of(start("api_agg_trades"), 70)
    assert series.published == 70
    assert series.ends is not None
    assert series.ends[1] - series.ends[0] == 69


@pytest.mark.parametrize("data_type", ["ws_agg_trades", "ws_candles_1m"])
def test_a_live_dataset_begins_at_its_start_command_and_has_no_end(data_type: str) -> None:
    series = Series.of(start(data_type, ""), None)
    assert (series.published, series.ends) == (None, None)
    check = RecordCheck("binance", "spot", "BTCUSDT", record_kind(DataType.parse(data_type).kind))
    assert check.check(series.message(0)[1]) != check.check(series.message(1_000_000)[1])


@pytest.mark.parametrize("data_type", ["api_no_such_kind", "nonsense"])
def test_what_cannot_be_made_up_is_refused_for_good(data_type: str) -> None:
    with pytest.raises(FatalError):
        Series.of(start(data_type), None)
