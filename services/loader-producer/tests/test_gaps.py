"""Spaced records page by page: the silences of the pages are those of the whole, wherever the pages are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader_producer.app.gaps import Continuity, GapFinder
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import FundingRate
from streamforge_common.contract.spacing import find_silences
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.bybit import LINEAR
from streamforge_common.history.pages import PagePlan, judge_page

HISTORY = LINEAR.histories["funding_rate"]
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
MIDNIGHT_MS = 1_722_470_400_000


def funding(time_ms: int) -> FundingRate:
    return FundingRate(
        key=str(time_ms),
        exchange="bybit",
        market="linear",
        symbol="BTCUSDT",
        type="funding_rate",
        funding_time=time_ms,
        funding_rate=0.0001,
    )


def plan_of(hours: int, page_hours: int) -> PagePlan:
    last = MIDNIGHT_MS + hours * HOUR_MS - MINUTE_MS
    return PagePlan(HISTORY.kind.grid, (MIDNIGHT_MS, last), page_hours * 60)


@given(
    hours=st.integers(1, 200),
    page_hours=st.integers(1, 50),
    spacing_hours=st.sampled_from([1, 4, 8]),
    there=st.sets(st.integers(0, 199), max_size=200),
    killed_after=st.integers(0, 20),
)
def test_the_gaps_of_the_pages_are_those_of_the_whole_also_over_a_restart(
    hours: int, page_hours: int, spacing_hours: int, there: set[int], killed_after: int
) -> None:
    plan, spacing = plan_of(hours, page_hours), spacing_hours * HOUR_MS
    times = sorted(MIDNIGHT_MS + hour * HOUR_MS for hour in there if hour < hours)
    finder = GapFinder(HISTORY.kind, plan.ends, spacing)
    gaps = []
    for page in plan.pages_from(None):
        if page.number == killed_after:
            finder = GapFinder(HISTORY.kind, plan.ends, spacing, finder.last_id)
        records = [funding(it) for it in times if page.first <= it <= page.last]
        gaps += finder.take(page, records)
    assert plan.ends is not None
    whole = find_silences(plan.ends[0], times, plan.ends[1] + 1, spacing)
    assert [(gap.start, gap.end, gap.missing) for gap in gaps] == [(it.start, it.end, it.missing) for it in whole]


@given(
    spacing_hours=st.sampled_from([1, 4, 8]),
    there=st.sets(st.integers(0, 99)),
    cuts=st.lists(st.integers(0, 99)),
    repeated=st.integers(0, 5),
)
def test_the_gaps_of_chunks_are_those_of_the_whole_whatever_comes_again(
    spacing_hours: int, there: set[int], cuts: list[int], repeated: int
) -> None:
    plan, spacing = plan_of(100, 1), spacing_hours * HOUR_MS
    times = sorted(MIDNIGHT_MS + hour * HOUR_MS for hour in there)
    assert plan.ends is not None
    continuity = Continuity(HISTORY.kind, spacing)
    continuity.begin_at(plan.ends[0])
    gaps, begin = [], 0
    for cut in [*sorted(cuts), len(times)]:
        gaps += continuity.take(times[max(0, begin - repeated) : cut])
        begin = max(begin, cut)
    gaps += continuity.end_at(plan.ends[1])
    whole = find_silences(plan.ends[0], times, plan.ends[1] + 1, spacing)
    assert [(gap.start, gap.end, gap.missing) for gap in gaps] == [(it.start, it.end, it.missing) for it in whole]


@given(st.lists(st.sets(st.integers(0, 60))), st.integers(60, 70))
def test_of_ids_without_holes_what_is_missing_up_to_the_last_one_is_found(chunks: list[set[int]], last: int) -> None:
    continuity = Continuity(record_kind("trades"))
    continuity.begin_at(0)
    gaps = [gap for chunk in chunks for gap in continuity.take(sorted(chunk))] + continuity.end_at(last)
    seen, expected = set(), 0
    for at in (at for chunk in chunks for at in sorted(chunk)):
        seen |= {at} if at >= expected else set()
        expected = max(expected, at + 1)
    assert [at for gap in gaps for at in range(gap.start, gap.end)] == sorted(set(range(last + 1)) - seen)
    assert continuity.next_id == last + 1


@given(st.sampled_from([1, 4, 8]), st.integers(0, 191), st.integers(1, 3))
def test_a_page_that_misses_something_is_asked_for_again_and_a_whole_one_is_not(
    every_hours: int, missing: int, days: int
) -> None:
    plan, spacing = plan_of(192, 24 * days), every_hours * HOUR_MS
    due = range(MIDNIGHT_MS, MIDNIGHT_MS + 192 * HOUR_MS, spacing)
    lost = due[missing % len(due)]
    finder = GapFinder(HISTORY.kind, plan.ends, spacing)
    for page in plan.pages_from(None):
        on_page = [it for it in due if page.first <= it <= page.last]
        assert finder.seems_whole(page, [funding(it) for it in on_page])
        if lost in on_page:
            assert not finder.seems_whole(page, [funding(it) for it in on_page if it != lost])


def test_an_answer_that_may_be_cut_off_is_no_page() -> None:
    [page] = plan_of(192, 192).pages_from(None)
    hourly = [funding(MIDNIGHT_MS + hour * HOUR_MS) for hour in range(192)]
    assert judge_page(page, HISTORY, hourly, list, 0).records == hourly
    half_hourly = [funding(MIDNIGHT_MS + half * HOUR_MS // 2) for half in range(200)]
    with pytest.raises(RejectedRecordError, match="may be more"):
        judge_page(page, HISTORY, half_hourly, list, 0)
