"""The plan of pages, and what a page must be.

The open times of a dataset form a grid, so every page is known before the first is asked for: they can be fetched in
any order, and what is missing from an answer is seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streamforge_common.contract.events import ExchangeGap
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.records import Candle
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import RejectedRecordError


@dataclass(frozen=True, slots=True)
class Page:
    """A run of candles that fits into one answer."""

    number: int
    """From 1."""
    first_ms: int
    """Its first open time, Unix milliseconds."""
    last_ms: int
    """Its last open time, Unix milliseconds."""
    next_ms: int
    """The open time behind it: where the following page begins."""
    expected: int
    """Candles that the grid has here."""


@dataclass(frozen=True, slots=True)
class PagePlan:
    """The closed candles of a time range, cut into pages."""

    interval: Interval
    start_ms: int
    """The first open time."""
    candles: int
    page_size: int

    @classmethod
    def of(cls, interval: Interval, time_range: TimeRange, page_size: int, exchange_time_ms: int) -> "PagePlan":
        """Plan what is closed by the exchange's own clock; the candle that is open now is left out."""
        end_ms = min(time_range.end_ms, interval.floor(exchange_time_ms))
        return cls(interval, interval.ceil(time_range.start_ms), interval.count(time_range.start_ms, end_ms), page_size)

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last open time, None where there is none."""
        return (self.start_ms, self.interval.advance(self.start_ms, self.candles - 1)) if self.candles else None

    @property
    def count(self) -> int:
        """How many pages there are."""
        return -(-self.candles // self.page_size)

    def pages_from(self, open_time_ms: int) -> Iterator[Page]:
        """Yield the pages from the one that holds an open time on; none where that lies behind the end."""
        before = self.interval.count(self.start_ms, open_time_ms)
        first = before // self.page_size if before < self.candles else self.count
        return (self._page(index) for index in range(first, self.count))

    def _page(self, index: int) -> Page:
        before = index * self.page_size
        expected = min(self.page_size, self.candles - before)
        first_ms = self.interval.advance(self.start_ms, before)
        last_ms = self.interval.advance(first_ms, expected - 1)
        return Page(index + 1, first_ms, last_ms, self.interval.advance(last_ms), expected)


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the exchange gave for a page."""

    candles: Sequence[Candle]
    """Good ones, oldest first."""
    refused: Sequence[tuple[bytes, str]]
    """Rows that are no candles of this interval, as they came, each with the reason."""
    received_ms: int
    """When it came, Unix milliseconds."""

    def merged(self, again: "PageContent") -> "PageContent":
        """Add what came when the same page was asked for again."""
        by_open_time = {candle.open_time: candle for content in (self, again) for candle in content.candles}
        candles = [by_open_time[open_time] for open_time in sorted(by_open_time)]
        refused = list(dict.fromkeys([*self.refused, *again.refused]))
        return PageContent(candles, refused, again.received_ms)


def judge_page(
    page: Page,
    interval: Interval,
    candles: Sequence[Candle],
    split_rows: Callable[[], Sequence[bytes]],
    received_ms: int,
) -> PageContent:
    """Tell the good candles of an answer from rows that are none.

    Args:
        page: What was asked for.
        interval: Of the candles.
        candles: What came, one per row.
        split_rows: Returns the rows as they came; asked only where some are refused.
        received_ms: When it came, Unix milliseconds.

    Raises:
        RejectedRecordError: The answer is not this page: rows outside of it, out of order or twice.
    """
    before_ms = page.first_ms - 1
    for candle in candles:
        if not before_ms < candle.open_time <= page.last_ms:
            raise RejectedRecordError(
                f"the exchange answered a candle of {candle.open_time} behind {before_ms}, "
                f"asked for {page.first_ms} to {page.last_ms}, oldest first"
            )
        before_ms = candle.open_time
    faults = {index: fault for index, candle in enumerate(candles) if (fault := _fault_of(candle, interval))}
    if not faults:
        return PageContent(candles, (), received_ms)
    rows = split_rows()
    good = [candle for index, candle in enumerate(candles) if index not in faults]
    refused = [(rows[index], fault) for index, fault in faults.items()]
    return PageContent(good, refused, received_ms)


def find_gaps(page: Page, interval: Interval, candles: Sequence[Candle]) -> list[ExchangeGap]:
    """Return the runs of open times of a page that have no candle, in order."""
    gaps: list[ExchangeGap] = []
    expected_ms = page.first_ms
    for found_ms in [*(candle.open_time for candle in candles), page.next_ms]:
        if found_ms > expected_ms:
            missing = interval.count(expected_ms, found_ms)
            gaps.append(ExchangeGap(start=expected_ms, end=found_ms, missing=missing))
        expected_ms = interval.advance(found_ms)
    return gaps


def join_gaps(gaps: Sequence[ExchangeGap], more: Sequence[ExchangeGap]) -> list[ExchangeGap]:
    """Append gaps behind those before, as one where they touch."""
    joined = list(gaps)
    for gap in more:
        if joined and joined[-1].end == gap.start:
            before = joined.pop()
            gap = ExchangeGap(start=before.start, end=gap.end, missing=before.missing + gap.missing)
        joined.append(gap)
    return joined


def _fault_of(candle: Candle, interval: Interval) -> str | None:
    if interval.floor(candle.open_time) != candle.open_time:
        return f"open time {candle.open_time} is not on the grid of {interval.name}"
    if candle.close_time != interval.close_time(candle.open_time):
        return f"close time {candle.close_time} does not fit open time {candle.open_time}"
    return None
