"""The stored records of a dataset as a series in time, asked for part by part.

Everything that looks at all records of an ended dataset does so in queries of bounded length: the database stays
there for others, and the memory of both sides does not grow with the dataset.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from queue_manager.app.workflow import Dataset
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.time_range import TimeRange

_RECORDS_AT_ONCE = 50_000
"""In one query, where records are spread evenly: half a second of the embedded database."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The lowest and the highest price of the records in a stretch of time, [start, end) in Unix milliseconds."""

    start: int
    end: int
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Jump:
    """Two neighbours in time whose prices are far apart."""

    time_ms: int
    """Of the second."""
    id: int | str
    """Of the second."""
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class MadeCandle:
    """What the aggregated trades of one candle come to."""

    open_time: int
    number: int
    """Of aggregated trades: what sums of doubles are as exact as."""
    names_trades: bool
    """Whether every one of them names the single trades in it."""
    values: dict[str, float]
    """By the candle's fields."""


class Series(Protocol):
    """Reads series; times are Unix milliseconds, ranges [start, end)."""

    async def span(self, dataset: Dataset, kind: RecordKind) -> tuple[int, int] | None:
        """Return the first and the last time of the instrument's records, None where there are none."""

    async def count(self, dataset: Dataset, field: str, start: int, end: int) -> int:
        """Count records by a field."""

    async def extremes(
        self, dataset: Dataset, kind: RecordKind, start: int, end: int, stretch_ms: int
    ) -> Sequence[Extremes]:
        """Return the extremes of each stretch that has records, in order."""

    async def jumps(
        self, dataset: Dataset, kind: RecordKind, start: int, since: int, end: int, ratio: float, most: int
    ) -> tuple[int, Sequence[Jump]]:
        """Count the jumps in a range whose second record is not older than `since`, and return the first ones."""

    async def candles(self, dataset: Dataset, start: int, end: int) -> Sequence[dict[str, Any]]:
        """Return candles, in order."""

    async def candles_made(self, trades: Dataset, start: int, end: int, length_ms: int) -> Sequence[MadeCandle]:
        """Make candles of that length of aggregated trades; the first one opens at the start."""


async def range_of(dataset: Dataset, kind: RecordKind, series: Series) -> tuple[int, int] | None:
    """Return the range in which a dataset has records, None where it has none; what is live has no range of its own."""
    span = await series.span(dataset, kind)
    if span is None:
        return None
    start, end = span[0], span[1] + 1
    if dataset.time_range:
        time_range = TimeRange.parse(dataset.time_range)
        start, end = max(start, time_range.start_ms), min(end, time_range.end_ms)
    return (start, end) if start < end else None


def parts(start: int, end: int, step_ms: int, records: int) -> Iterator[tuple[int, int]]:
    """Cut a range into parts of some 50,000 records, each of whole steps; the last one may be shorter."""
    steps = max(1, (end - start) * _RECORDS_AT_ONCE // (max(1, records) * step_ms))
    for first in range(start, end, steps * step_ms):
        yield first, min(end, first + steps * step_ms)
