"""How busy a symbol is: a fixed week that repeats for ever.

Hours are quiet or busy, minutes differ, but the same minute of every week has the same number of trades. That is what
makes ids arithmetic: how many trades there were before a minute is a number of weeks and one look into a table.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from exchange_sim.clock import MINUTE_US
from exchange_sim.intervals import MONDAY_US
from exchange_sim.simulation.instruments import Instrument

LEAST_TRADES: Final = 6
"""In any minute: an open, a high, a low and a close, and two between them."""

_WEEK: Final = 7 * 24 * 60
_MONDAY: Final = MONDAY_US // MINUTE_US

# Per cent of the average: quiet when Asia goes home, busy when New York opens.
_HOURS_OF_DAY: Final = (
    *(95, 85, 80, 70, 60, 55, 60, 75, 90, 95, 95, 100),
    *(120, 160, 190, 180, 155, 130, 115, 105, 95, 90, 85, 100),
)
_DAYS_OF_WEEK: Final = (105, 110, 110, 110, 105, 75, 70)


class Activity:
    """How many trades of both sorts one symbol has, and their ids."""

    def __init__(self, instrument: Instrument) -> None:
        hours = instrument.dice.draw("hours of the week", 0, 7 * 24)
        minutes = instrument.dice.draw("minutes of the week", 0, 2 * _WEEK)
        aggregated, single = [], []
        for minute in range(_WEEK):
            hour = minute // 60
            share = _HOURS_OF_DAY[hour % 24] * _DAYS_OF_WEEK[hour // 24] * (192 + hours[hour] // 2)
            count = instrument.trades_per_minute * share * (128 + minutes[2 * minute]) // (10_000 * 256 * 256)
            count = max(LEAST_TRADES, count)
            aggregated.append(count)
            # An aggregated trade is one order's fills at one price: between 1.2 and 1.8 on average.
            single.append(count + count * (50 + minutes[2 * minute + 1] * 3 // 5) // 256)
        self._counts = [
            list(zip(aggregated[at : at + 60], single[at : at + 60], strict=True)) for at in range(0, _WEEK, 60)
        ]
        self.agg_trades = Ids(aggregated, instrument.listed_minute)
        self.trades = Ids(single, instrument.listed_minute)

    def counts(self, hour: int) -> list[tuple[int, int]]:
        """Aggregated and single trades of each minute of an hour."""
        return self._counts[(hour - _MONDAY // 60) % len(self._counts)]


class Ids:
    """The ids of one sort of trade: they begin with 0 when the symbol is listed, and have no holes."""

    def __init__(self, week: Sequence[int], listed_minute: int) -> None:
        """Count a week's trades up.

        Args:
            week: How many trades each minute of the week has.
            listed_minute: The first minute with trades, counted from 1970 as all minutes here.
        """
        self._table = array("q", accumulate(week, initial=0))
        self._before_listing = self._count(listed_minute)

    def before(self, minute: int) -> int:
        """How many trades there were before a minute: the id of its first."""
        return self._count(minute) - self._before_listing

    def minute_of(self, trade_id: int) -> int:
        """The minute that holds a trade."""
        weeks, rest = divmod(trade_id + self._before_listing, self._table[-1])
        return _MONDAY + weeks * _WEEK + bisect_right(self._table, rest) - 1

    def _count(self, minute: int) -> int:
        weeks, minute_of_week = divmod(minute - _MONDAY, _WEEK)
        return weeks * self._table[-1] + self._table[minute_of_week]
