"""A recording in memory: the lines of its files end to end, with the ids and times to find them by.

A year of minute candles is half a million lines. As Python objects they would take a gigabyte; as one text with three
arrays beside it they take little more than the unpacked files.
"""

from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import Final

from exchange_sim.market import TimeUnit
from exchange_sim.recording.layouts import Layout

_SAMPLED_LINES: Final = 100


class Table:
    """Lines of one layout, ordered by id, each id once."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._ids = array("q")
        self._times_us = array("q")
        self._text = bytearray()
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._ids)

    def append(self, item_id: int, time_us: int, line: bytes) -> None:
        """Add a line that was read; the order is made by `settle`."""
        self._ids.append(item_id)
        self._times_us.append(time_us)
        self._text += line
        self._ends.append(len(self._text))

    def settle(self) -> None:
        """Bring the lines into the order of their ids and keep one of each.

        Of lines with the same id the one that was read last stays: archives are replaced by corrected ones later.
        """
        if all(before < after for before, after in pairwise(self._ids)):
            return
        last_of = {item_id: index for index, item_id in enumerate(self._ids)}
        settled = Table(self.layout)
        for item_id in sorted(last_of):
            index = last_of[item_id]
            settled.append(item_id, self._times_us[index], self._line(index))
        self._ids, self._times_us = settled._ids, settled._times_us
        self._text, self._ends = settled._text, settled._ends

    def index_at(self, time_us: int) -> int:
        """The first line at or after a moment."""
        return bisect_left(self._times_us, time_us)

    def index_of(self, item_id: int) -> int:
        """The first line with this id or a higher one."""
        return bisect_left(self._ids, item_id)

    def time_us(self, index: int) -> int:
        """The moment of a line."""
        return self._times_us[index]

    def rows(self, first: int, end: int, unit: TimeUnit) -> list[bytes]:
        """The lines [first, end) as JSON."""
        render = self.layout.render
        return [render(self._line(index).split(b","), unit) for index in range(first, end)]

    def sample(self, column: int) -> list[bytes]:
        """A column's values in the first lines: enough to tell the step of prices, which no file states."""
        return [self._line(index).split(b",")[column] for index in range(min(len(self), _SAMPLED_LINES))]

    def _line(self, index: int) -> bytes:
        return bytes(self._text[self._ends[index] : self._ends[index + 1]])
