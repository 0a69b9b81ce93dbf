"""The series of candles: aggregates of minute bars, and below a minute of trades.

A position is a candle's number on its grid.
"""

from typing import Final

from exchange_sim.clock import DAY_US, MINUTE_US
from exchange_sim.intervals import Interval
from exchange_sim.market import TimeUnit
from exchange_sim.simulation.decimals import renderer
from exchange_sim.simulation.instruments import Instrument
from exchange_sim.simulation.sums import Sums

_MINUTES_AT_ONCE: Final = 5_000
"""Twenty milliseconds of drawing."""

_MONTH_US: Final = 31 * DAY_US


class CandleSeries:
    """The candles of one interval and time zone, as a `Series`."""

    def __init__(self, instrument: Instrument, sums: Sums, interval: Interval, offset_us: int) -> None:
        self.market = "binance:spot"
        self.symbol = instrument.symbol.name
        self.kind = f"candles_{interval.file_name}"
        if not interval.is_on_utc_grid(offset_us):
            self.kind += f"@{offset_us // MINUTE_US:+d}m"
        self.batch = max(1, _MINUTES_AT_ONCE * MINUTE_US // (interval.length_us or _MONTH_US))
        self._sums = sums
        self._interval = interval
        self._offset_us = offset_us
        self._listed_us = instrument.listed_minute * MINUTE_US
        self._price = renderer(instrument.tick_places)
        self._lots = renderer(instrument.lot_places)
        self._quote = renderer(instrument.tick_places + instrument.lot_places)

    @property
    def first(self) -> int:
        """The candle that holds the first minute."""
        return self._interval.index_at(self._listed_us, self._offset_us)

    def end(self, now_us: int) -> int:
        """One past the candle of now; it is there with its first trade."""
        running = self._interval.index_at(now_us, self._offset_us)
        opened_us = max(self._listed_us, self._interval.open_us(running, self._offset_us))
        return max(self.first, running + self._sums.has_trades(opened_us, now_us + 1))

    def settled(self, now_us: int) -> int:
        """The candle of now is open."""
        return self._interval.index_at(now_us, self._offset_us)

    def position_at(self, time_us: int) -> int:
        """The first candle that opens at or after a moment."""
        return self._interval.index_at(time_us - 1, self._offset_us) + 1

    def time_us(self, position: int) -> int:
        """When a candle opens."""
        return self._interval.open_us(position, self._offset_us)

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The candles as JSON; the one of now with the trades so far."""
        return [self._row(index, now_us, unit) for index in range(first, end)]

    def _row(self, index: int, now_us: int, unit: TimeUnit) -> bytes:
        """E.g. `[1499040000000,"0.01634790","0.80000000",…,1499644799999,"2434.19055334",308,…,"0"]`."""
        open_us = self._interval.open_us(index, self._offset_us)
        close_us = self._interval.open_us(index + 1, self._offset_us)
        candle = self._sums.between(max(open_us, self._listed_us), min(close_us, now_us + 1))
        return b'[%d,"%b","%b","%b","%b","%b",%d,"%b",%d,"%b","%b","0"]' % (
            open_us // unit.value,
            self._price(candle.opened),
            self._price(candle.high),
            self._price(candle.low),
            self._price(candle.closed),
            self._lots(candle.lots),
            (close_us - 1) // unit.value,
            self._quote(candle.quote),
            candle.trades,
            self._lots(candle.buy_lots),
            self._quote(candle.buy_quote),
        )
