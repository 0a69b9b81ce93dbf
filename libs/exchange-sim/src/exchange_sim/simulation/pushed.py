"""What a futures market only pushes: mark prices and liquidations, of one symbol or of all that are listed.

Items are what a stream sends. Those of all symbols hold those of each one, and now and then one of a contract with the
coin as margin, as the exchange's all-market streams do.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange_sim.clock import HOUR_US, SECOND_US
from exchange_sim.market import Series, TimeUnit
from exchange_sim.simulation.dice import Dice

EVERY_SYMBOL: Final = "ALL"
_USD_MARGIN, _COIN_MARGIN = 1, 2
_COIN_MARGINED: Final = "BTCUSD_PERP"
_FUNDING_US: Final = 8 * HOUR_US
_LIQUIDATIONS_EVERY_US: Final = 4 * SECOND_US
"""Of one symbol."""


class _Paced:
    """The parts of a `Series` that follow from its having an item at every so many microseconds."""

    def __init__(self, every_us: int, since_us: int) -> None:
        self._every_us = every_us
        self.first = self.position_at(since_us + SECOND_US)

    def end(self, now_us: int) -> int:
        """One past the newest one."""
        return max(self.first, now_us // self._every_us + 1)

    def settled(self, now_us: int) -> int:
        """All of them."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first one at or after a moment."""
        return -(-time_us // self._every_us)

    def time_us(self, position: int) -> int:
        """When it is sent."""
        return position * self._every_us


class MarkPrices(_Paced):
    """A symbol's mark price, every second; implements `Series`."""

    kind: Final = "mark_price"
    batch: Final = 100

    def __init__(self, mark: Series, index: Series) -> None:
        """Draw nothing yet.

        Args:
            mark: Candles of a second of the mark price.
            index: The same of the index.
        """
        super().__init__(SECOND_US, mark.time_us(mark.first))
        self.market = mark.market
        self.symbol = mark.symbol
        self._mark = mark
        self._index = index

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15","i":"11784.62",…,"st":1}`."""
        prices = [self._closes(series, first, end, now_us) for series in (self._mark, self._index)]
        return [
            _mark_price(self.symbol, self.time_us(first + at), mark, index, _USD_MARGIN)
            for at, (mark, index) in enumerate(zip(*prices, strict=True))
        ]

    def _closes(self, candles: Series, first: int, end: int, now_us: int) -> list[str]:
        """The prices at which the seconds before have closed."""
        begin = candles.position_at(self.time_us(first - 1))
        rows = candles.rows(begin, begin + end - first, now_us, TimeUnit.MILLISECOND)
        return [msgspec.json.decode(row)[4] for row in rows]


class AllMarkPrices(_Paced):
    """Those of all listed symbols as one item; implements `Series`."""

    kind: Final = "mark_price"
    batch: Final = 10
    symbol: Final = EVERY_SYMBOL

    def __init__(self, each: Sequence[MarkPrices]) -> None:
        super().__init__(SECOND_US, max(series.time_us(series.first) for series in each))
        self.market = each[0].market
        self._each = each

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """Lists of what each symbol's own stream has at that second, and of one contract that is none of these."""
        columns = [series.rows(first, end, now_us, unit) for series in self._each]
        others = [_mark_price(_COIN_MARGINED, self.time_us(at), "1", "1", _COIN_MARGIN) for at in range(first, end)]
        return [b"[" + b",".join(row) + b"]" for row in zip(*columns, others, strict=True)]


class Liquidations(_Paced):
    """A symbol's liquidations, every so many seconds; implements `Series`."""

    kind: Final = "liquidations"
    batch: Final = 100

    def __init__(self, mark: Series, dice: Dice) -> None:
        super().__init__(_LIQUIDATIONS_EVERY_US, mark.time_us(mark.first))
        self.market = mark.market
        self.symbol = mark.symbol
        self._mark = mark
        self._dice = dice

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL",…,"T":1568014460893},"st":1}`."""
        return [self._row(position, now_us) for position in range(first, end)]

    def _row(self, position: int, now_us: int) -> bytes:
        side, quantity = self._dice.draw("liquidation", position, 2)
        second = self._mark.position_at(self.time_us(position)) - 1
        price = msgspec.json.decode(self._mark.rows(second, second + 1, now_us, TimeUnit.MILLISECOND)[0])[4]
        return _force_order(self.symbol, self.time_us(position), side % 2 == 0, price, 1 + quantity, _USD_MARGIN)


class AllLiquidations:
    """Those of all listed symbols, spread over the time between two of one symbol; implements `Series`."""

    kind: Final = "liquidations"
    batch: Final = 100
    symbol: Final = EVERY_SYMBOL

    def __init__(self, each: Sequence[Liquidations]) -> None:
        self.market = each[0].market
        self.first = max(series.first for series in each) * (len(each) + 1)
        self._each = each
        self._per_round = len(each) + 1

    def end(self, now_us: int) -> int:
        """One past the newest one: the whole round is sent when it is due."""
        return self._each[0].end(now_us) * self._per_round

    def settled(self, now_us: int) -> int:
        """All of them."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first one at or after a moment."""
        return self._each[0].position_at(time_us) * self._per_round

    def time_us(self, position: int) -> int:
        """When it is sent."""
        return self._each[0].time_us(position // self._per_round)

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """As each symbol's own stream has them."""
        return [row for position in range(first, end) for row in self._row(position, now_us, unit)]

    def _row(self, position: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        at, whose = divmod(position, self._per_round)
        if whose == len(self._each):
            return [_force_order(_COIN_MARGINED, self.time_us(position), True, "1", 1, _COIN_MARGIN)]
        return self._each[whose].rows(at, at + 1, now_us, unit)


def _mark_price(symbol: str, time_us: int, mark: str, index: str, margin: int) -> bytes:
    funding_us = time_us - time_us % _FUNDING_US + _FUNDING_US
    times = {"E": time_us // 1000, "T": funding_us // 1000}
    prices = {"p": mark, "i": index, "P": mark, "ap": mark, "r": "0.00010000"}
    return msgspec.json.encode({"e": "markPriceUpdate", "s": symbol, **times, **prices, "st": margin})


def _force_order(symbol: str, time_us: int, is_sale: bool, price: str, quantity: int, margin: int) -> bytes:
    lots, time_ms = f"{quantity / 1000:.3f}", time_us // 1000
    order = {"s": symbol, "S": "SELL" if is_sale else "BUY", "o": "LIMIT", "f": "IOC", "p": price, "ap": price}
    done = {"q": lots, "l": lots, "z": lots, "X": "FILLED", "T": time_ms}
    return msgspec.json.encode({"e": "forceOrder", "E": time_ms, "o": order | done, "st": margin})
