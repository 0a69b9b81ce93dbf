"""The recorded market: what the files hold is all there is, and everything in it is past."""

from collections.abc import Iterable
from typing import Final

from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import INTERVALS, Interval
from exchange_sim.market import Symbol, TimeUnit
from exchange_sim.quotes import split_symbol
from exchange_sim.recording.files import Tables
from exchange_sim.recording.layouts import CANDLES
from exchange_sim.recording.tables import Table

_NOTHING: Final = Table(CANDLES)


class RecordedSeries:
    """The lines of one table, by their index."""

    market: Final = "binance:spot"
    first: Final = 0
    batch: Final = 1000

    def __init__(self, symbol: str, kind: str, table: Table) -> None:
        self.symbol = symbol
        self.kind = kind
        self._table = table

    def end(self, now_us: int) -> int:
        """All of it."""
        return len(self._table)

    def settled(self, now_us: int) -> int:
        """All of it: a recording does not change."""
        return len(self._table)

    def position_at(self, time_us: int) -> int:
        """The first line at or after a moment."""
        return self._table.index_at(time_us)

    def position_of(self, item_id: int) -> int:
        """The first line with this id or a higher one."""
        return self._table.index_of(item_id)

    def time_us(self, position: int) -> int:
        """The moment of a line."""
        return self._table.time_us(position)

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The lines as JSON, with the file's own decimal strings."""
        return self._table.rows(first, end, unit)


class RecordedMarket:
    """Symbols and series of the files that were read."""

    mode: Final = "replay"

    def __init__(self, tables: Tables) -> None:
        self._tables = {key: table for key, table in tables.items() if len(table)}
        names = sorted({symbol for symbol, _ in tables})
        self._symbols = {name: self._describe(name) for name in names}

    def symbols(self) -> Iterable[Symbol]:
        """Every recorded symbol."""
        return self._symbols.values()

    def symbol(self, name: str) -> Symbol | None:
        """One recorded symbol."""
        return self._symbols.get(name)

    def candles(self, symbol: Symbol, interval: Interval, offset_us: int) -> RecordedSeries:
        """The recorded candles; of an interval that was not recorded there are none.

        Raises:
            ExchangeError: Candles on another grid than UTC's cannot be made of those that were recorded.
        """
        if not interval.is_on_utc_grid(offset_us):
            raise ExchangeError(-1130, "Data sent for parameter 'timeZone' is not valid: recorded candles are UTC's.")
        return self._series(symbol.name, f"candles_{interval.file_name}")

    def agg_trades(self, symbol: Symbol) -> RecordedSeries:
        """The recorded aggregated trades."""
        return self._series(symbol.name, "agg_trades")

    def trades(self, symbol: Symbol) -> RecordedSeries:
        """The recorded single trades."""
        return self._series(symbol.name, "trades")

    def series(self, symbol: Symbol) -> Iterable[RecordedSeries]:
        """What was recorded of a symbol, candles first."""
        kinds = [*(f"candles_{interval.file_name}" for interval in INTERVALS.values()), "agg_trades", "trades"]
        return [self._series(symbol.name, kind) for kind in kinds if (symbol.name, kind) in self._tables]

    def _series(self, symbol: str, kind: str) -> RecordedSeries:
        return RecordedSeries(symbol, kind, self._tables.get((symbol, kind), _NOTHING))

    def _describe(self, name: str) -> Symbol:
        tables = [table for (symbol, _), table in self._tables.items() if symbol == name]
        base, quote = split_symbol(name) or (name, "")
        return Symbol(
            name,
            base,
            quote,
            tick_size=_step(value for table in tables for value in table.sample(table.layout.price_column)),
            lot_size=_step(value for table in tables for value in table.sample(table.layout.quantity_column)),
        )


def _step(decimals: Iterable[bytes]) -> str:
    """The smallest step that these decimals need: of `1.50` and `2` it is `0.10000000`."""
    places = max((len(value.partition(b".")[2].rstrip(b"0")) for value in decimals), default=0)
    return f"{10**-places:.8f}"
