"""The plan of parts: they are the range, each from a source that has it, and REST is not kept busy for long."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader_producer.app.planning import Means, Part, needs_ends, plan_files_first, plan_parts, rest_cost
from streamforge_common.contract.data_types import Source
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
NOW_MS = int(datetime(2026, 11, 25, 17, 30, tzinfo=UTC).timestamp() * 1000)
EARLIEST_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
MEANS = {
    f"{market} {kind}": Means("BTCUSDT", REST_MARKETS["binance", market].histories[kind], archive)
    for market in ("spot", "um")
    for kind, archive in ARCHIVE_MARKETS["binance", market].archives.items()
    if kind in REST_MARKETS["binance", market].histories
}


def told(means: Means, start: str, end: str, records: int | None = None) -> list[str]:
    start_ms, end_ms = (int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000) for day in (start, end))
    ends = None if records is None else (1, records)
    return [str(part) for part in plan_parts(means, TimeRange(start_ms, end_ms), NOW_MS, ends)]


@given(
    name=st.sampled_from(sorted(MEANS)),
    start_ms=st.integers(EARLIEST_MS, NOW_MS - 1) | st.integers(NOW_MS - 3 * DAY_MS, NOW_MS - 1),
    length_ms=st.integers(1, 3_660 * DAY_MS),
    records=st.integers(0, 10**9),
)
def test_the_parts_are_the_range_and_each_has_a_source_that_can_give_it(
    name: str, start_ms: int, length_ms: int, records: int
) -> None:
    means, time_range = MEANS[name], TimeRange(start_ms, min(NOW_MS, start_ms + length_ms))
    is_asked = needs_ends(means, time_range, NOW_MS)
    ends = (1, records) if is_asked and records else None
    parts = plan_parts(means, time_range, NOW_MS, ends)
    check(means, time_range, parts)
    if parts[0].source is Source.DUMP:
        # Who goes on later, by files, finds the same parts.
        assert plan_files_first(means, time_range, NOW_MS) == parts
    if parts[0].source is Source.API and is_asked and ends is not None:
        assert rest_cost(means.history, "BTCUSDT", ends).seconds <= 600


def check(means: Means, time_range: TimeRange, parts: Sequence[Part]) -> None:
    assert (parts[0].time_range.start_ms, parts[-1].time_range.end_ms) == (time_range.start_ms, time_range.end_ms)
    assert all(part.time_range.start_ms < part.time_range.end_ms for part in parts)
    for one, behind in pairwise(parts):
        assert one.time_range.end_ms == behind.time_range.start_ms
        assert (one.source, behind.source) == (Source.DUMP, Source.API)
    for part in parts:
        if part.source is Source.API:
            assert means.reaches(part.time_range.start_ms, NOW_MS)
        else:
            assert part.files > 0
            # What is older than two days is out, but for a month that has files of months only.
            assert part.time_range.end_ms <= max(NOW_MS - DAY_MS, time_range.start_ms + 2 * DAY_MS) or len(parts) == 1


@pytest.mark.parametrize(
    ("name", "start", "end", "records", "plan"),
    [
        (
            "spot candles_1m",
            "2024-08-01",
            "2024-08-08",
            None,
            ["08-01T00:00:00Z over REST, 4 pages at once: 11 requests, weight 22"],
        ),
        (
            "um funding_rate",
            "2020-01-01",
            "2026-11-01",
            None,
            ["01-01T00:00:00Z over REST, 4 pages at once: 61 requests, weight 61"],
        ),
        ("spot candles_1s", "2024-08-01", "2025-08-01", None, ["08-01T00:00:00Z 12 files of the archive"]),
        ("spot agg_trades", "2024-08-01", "2024-09-01", 2_000_000, ["2000 requests, weight 8000, 80 s"]),
        ("spot agg_trades", "2024-08-01", "2024-09-01", 30_000_000, ["1 files of the archive, one fetched ahead"]),
        (
            "spot trades",
            "2026-11-20",
            "2026-11-25",
            9_000_000,
            ["11-20T00:00:00Z 4 files", "11-24T00:00:00Z over REST, 4 pages"],
        ),
        ("um agg_trades", "2026-11-23T18:00:00", "2026-11-25T12:00:00", 5_000, ["11-23T18:00:00Z over REST, 4 pages"]),
        (
            "um agg_trades",
            "2026-11-20T12:00:00",
            "2026-11-25T12:00:00",
            None,
            ["4 files", "11-24T00:00:00Z over REST, 4 pages"],
        ),
        ("um agg_trades", "2026-11-20T12:00:00", "2026-11-20T13:00:00", None, ["1 files"]),
        (
            "um open_interest_5m",
            "2026-10-20",
            "2026-11-25",
            None,
            ["35 files", "11-24T00:00:00Z over REST, 4 pages at once: 1 requests"],
        ),
        ("um open_interest_5m", "2026-10-30", "2026-11-25", None, ["over REST, 4 pages at once: 15 requests"]),
    ],
)
def test_rest_has_what_it_reaches_and_is_quick_with_and_the_archives_the_rest(
    name: str, start: str, end: str, records: int | None, plan: list[str]
) -> None:
    parts = told(MEANS[name], start, end, records)
    assert len(parts) == len(plan)
    for part, words in zip(parts, plan, strict=True):
        assert words in part
