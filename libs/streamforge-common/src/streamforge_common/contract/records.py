"""The normalised market-data items (contract section 7): the value of one message on a data topic, one document.

The loader makes a record's bytes once; from then on they are only checked and forwarded. `_key` is a pure function
of the record, so whatever is loaded twice ends in the same document.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import msgspec

RECEIPT_TIME_HEADER = "receipt_time_ms"
"""Message header: when the loader received the record, Unix milliseconds in decimal digits."""
REJECTED_HEADER = "rejected"
"""Message header: the reason why the value is not a record but a refused input, kept as it came."""
SYMBOL_HEADER = "symbol"
"""Message header, beside `rejected` and of a basket only: of which symbol the refused input is."""

Headers = Sequence[tuple[str, bytes]]


class RecordMessage(Protocol):
    """One message of a data topic, as it was read."""

    @property
    def partition(self) -> int:
        """Partition that it was read from."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def value(self) -> bytes | None:
        """The record's JSON."""

    @property
    def headers(self) -> Headers:
        """As in contract section 7."""


TimeMs = Annotated[int, msgspec.Meta(ge=0, le=32_503_680_000_000)]
"""Unix milliseconds up to the year 3000: what lies behind is another unit, and would overflow a calendar."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""As far as every reader of JSON counts exactly."""
TradeId = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
"""-1 where an exchange names none."""
UpdateId = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
"""-1 of the book of a market that has not opened yet."""
Level = tuple[float, float]
"""Price and quantity, as in `Candle`; in differences a quantity of 0 says that the level is gone."""
TradeName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{1,64}$")]
"""The id of a trade where an exchange does not number them; as it is, it ends a `_key`."""


class Candle(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """One closed candle; prices and quantities are the doubles nearest to the exchange's decimal strings.

    Times in Unix milliseconds; `volume` in the base asset, `quote_volume` in the quote asset. A field that an
    exchange does not give is absent.
    """

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    open_time: TimeMs
    close_time: TimeMs
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | msgspec.UnsetType = msgspec.UNSET
    trades: Count | msgspec.UnsetType = msgspec.UNSET
    taker_buy_volume: float | msgspec.UnsetType = msgspec.UNSET
    taker_buy_quote_volume: float | msgspec.UnsetType = msgspec.UNSET


class PriceCandle(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """One closed candle of a price that is computed, not traded: mark, index, premium index; numbers as `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    open_time: TimeMs
    close_time: TimeMs
    open: float
    high: float
    low: float
    close: float


class AggTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """The trades of one taker order at one price, as one; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    agg_trade_id: Count
    price: float
    quantity: float
    first_trade_id: TradeId
    last_trade_id: TradeId
    trade_time: TimeMs
    is_buyer_maker: bool
    """Whether the taker sold."""


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """One trade between two orders; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    trade_id: Count | TradeName
    price: float
    quantity: float
    quote_quantity: float | msgspec.UnsetType = msgspec.UNSET
    """In the quote asset: price times quantity, as the exchange gives it."""
    trade_time: TimeMs
    is_buyer_maker: bool
    """Whether the taker sold."""


class FundingRate(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """What longs paid to shorts at one time, as a share of their positions; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    funding_time: TimeMs
    """As scheduled: the exchange's own time jitters by milliseconds."""
    funding_rate: float
    mark_price: float | msgspec.UnsetType = msgspec.UNSET


class OpenInterest(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """How much is held in a contract at one time; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    time: TimeMs
    open_interest: float
    """In the base asset."""
    open_interest_value: float | msgspec.UnsetType = msgspec.UNSET
    """In the quote asset."""


class BookTicker(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """The best prices of an order book after one update; numbers as in `Candle`. An empty side is absent."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    update_id: Count
    bid_price: float | msgspec.UnsetType = msgspec.UNSET
    bid_quantity: float | msgspec.UnsetType = msgspec.UNSET
    ask_price: float | msgspec.UnsetType = msgspec.UNSET
    ask_quantity: float | msgspec.UnsetType = msgspec.UNSET
    event_time: TimeMs | msgspec.UnsetType = msgspec.UNSET
    receipt_time: TimeMs | msgspec.UnsetType = msgspec.UNSET
    """When it was received, only where the exchange sends no time."""


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """The price by which positions are valued, and the funding that is coming; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    event_time: TimeMs
    mark_price: float
    index_price: float | msgspec.UnsetType = msgspec.UNSET
    funding_rate: float | msgspec.UnsetType = msgspec.UNSET
    next_funding_time: TimeMs | msgspec.UnsetType = msgspec.UNSET


class Liquidation(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """A position that the exchange closed; numbers as in `Candle`."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    event_time: TimeMs
    trade_time: TimeMs
    side: Literal["buy", "sell"]
    """The exchange's own word, which means opposite things from one to the other; `position_side` does not."""
    price: float
    quantity: float
    position_side: Literal["long", "short"]
    """Whose position was closed."""


class Depth(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """What has changed in an order book; levels best first, only those that changed, quantities as they are now."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    event_time: TimeMs
    first_update_id: Count | msgspec.UnsetType = msgspec.UNSET
    last_update_id: Count
    previous_update_id: Count | msgspec.UnsetType = msgspec.UNSET
    """The `last_update_id` of the difference before, where the exchange says so."""
    is_snapshot: bool | msgspec.UnsetType = msgspec.UNSET
    """True where these are all levels, and the book before is forgotten; absent else."""
    bids: list[Level]
    asks: list[Level]


class OrderBook(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """The best levels of an order book after one update, best first; fewer than asked for where there are no more."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    event_time: TimeMs
    """Of the update."""
    update_id: Count
    levels: Annotated[int, msgspec.Meta(ge=1)]
    """How many of each side were asked for."""
    bids: list[Level]
    asks: list[Level]


class DepthSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"key": "_key"}):
    """An order book as the exchange answered when it was asked, best first."""

    key: str
    exchange: str
    market: str
    symbol: str
    type: str
    update_id: UpdateId
    limit: Annotated[int, msgspec.Meta(ge=1)]
    """How many levels of each side were asked for."""
    bids: list[Level]
    asks: list[Level]
    event_time: TimeMs | msgspec.UnsetType = msgspec.UNSET
    receipt_time: TimeMs | msgspec.UnsetType = msgspec.UNSET
    """When it was received, only where the exchange sends no time."""


Record = (
    Candle
    | PriceCandle
    | AggTrade
    | Trade
    | FundingRate
    | OpenInterest
    | BookTicker
    | MarkPrice
    | Liquidation
    | Depth
    | OrderBook
    | DepthSnapshot
)


def record_key_prefix(exchange: str, market: str, symbol: str, kind: str) -> str:
    """Return what the keys of a dataset's records share; the record's id follows."""
    return f"{exchange}:{market}:{symbol}:{kind}:"
