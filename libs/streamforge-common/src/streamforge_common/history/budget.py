"""When the exchange may be asked again: one budget for each pool of requests that share a limit.

The exchange counts weight per window of its clock and per address, may tell the count in every answer, and bans who
goes on beyond the limit. So the loader stops short of the limit until the window is over, by the exchange's own clock,
and sends nothing at all for as long as it is asked to. Times here are seconds of a monotonic clock, which the caller
reads.
"""

_SHARE = 0.95
"""The rest is for what is under way elsewhere: other loaders behind the same address see the same count."""
_UNTOLD_SHARE = 0.475
"""Where the exchange tells no count, nobody knows where its windows begin: no stretch of a window's length, wherever it
begins, touches more than two of ours."""
_MARGIN_S = 0.5
"""Our idea of the exchange's clock is as good as half the way to it and back; a window begins this much later."""


class Budget:
    """Weight per window, as the exchange counts it."""

    def __init__(self, limit: int, window_s: float = 60.0, *, is_told: bool = True) -> None:
        """Begin with nothing used.

        Args:
            limit: Weight in one window.
            window_s: Its length.
            is_told: Whether the exchange tells in its answers what was used.
        """
        self.limit = limit
        self._window_s = window_s
        self._share = _SHARE if is_told else _UNTOLD_SHARE
        self.closed_until_s = 0.0
        """The exchange asked to be left alone until then."""
        self._window_began_s = 0.0
        self._used = 0

    def learn_clock(self, exchange_time_ms: int, now_s: float) -> None:
        """Learn where in its window the exchange is."""
        self._window_began_s = now_s - exchange_time_ms / 1000 % self._window_s

    def wait_s(self, weight: int, now_s: float) -> float:
        """Return how long a request of this weight has to wait; 0 where it may go now."""
        self._roll(now_s)
        wait_s = max(0.0, self.closed_until_s - now_s)
        # What costs more than a whole window allows would wait for ever.
        allowed = max(weight, self.limit * self._share)
        if self._used + weight > allowed:
            wait_s = max(wait_s, self._window_began_s + self._window_s + _MARGIN_S - now_s)
        return wait_s

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request that is sent now."""
        self._roll(now_s)
        self._used += weight

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
            self._used = 0
