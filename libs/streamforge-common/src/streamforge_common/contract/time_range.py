"""The time range of a bounded dataset: UTC, start inclusive, end exclusive (contract section 1)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2}):(\d{4}-\d{2}-\d{2})", re.ASCII)
_EARLIEST = datetime(2017, 1, 1, tzinfo=UTC)
"""Before the first of the supported exchanges opened."""
_LONGEST = timedelta(days=3_660)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Two instants in Unix milliseconds, [start, end)."""

    start_ms: int
    end_ms: int

    @classmethod
    def parse(cls, text: str) -> "TimeRange":
        """Read `YYYY-MM-DD:YYYY-MM-DD`, or two RFC 3339 instants joined by `/`.

        Raises:
            ValueError: The text has neither form, or the range is not a range.
        """
        start, end = _instants(text)
        if start >= end:
            raise ValueError("the start must lie before the end; the end is exclusive")
        if start < _EARLIEST:
            raise ValueError(f"the start must not lie before {_EARLIEST:%Y-%m-%d}")
        if end - start > _LONGEST:
            raise ValueError(f"the range must not be longer than {_LONGEST.days} days")
        return cls(_to_ms(start), _to_ms(end))

    @property
    def start(self) -> datetime:
        """The start as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.start_ms / 1000, UTC)


def _instants(text: str) -> tuple[datetime, datetime]:
    if days := _DAYS.fullmatch(text):
        try:
            first, second = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days.groups())
        except ValueError as exc:
            raise ValueError(f"no such day: {exc}") from exc
        return first, second
    parts = text.split("/")
    if len(parts) != 2:
        raise ValueError("expected YYYY-MM-DD:YYYY-MM-DD, or two RFC 3339 instants joined by /")
    return _instant(parts[0]), _instant(parts[1])


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} is not an RFC 3339 instant such as 2024-08-01T00:00:00Z") from exc
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; end it with Z for UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{text!r} lies outside the calendar") from exc


def _to_ms(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
