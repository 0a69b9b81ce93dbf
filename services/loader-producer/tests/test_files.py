"""The plan of files: together they hold the range, once, in order, by as few files as the archive has."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loader_producer.app.files import days_of, plan_files
from streamforge_common.contract.grid import EveryNumber
from streamforge_common.exchanges.archives import Archive
from streamforge_common.exchanges.binance_archives import UM
from streamforge_common.history.pages import find_missing

DAY_MS = 86_400_000


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]  # at most six of them


TRADES, FUNDING, METRICS = (UM.archives[kind] for kind in ("trades", "funding_rate", "open_interest_5m"))


def names(start_ms: int, end_ms: int, now_ms: int = ms(2026, 1, 1), archive: Archive = TRADES) -> list[str]:
    return [period.name for period in plan_files(archive, start_ms, end_ms, now_ms)]


def test_whole_months_that_are_over_are_one_file_and_everything_else_is_days() -> None:
    assert names(ms(2024, 1, 30, 12), ms(2024, 4, 2)) == [
        *("2024-01-30", "2024-01-31", "2024-02", "2024-03", "2024-04-01")
    ]
    assert names(ms(2024, 2, 1), ms(2024, 3, 1)) == ["2024-02"]
    assert names(ms(2024, 2, 1, 0, 0, 1), ms(2024, 2, 2)) == ["2024-02-01"]
    assert len(names(ms(2024, 2, 1), ms(2024, 3, 1) - 1)) == 29
    assert len(names(ms(2024, 2, 1), ms(2024, 3, 1), ms(2024, 2, 29))) == 29


def test_of_a_kind_with_files_of_one_length_there_are_no_others() -> None:
    assert names(ms(2024, 1, 30, 12), ms(2024, 4, 2), archive=FUNDING) == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert len(names(ms(2024, 2, 1), ms(2024, 3, 1), archive=METRICS)) == 29


@given(
    st.integers(0, 1_500 * DAY_MS),
    st.integers(1, 100 * DAY_MS),
    st.integers(0, 2_000 * DAY_MS),
    st.sampled_from([TRADES, FUNDING, METRICS]),
)
def test_the_files_of_any_range_adjoin_and_hold_it(offset: int, length: int, now_ms: int, archive: Archive) -> None:
    start, end = ms(2020, 1, 1) + offset, ms(2020, 1, 1) + offset + length
    periods = list(plan_files(archive, start, end, ms(2020, 1, 1) + now_ms))
    assert periods[0].start_ms <= start < periods[0].end_ms
    assert periods[-1].start_ms < end <= periods[-1].end_ms
    for one, behind in pairwise(periods):
        assert one.end_ms == behind.start_ms
    for period in periods:
        if period.is_month:
            days = days_of(period)
            assert (days[0].start_ms, days[-1].end_ms) == (period.start_ms, period.end_ms)
            assert [day.name for day in days] == [f"{period.name}-{day + 1:02}" for day in range(len(days))]
        # Whoever goes on from the start of any file finds the same plan.
        again = plan_files(archive, max(period.start_ms, start), end, ms(2020, 1, 1) + now_ms)
        assert list(again) == periods[periods.index(period) :]


@given(st.lists(st.integers(0, 60)), st.integers(0, 60))
def test_what_is_missing_is_found_whatever_comes_twice_or_too_early(ids: list[int], expected: int) -> None:
    gaps, behind = find_missing(EveryNumber(), expected, sorted(ids))
    missing = [at for gap in gaps for at in range(gap.start, gap.end)]
    assert behind == max([expected, *(at + 1 for at in ids)])
    assert missing == sorted(set(range(expected, behind)) - set(ids))
