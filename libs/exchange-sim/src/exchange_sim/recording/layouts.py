"""The columns of the archive's CSV files, and how a line of them looks in an answer of the REST interface.

A line is checked once, by one pattern over the whole of it, and then kept as text: an answer repeats the file's own
decimal strings, digit by digit.

Source: https://github.com/binance/binance-public-data (read 2026-07): spot files have microseconds since 2025-01-01 and
no header, futures files milliseconds and a header; the columns are the REST interface's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from exchange_sim.clock import last_us, to_us
from exchange_sim.market import TimeUnit

_TIME: Final = rb"\d{12,17}"
_INTEGER: Final = rb"\d{1,18}"
_DECIMAL: Final = rb"\d+(?:\.\d+)?"
_BOOLEAN: Final = rb"[Tt]rue|[Ff]alse"
_ANYTHING: Final = rb"[^,]*"

_WHAT: Final = {
    _TIME: "a time in ms or us since 1970",
    _INTEGER: "an integer",
    _DECIMAL: "a decimal number",
    _BOOLEAN: "true or false",
}


@dataclass(frozen=True)
class Layout:
    """The columns of one sort of file."""

    name: str
    columns: tuple[tuple[str, bytes], ...]
    """Names and patterns; the columns of which older or other files have fewer come last."""
    optional: int
    """How many of the last columns may be missing."""
    id_column: int
    time_column: int
    price_column: int
    quantity_column: int
    render: Callable[[list[bytes], TimeUnit], bytes] = field(repr=False)
    """From a line's fields to the JSON text of the item."""

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """What a whole line matches; id and time are the groups `id` and `time`."""
        parts = []
        for number, (_, pattern) in enumerate(self.columns):
            names = [name for name, column in (("id", self.id_column), ("time", self.time_column)) if column == number]
            part = b"(?:" + pattern + b")"
            for name in names:
                part = b"(?P<" + name.encode() + b">" + part + b")"
            part = part if number == 0 else b"," + part
            parts.append(part if number < len(self.columns) - self.optional else b"(?:" + part + b")?")
        return re.compile(b"".join(parts))

    def is_header(self, line: bytes) -> bool:
        """Whether a file's first line names the columns."""
        return re.fullmatch(rb"[A-Za-z_ ]+(?:,[A-Za-z_ ]+)+", line) is not None

    def explain(self, line: bytes) -> str:
        """Say what is wrong with a line that does not match."""
        fields = line.split(b",")
        least, most = len(self.columns) - self.optional, len(self.columns)
        if not least <= len(fields) <= most:
            wanted = f"{most}" if least == most else f"{least} to {most}"
            return f"expected {wanted} columns, found {len(fields)}"
        for (name, pattern), value in zip(self.columns, fields, strict=False):
            if re.fullmatch(pattern, value) is None:
                return f"column {name!r}: expected {_WHAT[pattern]}, found {value[:40].decode(errors='replace')!r}"
        return "not a line of this file's layout"


def _render_candle(line: list[bytes], unit: TimeUnit) -> bytes:
    """From `1657756800000,20234.87000000,…,1657757099999,…,0` to `[1657756800000,"20234.87000000",…,"0"]`."""
    opened, first, high, low, last, volume, closed, quote_volume, trades, taker_base, taker_quote, _ = line
    return b'[%d,"%b","%b","%b","%b","%b",%d,"%b",%b,"%b","%b","0"]' % (
        to_us(int(opened)) // unit.value,
        first,
        high,
        low,
        last,
        volume,
        last_us(int(closed)) // unit.value,
        quote_volume,
        trades,
        taker_base,
        taker_quote,
    )


def _render_agg_trade(line: list[bytes], unit: TimeUnit) -> bytes:
    """From `26129,0.01633102,4.70443515,27781,27781,1498793709153,True,True` to `{"a":26129,"p":"0.01633102",…}`."""
    number, price, quantity, first, last, time, is_buyer_maker, *best = line
    return b'{"a":%b,"p":"%b","q":"%b","f":%b,"l":%b,"T":%d,"m":%b,"M":%b}' % (
        number,
        price,
        quantity,
        first,
        last,
        to_us(int(time)) // unit.value,
        is_buyer_maker.lower(),
        best[0].lower() if best else b"true",
    )


def _render_trade(line: list[bytes], unit: TimeUnit) -> bytes:
    """From `28457,4.00000100,12.00000000,48.00001200,1499865549590,True,True` to `{"id":28457,"price":…}`."""
    number, price, quantity, quote, time, is_buyer_maker, *best = line
    return b'{"id":%b,"price":"%b","qty":"%b","quoteQty":"%b","time":%d,"isBuyerMaker":%b,"isBestMatch":%b}' % (
        number,
        price,
        quantity,
        quote,
        to_us(int(time)) // unit.value,
        is_buyer_maker.lower(),
        best[0].lower() if best else b"true",
    )


CANDLES: Final = Layout(
    name="candles",
    columns=(
        ("open_time", _TIME),
        ("open", _DECIMAL),
        ("high", _DECIMAL),
        ("low", _DECIMAL),
        ("close", _DECIMAL),
        ("volume", _DECIMAL),
        ("close_time", _TIME),
        ("quote_volume", _DECIMAL),
        ("count", _INTEGER),
        ("taker_buy_volume", _DECIMAL),
        ("taker_buy_quote_volume", _DECIMAL),
        ("ignore", _ANYTHING),
    ),
    optional=0,
    id_column=0,
    time_column=0,
    price_column=1,
    quantity_column=5,
    render=_render_candle,
)

AGG_TRADES: Final = Layout(
    name="agg_trades",
    columns=(
        ("agg_trade_id", _INTEGER),
        ("price", _DECIMAL),
        ("quantity", _DECIMAL),
        ("first_trade_id", _INTEGER),
        ("last_trade_id", _INTEGER),
        ("transact_time", _TIME),
        ("is_buyer_maker", _BOOLEAN),
        ("is_best_match", _BOOLEAN),
    ),
    optional=1,
    id_column=0,
    time_column=5,
    price_column=1,
    quantity_column=2,
    render=_render_agg_trade,
)

TRADES: Final = Layout(
    name="trades",
    columns=(
        ("id", _INTEGER),
        ("price", _DECIMAL),
        ("qty", _DECIMAL),
        ("quote_qty", _DECIMAL),
        ("time", _TIME),
        ("is_buyer_maker", _BOOLEAN),
        ("is_best_match", _BOOLEAN),
    ),
    optional=1,
    id_column=0,
    time_column=4,
    price_column=1,
    quantity_column=2,
    render=_render_trade,
)
