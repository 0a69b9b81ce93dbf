"""The continuity of records that lie on no grid: no two neighbours further apart than the exchange names.

Funding is such a kind: its interval differs from symbol to symbol and changes in a symbol's life, so nobody can list
the times at which there should have been one; but a silence longer than the interval shows that one is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Silence:
    """Two neighbours with at least one missing between them."""

    start: int
    """Behind the first of the two; where that is the start of the range, the start itself."""
    end: int
    """The second of the two, or the end of the range."""
    missing: int
    """At least so many."""


def find_silences(start: int, ids: Sequence[int], end: int, spacing: int) -> Iterator[Silence]:
    """Yield where records are missing in [start, end), in order.

    Args:
        start: Nothing is known of what lies before.
        ids: Those that are there, sorted, all in [start, end).
        end: Nothing is known of what lies from here on.
        spacing: How far apart two neighbours may be, in the unit of the ids.
    """
    for one, next_one in pairwise([start - 1, *ids, end]):
        missing = (next_one - one - 1) // spacing
        if missing > 0:
            yield Silence(one + 1, next_one, missing)
