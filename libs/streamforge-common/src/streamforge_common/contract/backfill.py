"""`options.backfill` of live types: from when on history is loaded too, both as one dataset without a seam."""

from datetime import datetime, timedelta

from streamforge_common.contract.time_range import TimeRange

BACKFILL_OPTION = "backfill"
_LONGEST_S = 10 * 366 * 24 * 3_600
"""As long as a time range may be."""


def backfill_range(option: object, now: datetime) -> TimeRange:
    """Return the time from where an option says up to now.

    Args:
        option: Seconds before now, or an RFC 3339 instant.
        now: By the exchange's clock, where it is known.

    Raises:
        ValueError: It is neither, or no start of a range that ends now.
    """
    if isinstance(option, int | float) and not isinstance(option, bool) and 0 < option <= _LONGEST_S:
        start = (now - timedelta(seconds=option)).isoformat()
    elif isinstance(option, str):
        start = option
    else:
        raise ValueError(f"expected seconds, more than 0 and at most {_LONGEST_S}, or an RFC 3339 instant")
    return TimeRange.parse(f"{start}/{now.isoformat()}")
