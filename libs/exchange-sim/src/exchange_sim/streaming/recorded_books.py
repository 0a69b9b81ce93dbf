"""Order books as recorded connections tell them: a snapshot, and the differences behind it."""

from dataclasses import dataclass, field

import msgspec

from exchange_sim.books import BookView, Levels, as_levels


class _Binance(msgspec.Struct):
    """A difference, or a snapshot over REST, which has its id and its sides under other names."""

    E: int = 0
    u: int = 0
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []
    lastUpdateId: int = 0  # noqa: N815
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class _BybitLevels(msgspec.Struct):
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _Bybit(msgspec.Struct):
    type: str
    data: _BybitLevels
    cts: int = 0


@dataclass(frozen=True, slots=True)
class BookUpdate:
    """A recorded message about a book."""

    update_id: int
    time_ms: int
    bids: Levels
    asks: Levels
    is_whole: bool
    """Whether these are all levels."""


_binance_decoder = msgspec.json.Decoder(_Binance)
_bybit_decoder = msgspec.json.Decoder(_Bybit)


def read_update(market: str, message: bytes) -> BookUpdate:
    """Read a recorded message about a book: a difference, or all levels."""
    if market.startswith("bybit:"):
        bybit = _bybit_decoder.decode(message)
        levels = bybit.data
        return BookUpdate(levels.u, bybit.cts, levels.b, levels.a, is_whole=bybit.type == "snapshot" or levels.u == 1)
    read = _binance_decoder.decode(message)
    if read.lastUpdateId:
        return BookUpdate(read.lastUpdateId, read.E, read.bids, read.asks, is_whole=True)
    return BookUpdate(read.u, read.E, read.b, read.a, is_whole=False)


@dataclass(slots=True)
class RecordedBook:
    """One book, as far as it has been played."""

    update_id: int = 0
    time_ms: int = 0
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)

    def play(self, update: BookUpdate) -> None:
        """Go on to an update; one that is older changes nothing."""
        if update.is_whole:
            self.bids, self.asks = {}, {}
        elif update.update_id <= self.update_id:
            return
        self.update_id, self.time_ms = update.update_id, update.time_ms
        for side, levels in ((self.bids, update.bids), (self.asks, update.asks)):
            for price, quantity in levels:
                if float(quantity):
                    side[price] = quantity
                else:
                    side.pop(price, None)

    def view(self) -> BookView:
        """Return it as it is."""
        bids, asks = as_levels(self.bids, self.asks)
        return BookView(self.update_id, self.time_ms * 1000, bids, asks)
