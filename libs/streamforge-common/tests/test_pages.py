from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.records import Candle
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.exchanges.rest import History
from streamforge_common.history.pages import Page, PagePlan, closed_ends, find_gaps, join_gaps, judge_page

START_MS = 1_500_000_000_000
intervals = st.sampled_from([Interval(name) for name in INTERVALS])


def candle(open_time: int, close_time: int) -> Candle:
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return Candle(
        key=str(open_time),
        exchange="binance",
        market="spot",
        symbol="BTCUSDT",
        type="candles",
        open_time=open_time,
        close_time=close_time,
        **numbers,
    )


def candles_at(interval: Interval, open_times: list[int]) -> list[Candle]:
    return [candle(open_time, interval.close_time(open_time)) for open_time in open_times]


def plan_of(interval: Interval, time_range: TimeRange, page_size: int, exchange_time_ms: int) -> PagePlan:
    return PagePlan(interval, closed_ends(interval, time_range, exchange_time_ms), page_size)


def history_of(interval: Interval) -> History:
    return SPOT.histories[f"candles_{interval.name}"]


def grid(interval: Interval, first_ms: int, candles: int) -> list[int]:
    return [interval.advance(first_ms, index) for index in range(candles)]


@given(intervals, st.integers(0, 10**9), st.integers(1, 60), st.integers(1, 12), st.integers(0, 80))
def test_the_pages_are_the_closed_grid_of_the_range_cut_in_order(
    interval: Interval, start_offset_ms: int, candles: int, page_size: int, closed: int
) -> None:
    start_ms = START_MS + start_offset_ms
    first = interval.ceil(start_ms)
    end_ms = interval.advance(first, candles)
    exchange_time_ms = interval.advance(first, closed) + 17
    plan = plan_of(interval, TimeRange(start_ms, end_ms), page_size, exchange_time_ms)

    pages = list(plan.pages_from(None))

    wanted = grid(interval, first, min(candles, closed))
    assert [open_time for page in pages for open_time in grid(interval, page.first, page.expected)] == wanted
    assert [page.number for page in pages] == list(range(1, plan.count + 1))
    assert all(page.next == following.first for page, following in pairwise(pages))
    assert all(page.last == grid(interval, page.first, page.expected)[-1] for page in pages)
    assert plan.ends == ((wanted[0], wanted[-1]) if wanted else None)


@given(intervals, st.integers(1, 60), st.integers(1, 12), st.data())
def test_going_on_from_a_page_skips_exactly_those_before(
    interval: Interval, candles: int, page_size: int, data: st.DataObject
) -> None:
    first = interval.ceil(START_MS)
    end_ms = interval.advance(first, candles)
    plan = plan_of(interval, TimeRange(first, end_ms), page_size, interval.advance(end_ms, 5))
    pages = list(plan.pages_from(None))
    done = data.draw(st.integers(0, len(pages)))
    next_id = pages[done - 1].next if done else None
    assert list(plan.pages_from(next_id)) == pages[done:]


def test_the_candle_that_closes_this_very_millisecond_is_still_open() -> None:
    interval = Interval("5m")
    opened = interval.floor(START_MS)
    closes = interval.close_time(opened)
    time_range = TimeRange(opened, closes + 1)
    assert plan_of(interval, time_range, 10, closes).records == 0
    assert plan_of(interval, time_range, 10, closes + 1).records == 1


@given(intervals, st.integers(1, 40), st.data())
def test_gaps_are_the_runs_of_open_times_without_a_candle(
    interval: Interval, expected: int, data: st.DataObject
) -> None:
    first = interval.ceil(START_MS)
    open_times = grid(interval, first, expected)
    page = Page(1, first, open_times[-1], interval.advance(open_times[-1]), expected)
    present = sorted(data.draw(st.sets(st.sampled_from(open_times))))
    cut = data.draw(st.integers(0, len(present)))

    gaps = find_gaps(page, history_of(interval).kind, candles_at(interval, present))

    missing = [open_time for open_time in open_times if open_time not in present]
    assert [open_time for gap in gaps for open_time in grid(interval, gap.start, gap.missing)] == missing
    assert all(gap.end == interval.advance(gap.start, gap.missing) for gap in gaps)
    assert all(gap.end < following.start for gap, following in pairwise(gaps))
    halves = judge_page(page, history_of(interval), candles_at(interval, present[:cut]), list, 1).merged(
        judge_page(page, history_of(interval), candles_at(interval, present[cut:]), list, 2), history_of(interval).kind
    )
    assert find_gaps(page, history_of(interval).kind, halves.records) == gaps


def test_gaps_that_touch_become_one() -> None:
    interval = Interval("1m")
    pages = list(plan_of(interval, TimeRange(0, 360_000), 2, 10**12).pages_from(None))
    gaps = join_gaps(
        find_gaps(pages[0], history_of(interval).kind, []), find_gaps(pages[1], history_of(interval).kind, [])
    )
    [gap] = join_gaps([], gaps)
    assert (gap.start, gap.end, gap.missing) == (0, 240_000, 4)


@pytest.mark.parametrize("offsets", [[-1], [10], [1, 0], [1, 1], [0, 1, 3, 2]])
def test_rows_outside_out_of_order_or_twice_are_no_page(offsets: list[int]) -> None:
    interval = Interval("5m")
    first = interval.ceil(START_MS)
    page = Page(1, first, interval.advance(first, 9), interval.advance(first, 10), 10)
    candles = candles_at(interval, [interval.advance(first, offset) for offset in offsets])
    with pytest.raises(RejectedRecordError, match="oldest first"):
        judge_page(page, history_of(interval), candles, list, 0)


def test_rows_that_are_no_candles_of_the_interval_are_refused_and_the_others_kept() -> None:
    interval = Interval("5m")
    first = interval.ceil(START_MS)
    page = Page(1, first, interval.advance(first, 9), interval.advance(first, 10), 10)
    good = candles_at(interval, [first, interval.advance(first, 2)])
    off_grid = candle(first + 1_000, first + 300_999)
    short = candle(interval.advance(first, 3), interval.advance(first, 3) + 5)
    candles = [good[0], off_grid, good[1], short]

    content = judge_page(page, history_of(interval), candles, lambda: [b"a", b"b", b"c", b"d"], 7)

    assert content.records == good
    assert [row for row, _ in content.refused] == [b"b", b"d"]
    assert "not on the grid" in content.refused[0][1]
    assert "close time" in content.refused[1][1]
    assert content.received_ms == 7
