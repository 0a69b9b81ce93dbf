"""A rate limit: how much each window of the clock allows, and what happens to those who do not listen.

Every request costs its endpoint's weight. Beyond the limit the answer is 429 with the seconds to wait; who goes on
asking is banned (418), at first for two minutes, each time longer, at most for three days. The real exchanges count per
IP address; here all clients count as one.

Source: Binance spot REST API, "IP Limits" (2026-07). How many requests it takes to be banned is not published. Bybit
bans at once: whoever may send no more is told to stay away for ten minutes.
"""

from dataclasses import dataclass
from typing import Final

from exchange_sim.clock import DAY_US, MINUTE_US, SECOND_US

TOLERATED_REFUSALS: Final = 10
"""429s in one minute before the ban: requests that were under way when the limit was reached are no offence."""

_FIRST_BAN_US: Final = 2 * MINUTE_US
_LONGEST_BAN_US: Final = 3 * DAY_US


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is answered, and what its headers say."""

    status: int
    """200, 429 or 418."""
    used_weight: int
    retry_after_s: int
    """0 when the request is answered."""
    ban_age_us: int | None
    """How long a ban had lasted when the request came; None outside of bans."""


class WeightLimit:
    """Counts the weight of the running window and remembers bans."""

    def __init__(
        self,
        limit: int,
        window_us: int = MINUTE_US,
        *,
        tolerated: int = TOLERATED_REFUSALS,
        first_ban_us: int = _FIRST_BAN_US,
    ) -> None:
        """Begin with nothing used.

        Args:
            limit: Weight that a window allows.
            window_us: How long it is.
            tolerated: Refusals in one window before the ban.
            first_ban_us: How long the first ban lasts.
        """
        self.limit = limit
        self._window_us = window_us
        self._tolerated = tolerated
        self._first_ban_us = first_ban_us
        self.banned_until_us = 0
        self._banned_since_us = 0
        self._bans = 0
        self._window = -1
        self._used = 0
        self._refusals = 0

    def admit(self, weight: int, now_us: int) -> Verdict:
        """Count a request and decide on it."""
        window = now_us // self._window_us
        if window != self._window:
            self._window, self._used, self._refusals = window, 0, 0
        if now_us < self.banned_until_us:
            return self._refuse(418, self.banned_until_us - now_us, ban_age_us=now_us - self._banned_since_us)
        self._used += weight
        if self._used <= self.limit:
            return Verdict(200, self._used, 0, None)
        self._refusals += 1
        if self._refusals > self._tolerated:
            duration_us = min(self._first_ban_us << self._bans, _LONGEST_BAN_US)
            self._bans += 1
            return self.ban(duration_us, now_us)
        return self._refuse(429, (window + 1) * self._window_us - now_us)

    def ban(self, duration_us: int, now_us: int) -> Verdict:
        """Refuse everything from now on; the request that brought this about is refused too."""
        self._banned_since_us = now_us
        self.banned_until_us = now_us + duration_us
        return self._refuse(418, duration_us)

    def _refuse(self, status: int, wait_us: int, ban_age_us: int | None = None) -> Verdict:
        return Verdict(status, self._used, -(-wait_us // SECOND_US), ban_age_us)
