"""What is missing and may still come, as runs: never more of them than a checkpoint can hold, and none is forgotten."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_MOST = 64
"""With two long numbers each they take half of a checkpoint."""


class Hole(NamedTuple):
    """A run that is missing: ids where ids lie one behind the other, else Unix milliseconds."""

    start: int
    """Inclusive."""
    end: int
    """Exclusive."""


class Holes:
    """Holes in order, none of which touches another."""

    def __init__(self, holes: Iterable[Sequence[int]] = ()) -> None:
        self._holes: list[Hole] = []
        self._there_are_some = asyncio.Event()
        for start, end in holes:
            self.add(start, end)

    def __iter__(self) -> Iterator[Hole]:
        return iter(self._holes)

    def __len__(self) -> int:
        return len(self._holes)

    async def wait_for_newest(self) -> Hole:
        """Return the last hole, as soon as there is one."""
        await self._there_are_some.wait()
        return self._holes[-1]

    def add(self, start: int, end: int) -> None:
        """Add a hole, joined to those that it touches.

        Of too many the two that lie closest become one: what lies between them is brought a second time, which costs a
        repetition on the topic and no record.
        """
        touched = [hole for hole in self._holes if hole.start <= end and start <= hole.end]
        for hole in touched:
            self._holes.remove(hole)
            start, end = min(start, hole.start), max(end, hole.end)
        insort(self._holes, Hole(start, end))
        self._there_are_some.set()
        if len(self._holes) > _MOST:
            closest = min(range(_MOST), key=lambda index: self._holes[index + 1].start - self._holes[index].end)
            self._holes[closest : closest + 2] = [Hole(self._holes[closest].start, self._holes[closest + 1].end)]

    def remove(self, start: int, end: int) -> list[Hole]:
        """Take a run out and return what of it was missing."""
        index = max(0, bisect_left(self._holes, Hole(start, start)) - 1)
        removed = []
        while index < len(self._holes) and self._holes[index].start < end:
            hole = self._holes[index]
            if hole.end <= start:
                index += 1
                continue
            removed.append(Hole(max(start, hole.start), min(end, hole.end)))
            left = [Hole(hole.start, start)] if hole.start < start else []
            right = [Hole(end, hole.end)] if end < hole.end else []
            self._holes[index : index + 1] = left + right
            index += len(left) + len(right)
        if not self._holes:
            self._there_are_some.clear()
        return removed
