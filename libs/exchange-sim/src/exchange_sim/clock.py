"""Time as this tool keeps it: whole microseconds since 1970, UTC, whatever unit came in or goes out."""

import time
from collections.abc import Callable
from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

_MICROSECONDS_FROM: Final = 10**14
"""As milliseconds this would be the year 5138, as microseconds it is 1973: the magnitude tells the unit."""

Clock = Callable[[], int]
"""Says what time it is."""


def real_time_us() -> int:
    """The machine's clock."""
    return time.time_ns() // 1000


def faster_time_us(speed: float) -> Clock:
    """Return a clock that starts from now on the machine's and runs so many times faster."""
    began_us = real_time_us()
    return lambda: began_us + int((real_time_us() - began_us) * speed)


def is_ms(time: int) -> bool:
    """Whether a time of either unit is one in milliseconds."""
    return time < _MICROSECONDS_FROM


def to_us(time: int) -> int:
    """Read a time of either unit: the first microsecond that it names."""
    return time * 1000 if is_ms(time) else time


def last_us(time: int) -> int:
    """Read a time of either unit: the last microsecond that it names."""
    return time * 1000 + 999 if is_ms(time) else time
