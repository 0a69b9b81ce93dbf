"""The simulated market: every symbol that could be one, from its first minute to this one."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from exchange_sim.intervals import INTERVALS, Interval
from exchange_sim.market import Symbol
from exchange_sim.simulation.candles import CandleSeries
from exchange_sim.simulation.instruments import LISTED, Instrument, find_instrument
from exchange_sim.simulation.sums import Sums
from exchange_sim.simulation.tape_reader import TapeReader
from exchange_sim.simulation.trades import AggTradeSeries, TradeSeries

_REMEMBERED_SYMBOLS: Final = 256
"""A symbol's week takes some milliseconds to draw, and less than a megabyte to keep."""


class SimulatedMarket:
    """Symbols and series of one seed and, of several markets with the same symbols, one name."""

    mode: Final = "simulated"

    def __init__(self, seed: int, name: str = "") -> None:
        self._seed = seed
        self._name = name
        self._open = lru_cache(_REMEMBERED_SYMBOLS)(self._open_symbol)

    def symbols(self) -> Iterable[Symbol]:
        """The listed ones."""
        found = (self.symbol(name) for name in LISTED)
        return [symbol for symbol in found if symbol is not None]

    def symbol(self, name: str) -> Symbol | None:
        """Any symbol that could be one."""
        instrument = self._instrument(name)
        return instrument.symbol if instrument else None

    def candles(self, symbol: Symbol, interval: Interval, offset_us: int) -> CandleSeries:
        """The candles of any interval and time zone."""
        reader, sums = self._open(symbol.name)
        return CandleSeries(reader.instrument, sums, interval, offset_us)

    def agg_trades(self, symbol: Symbol) -> AggTradeSeries:
        """The aggregated trades."""
        return AggTradeSeries(self._open(symbol.name)[0])

    def trades(self, symbol: Symbol) -> TradeSeries:
        """The single trades."""
        return TradeSeries(self._open(symbol.name)[0])

    def series(self, symbol: Symbol) -> Iterable[CandleSeries | AggTradeSeries | TradeSeries]:
        """Candles of all intervals, and trades."""
        candles = [self.candles(symbol, interval, 0) for interval in INTERVALS.values()]
        return [*candles, self.agg_trades(symbol), self.trades(symbol)]

    def _instrument(self, name: str) -> Instrument | None:
        return find_instrument(name, self._seed, self._name)

    def _open_symbol(self, name: str) -> tuple[TapeReader, Sums]:
        instrument = self._instrument(name)
        assert instrument is not None, name
        reader = TapeReader(instrument)
        return reader, Sums(reader)
