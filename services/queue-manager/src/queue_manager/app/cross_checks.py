"""Do the stored candles agree with the stored trades of the same range? Two datasets, loaded apart, tell the same.

The database makes candles of the aggregated trades, some at a time. Prices must be equal, for no arithmetic lies
between the exchange's decimals and ours. Sums are compared with a tolerance: each of n quantities is the double nearest
to its decimal, which is off by at most 2^-53 of it; a product and each of n additions round once more. As nothing is
negative the sum is off by at most (n + 3) 2^-53 of itself, and the candle's own value by 2^-53. Besides, the exchange
gives turnover with eight decimals, so of each trade up to 10^-8 may be cut off.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from queue_manager.app.series import MadeCandle, Series, parts
from queue_manager.app.workflow import Dataset
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.time_range import TimeRange

CANDLES, TRADES = "candles", "agg_trades"
_LISTED = 20
_EXACT = ("open", "high", "low", "close", "trades")
_QUANTITIES = ("volume", "taker_buy_volume")
_TURNOVERS = ("quote_volume", "taker_buy_quote_volume")
_TURNOVER_STEP = 1e-8
"""The last decimal of a turnover."""
_CANDLE_WEIGHS = 10
"""Records, of those that are looked at in one query: candles are fetched, trades are only summed up."""


class Part(BaseModel):
    """One of two datasets."""

    queue_id: str
    n: int
    type: str


class Difference(BaseModel):
    """A candle's field that is not what the trades come to."""

    open_time: int
    field: str
    candle: float
    trades: float


class CrossCheck(BaseModel):
    """Candles beside those that the trades make, where the ranges of both overlap."""

    candles: Part
    trades: Part
    compared: int
    """Stored candles that lie in the range of the trades as a whole."""
    differing: int
    """Those of which any field differs."""
    differences: list[Difference]
    """The first ones."""


def are_comparable(candles: Dataset, trades: Dataset) -> bool:
    """Say whether two datasets are candles and aggregated trades of the same market in overlapping ranges."""
    if DataType.parse(candles.type).family != CANDLES or DataType.parse(trades.type).kind != TRADES:
        return False
    of_candles = (candles.exchange, candles.market, candles.symbol)
    is_same = of_candles == (trades.exchange, trades.market, trades.symbol)
    return is_same and _common_range(candles, trades) is not None


async def cross_check(candles: tuple[str, Dataset], trades: tuple[str, Dataset], series: Series) -> CrossCheck:
    """Compare two datasets, each with its workflow's queue_id, that are comparable."""
    bounds = _common_range(candles[1], trades[1])
    assert bounds is not None
    interval = DataType.parse(candles[1].type).interval
    compared = differing = 0
    differences: list[Difference] = []
    for start, end in await _parts(bounds, interval, trades[1], series):
        length_ms = interval.advance(start) - start
        made = {it.open_time: it for it in await series.candles_made(trades[1], start, end, length_ms)}
        for candle in await series.candles(candles[1], start, end):
            found = [*_differences(candle, made.get(candle["open_time"]))]
            compared += 1
            differing += bool(found)
            differences += found[: _LISTED - len(differences)]
    return CrossCheck(
        candles=Part(queue_id=candles[0], n=candles[1].n, type=candles[1].type),
        trades=Part(queue_id=trades[0], n=trades[1].n, type=trades[1].type),
        compared=compared,
        differing=differing,
        differences=differences,
    )


def _common_range(candles: Dataset, trades: Dataset) -> tuple[int, int] | None:
    """Return the range of the candles of which all trades are in the range of the trades; what is live has none."""
    if not candles.time_range or not trades.time_range:
        return None
    interval = DataType.parse(candles.type).interval
    one, other = TimeRange.parse(candles.time_range), TimeRange.parse(trades.time_range)
    start = interval.ceil(max(one.start_ms, other.start_ms))
    # A candle that opens in its range may close behind it.
    end = min(interval.ceil(one.end_ms), interval.floor(other.end_ms))
    return (start, end) if start < end else None


async def _parts(
    bounds: tuple[int, int], interval: Interval, trades: Dataset, series: Series
) -> Iterator[tuple[int, int]]:
    """Cut the range: months, which differ in length, one by one."""
    start, end = bounds
    if interval.name == "1mo":
        firsts = [interval.advance(start, number) for number in range(interval.count(start, end))]
        return ((first, interval.advance(first)) for first in firsts)
    length_ms = interval.advance(start) - start
    records = await series.count(trades, "trade_time", start, end)
    return parts(start, end, length_ms, max(records, _CANDLE_WEIGHS * interval.count(start, end)))


def _differences(candle: dict[str, Any], made: MadeCandle | None) -> Iterator[Difference]:
    if made is None:
        # Without a trade a candle repeats the price before, and nothing else is to be compared.
        made = MadeCandle(candle["open_time"], 0, False, dict.fromkeys(_QUANTITIES + _TURNOVERS, 0.0))
    exact = [name for name in _EXACT if name in made.values and (name != "trades" or made.names_trades)]
    relative = (made.number + 4) * 2.0**-53
    tolerances = {
        **dict.fromkeys(exact, 0.0),
        **{name: relative * made.values[name] for name in _QUANTITIES},
        **{name: relative * made.values[name] + made.number * _TURNOVER_STEP for name in _TURNOVERS},
    }
    for name, tolerance in tolerances.items():
        if name in candle and abs(candle[name] - made.values[name]) > tolerance:
            yield Difference(open_time=candle["open_time"], field=name, candle=candle[name], trades=made.values[name])
