"""The plan of a dataset: which part of its range comes from where, and what that is expected to cost.

REST knows everything at once, but its limit is shared and it may not reach far back. The archives have no limit, and
whole days or months only, a day late at the earliest. So REST has what it reaches, where that does not take too long,
and else the archives have what is old enough; what they lack when they are asked REST has again (`standing_in`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loader_producer.app.files import plan_files
from loader_producer.app.loading import IN_FLIGHT
from streamforge_common.contract.data_types import Source
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges.archives import Archive
from streamforge_common.exchanges.rest import History
from streamforge_common.history.pages import Ends, PagePlan, closed_ends

_DAY_MS = 86_400_000
"""A day's file comes out the day after; the youngest that is asked for has had a whole day for that."""
_LONGEST_S = 600.0
"""What would keep REST's limit busy for longer comes from the archives: others load at the same time."""


@dataclass(frozen=True, slots=True)
class Means:
    """How the records of one kind and symbol can be had."""

    symbol: str
    history: History
    archive: Archive

    def reaches(self, start_ms: int, now_ms: int) -> bool:
        """Say whether REST has what begins then."""
        reach = self.history.reach
        return reach is None or reach.fault_of(self.history.kind.name, start_ms, now_ms) is None

    def youngest_end_ms(self, now_ms: int) -> int:
        """Return the end of the youngest file that is asked for."""
        return self.file.floor(now_ms - _DAY_MS)

    @property
    def file(self) -> Interval:
        """The shortest time that has a file."""
        return Interval("1d" if self.archive.has_days else "1mo")


@dataclass(frozen=True, slots=True)
class RestCost:
    """What a part is expected to cost over REST."""

    requests: int
    weight: int
    seconds: float
    """At the pace that the exchange's documented limit allows, if nobody else uses it."""

    def __str__(self) -> str:
        return f"{self.requests} requests, weight {self.weight}, {self.seconds:.0f} s of the exchange's limit"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the range with one source."""

    source: Source
    """`API` or `DUMP`."""
    time_range: TimeRange
    cost: RestCost | None = None
    """Over REST, where it is known how many records there are."""
    files: int = 0
    """Of the archive, if those of its months are out."""

    def __str__(self) -> str:
        start = f"{datetime.fromtimestamp(self.time_range.start_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        if self.source is Source.DUMP:
            return f"from {start} {self.files} files of the archive, one fetched ahead"
        return f"from {start} over REST, {IN_FLIGHT} pages at once: {self.cost or 'as many as there are trades'}"


def needs_ends(means: Means, time_range: TimeRange, now_ms: int) -> bool:
    """Say whether the plan depends on how many records there are, and only the exchange can tell."""
    return means.history.ends is not None and _is_open(means, time_range, now_ms)


def plan_parts(means: Means, time_range: TimeRange, now_ms: int, ends: Ends | None = None) -> Sequence[Part]:
    """Lay out the parts of a range, in order, which together are the range.

    Args:
        means: How the records can be had.
        time_range: Of the dataset.
        now_ms: The time, Unix milliseconds.
        ends: Its first and last id, where they are needed.
    """
    whole = _over_rest(means, time_range, now_ms, ends)
    if not means.reaches(time_range.start_ms, now_ms):
        return plan_files_first(means, time_range, now_ms)
    if not _is_open(means, time_range, now_ms) or whole.cost is None or whole.cost.seconds <= _LONGEST_S:
        return [whole]
    return plan_files_first(means, time_range, now_ms)


def plan_files_first(means: Means, time_range: TimeRange, now_ms: int) -> Sequence[Part]:
    """Have files as far as they are out for sure, and REST behind them where it reaches so far back."""
    split_ms = means.youngest_end_ms(now_ms)
    if not time_range.start_ms < split_ms < time_range.end_ms or not means.reaches(split_ms, now_ms):
        return [_from_files(means, time_range, now_ms)]
    return [
        _from_files(means, TimeRange(time_range.start_ms, split_ms), now_ms),
        _over_rest(means, TimeRange(split_ms, time_range.end_ms), now_ms, None),
    ]


def rest_cost(history: History, symbol: str, ends: Ends | None) -> RestCost:
    """Tell what the pages from the first to the last id cost."""
    pages = PagePlan(history.kind.grid, ends, history.page_size)
    first = next(pages.pages_from(None), None)
    if first is None:
        return RestCost(0, 0, 0.0)
    request = history.request(symbol, first.first, first.last)
    weight = pages.count * request.weight
    return RestCost(pages.count, weight, weight / request.pool.limit * request.pool.window_s)


def _is_open(means: Means, time_range: TimeRange, now_ms: int) -> bool:
    """Say whether the cost decides: REST has all of it, and the archives at least one whole file."""
    youngest_end_ms = min(means.youngest_end_ms(now_ms), time_range.end_ms)
    has_file = means.file.advance(means.file.ceil(time_range.start_ms)) <= youngest_end_ms
    return has_file and means.reaches(time_range.start_ms, now_ms)


def _over_rest(means: Means, time_range: TimeRange, now_ms: int, ends: Ends | None) -> Part:
    history = means.history
    if history.ends is None:
        ends = closed_ends(history.kind.grid, time_range, now_ms)
    is_known = history.ends is None or ends is not None
    return Part(Source.API, time_range, rest_cost(history, means.symbol, ends) if is_known else None)


def _from_files(means: Means, time_range: TimeRange, now_ms: int) -> Part:
    files = plan_files(means.archive, time_range.start_ms, time_range.end_ms, now_ms)
    return Part(Source.DUMP, time_range, files=sum(1 for _ in files))
