"""When the exchange may be asked again: one budget for each pool of requests that share a limit.

The exchange counts weight per window and per address, and bans who goes on beyond the limit. Where it tells the count
in every answer, all loaders behind the address see the same one: each stops short of the limit until the window is
over, by the exchange's own clock (`Budget`). Where it does not, each keeps to the share of the limit that it was told,
in whatever stretch of a window's length, for nobody knows where the windows begin (`DividedBudget`). Nothing at all is
sent for as long as the exchange asks for that. Times here are seconds of a monotonic clock, which the caller reads.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

_SHARE = 0.95
"""The rest is for what is under way elsewhere: other loaders behind the same address see the same count."""
_MARGIN_S = 0.5
"""Our idea of the exchange's clock is as good as half the way to it and back, and what is sent later may arrive sooner;
a window begins this much later."""


class PoolBudget(Protocol):
    """When a request of one pool may be sent."""

    limit: int
    """Weight in one window."""
    closed_until_s: float
    """The exchange asked to be left alone until then."""

    def learn_clock(self, exchange_time_ms: int, now_s: float) -> None:
        """Learn where in its window the exchange is."""

    def wait_s(self, weight: int, now_s: float) -> float:
        """Return how long a request of this weight has to wait; 0 where it may go now."""

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request that is sent now."""

    def note_used(self, used: int, sent_s: float) -> float:
        """Take over the exchange's own count from an answer, and return its share of the limit."""

    def close(self, until_s: float) -> None:
        """Send nothing until then."""


class Budget:
    """Weight per window, as the exchange counts and tells it."""

    def __init__(self, limit: int, window_s: float = 60.0, *, bound: float = 1.0) -> None:
        """Begin with nothing used.

        Args:
            limit: Weight in one window.
            window_s: Its length.
            bound: The share of the limit that this process may use itself.
        """
        self.limit = limit
        self.closed_until_s = 0.0
        self._window_s = window_s
        self._bound = bound
        self._window_began_s = 0.0
        self._used = self._spent = 0
        """By all behind the address; by this process."""

    def learn_clock(self, exchange_time_ms: int, now_s: float) -> None:
        """Learn where in its window the exchange is."""
        self._window_began_s = now_s - exchange_time_ms / 1000 % self._window_s

    def wait_s(self, weight: int, now_s: float) -> float:
        """Return how long a request of this weight has to wait; 0 where it may go now."""
        self._roll(now_s)
        wait_s = max(0.0, self.closed_until_s - now_s)
        # What costs more than a whole window allows would wait for ever.
        allowed = max(weight, self.limit * _SHARE)
        own = max(weight, self.limit * self._bound)
        if self._used + weight > allowed or self._spent + weight > own:
            wait_s = max(wait_s, self._window_began_s + self._window_s + _MARGIN_S - now_s)
        return wait_s

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request that is sent now."""
        self._roll(now_s)
        self._used += weight
        self._spent += weight

    def note_used(self, used: int, sent_s: float) -> float:
        """Take over the exchange's own count from an answer, and return its share of the limit.

        A count from before the running window says nothing about it.
        """
        if sent_s >= self._window_began_s + _MARGIN_S:
            self._used = max(self._used, used)
        return used / self.limit

    def close(self, until_s: float) -> None:
        """Send nothing until then."""
        self.closed_until_s = max(self.closed_until_s, until_s)

    def _roll(self, now_s: float) -> None:
        windows, past_s = divmod(now_s - self._window_began_s - _MARGIN_S, self._window_s)
        if windows > 0:
            self._window_began_s = now_s - _MARGIN_S - past_s
            self._used = self._spent = 0


class DividedBudget:
    """A share of the weight per window, which others add to and nobody counts."""

    def __init__(self, limit: int, window_s: float, share: Callable[[float], float]) -> None:
        """Begin with nothing used.

        Args:
            limit: Weight in one window, of all loaders together.
            window_s: Its length.
            share: Window's length to the share of the limit that this process has now.
        """
        self.limit = limit
        self.closed_until_s = 0.0
        self._window_s = window_s
        self._share = share
        self._sent: deque[tuple[float, int]] = deque()
        """When what was sent that may still count, and its weight."""
        self._used = 0

    def learn_clock(self, exchange_time_ms: int, now_s: float) -> None:
        """Do nothing: the clock does not tell where windows begin."""

    def wait_s(self, weight: int, now_s: float) -> float:
        """Return how long a request of this weight has to wait; 0 where it may go now."""
        self._forget(now_s)
        wait_s = max(0.0, self.closed_until_s - now_s)
        # What costs more than a share allows would wait for ever.
        excess = self._used + weight - max(weight, self.limit * _SHARE * self._share(self._window_s))
        for sent_s, sent_weight in self._sent:
            if excess <= 0:
                break
            excess -= sent_weight
            wait_s = max(wait_s, sent_s + self._window_s + _MARGIN_S - now_s)
        return wait_s

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request that is sent now."""
        self._sent.append((now_s, weight))
        self._used += weight

    def note_used(self, used: int, sent_s: float) -> float:
        """Return the share of the limit; whoever tells a count is not divided."""
        return used / self.limit

    def close(self, until_s: float) -> None:
        """Send nothing until then."""
        self.closed_until_s = max(self.closed_until_s, until_s)

    def used(self, now_s: float) -> int:
        """Return the weight that was sent within the last window."""
        self._forget(now_s)
        return self._used

    def _forget(self, now_s: float) -> None:
        while self._sent and self._sent[0][0] + self._window_s + _MARGIN_S <= now_s:
            self._used -= self._sent.popleft()[1]
