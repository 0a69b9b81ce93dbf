"""Reading a query string as Bybit does: parameters that it does not know are left alone, wrong values are refused.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07); codes from its page of errors, their wording is a guess.
"""

from collections.abc import Mapping
from typing import Final

from exchange_sim.clock import to_us
from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import INTERVALS, Interval

PARAMETERS_ERROR: Final = 10001

INTERVAL_NAMES: Final = {
    **{str(minutes): f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{str(hours * 60): f"{hours}h" for hours in (1, 2, 4, 6, 12)},
    "D": "1d",
    "W": "1w",
    "M": "1M",
}
"""Bybit's name to that of `intervals`."""
_PERIODS: Final = {"5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h", "4h": "4h", "1d": "1d"}
_DIGITS_MAX: Final = 14


class Query:
    """The parameters of one request."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        self._sent = sent

    def __contains__(self, name: str) -> bool:
        return bool(self._sent.get(name))

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter that must be sent unless there is a default."""
        value = self._sent.get(name) or default
        if value is None:
            raise wrong(f"{name} is required")
        return value

    def interval(self) -> Interval:
        """The parameter `interval`: minutes, or a letter."""
        return self._named("interval", INTERVAL_NAMES)

    def period(self) -> Interval:
        """The parameter `intervalTime`."""
        return self._named("intervalTime", _PERIODS)

    def time_us(self, name: str) -> int | None:
        """A time in ms."""
        number = self._number(name)
        return None if number is None else to_us(number)

    def limit(self, default: int, most: int) -> int:
        """The parameter `limit`."""
        limit = self._number("limit")
        if limit is not None and not 1 <= limit <= most:
            raise wrong(f"limit must be between 1 and {most}")
        return default if limit is None else limit

    def cursor(self) -> int | None:
        """Where the page before ended."""
        return self._number("cursor")

    def _named(self, name: str, names: Mapping[str, str]) -> Interval:
        value = self.text(name)
        if value not in names:
            raise wrong(f"{name} is invalid")
        return INTERVALS[names[value]]

    def _number(self, name: str) -> int | None:
        value = self._sent.get(name)
        if not value:
            return None
        if not value.isascii() or not value.isdecimal() or len(value) > _DIGITS_MAX:
            raise wrong(f"{name} is invalid")
        return int(value)


def wrong(what: str) -> ExchangeError:
    """The refusal of a request with a wrong parameter, which has the HTTP status 200."""
    return ExchangeError(PARAMETERS_ERROR, f"params error: {what}", status=200)
