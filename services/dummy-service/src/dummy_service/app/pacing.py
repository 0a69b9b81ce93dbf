"""When which record is due: so many a second, counted from one moment, so that lateness never adds up.

Record i is due i / rate seconds after the beginning. Who is late takes all that is due at once and is on time again.
All is whole numbers and fractions: after a year the pace is still exact.
"""

import math
from fractions import Fraction

_NS = 1_000_000_000


class Pacer:
    """Hands out what is due."""

    def __init__(self, per_second: float, now_ns: int, total: int | None = None) -> None:
        """Begin now.

        Args:
            per_second: Records a second, above 0.
            now_ns: The time on a clock that only goes forward, nanoseconds.
            total: Records in all; None where there is no end.
        """
        self._per_ns = Fraction(per_second) / _NS
        self._total = total
        self._taken = 0
        self._began_ns = now_ns
        self._before = 0
        """Records taken before the clock began anew."""

    @property
    def is_through(self) -> bool:
        """Whether all records are taken."""
        return self._taken == self._total

    def take(self, now_ns: int, most: int) -> int:
        """Take what is due and was not taken yet, at most so many records; returns how many."""
        due = self._before + math.floor((now_ns - self._began_ns) * self._per_ns) + 1
        if self._total is not None:
            due = min(due, self._total)
        number = max(0, min(most, due - self._taken))
        self._taken += number
        return number

    def early_ns(self, now_ns: int) -> int:
        """Return how long it is until the next record is due; negative: how long it has been due."""
        return self._began_ns + math.ceil((self._taken - self._before) / self._per_ns) - now_ns

    def begin_anew(self, now_ns: int) -> None:
        """Let the next record be due now, and forget what was late: after a pause nothing is caught up with."""
        self._began_ns = now_ns
        self._before = self._taken
