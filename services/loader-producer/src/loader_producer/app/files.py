"""The plan of an archive's files for a time range.

A month where all of it is wanted and over, else days; of kinds that have files of the one length only, those.
"""

from collections.abc import Iterator

from streamforge_common.contract.intervals import Interval
from streamforge_common.exchanges.archives import Archive, Period

_DAY, _MONTH = Interval("1d"), Interval("1mo")


def plan_files(archive: Archive, start_ms: int, end_ms: int, now_ms: int) -> Iterator[Period]:
    """Yield what the files cover that together hold [start, end), in order; Unix milliseconds."""
    at = (_DAY if archive.has_days else _MONTH).floor(start_ms)
    while at < end_ms:
        behind_month = _MONTH.ceil(at + 1)
        is_whole = at >= start_ms and _MONTH.floor(at) == at and behind_month <= min(end_ms, now_ms)
        is_month = archive.has_months and (is_whole or not archive.has_days)
        period = Period(at, behind_month if is_month else _DAY.advance(at), is_month)
        yield period
        at = period.end_ms


def days_of(month: Period) -> list[Period]:
    """Return the days of a month, for one whose own file does not exist (yet)."""
    days = _DAY.count(month.start_ms, month.end_ms)
    starts = [_DAY.advance(month.start_ms, day) for day in range(days)]
    return [Period(start, _DAY.advance(start), is_month=False) for start in starts]
