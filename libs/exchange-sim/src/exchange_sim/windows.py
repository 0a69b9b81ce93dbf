"""The window rule that all of the exchange's history endpoints share, as arithmetic on positions.

- Only a start: the oldest items from there on.
- Only an end: the most recent items up to and including it.
- Both: as with a start, but not beyond the end.
- Neither: the most recent items.

Items always come oldest first.

Source: Binance spot REST API, "Kline/Candlestick data" and "Compressed/Aggregate trades list", 2026-07.
"""

from dataclasses import dataclass

from exchange_sim.market import Series


@dataclass(frozen=True, slots=True)
class Window:
    """What part of a series is asked for; times in microseconds, both ends inclusive."""

    start_us: int | None
    end_us: int | None
    limit: int


def select(series: Series, window: Window, now_us: int) -> range:
    """The positions that a window shows now."""
    first, end = series.first, series.end(now_us)
    if window.end_us is not None:
        end = min(end, series.position_at(window.end_us + 1))
    if window.start_us is not None:
        first = max(first, series.position_at(window.start_us))
        end = min(end, first + window.limit)
    else:
        first = max(first, end - window.limit)
    return range(first, max(first, end))
