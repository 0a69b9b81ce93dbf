"""The series of trades, aggregated and single; a position is the trade's id, since ids have no holes."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import Final

from exchange_sim.clock import MINUTE_US
from exchange_sim.market import TimeUnit
from exchange_sim.simulation.activity import Ids
from exchange_sim.simulation.decimals import renderer
from exchange_sim.simulation.tape_reader import TapeReader
from exchange_sim.simulation.tapes import Tape, share_out


class _Trades(ABC):
    """Trades of a symbol since it was listed, as an `IdentifiedSeries`: all but what one of them looks like."""

    market: Final = "binance:spot"
    kind: str
    first: Final = 0
    batch: Final = 1000

    def __init__(self, reader: TapeReader, ids: Ids) -> None:
        instrument = reader.instrument
        self.symbol = instrument.symbol.name
        self._reader = reader
        self._ids = ids
        self._price = renderer(instrument.tick_places)
        self._quantity = renderer(instrument.lot_places)
        self._quote = renderer(instrument.tick_places + instrument.lot_places)

    def end(self, now_us: int) -> int:
        """One past the newest trade."""
        return self.position_at(now_us + 1)

    def settled(self, now_us: int) -> int:
        """All of them: a trade does not change."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first trade at or after a moment."""
        minute = time_us // MINUTE_US
        if minute < self._reader.instrument.listed_minute:
            return 0
        tape = self._reader.tape(minute)
        return self._ids.before(minute) + self._within(tape, tape.index_at(time_us))

    def position_of(self, item_id: int) -> int:
        """The id itself."""
        return item_id

    def time_us(self, position: int) -> int:
        """When a trade happened."""
        minute = self._ids.minute_of(position)
        tape = self._reader.tape(minute)
        return tape.times_us[self._index(tape, position - self._ids.before(minute))]

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The trades as JSON."""
        rows: list[bytes] = []
        while first < end:
            minute = self._ids.minute_of(first)
            start = self._ids.before(minute)
            stop = min(end, self._ids.before(minute + 1))
            rows += self._rows_of(minute, first - start, stop - start, unit)
            first = stop
        return rows

    @abstractmethod
    def _within(self, tape: Tape, index: int) -> int:
        """How many of these trades come before the aggregated trade `index` of a tape."""

    @abstractmethod
    def _index(self, tape: Tape, within: int) -> int:
        """The aggregated trade of a tape that holds this series' trade number `within`."""

    @abstractmethod
    def _rows_of(self, minute: int, first: int, end: int, unit: TimeUnit) -> list[bytes]:
        """The trades [first, end) of a minute, counted from its first."""


class AggTradeSeries(_Trades):
    """Aggregated trades: all fills of one order at one price."""

    kind = "agg_trades"

    def __init__(self, reader: TapeReader) -> None:
        super().__init__(reader, reader.activity.agg_trades)

    def _within(self, tape: Tape, index: int) -> int:
        return index

    def _index(self, tape: Tape, within: int) -> int:
        return within

    def _rows_of(self, minute: int, first: int, end: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"a":26129,"p":"0.01633102","q":"4.7","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}`."""
        tape = self._reader.tape(minute)
        start, trades_start = self._ids.before(minute), self._reader.activity.trades.before(minute)
        price, quantity, divisor, fills = self._price, self._quantity, unit.value, tape.fills
        return [
            b'{"a":%d,"p":"%b","q":"%b","f":%d,"l":%d,"T":%d,"m":%b,"M":true}'
            % (
                start + index,
                price(tape.prices[index]),
                quantity(tape.lots[index]),
                trades_start + fills[index],
                trades_start + fills[index + 1] - 1,
                tape.times_us[index] // divisor,
                b"true" if tape.sold[index] else b"false",
            )
            for index in range(first, end)
        ]


class TradeSeries(_Trades):
    """Single trades: they divide the lots of their aggregated one, and share everything else with it."""

    kind = "trades"

    def __init__(self, reader: TapeReader) -> None:
        super().__init__(reader, reader.activity.trades)

    def _within(self, tape: Tape, index: int) -> int:
        return tape.fills[index]

    def _index(self, tape: Tape, within: int) -> int:
        return bisect_right(tape.fills, within) - 1

    def _rows_of(self, minute: int, first: int, end: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.00001200","time":…}`."""
        tape = self._reader.tape(minute)
        rows = []
        number = first
        while number < end:
            index = self._index(tape, number)
            before, after = tape.fills[index], tape.fills[index + 1]
            fills = share_out(tape.lots[index], [1] * (after - before), range(1, after - before + 1))
            for lots in fills[number - before : end - before]:
                rows.append(self._row(tape, index, self._ids.before(minute) + number, lots, unit))
                number += 1
        return rows

    def _row(self, tape: Tape, index: int, trade_id: int, lots: int, unit: TimeUnit) -> bytes:
        return b'{"id":%d,"price":"%b","qty":"%b","quoteQty":"%b","time":%d,"isBuyerMaker":%b,"isBestMatch":true}' % (
            trade_id,
            self._price(tape.prices[index]),
            self._quantity(lots),
            self._quote(tape.prices[index] * lots),
            tape.times_us[index] // unit.value,
            b"true" if tape.sold[index] else b"false",
        )
