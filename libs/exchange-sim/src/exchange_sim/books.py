"""The port between the exchange's front and its order books, whether they are simulated or recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Levels = Sequence[tuple[str, str]]
"""Price and quantity as the exchange writes them, best first."""


@dataclass(frozen=True, slots=True)
class BookView:
    """An order book after one update."""

    update_id: int
    time_us: int
    """Of the update."""
    bids: Levels
    asks: Levels


class Books(Protocol):
    """The order books of all markets."""

    def book_now(self, market: str, symbol: str, now_us: int) -> BookView | None:
        """Return a book as it is now, None where there is none."""
        ...

    def book_at(self, market: str, symbol: str, update_id: int) -> BookView | None:
        """Return a book as it was after an update, None where there was none of that id."""
        ...


def as_levels(bids: Mapping[str, str], asks: Mapping[str, str]) -> tuple[Levels, Levels]:
    """Order the levels of a book best first."""
    return (
        sorted(bids.items(), key=lambda level: -float(level[0])),
        sorted(asks.items(), key=lambda level: float(level[0])),
    )
