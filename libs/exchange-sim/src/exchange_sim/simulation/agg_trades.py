"""The series of aggregated trades; a position is the trade's id."""

from exchange_sim.market import TimeUnit
from exchange_sim.simulation.decimals import renderer
from exchange_sim.simulation.tape_reader import TapeReader


class AggTradeSeries:
    """Every aggregated trade of a symbol since it was listed, as a `Series`."""

    kind = "agg_trades"
    first = 0

    def __init__(self, reader: TapeReader) -> None:
        self._reader = reader
        self.symbol = reader.instrument.symbol.name
        self._price = renderer(reader.instrument.tick_places)
        self._quantity = renderer(reader.instrument.lot_places)

    def end(self, now_us: int) -> int:
        """One past the newest trade."""
        return self._reader.agg_trades_until(now_us)

    def settled(self, now_us: int) -> int:
        """All of them: a trade does not change."""
        return self._reader.agg_trades_until(now_us)

    def position_at(self, time_us: int) -> int:
        """The first trade at or after a moment."""
        return self._reader.agg_trades_until(time_us - 1)

    def position_of(self, item_id: int) -> int:
        """The id itself: there are no holes."""
        return item_id

    def time_us(self, position: int) -> int:
        """When a trade happened."""
        minute = self._reader.activity.minute_of(position)
        return self._reader.tape(minute).times_us[position - self._reader.activity.agg_trades_before(minute)]

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The trades as JSON."""
        rows: list[bytes] = []
        while first < end:
            minute = self._reader.activity.minute_of(first)
            start = self._reader.activity.agg_trades_before(minute)
            stop = min(end, self._reader.activity.agg_trades_before(minute + 1))
            rows += self._rows_of(minute, first - start, stop - start, start, unit)
            first = stop
        return rows

    def _rows_of(self, minute: int, first: int, end: int, start_id: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"a":26129,"p":"0.01633102","q":"4.7","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}`."""
        tape = self._reader.tape(minute)
        before = self._reader.activity.trades_before(minute)
        price, quantity, divisor, fills = self._price, self._quantity, unit.value, tape.fills
        return [
            b'{"a":%d,"p":"%b","q":"%b","f":%d,"l":%d,"T":%d,"m":%b,"M":true}'
            % (
                start_id + index,
                price(tape.prices[index]),
                quantity(tape.lots[index]),
                before + fills[index],
                before + fills[index + 1] - 1,
                tape.times_us[index] // divisor,
                b"true" if tape.sold[index] else b"false",
            )
            for index in range(first, end)
        ]
