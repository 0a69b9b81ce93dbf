"""When the exchange may be asked again: one budget of weight for all requests of this process.

The exchange counts weight per clock minute and per address, tells the count in every answer, and bans who goes on
beyond the limit. So the loader stops short of the limit until the minute is over, by the exchange's own clock, and
sends nothing at all for as long as it is asked to. Times here are seconds of a monotonic clock, which the caller reads.
"""

_SHARE = 0.95
"""The rest is for what is under way elsewhere: other loaders behind the same address see the same count."""
_MARGIN_S = 0.5
"""Our idea of the exchange's clock is as good as half the way to it and back; a minute begins this much later."""
_MINUTE_S = 60.0


class Budget:
    """Weight per minute, as the exchange counts it."""

    def __init__(self, weight_per_minute: int) -> None:
        self.weight_per_minute = weight_per_minute
        self.closed_until_s = 0.0
        """The exchange asked to be left alone until then."""
        self._minute_began_s = 0.0
        self._used = 0

    def learn_clock(self, exchange_time_ms: int, now_s: float) -> None:
        """Learn where in its minute the exchange is."""
        self._minute_began_s = now_s - exchange_time_ms / 1000 % _MINUTE_S

    def wait_s(self, weight: int, now_s: float) -> float:
        """Return how long a request of this weight has to wait; 0 where it may go now."""
        self._roll(now_s)
        wait_s = max(0.0, self.closed_until_s - now_s)
        # What costs more than a whole minute allows would wait for ever.
        allowed = max(weight, self.weight_per_minute * _SHARE)
        if self._used + weight > allowed:
            wait_s = max(wait_s, self._minute_began_s + _MINUTE_S + _MARGIN_S - now_s)
        return wait_s

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request that is sent now."""
        self._roll(now_s)
        self._used += weight

    def note_used(self, used: int, sent_s: float) -> float:
        """Take over the exchange's own count from an answer, and return its share of the limit.

        A count from before the running minute says nothing about it.
        """
        if sent_s >= self._minute_began_s + _MARGIN_S:
            self._used = max(self._used, used)
        return used / self.weight_per_minute

    def close(self, until_s: float) -> None:
        """Send nothing until then."""
        self.closed_until_s = max(self.closed_until_s, until_s)

    def _roll(self, now_s: float) -> None:
        minutes, past_s = divmod(now_s - self._minute_began_s - _MARGIN_S, _MINUTE_S)
        if minutes > 0:
            self._minute_began_s = now_s - _MARGIN_S - past_s
            self._used = 0
