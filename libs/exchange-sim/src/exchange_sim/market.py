"""The port between the exchange's front (its REST interface) and where its data come from.

A market is recorded (`recording`) or simulated (`simulation`); the front cannot tell them apart. Data come as series:
items in order, numbered without holes by *position*. A position is an index of a recording, the number of a candle on
its grid, or a trade id; only the series knows. That is all that the window rules, the ledger of served items and the
faults need.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from exchange_sim.intervals import Interval


class TimeUnit(Enum):
    """The unit in which an answer gives times; the value is how many microseconds it has."""

    MILLISECOND = 1_000
    MICROSECOND = 1


@dataclass(frozen=True, slots=True)
class Symbol:
    """One instrument, as `exchangeInfo` describes it."""

    name: str
    base: str
    quote: str
    tick_size: str
    """The step of prices, a decimal."""
    lot_size: str
    """The step of quantities, a decimal."""


class Series(Protocol):
    """Items of one symbol and kind, in order of time."""

    @property
    def market(self) -> str:
        """Whose items they are: `binance:spot`, `binance:um`, `bybit:spot`, `bybit:linear`."""
        ...

    @property
    def symbol(self) -> str:
        """The symbol's name."""
        ...

    @property
    def kind(self) -> str:
        """What the items are: `candles_5m`, `agg_trades`."""
        ...

    @property
    def first(self) -> int:
        """The position of the oldest item."""
        ...

    @property
    def batch(self) -> int:
        """How many items can be made at once without keeping other requests waiting."""
        ...

    def end(self, now_us: int) -> int:
        """One past the position of the newest item that exists now."""
        ...

    def settled(self, now_us: int) -> int:
        """One past the newest item that will not change any more: an open candle still does."""
        ...

    def position_at(self, time_us: int) -> int:
        """The position of the first item at or after this moment."""
        ...

    def time_us(self, position: int) -> int:
        """The moment of an item that exists: of a candle its open time."""
        ...

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The items [first, end), each as the JSON text that the exchange would send now."""
        ...


class IdentifiedSeries(Series, Protocol):
    """A series whose items carry ascending ids, so that a client may page by id."""

    def position_of(self, item_id: int) -> int:
        """The position of the first item with this id or a higher one."""
        ...


class Market(Protocol):
    """Everything of spot that can be asked for."""

    @property
    def mode(self) -> str:
        """`replay` or `simulated`."""
        ...

    def symbols(self) -> Iterable[Symbol]:
        """The symbols that a listing shows; a simulated market knows more than it lists."""
        ...

    def symbol(self, name: str) -> Symbol | None:
        """One symbol, or None where the exchange would not know it."""
        ...

    def candles(self, symbol: Symbol, interval: Interval, offset_us: int) -> Series:
        """The candles of an interval, on the grid of a time zone `offset_us` ahead of UTC.

        Raises:
            ExchangeError: The market has no candles on that grid.
        """
        ...

    def agg_trades(self, symbol: Symbol) -> IdentifiedSeries:
        """The aggregated trades."""
        ...

    def trades(self, symbol: Symbol) -> IdentifiedSeries:
        """The single trades."""
        ...

    def series(self, symbol: Symbol) -> Iterable[Series]:
        """Every series of a symbol that has items."""
        ...


class Derivatives(Protocol):
    """Everything of a futures market that can be asked for; its items are rows as Binance gives them."""

    def symbols(self) -> Iterable[Symbol]:
        """The symbols that a listing shows."""
        ...

    def symbol(self, name: str) -> Symbol | None:
        """One symbol, or None where the exchange would not know it."""
        ...

    def candles(self, symbol: Symbol, interval: Interval) -> Series:
        """The candles of the trades."""
        ...

    def price_candles(self, price: str, symbol: Symbol, interval: Interval) -> Series:
        """The candles of a price that is computed: `mark`, `index` or `premium`."""
        ...

    def agg_trades(self, symbol: Symbol) -> IdentifiedSeries:
        """The aggregated trades."""
        ...

    def trades(self, symbol: Symbol) -> Series:
        """The single trades: of history only the archives have them."""
        ...

    def funding_hours(self, symbol: Symbol) -> int:
        """How often funding is due."""
        ...

    def funding(self, symbol: Symbol) -> Series:
        """The funding rates."""
        ...

    def open_interest(self, symbol: Symbol, period: Interval) -> Series:
        """The open interest at the end of each period."""
        ...

    def mark_prices(self, symbol: Symbol | None) -> Series:
        """The mark prices that streams push, as their messages; those of all listed symbols for None."""
        ...

    def liquidations(self, symbol: Symbol | None) -> Series:
        """The liquidations that streams push, likewise."""
        ...

    def series(self, symbol: Symbol) -> Iterable[Series]:
        """Every series of a symbol."""
        ...
