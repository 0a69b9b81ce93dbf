"""Order books that never were, each a function of time alone: the book of any moment is as near as that of now.

Prices lie on a ladder of steps around a middle that wanders slowly: bids below it, asks above. What is offered on a
step is drawn anew every so many moments, at another one for each step, so that what changes from one moment to the next
is found without looking at all steps. One moment is one message of the stream; its changes happen one after the other,
those that take levels away first, so that a book is never crossed on the way either.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from exchange_sim.books import BookView, as_levels
from exchange_sim.clock import HOUR_US, MINUTE_US, SECOND_US
from exchange_sim.market import TimeUnit
from exchange_sim.simulation.decimals import renderer
from exchange_sim.simulation.instruments import Instrument, find_instrument
from exchange_sim.simulation.prices import Prices

MOMENT_US: Final = SECOND_US // 10
_IDS: Final = 512
"""Of a moment; more than it has changes."""
_STEPS: Final = 20_000
"""To the level around which a price moves."""
_REDRAWN_EVERY: Final = 64
"""Moments."""
_SWAY_STEPS, _SWAY_MOMENTS = 6, 37
"""By how much the middle wanders to and fro, and how long that takes."""
_SIZES: Final = 20
"""As many mean trades are offered on a step at most."""


@dataclass(frozen=True, slots=True)
class BookHabits:
    """How a market's books differ from those of others."""

    seed_name: str
    """Of the market, where its instruments are drawn."""
    depth: int
    """Steps on each side of the middle."""
    ids_of_others: int = 0
    """Ids before the first change of a moment that other symbols have."""
    counts_messages: bool = False
    """Whether one message is one id, however much has changed."""


HABITS: Final = {
    "binance:spot": BookHabits("", depth=1_500),
    "binance:um": BookHabits("binance:um", depth=1_500, ids_of_others=7),
    "bybit:spot": BookHabits("bybit:spot", depth=200, counts_messages=True),
    "bybit:linear": BookHabits("bybit:linear", depth=200, counts_messages=True),
}


class Change(NamedTuple):
    """One level that has changed."""

    is_bid: bool
    price: str
    quantity: str
    """Of a level that is gone 0."""


class Moment(NamedTuple):
    """What has changed in a moment."""

    number: int
    """Of the moment, counted from 1970."""
    before_id: int
    """The last update before it."""
    first_id: int
    last_id: int
    changes: list[Change]

    @property
    def end_us(self) -> int:
        """When it is over, and told."""
        return (self.number + 1) * MOMENT_US


class SimulatedBook:
    """The order book of one symbol."""

    def __init__(self, instrument: Instrument, habits: BookHabits) -> None:
        self._habits = habits
        self._dice = instrument.dice
        self._prices = Prices(instrument)
        self._step_ticks = max(1, instrument.level_ticks // _STEPS)
        self._write_price = renderer(instrument.tick_places)
        self._write_lots = renderer(instrument.lot_places)
        self._mean_lots = instrument.mean_lots
        self._level = lru_cache(64)(self._draw_level)
        self._drawn = lru_cache(16_384)(self._draw_quantity)
        self.first = instrument.listed_minute * MINUTE_US // MOMENT_US

    def moment(self, number: int) -> Moment:
        """What changes in a moment, in the order in which it does."""
        before, after = self._middle(number - 1), self._middle(number)
        gone, come = [], []
        for step in sorted(self._candidates(number, before, after)):
            was, now = self._at(step, number - 1, before), self._at(step, number, after)
            if was == now:
                continue
            if was and (not now or now[0] != was[0]):
                gone.append(Change(was[0], self._price(step), self._lots(0)))
            if now:
                come.append(Change(now[0], self._price(step), self._lots(now[1])))
        before_id, last_id = self._last_id(number - 1), self._last_id(number)
        first_id = last_id if self._habits.counts_messages else before_id + 1 + self._habits.ids_of_others
        return Moment(number, before_id, first_id, last_id, gone + come)

    def book_at_end(self, number: int) -> BookView:
        """The book at the end of a moment."""
        return self._view(number, self._whole(number), self._last_id(number))

    def book_at(self, update_id: int) -> BookView | None:
        """The book after an update; None where it is an id of another symbol, or of the time before all."""
        if self._habits.counts_messages:
            return self.book_at_end(update_id) if update_id > self.first else None
        number = (update_id - 1) // _IDS
        if number <= self.first:
            return None
        moment = self.moment(number)
        if update_id == moment.last_id:
            return self.book_at_end(number)
        done = update_id - moment.first_id + 1
        return self._within(moment, min(done, len(moment.changes)), update_id) if done > 0 else None

    def book_now(self, now_us: int) -> BookView:
        """The book of now: of this moment's changes as many have happened as of its time has passed."""
        number, past_us = divmod(now_us, MOMENT_US)
        moment = self.moment(number)
        done = 0 if self._habits.counts_messages else len(moment.changes) * past_us // MOMENT_US
        return self._within(moment, done, moment.first_id + done - 1) if done else self.book_at_end(number - 1)

    def _within(self, moment: Moment, done: int, update_id: int) -> BookView:
        sides = self._whole(moment.number - 1)
        for is_bid, price, quantity in moment.changes[:done]:
            side = sides[0 if is_bid else 1]
            if float(quantity):
                side[price] = quantity
            else:
                side.pop(price, None)
        return self._view(moment.number, sides, update_id)

    def _whole(self, number: int) -> tuple[dict[str, str], dict[str, str]]:
        middle = self._middle(number)
        sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for step in range(middle - self._habits.depth, middle + self._habits.depth + 1):
            if offered := self._at(step, number, middle):
                sides[0 if offered[0] else 1][self._price(step)] = self._lots(offered[1])
        return sides

    def _view(self, number: int, sides: tuple[Mapping[str, str], Mapping[str, str]], update_id: int) -> BookView:
        bids, asks = as_levels(*sides)
        return BookView(update_id, (number + 1) * MOMENT_US, bids, asks)

    def _last_id(self, number: int) -> int:
        return number if self._habits.counts_messages else (number + 1) * _IDS

    def _candidates(self, number: int, before: int, after: int) -> Iterator[int]:
        """Steps that may look different after a moment."""
        low, high, depth = min(before, after), max(before, after), self._habits.depth
        lowest, highest = low - depth, high + depth
        steps = set(range(lowest + (-number - lowest) % _REDRAWN_EVERY, highest + 1, _REDRAWN_EVERY))
        if low != high:
            for start in (low - depth, low, low + depth):
                steps |= set(range(start, start + high - low + 1))
        return iter(steps)

    def _at(self, step: int, number: int, middle: int) -> tuple[bool, int] | None:
        """Whether a step is bid or asked and for how many lots, None where nothing is."""
        if step == middle or abs(step - middle) > self._habits.depth:
            return None
        lots = self._drawn(step, (number + step) // _REDRAWN_EVERY)
        return (step < middle, lots) if lots else None

    def _draw_quantity(self, step: int, draw: int) -> int:
        thrown = int.from_bytes(self._dice.draw(f"book {step}", draw, 4))
        return 0 if thrown % 4 == 0 else 1 + thrown // 4 % (self._mean_lots * _SIZES)

    def _middle(self, number: int) -> int:
        hour, past_us = divmod(number * MOMENT_US, HOUR_US)
        level, next_level = self._level(hour), self._level(hour + 1)
        ticks = level + (next_level - level) * (past_us / HOUR_US)
        sway = _SWAY_STEPS * self._dice.noise("book sway", number, _SWAY_MOMENTS)
        return int(ticks / self._step_ticks + sway)

    def _draw_level(self, hour: int) -> float:
        return self._prices.ticks(self._prices.log_level(hour))

    def _price(self, step: int) -> str:
        return self._write_price(step * self._step_ticks).decode()

    def _lots(self, lots: int) -> str:
        return self._write_lots(lots).decode()


class SimulatedBooks:
    """Implements `Books`, of all markets of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._open = lru_cache(256)(self._open_book)

    def book(self, market: str, symbol: str) -> SimulatedBook | None:
        """Return the book of a symbol, None where the market does not know it."""
        return self._open(market, symbol)

    def book_now(self, market: str, symbol: str, now_us: int) -> BookView | None:
        """Return a book as it is now."""
        book = self.book(market, symbol)
        return None if book is None else book.book_now(now_us)

    def book_at(self, market: str, symbol: str, update_id: int) -> BookView | None:
        """Return a book as it was after an update."""
        book = self.book(market, symbol)
        return None if book is None else book.book_at(update_id)

    def _open_book(self, market: str, symbol: str) -> SimulatedBook | None:
        habits = HABITS.get(market)
        instrument = find_instrument(symbol, self._seed, habits.seed_name) if habits else None
        return None if instrument is None or habits is None else SimulatedBook(instrument, habits)


WriteMoment = Callable[[Moment], bytes]
"""Makes the message that a market sends of a moment."""


class MomentSeries:
    """The messages of a book as a `Series`, by the number of their moment; each market writes them in its own way."""

    kind: Final = "depth"
    batch: Final = 20

    def __init__(self, book: SimulatedBook, market: str, symbol: str, write: WriteMoment) -> None:
        self.market = market
        self.symbol = symbol
        self.first = book.first + 1
        self._book = book
        self._write = write

    def end(self, now_us: int) -> int:
        """Those that are over."""
        return max(self.first, now_us // MOMENT_US)

    def settled(self, now_us: int) -> int:
        """All of them."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first one that was told at or after a time."""
        return max(self.first, -(-time_us // MOMENT_US) - 1)

    def time_us(self, position: int) -> int:
        """When it was told."""
        return (position + 1) * MOMENT_US

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The messages as they are sent."""
        return [self._write(self._book.moment(number)) for number in range(first, end)]
