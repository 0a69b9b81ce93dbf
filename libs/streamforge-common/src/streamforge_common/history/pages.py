"""The plan of pages, and what a page must be.

The ids of a dataset form a grid, so once its ends are known every page is, before the first is asked for: they can be
fetched in any order, and what is missing from an answer is seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streamforge_common.contract.events import ExchangeGap
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.rest import History

Ends = tuple[int, int]
"""The first and the last id of a dataset."""


def closed_ends(grid: Grid, time_range: TimeRange, exchange_time_ms: int) -> Ends | None:
    """Return the ends of candles, by the grid alone; None where there is none.

    What is open by the exchange's own clock is left out.
    """
    first = grid.ceil(time_range.start_ms)
    candles = grid.count(first, min(time_range.end_ms, grid.floor(exchange_time_ms)))
    return (first, grid.advance(first, candles - 1)) if candles else None


@dataclass(frozen=True, slots=True)
class Page:
    """A run of records that fits into one answer."""

    number: int
    """From 1."""
    first: int
    """Its first id."""
    last: int
    """Its last id."""
    next: int
    """The id behind it: where the following page begins."""
    expected: int
    """Ids that the grid has here."""


@dataclass(frozen=True, slots=True)
class PagePlan:
    """The records of a dataset, cut into pages."""

    grid: Grid
    ends: Ends | None
    """None where there are no records."""
    page_size: int

    @property
    def records(self) -> int:
        """How many ids the grid has from end to end."""
        return self.grid.count(self.ends[0], self.ends[1] + 1) if self.ends else 0

    @property
    def count(self) -> int:
        """How many pages there are."""
        return -(-self.records // self.page_size)

    def pages_from(self, next_id: int | None) -> Iterator[Page]:
        """Yield the pages from the one that holds an id on, all for None; none where the id lies behind the end."""
        before = 0 if next_id is None or self.ends is None else self.grid.count(self.ends[0], next_id)
        first = before // self.page_size if before < self.records else self.count
        return (self._page(index) for index in range(first, self.count))

    def _page(self, index: int) -> Page:
        assert self.ends is not None
        before = index * self.page_size
        expected = min(self.page_size, self.records - before)
        first = self.grid.advance(self.ends[0], before)
        last = self.grid.advance(first, expected - 1)
        return Page(index + 1, first, last, self.grid.advance(last), expected)


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the exchange gave for a page."""

    records: Sequence[Record]
    """Good ones, by id."""
    refused: Sequence[tuple[bytes, str]]
    """Rows that are no records of this kind, as they came, each with the reason."""
    received_ms: int
    """When it came, Unix milliseconds."""

    def merged(self, again: "PageContent", kind: RecordKind) -> "PageContent":
        """Add what came when the same page was asked for again."""
        by_id = {kind.id_of(record): record for content in (self, again) for record in content.records}
        records = [by_id[record_id] for record_id in sorted(by_id)]
        refused = list(dict.fromkeys([*self.refused, *again.refused]))
        return PageContent(records, refused, again.received_ms)


def judge_page(
    page: Page,
    history: History,
    records: Sequence[Record],
    split_rows: Callable[[], Sequence[bytes]],
    received_ms: int,
) -> PageContent:
    """Tell the good records of an answer from rows that are none.

    Args:
        page: What was asked for.
        history: How it was asked for.
        records: What came, one per row.
        split_rows: Returns the rows as they came; asked only where some are refused.
        received_ms: When it came, Unix milliseconds.

    Raises:
        RejectedRecordError: The answer is not this page: rows outside of it, out of order or twice, or cut off.
    """
    if history.rows_max is not None and len(records) >= history.rows_max:
        raise RejectedRecordError(f"{len(records)} rows, the most in one answer, so there may be more than these")
    ids = [*map(history.kind.id_of, records)]
    before = page.first - 1
    for found in ids:
        if not before < found or (found > page.last and not history.runs_on):
            raise RejectedRecordError(
                f"a row of {found} behind {before}, asked for was {page.first} to {page.last}, oldest first"
            )
        before = found
    if before > page.last:
        records = [record for found, record in zip(ids, records, strict=True) if found <= page.last]
    fault_of = history.kind.fault_of
    faults = {index: fault for index, record in enumerate(records) if (fault := fault_of(record))}
    if not faults:
        return PageContent(records, (), received_ms)
    rows = split_rows()
    good = [record for index, record in enumerate(records) if index not in faults]
    refused = [(rows[index], fault) for index, fault in faults.items()]
    return PageContent(good, refused, received_ms)


def find_gaps(page: Page, kind: RecordKind, records: Sequence[Record]) -> list[ExchangeGap]:
    """Return the runs of ids of a page that have no record, in order."""
    if len(records) == page.expected:
        return []
    return find_missing(kind.grid, page.first, [*map(kind.id_of, records), page.next])[0]


def find_missing(grid: Grid, expected: int, ids: Sequence[int]) -> tuple[list[ExchangeGap], int]:
    """Return the runs of ids that are missing before these and between them, and the id that should come next.

    Args:
        grid: Where the ids lie.
        expected: The first one that should be there; those before it are not looked at.
        ids: Those that are, sorted; some may be there twice.
    """
    gaps: list[ExchangeGap] = []
    for found in ids:
        if found > expected:
            gaps.append(ExchangeGap(start=expected, end=found, missing=grid.count(expected, found)))
        if found >= expected:
            expected = grid.advance(found)
    return gaps, expected


def join_gaps(gaps: Sequence[ExchangeGap], more: Sequence[ExchangeGap]) -> list[ExchangeGap]:
    """Append gaps behind those before, as one where they touch."""
    joined = list(gaps)
    for gap in more:
        if joined and joined[-1].end == gap.start:
            before = joined.pop()
            gap = ExchangeGap(start=before.start, end=gap.end, missing=before.missing + gap.missing)
        joined.append(gap)
    return joined
