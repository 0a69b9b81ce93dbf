"""The grid of open times against a model that walks the calendar day by day, or step by step."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.intervals import INTERVALS, Interval

DAY_MS = 86_400_000
FIRST_MS = int(datetime(2016, 12, 1, tzinfo=UTC).timestamp()) * 1000
CALENDAR = [datetime(2016, 12, 1, tzinfo=UTC) + timedelta(days=day) for day in range(4_000)]
MONDAYS = [int(day.timestamp()) * 1000 for day in CALENDAR if day.weekday() == 0]
MONTHS = [int(day.timestamp()) * 1000 for day in CALENDAR if day.day == 1]
LENGTHS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}

times = st.integers(FIRST_MS + 40 * DAY_MS, FIRST_MS + 3_900 * DAY_MS)
intervals = st.sampled_from([Interval(name) for name in INTERVALS])


def model(interval: Interval, around_ms: int) -> list[int]:
    """Open times around a time, by plain walking."""
    if interval.name == "1w":
        return MONDAYS
    if interval.name == "1mo":
        return MONTHS
    length_ms = int(interval.name[:-1]) * LENGTHS_MS[interval.name[-1]]
    anchor = around_ms // length_ms * length_ms
    return [anchor + step * length_ms for step in range(-20, 21)]


@given(intervals, times)
def test_floor_and_ceil_are_the_neighbours_on_the_grid(interval: Interval, time_ms: int) -> None:
    grid = model(interval, time_ms)
    assert interval.floor(time_ms) == max(open_ms for open_ms in grid if open_ms <= time_ms)
    assert interval.ceil(time_ms) == min(open_ms for open_ms in grid if open_ms >= time_ms)


@given(intervals, times, st.integers(0, 15))
def test_advance_steps_along_the_grid_and_back(interval: Interval, time_ms: int, steps: int) -> None:
    grid = model(interval, time_ms)
    at = grid.index(interval.floor(time_ms))
    steps = min(steps, len(grid) - 2 - at)
    assert interval.advance(grid[at], steps) == grid[at + steps]
    assert interval.advance(grid[at + steps], -steps) == grid[at]
    assert interval.close_time(grid[at]) == grid[at + 1] - 1


@given(intervals, times, st.integers(0, 12 * DAY_MS))
def test_count_is_the_number_of_open_times_in_the_half_open_range(
    interval: Interval, start_ms: int, length_ms: int
) -> None:
    end_ms = start_ms + min(length_ms, 15 * (interval.close_time(0) + 1))
    grid = model(interval, start_ms)
    assert interval.count(start_ms, end_ms) == len([open_ms for open_ms in grid if start_ms <= open_ms < end_ms])
    assert interval.count(end_ms, start_ms) == 0 or start_ms == end_ms


def test_a_month_that_is_asked_for_as_binance_writes_it_gets_a_hint() -> None:
    with pytest.raises(ValueError, match="a month is 1mo"):
        Interval("1M")
