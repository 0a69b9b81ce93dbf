"""Candle intervals and the grid of their open times, UTC.

All intervals start at multiples of their length since the Unix epoch, but weeks, which start on Monday, and months,
which start on their first day. Source: Binance spot API, klines (read 2026-11-21); Bybit v5 has the same grid.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

_SECOND_MS = 1_000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_FIRST_MONDAY_MS = 4 * _DAY_MS
"""1970-01-05: the epoch was a Thursday."""

_LENGTHS_MS = {
    "1s": _SECOND_MS,
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": _HOUR_MS,
    "2h": 2 * _HOUR_MS,
    "4h": 4 * _HOUR_MS,
    "6h": 6 * _HOUR_MS,
    "8h": 8 * _HOUR_MS,
    "12h": 12 * _HOUR_MS,
    "1d": _DAY_MS,
    "3d": 3 * _DAY_MS,
    "1w": 7 * _DAY_MS,
}

INTERVALS = (*_LENGTHS_MS, "1mo")
"""Every interval that the contract knows, shortest first."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One candle interval.

    Raises:
        ValueError: The name is not one of `INTERVALS`.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in INTERVALS:
            hint = " (a month is 1mo)" if self.name == "1M" else ""
            raise ValueError(f"unknown interval {self.name!r}{hint}: one of {', '.join(INTERVALS)}")

    def floor(self, time_ms: int) -> int:
        """Return the last open time at or before a time, both in Unix milliseconds."""
        if self.name == "1mo":
            return _month_start_ms(_month_of(time_ms))
        return time_ms - (time_ms - self._phase_ms) % _LENGTHS_MS[self.name]

    def ceil(self, time_ms: int) -> int:
        """Return the first open time at or after a time, both in Unix milliseconds."""
        opened = self.floor(time_ms)
        return opened if opened == time_ms else self.advance(opened)

    def advance(self, open_time_ms: int, candles: int = 1) -> int:
        """Return the open time that lies a number of candles after another one, in Unix milliseconds."""
        if self.name == "1mo":
            return _month_start_ms(_month_of(open_time_ms) + candles)
        return open_time_ms + candles * _LENGTHS_MS[self.name]

    def close_time(self, open_time_ms: int) -> int:
        """Return the last millisecond of the candle that opens then."""
        return self.advance(open_time_ms) - 1

    def count(self, start_ms: int, end_ms: int) -> int:
        """Count the open times in [start, end), Unix milliseconds."""
        first, last = self.ceil(start_ms), self.ceil(end_ms)
        if self.name == "1mo":
            return max(0, _month_of(last) - _month_of(first))
        return max(0, (last - first) // _LENGTHS_MS[self.name])

    @property
    def _phase_ms(self) -> int:
        return _FIRST_MONDAY_MS if self.name == "1w" else 0


def _month_of(time_ms: int) -> int:
    """Number the month of a time, January of year 0 being 0."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return moment.year * 12 + moment.month - 1


def _month_start_ms(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
