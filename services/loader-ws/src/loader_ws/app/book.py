"""An order book that is built from a snapshot and from the differences behind it, or that nobody gets to see.

    unsynchronised → buffering → synchronised → lost → buffering …

Differences that come before their snapshot are kept. Each one that follows is checked by the exchange's own rules:
what does not lie behind the one before, or would cross the book, loses it. A snapshot over REST ends at some level,
behind which nothing is known: a book whose best levels come near to that is built anew from another snapshot beside the
one that is there, and takes its place; where that comes too late the book is lost as well.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from enum import StrEnum

from streamforge_common.contract.records import Depth, DepthSnapshot, Level
from streamforge_common.exchanges.streams import BookRules

_KEPT_LEVELS = 5_000
"""Of a side, at most twice as many for a while: far away from the best ones, where nobody looks, a book only grows."""
_KEPT_DIFFERENCES = 2_000
"""While a snapshot is awaited; more than three minutes of the busiest symbol."""


class BookState(StrEnum):
    """What is known of a book."""

    UNSYNCHRONISED = "unsynchronised"
    """Nothing."""
    BUFFERING = "buffering"
    """Differences, but not from where on they lead."""
    SYNCHRONISED = "synchronised"
    """Everything."""
    LOST = "lost"
    """Nothing any more."""


class _Side:
    """One side, best first, as far as it is known; keys are prices, of bids negative ones."""

    def __init__(self, levels: Sequence[Level], sign: int, *, is_cut: bool) -> None:
        """Begin with the levels of a snapshot.

        Args:
            levels: Best first.
            sign: -1 of bids, 1 of asks.
            is_cut: Whether there are more levels than these.
        """
        self._sign = sign
        self._quantities = {price * sign: quantity for price, quantity in levels if quantity}
        self._keys = sorted(self._quantities)
        self._reach = levels[-1][0] * sign if is_cut else math.inf

    @property
    def best(self) -> float:
        """The best key; infinite where the side is empty."""
        return self._keys[0] if self._keys else math.inf

    def set(self, price: float, quantity: float) -> None:
        """Change one level; one that is gone need not have been there."""
        key = price * self._sign
        if key > self._reach:
            return
        if quantity:
            if key not in self._quantities:
                insort(self._keys, key)
            self._quantities[key] = quantity
        elif self._quantities.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        if len(self._keys) > 2 * _KEPT_LEVELS:
            for forgotten in self._keys[_KEPT_LEVELS:]:
                del self._quantities[forgotten]
            del self._keys[_KEPT_LEVELS:]
            self._reach = self._keys[-1]

    def knows(self, levels: int) -> bool:
        """Say whether the best ones are all known, so many of them as there are."""
        return len(self._keys) >= levels or self._reach == math.inf

    def top(self, levels: int) -> list[Level]:
        """Return the best levels."""
        return [(key * self._sign, self._quantities[key]) for key in self._keys[:levels]]


class Book:
    """The book of one symbol."""

    def __init__(self, rules: BookRules, levels: int) -> None:
        """Begin with nothing.

        Args:
            rules: The exchange's.
            levels: How many of each side must always be known.
        """
        self.state = BookState.UNSYNCHRONISED
        self.trouble = ""
        """Why it was lost; empty where it was not."""
        self.losses = 0
        self.lost_since_ms: int | None = None
        """Event time of the last update before it was lost for the first time since `forget_loss`; None where it was
        not."""
        self.update_id = -1
        """Of the update up to which it is right, or was."""
        self.event_time_ms = 0
        """When that was."""
        self.bids = _Side((), -1, is_cut=False)
        self.asks = _Side((), 1, is_cut=False)
        self._rules = rules
        self._levels = levels
        self._snapshot: DepthSnapshot | None = None
        self._differences: list[Depth] = []
        self._passed = 0
        """Differences that were older than the snapshot."""
        self._spare = levels
        """So many levels are known at least, or the next book is made ready."""
        self._next: Book | None = None
        """Follows the same differences, from a later snapshot on."""

    @property
    def wants_snapshot(self) -> bool:
        """Whether differences wait for a snapshot over REST, of this book or the next one."""
        if self._next is not None:
            return self._next.wants_snapshot
        return self.state is BookState.BUFFERING and self._snapshot is None

    def top(self) -> tuple[list[Level], list[Level]]:
        """Return the best bids and asks of a synchronised book."""
        assert self.state is BookState.SYNCHRONISED
        return self.bids.top(self._levels), self.asks.top(self._levels)

    def take(self, difference: Depth) -> bool:
        """Take the next difference; say whether the book has changed by it and is right."""
        if difference.is_snapshot is True:
            return self._begin_anew(difference)
        if self.state is BookState.SYNCHRONISED:
            return self._follow(difference)
        return self._keep(difference)

    def take_snapshot(self, snapshot: DepthSnapshot) -> None:
        """Take a snapshot that was asked for; what differences have made of it is seen with the next one."""
        if self._next is not None:
            self._next.take_snapshot(snapshot)
        elif self.wants_snapshot:
            self._snapshot, self._passed = snapshot, 0
            self._join()

    def forget_loss(self) -> None:
        """It has been told that the book was lost."""
        self.lost_since_ms = None

    def _begin_anew(self, levels: Depth) -> bool:
        """Take all levels as the stream itself sends them."""
        if self.state is BookState.SYNCHRONISED:
            if levels.last_update_id <= self.update_id and levels.event_time <= self.event_time_ms:
                # Of a second subscription that is behind.
                return False
            if not self._rules.follows(levels, self.update_id):
                self._lose(f"all levels anew at {levels.last_update_id}, behind {self.update_id}")
        self._set(levels.bids, levels.asks, limit=None)
        return self._settle(levels)

    def _follow(self, difference: Depth) -> bool:
        if difference.last_update_id <= self.update_id:
            if difference.event_time > self.event_time_ms:
                self._lose(f"ids begin anew at {difference.last_update_id}, behind {self.update_id}", difference)
            return False
        if not self._rules.follows(difference, self.update_id):
            self._lose(f"{difference.last_update_id} does not follow {self.update_id}", difference)
            return False
        return self._apply(difference) and self._renew(difference)

    def _renew(self, difference: Depth) -> bool:
        """Have the next book ready before this one runs out of levels; it is right behind the same difference."""
        if self._next is None and not (self.bids.knows(self._spare) and self.asks.knows(self._spare)):
            self._next = Book(self._rules, self._levels)
        if self._next is not None and self._next.take(difference):
            self.bids, self.asks, self._next = self._next.bids, self._next.asks, None
        return True

    def _apply(self, difference: Depth) -> bool:
        for price, quantity in difference.bids:
            self.bids.set(price, quantity)
        for price, quantity in difference.asks:
            self.asks.set(price, quantity)
        return self._settle(difference)

    def _settle(self, difference: Depth) -> bool:
        """Call the book synchronised if it can be."""
        if -self.bids.best >= self.asks.best:
            self._lose(f"crossed at {difference.last_update_id}", difference)
            return False
        if not (self.bids.knows(self._levels) and self.asks.knows(self._levels)):
            self._lose(f"the market has left the levels that are known, at {difference.last_update_id}", difference)
            return False
        self.state = BookState.SYNCHRONISED
        self.trouble = ""
        self.update_id, self.event_time_ms = difference.last_update_id, difference.event_time
        return True

    def _keep(self, difference: Depth) -> bool:
        """Keep a difference for the snapshot that is to come; say whether that is there."""
        if self._rules.snapshot_limit is None:
            return False
        self.state = BookState.BUFFERING
        if max(len(self._differences), self._passed) >= _KEPT_DIFFERENCES:
            self._lose(f"{_KEPT_DIFFERENCES} differences, and none of them leads on from a snapshot", difference)
            return False
        self._differences.append(difference)
        return self._join()

    def _join(self) -> bool:
        """Bring snapshot and differences together; say whether the book is right behind the last one."""
        snapshot = self._snapshot
        if snapshot is None:
            return False
        is_unopened = snapshot.update_id < 0
        while self._differences:
            first = self._differences[0]
            if is_unopened or self._rules.joins(first, snapshot.update_id):
                return self._join_with(snapshot)
            if first.last_update_id > snapshot.update_id:
                # It is older than the first difference; another one will not be.
                self._snapshot = None
                return False
            self._differences.pop(0)
            self._passed += 1
        return False

    def _join_with(self, snapshot: DepthSnapshot) -> bool:
        first, *others = self._differences
        self._differences, self._snapshot = [], None
        self._set(snapshot.bids, snapshot.asks, limit=snapshot.limit)
        is_right = self._apply(first)
        for difference in others:
            is_right = self.take(difference)
        return is_right

    def _set(self, bids: Sequence[Level], asks: Sequence[Level], limit: int | None) -> None:
        self.bids = _Side(bids, -1, is_cut=limit is not None and len(bids) >= limit)
        self.asks = _Side(asks, 1, is_cut=limit is not None and len(asks) >= limit)
        self._spare = self._levels if limit is None else (self._levels + limit) // 2

    def _lose(self, why: str, difference: Depth | None = None) -> None:
        """Forget all levels; the difference may be the first one that the next book is made of."""
        self.trouble = why
        self.losses += 1
        if self.state is BookState.SYNCHRONISED and self.lost_since_ms is None:
            self.lost_since_ms = self.event_time_ms
        self._snapshot = self._next = None
        self._differences = []
        self.state = BookState.LOST
        if difference is not None and self._rules.snapshot_limit is not None:
            self.state = BookState.BUFFERING
            self._differences = [difference]
        self._set((), (), limit=None)
