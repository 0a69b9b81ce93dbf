"""The candle intervals of the exchange, their names and their grids.

A grid is numbered: candle k of an interval opens at `open_us(k)`, and `index_at(t)` is the candle that holds the
instant t. Calendar months are the only grid whose candles differ in length, which is why everybody asks here instead of
dividing. All times are microseconds since 1970, UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exchange_sim.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US

MONDAY_US: Final = 4 * DAY_US
"""1970-01-05, the first Monday: weeks open on Mondays, while the Unix epoch was a Thursday."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One candle length, with its names on the REST interface and in the archive's file names."""

    name: str
    """As the REST interface spells it, e.g. `5m`, `1M`."""
    length_us: int
    """0 for calendar months."""
    anchor_us: int = 0
    """A moment at which some candle opens."""

    @property
    def file_name(self) -> str:
        """As archive files and kinds spell it: `1mo`, because file systems confuse `1M` with `1m`."""
        return "1mo" if self.name == "1M" else self.name

    def open_us(self, index: int, offset_us: int = 0) -> int:
        """When candle `index` opens, on the grid of a time zone `offset_us` ahead of UTC."""
        if not self.length_us:
            year, month = divmod(index, 12)
            return int(datetime(1970 + year, month + 1, 1, tzinfo=UTC).timestamp()) * SECOND_US - offset_us
        return index * self.length_us + self.anchor_us - offset_us

    def index_at(self, time_us: int, offset_us: int = 0) -> int:
        """Which candle holds this moment."""
        local_us = time_us + offset_us
        if not self.length_us:
            moment = datetime.fromtimestamp(local_us // SECOND_US, tz=UTC)
            return (moment.year - 1970) * 12 + moment.month - 1
        return (local_us - self.anchor_us) // self.length_us

    def is_on_utc_grid(self, offset_us: int) -> bool:
        """Whether a time zone's candles are the same as those of UTC."""
        return not offset_us or (self.length_us != 0 and not self.anchor_us and offset_us % self.length_us == 0)


_FIXED: Final = {
    "1s": SECOND_US,
    "1m": MINUTE_US,
    "3m": 3 * MINUTE_US,
    "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US,
    "30m": 30 * MINUTE_US,
    "1h": HOUR_US,
    "2h": 2 * HOUR_US,
    "4h": 4 * HOUR_US,
    "6h": 6 * HOUR_US,
    "8h": 8 * HOUR_US,
    "12h": 12 * HOUR_US,
    "1d": DAY_US,
    "3d": 3 * DAY_US,
}

INTERVALS: Final[dict[str, Interval]] = {
    **{name: Interval(name, length_us) for name, length_us in _FIXED.items()},
    "1w": Interval("1w", 7 * DAY_US, MONDAY_US),
    "1M": Interval("1M", 0),
}
"""By the REST interface's name, shortest first."""

BY_FILE_NAME: Final[dict[str, Interval]] = {interval.file_name: interval for interval in INTERVALS.values()}
