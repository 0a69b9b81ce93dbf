"""Adding up: what any stretch of a symbol's market amounts to, from days, minute bars and, at its ends, trades."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from exchange_sim.clock import DAY_US, MINUTE_US
from exchange_sim.simulation.tape_reader import TapeReader

_REMEMBERED_DAYS: Final = 4096
"""Eleven years, two megabytes. A page of daily candles takes seconds to draw: who asks again must not wait again."""


@dataclass(slots=True)
class Sum:
    """A stretch of time; prices in ticks, quantities in lots, quote in tick-lots."""

    opened: int
    high: int
    low: int
    closed: int
    lots: int = 0
    quote: int = 0
    trades: int = 0
    buy_lots: int = 0
    buy_quote: int = 0

    def add(self, later: "Sum") -> None:
        """Append what happened next."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.closed = later.closed
        self.lots += later.lots
        self.quote += later.quote
        self.trades += later.trades
        self.buy_lots += later.buy_lots
        self.buy_quote += later.buy_quote


class Sums:
    """Sums over one symbol's market."""

    def __init__(self, reader: TapeReader) -> None:
        self._reader = reader
        self._day = lru_cache(_REMEMBERED_DAYS)(self._sum_day)

    def between(self, start_us: int, end_us: int) -> Sum:
        """What happened in [start, end), which begins with a minute or lies within one, after its first trade."""
        return _join(self._parts(start_us, end_us))

    def has_trades(self, start_us: int, end_us: int) -> bool:
        """Whether anything happened in [start, end), which lies within one minute or begins with one."""
        minute = start_us // MINUTE_US
        return start_us < end_us and (
            end_us > (minute + 1) * MINUTE_US
            or self._reader.tape(minute).index_at(start_us) < self._reader.tape(minute).index_at(end_us)
        )

    def _parts(self, start_us: int, end_us: int) -> Iterator[Sum]:
        """Cut a stretch into whole days, runs of whole minutes within an hour, and what is left over at its ends."""
        while start_us < end_us:
            minute, within_us = divmod(start_us, MINUTE_US)
            whole_until = min(end_us // MINUTE_US, (minute // 60 + 1) * 60)
            if start_us % DAY_US == 0 and start_us + DAY_US <= end_us:
                yield self._day(start_us // DAY_US)
                start_us += DAY_US
            elif within_us == 0 and minute < whole_until:
                yield self._of_bars(minute, whole_until)
                start_us = whole_until * MINUTE_US
            else:
                stop_us = min(end_us, (minute + 1) * MINUTE_US)
                yield from self._of_trades(start_us, stop_us)
                start_us = stop_us

    def _sum_day(self, day: int) -> Sum:
        return _join(self._of_bars(hour * 60, hour * 60 + 60) for hour in range(day * 24, day * 24 + 24))

    def _of_bars(self, first: int, end: int) -> Sum:
        """Whole minutes of one hour."""
        hour = self._reader.hour(first // 60)
        part = slice(first % 60, first % 60 + end - first)
        return Sum(
            hour.opens[part.start],
            max(hour.highs[part]),
            min(hour.lows[part]),
            hour.closes[part.stop - 1],
            sum(hour.lots[part]),
            sum(hour.quote[part]),
            self._reader.activity.trades.before(end) - self._reader.activity.trades.before(first),
            sum(hour.buy_lots[part]),
            sum(hour.buy_quote[part]),
        )

    def _of_trades(self, start_us: int, end_us: int) -> Iterator[Sum]:
        """A part of one minute; without any trade it stays at the price of the one before, if the minute has one."""
        tape = self._reader.tape(start_us // MINUTE_US)
        first, end = tape.index_at(start_us), tape.index_at(end_us)
        if first == end:
            if first:
                still = tape.prices[first - 1]
                yield Sum(still, still, still, still)
            return
        prices, lots, sold = tape.prices[first:end], tape.lots[first:end], tape.sold[first:end]
        amounts = [price * quantity for price, quantity in zip(prices, lots, strict=True)]
        yield Sum(
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(lots),
            sum(amounts),
            tape.fills[end] - tape.fills[first],
            sum(quantity for quantity, was_sold in zip(lots, sold, strict=True) if not was_sold),
            sum(amount for amount, was_sold in zip(amounts, sold, strict=True) if not was_sold),
        )


def _join(parts: Iterator[Sum]) -> Sum:
    """Add parts up; they may be remembered ones and stay as they are."""
    joined = replace(next(parts))
    for part in parts:
        joined.add(part)
    return joined
