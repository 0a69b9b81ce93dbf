"""Pages: what one request is given from a series."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exchange_sim.market import Series, TimeUnit


def json_array(rows: Sequence[bytes]) -> bytes:
    """Rows as Binance sends them."""
    return b"[" + b",".join(rows) + b"]"


Frame = Callable[[Sequence[bytes]], bytes]
"""Makes the body of an answer from its rows, which come oldest first."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The items that a request is to be given, before they are made."""

    series: Series
    positions: range
    now_us: int
    unit: TimeUnit = TimeUnit.MILLISECOND
    frame: Frame = json_array


@dataclass(frozen=True, slots=True)
class Page:
    """The items that a request is given.

    The faults take rows out or repeat some, so the positions are listed and need be neither complete nor ascending.
    """

    series: Series
    positions: Sequence[int]
    rows: list[bytes]
    settled: int
    """Items from this position on may look different next time."""
    frame: Frame = json_array

    @property
    def body(self) -> bytes:
        """The rows as they are sent."""
        return self.frame(self.rows)


async def make_page(selection: Selection) -> Page:
    """Make the items, a batch at a time: a year of daily candles takes seconds, and others are waiting too."""
    series, positions, now_us = selection.series, selection.positions, selection.now_us
    rows: list[bytes] = []
    for first in range(positions.start, positions.stop, series.batch):
        rows += series.rows(first, min(positions.stop, first + series.batch), now_us, selection.unit)
        await asyncio.sleep(0)
    return Page(series, positions, rows, series.settled(now_us), selection.frame)
