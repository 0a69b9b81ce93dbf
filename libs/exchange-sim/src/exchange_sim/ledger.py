"""What the exchange served: every item, with how often.

Kept as runs of positions, so that serving a million items, or one of them a million times, costs no memory. The items
themselves are not kept, the market makes them again; only candles that were still open are, since they will never look
like that again.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exchange_sim.market import Series, TimeUnit
from exchange_sim.pages import Page


@dataclass(frozen=True, slots=True)
class ServedItem:
    """One item as it was sent, and how often it was."""

    market: str
    symbol: str
    kind: str
    row: bytes
    times: int
    is_open: bool
    """An open candle, as it was sent last."""


class Runs:
    """A count per position, as runs of neighbours with the same count.

    `_starts[i]` is where run i begins and the run before it ends; the counts of the first and the last are zero.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._counts: list[int] = []

    def add(self, first: int, end: int) -> None:
        """Count every position in [first, end) once more."""
        begin, stop = self._split(first), self._split(end)
        for run in range(begin, stop):
            self._counts[run] += 1
        self._join(stop)
        self._join(begin)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """(first, end, count) of every run that was counted."""
        for run, count in enumerate(self._counts):
            if count:
                yield self._starts[run], self._starts[run + 1], count

    def _split(self, position: int) -> int:
        """Make a run begin here; say which."""
        run = bisect_right(self._starts, position) - 1
        if run >= 0 and self._starts[run] == position:
            return run
        self._starts.insert(run + 1, position)
        self._counts.insert(run + 1, self._counts[run] if run >= 0 else 0)
        return run + 1

    def _join(self, run: int) -> None:
        """Drop a border between two equal runs."""
        if run > 0 and self._counts[run] == self._counts[run - 1]:
            del self._starts[run], self._counts[run]


@dataclass(slots=True)
class _Served:
    series: Series
    runs: Runs = field(default_factory=Runs)
    open_rows: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """By position: the text as it was sent last, and how often."""


class Ledger:
    """Everything served since the start."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str, str], _Served] = {}
        """By market, symbol, kind, and the class of the series: a recorded connection numbers items in its own way."""

    def record(self, page: Page) -> None:
        """Count the items of a page that was sent."""
        served = self._served_of(page.series)
        for first, end in _neighbours([position for position in page.positions if position < page.settled]):
            served.runs.add(first, end)
        for position, row in zip(page.positions, page.rows, strict=True):
            if position >= page.settled:
                _, times = served.open_rows.get(position, (row, 0))
                served.open_rows[position] = row, times + 1

    def record_all(self, series: Series, positions: range) -> None:
        """Count items that will not change any more and were sent as one file."""
        self._served_of(series).runs.add(positions.start, positions.stop)

    def _served_of(self, series: Series) -> _Served:
        of = (series.market, series.symbol, series.kind, type(series).__name__)
        return self._served.setdefault(of, _Served(series))

    def items(
        self, symbol: str | None, kind: str | None, now_us: int, market: str | None = None
    ) -> Iterator[ServedItem]:
        """Every item that was served of these, oldest first; a candle that was also sent closed counts as that."""
        for of, served in sorted(self._served.items(), key=lambda item: item[0]):
            if all(wanted in (None, found) for wanted, found in zip((market, symbol, kind), of, strict=False)):
                yield from self._items_of(served, now_us)

    def _items_of(self, served: _Served, now_us: int) -> Iterator[ServedItem]:
        series = served.series
        open_rows = dict(served.open_rows)
        for first, end, times in list(served.runs):
            for batch_first in range(first, end, series.batch):
                batch_end = min(end, batch_first + series.batch)
                rows = series.rows(batch_first, batch_end, now_us, TimeUnit.MILLISECOND)
                for position, row in enumerate(rows, start=batch_first):
                    _, times_open = open_rows.pop(position, (row, 0))
                    yield ServedItem(series.market, series.symbol, series.kind, row, times + times_open, is_open=False)
        for row, times in open_rows.values():
            yield ServedItem(series.market, series.symbol, series.kind, row, times, is_open=True)


def _neighbours(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut positions into runs [first, end) of neighbours; a page that nothing was done to is one."""
    start = 0
    for index in range(1, len(positions) + 1):
        if index == len(positions) or positions[index] != positions[index - 1] + 1:
            yield positions[start], positions[index - 1] + 1
            start = index
