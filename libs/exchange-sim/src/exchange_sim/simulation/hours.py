"""Minute bars, the atom of the market, drawn an hour at a time.

Between two hours' levels the price walks at random and arrives (a bridge). A bar decides everything that a candle
shows, before there is any trade, and the trades (`tapes`) then add up to it to the last lot:

- four trades *touch* the open, the high, the low and the close, with lots of their own;
- all others come in pairs of equal lots and equal side, at the same distance above and below the bar's middle price,
  but for a single one in the middle if their number is odd. So whatever their prices are, their amount of quote is
  middle price times lots: the bar need not know its trades to know their sums.
"""

from dataclasses import dataclass
from itertools import accumulate
from struct import iter_unpack
from typing import Final, NamedTuple

from exchange_sim.simulation.activity import Activity
from exchange_sim.simulation.instruments import Instrument
from exchange_sim.simulation.prices import Prices

_DRAWN_PER_MINUTE: Final = "<h14B"
_BYTES_PER_HOUR: Final = 60 * 16

_STEPS_PER_HOUR: Final = 7.746
"""The square root of 60: a minute moves the price by an hour's move over this."""

_CUBED_TO_UNIT: Final = 2.6458 / 32768**3
"""Scales the third power of a uniform 16-bit number to a variance of one; the power makes for calm and for jumps."""

_LEAST_PRICE: Final = 16
"""Ticks: room for a low below."""

_SHARES: Final = tuple(40 + (byte**3 >> 14) for byte in range(256))
"""A minute's volume in 1/256 of the usual: mostly a little below, now and then four times as much."""

_REACHES: Final = tuple(byte * byte >> 8 for byte in range(256))
"""How far high and low lie outside of open and close, in 1/256 of the largest reach; mostly not far."""


class Plan(NamedTuple):
    """How a minute's trades divide its bar; prices in ticks, quantities in lots."""

    agg_trades: int
    pair_trades: int
    """Single trades of the pairs together; a touch has one, and so has the trade without a partner."""
    touch_lots: tuple[int, int, int, int]
    """At open, high, low and close."""
    opens_with_buy: bool
    """The side of the taker; the high is always bought, the low always sold."""
    closes_with_buy: bool
    middle_price: int
    buy_pairs: int
    buy_pair_lots: int
    """Of one half of the pairs: the other half has as many."""
    sell_pair_lots: int
    single_lots: int
    """Of the trade without a partner; 0 if there is none."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Sixty bars as columns, which add up faster than rows; prices in ticks, quantities in lots, quote in tick-lots."""

    opens: list[int]
    highs: list[int]
    lows: list[int]
    closes: list[int]
    lots: list[int]
    quote: list[int]
    buy_lots: list[int]
    buy_quote: list[int]
    plans: list[Plan]


class Hours:
    """Draws the hours of one symbol, counted from 1970."""

    def __init__(self, instrument: Instrument, activity: Activity) -> None:
        self._instrument = instrument
        self._activity = activity
        self._prices = Prices(instrument)

    def draw(self, hour: int) -> Hour:
        """The bars of an hour."""
        drawn = Hour([], [], [], [], [], [], [], [], [])
        dice = list(iter_unpack(_DRAWN_PER_MINUTE, self._instrument.dice.draw("hour", hour, _BYTES_PER_HOUR)))
        nervousness = self._prices.nervousness(hour)
        volatility = self._instrument.hourly_volatility * nervousness / _STEPS_PER_HOUR
        edges = self._walk(hour, [throw[0] for throw in dice], volatility)
        counts = self._activity.counts(hour)
        mean_lots = int(self._instrument.mean_lots * nervousness) + 1
        for index, throw in enumerate(dice):
            opened = edges[index]
            closed = edges[index + 1] + throw[1] % 3 - 1
            reach = 2 + int(opened * volatility * 2)
            high = max(opened, closed) + (reach * _REACHES[throw[2]] >> 8)
            low = min(opened, closed) - (reach * _REACHES[throw[3]] >> 8)
            low = max(low, 1)
            plan = _plan(*counts[index], (opened + closed) // 2, mean_lots, throw)
            _add(drawn, opened, high, low, closed, plan)
        return drawn

    def _walk(self, hour: int, throws: list[int], volatility: float) -> list[int]:
        """The price at the 61 edges of the minutes."""
        level = self._prices.log_level(hour)
        scale = volatility * _CUBED_TO_UNIT
        walk = list(accumulate((throw * throw * throw * scale for throw in throws), initial=0.0))
        drift = (self._prices.log_level(hour + 1) - level - walk[-1]) / 60
        start = self._prices.ticks(level)
        edges = []
        for index, walked in enumerate(walk):
            moved = walked + drift * index
            # Two terms of the exponential are enough for the moves of an hour.
            edges.append(max(_LEAST_PRICE, int(start * (1 + moved * (1 + moved / 2)))))
        return edges


def _plan(agg_trades: int, trades: int, middle_price: int, mean_lots: int, throw: tuple[int, ...]) -> Plan:
    """Divide a minute's lots among its touches, its pairs of buys and of sells and the single trade."""
    pairs, single = divmod(agg_trades - 4, 2)
    pair_trades = trades - 4 - single
    touch_lots = (
        1 + (mean_lots * throw[4] >> 8),
        1 + (mean_lots * throw[5] >> 8),
        1 + (mean_lots * throw[6] >> 8),
        1 + (mean_lots * throw[7] >> 8),
    )
    single_lots = 1 + (mean_lots * throw[8] >> 8) if single else 0
    # Whichever side the fills are on, there is a lot for each of them.
    pair_lots = pairs * mean_lots * _SHARES[throw[9]] >> 8
    buy_pairs = pairs * (64 + throw[10] // 2) >> 8
    buy_pair_lots = pair_lots * (64 + throw[11] // 2) >> 8 if buy_pairs else 0
    return Plan(
        agg_trades,
        pair_trades,
        touch_lots,
        bool(throw[12] & 1),
        bool(throw[12] & 2),
        middle_price,
        buy_pairs,
        pair_trades + buy_pair_lots if buy_pairs else 0,
        pair_trades + pair_lots - buy_pair_lots,
        single_lots,
    )


def _add(hour: Hour, opened: int, high: int, low: int, closed: int, plan: Plan) -> None:
    """Append a bar, with the sums that its trades will have."""
    open_lots, high_lots, low_lots, close_lots = plan.touch_lots
    bought_at_open = open_lots if plan.opens_with_buy else 0
    bought_at_close = close_lots if plan.closes_with_buy else 0
    other_lots = 2 * (plan.buy_pair_lots + plan.sell_pair_lots) + plan.single_lots
    other_buys = 2 * plan.buy_pair_lots
    middle = plan.middle_price
    hour.opens.append(opened)
    hour.highs.append(high)
    hour.lows.append(low)
    hour.closes.append(closed)
    hour.lots.append(open_lots + high_lots + low_lots + close_lots + other_lots)
    hour.quote.append(
        opened * open_lots + high * high_lots + low * low_lots + closed * close_lots + middle * other_lots
    )
    hour.buy_lots.append(bought_at_open + high_lots + bought_at_close + other_buys)
    hour.buy_quote.append(opened * bought_at_open + high * high_lots + closed * bought_at_close + middle * other_buys)
    hour.plans.append(plan)
