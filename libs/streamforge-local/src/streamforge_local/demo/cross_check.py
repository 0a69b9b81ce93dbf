"""Do the candles agree with the trades? Two datasets, loaded apart, that must tell the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.time_range import TimeRange
from streamforge_local.client.documents import Dataset
from streamforge_local.demo.proof import Database
from streamforge_local.home import PlatformInfo

_TRADES = "FOR trade IN @@collection SORT trade.agg_trade_id RETURN trade"
_CANDLES = (
    "FOR candle IN @@collection FILTER candle.open_time >= @start AND candle.open_time < @end "
    "SORT candle.open_time RETURN candle"
)


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Candles of a range beside those that the stored trades of the same range make."""

    trades: int
    candles: int
    equal: int
    """Those whose every price, volume and count is the trades', to the last digit."""

    @property
    def holds(self) -> bool:
        """Whether the two tell the same."""
        return self.candles > 0 and self.equal == self.candles


def cross_check(info: PlatformInfo, candles: Dataset, trades: Dataset) -> CrossCheck:
    """Make candles of the stored trades and compare them with the stored candles.

    Raises:
        PlatformError: The database does not answer.
    """
    database, interval = Database(info), DataType.parse(candles.type).interval
    time_range = TimeRange.parse(trades.time_range)
    bind = {"@collection": candles.collection_name, "start": time_range.start_ms, "end": time_range.end_ms}
    stored = database.query(_CANDLES, bind)
    rows = database.query(_TRADES, {"@collection": trades.collection_name})
    made = {
        open_time: aggregate(list(part))
        for open_time, part in groupby(rows, key=lambda trade: interval.floor(trade["trade_time"]))
    }
    equal = sum(made.get(candle["open_time"], {}).items() <= candle.items() for candle in stored)
    return CrossCheck(len(rows), len(stored), equal)


def aggregate(trades: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Make a candle of trades in order, exactly: a double's shortest form is the decimal that the exchange sent."""
    exact = [(Decimal(repr(it["price"])), Decimal(repr(it["quantity"])), it) for it in trades]
    prices = [price for price, _, _ in exact]
    taken = [(price, quantity) for price, quantity, it in exact if not it["is_buyer_maker"]]
    return {
        "open": float(prices[0]),
        "high": float(max(prices)),
        "low": float(min(prices)),
        "close": float(prices[-1]),
        "volume": float(sum(quantity for _, quantity, _ in exact)),
        "quote_volume": float(sum(price * quantity for price, quantity, _ in exact)),
        "trades": sum(it["last_trade_id"] - it["first_trade_id"] + 1 for it in trades),
        "taker_buy_volume": float(sum(quantity for _, quantity in taken)),
        "taker_buy_quote_volume": float(sum(price * quantity for price, quantity in taken)),
    }
