"""The trades of a minute: they touch the bar's prices and divide its lots, as its plan says.

The trades that are not touches come in pairs, the first with the last of them, the second with the last but one: what
one lies above the middle price its partner lies below. A drift from open to close keeps that symmetry, so the tape
walks from one to the other as a real one does.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from typing import Final, TypeVar

from exchange_sim.clock import MINUTE_US
from exchange_sim.simulation.dice import Dice
from exchange_sim.simulation.hours import Hour, Plan

_MINUTE_MS: Final = 60_000
_FIRST_WITHIN_MS: Final = 999
"""The first trade of a minute is in its first second, so that every second has a price: its own, or the one before."""

_SHUFFLE: Final = 7919
"""A prime larger than the number of pairs in a minute: multiplying by it visits each pair once, in no visible order."""

_LOT_WEIGHTS: Final = tuple(1 + (byte**3 >> 12) for byte in range(256))
"""Most trades are small, a few are a hundred times as large."""

_PAUSE_WEIGHTS: Final = tuple(1 + (byte * byte >> 4) for byte in range(256))
_FILL_WEIGHTS: Final = tuple(1 + (byte**3 >> 14) for byte in range(256))

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Tape:
    """The aggregated trades of one minute, in order."""

    times_us: list[int]
    prices: list[int]
    """In ticks."""
    lots: list[int]
    sold: list[bool]
    """Whether the taker sold, hence whether the buyer was the maker."""
    fills: list[int]
    """How many single trades of the minute came before; one more entry than there are aggregated trades."""

    def index_at(self, time_us: int) -> int:
        """The first aggregated trade at or after a moment."""
        return bisect_left(self.times_us, time_us)


def draw_tape(dice: Dice, minute: int, hour: Hour) -> Tape:
    """The trades of a minute, counted from 1970, of this hour."""
    index = minute % 60
    plan = hour.plans[index]
    count, others = plan.agg_trades, plan.agg_trades - 4
    pairs, single = divmod(others, 2)
    thrown = dice.draw("minute", minute, 4 * pairs + count + 6)
    lot_throws, price_throws, fill_throws = thrown[:pairs], thrown[pairs : 2 * pairs], thrown[2 * pairs : 4 * pairs]
    pause_throws, shuffle = thrown[4 * pairs : -5], thrown[-5]
    high_at = 1 + int.from_bytes(thrown[-4:-2]) % (count - 3)
    low_at = 1 + int.from_bytes(thrown[-2:]) % (count - 3)

    opened, high, low, closed = hour.opens[index], hour.highs[index], hour.lows[index], hour.closes[index]
    middle = plan.middle_price
    above = _distances(price_throws, opened - middle, min(high - middle, middle - low), others)
    fills = share_out(plan.pair_trades, [1] * (2 * pairs), [_FILL_WEIGHTS[throw] for throw in fill_throws])
    pair_lots, pair_sold = _divide_pairs(plan, fills, lot_throws, shuffle)
    prices = [middle + step for step in above] + [middle] * single + [middle - step for step in reversed(above)]
    lots = pair_lots + [plan.single_lots] * single + pair_lots[::-1]
    sold = pair_sold + [True] * single + pair_sold[::-1]
    fills[pairs:pairs] = [1] * single

    open_lots, high_lots, low_lots, close_lots = plan.touch_lots
    _surround(prices, opened, closed)
    _surround(lots, open_lots, close_lots)
    _surround(sold, not plan.opens_with_buy, not plan.closes_with_buy)
    _surround(fills, 1, 1)
    for at, price, touch_lots, was_sold in ((high_at, high, high_lots, False), (low_at, low, low_lots, True)):
        prices.insert(at, price)
        lots.insert(at, touch_lots)
        sold.insert(at, was_sold)
        fills.insert(at, 1)
    return Tape(_times(minute, pause_throws), prices, lots, sold, list(accumulate(fills, initial=0)))


def share_out(total: int, least: Sequence[int], weights: Iterable[int]) -> list[int]:
    """Divide a total among some: each has at least its own minimum, the rest goes by weight."""
    sums = list(accumulate(weights, initial=0))
    rest, weight = total - sum(least), sums[-1]
    edges = [rest * part // weight for part in sums]
    return [minimum + after - before for minimum, (before, after) in zip(least, pairwise(edges), strict=True)]


def _surround(values: list[_Value], before: _Value, after: _Value) -> None:
    values.insert(0, before)
    values.append(after)


def _distances(throws: bytes, drift: int, reach: int, others: int) -> list[int]:
    """How far above the middle price the first of each pair lies; below it if negative."""
    steps = []
    for number, throw in enumerate(throws):
        step = drift * (others - 1 - 2 * number) // others + ((throw - 128) * reach >> 8)
        steps.append(reach if step > reach else -reach if step < -reach else step)
    return steps


def _divide_pairs(plan: Plan, fills: list[int], throws: bytes, shuffle: int) -> tuple[list[int], list[bool]]:
    """The lots and the side of each pair; both of a pair have at least a lot for each of their fills."""
    pairs = len(throws)
    weights = [_LOT_WEIGHTS[throw] for throw in throws]
    least = [max(fills[number], fills[-1 - number]) for number in range(pairs)]
    sold = [(number * _SHUFFLE + shuffle) % pairs >= plan.buy_pairs for number in range(pairs)]
    bought = [not was_sold for was_sold in sold]
    sells = iter(share_out(plan.sell_pair_lots, list(compress(least, sold)), compress(weights, sold)))
    buys = iter(
        share_out(plan.buy_pair_lots, list(compress(least, bought)), compress(weights, bought))
        if plan.buy_pairs
        else ()
    )
    return [next(sells) if was_sold else next(buys) for was_sold in sold], sold


def _times(minute: int, throws: bytes) -> list[int]:
    """When the trades happen; what follows the last one is a pause too."""
    sums = list(accumulate(_PAUSE_WEIGHTS[throw] for throw in throws))
    start_ms = minute * (MINUTE_US // 1000)
    total = sums.pop()
    times_ms = [part * _MINUTE_MS // (total + 1) for part in sums]
    times_ms[0] = min(times_ms[0], _FIRST_WITHIN_MS)
    return [(start_ms + time_ms) * 1000 for time_ms in times_ms]
