"""The ids that a dataset's records should have: a grid of whole numbers, on which what is missing can be counted.

For candles the ids are open times and `Interval` is their grid; trades are numbered without holes.
"""

from typing import Protocol


class Grid(Protocol):
    """Where ids lie."""

    def floor(self, place: int, /) -> int:
        """Return the last id at or before a place."""

    def ceil(self, place: int, /) -> int:
        """Return the first id at or after a place."""

    def advance(self, place: int, number: int = 1, /) -> int:
        """Return the id that lies a number of ids after another one."""

    def count(self, start: int, end: int, /) -> int:
        """Count the ids in [start, end)."""


class EveryNumber:
    """Ids that count up by one."""

    def floor(self, place: int, /) -> int:
        """Return the place itself."""
        return place

    def ceil(self, place: int, /) -> int:
        """Return the place itself."""
        return place

    def advance(self, place: int, number: int = 1, /) -> int:
        """Return the id that lies a number of ids after another one."""
        return place + number

    def count(self, start: int, end: int, /) -> int:
        """Count the ids in [start, end)."""
        return max(0, end - start)
