"""What Binance's markets have in common: how pages are asked for and read. Which market it is comes with the call.

Source: binance-spot-api-docs, rest-api.md, state of 2026-07-21 (read 2026-11-21), and the docstrings of the official
USDⓈ-M connector, state of 2026-08-21.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import (
    AggTrade,
    Candle,
    Count,
    DepthSnapshot,
    PriceCandle,
    Record,
    TimeMs,
    Trade,
    TradeId,
    UpdateId,
    record_key_prefix,
)
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.decoding import UNREADABLE, Finite, FiniteLevel, asks_of, bids_of
from streamforge_common.exchanges.rest import End, EndRequests, History, Poll, Pool, Reach, Refusal, Request

EXCHANGE = "binance"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from, which is part of each of them."""

    market: str
    symbol: str
    kind: str

    @property
    def prefix(self) -> str:
        """What the keys of the records begin with."""
        return record_key_prefix(EXCHANGE, self.market, self.symbol, self.kind)


_Time = TypeVar("_Time", bound=int)
"""How times are bounded: in answers they are milliseconds, in archives of either unit."""


class Kline(msgspec.Struct, Generic[_Time], frozen=True, array_like=True, gc=False):
    """One row of klines; decimal numbers are strings, which the decoder reads as the nearest doubles."""

    open_time: _Time
    open: Finite
    high: Finite
    low: Finite
    close: Finite
    volume: Finite
    close_time: _Time
    quote_volume: Finite
    trades: Count
    taker_buy_volume: Finite
    taker_buy_quote_volume: Finite


class PriceKline(msgspec.Struct, Generic[_Time], frozen=True, array_like=True):
    """One row of klines of a price that is not traded: the columns of volumes are there and mean nothing."""

    open_time: _Time
    open: Finite
    high: Finite
    low: Finite
    close: Finite
    no_volume: Any
    close_time: _Time


class AggTradeRow(msgspec.Struct, Generic[_Time], frozen=True, gc=False):
    """One row of aggTrades, under the exchange's own one-letter names."""

    a: Count
    p: Finite
    q: Finite
    f: TradeId
    l: TradeId  # noqa: E741
    T: _Time
    m: bool


class TradeRow(msgspec.Struct, Generic[_Time], frozen=True, gc=False, rename="camel"):
    """One row of historicalTrades."""

    id: Count
    price: Finite
    qty: Finite
    quote_qty: Finite
    time: _Time
    is_buyer_maker: bool


class _Book(msgspec.Struct, frozen=True, rename="camel"):
    last_update_id: UpdateId
    bids: list[FiniteLevel]
    asks: list[FiniteLevel]
    E: TimeMs | None = msgspec.field(name="E", default=None)
    """Futures only."""


class _ServerTime(msgspec.Struct, frozen=True, rename="camel"):
    server_time: TimeMs


class _RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: Annotated[int, msgspec.Meta(gt=0)]


class _Listed(msgspec.Struct, frozen=True):
    symbol: str


class ExchangeInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What `exchangeInfo` says, as far as it is used."""

    rate_limits: list[_RateLimit] = []
    symbols: list[_Listed] = []

    @property
    def weight_per_minute(self) -> int | None:
        """The limit of the market's main pool, None where it is not told."""
        per_minute = ("REQUEST_WEIGHT", "MINUTE", 1)
        found = (it for it in self.rate_limits if (it.rate_limit_type, it.interval, it.interval_num) == per_minute)
        return next((it.limit for it in found), None)


class _Error(msgspec.Struct, frozen=True):
    code: int
    msg: str


# Not strict: numbers in strings are numbers.
_klines_decoder = msgspec.json.Decoder(list[Kline[TimeMs]], strict=False)
_price_klines_decoder = msgspec.json.Decoder(list[PriceKline[TimeMs]], strict=False)
_agg_trades_decoder = msgspec.json.Decoder(list[AggTradeRow[TimeMs]], strict=False)
_trades_decoder = msgspec.json.Decoder(list[TradeRow[TimeMs]], strict=False)
_book_decoder = msgspec.json.Decoder(_Book, strict=False)
_rows_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_info_decoder = msgspec.json.Decoder(ExchangeInfo)
_time_decoder = msgspec.json.Decoder(_ServerTime)
_error_decoder = msgspec.json.Decoder(_Error)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path with its cost."""

    path: str
    rows: int
    """To be asked for at once."""
    weight: int
    """Of a request for so many."""
    pool: Pool


def candles(
    market: str,
    family: str,
    interval: Interval,
    endpoint: Endpoint,
    parse_rows: Callable[[bytes, Origin], Sequence[Record]],
    named: Callable[[str], dict[str, str]] = lambda symbol: {"symbol": symbol},
) -> History:
    """Declare the candles of one price and interval: the exchange takes their open times, both ends inclusive.

    Args:
        market: As the contract names it.
        family: As in kinds, e.g. `mark_candles`.
        interval: Of the candles.
        endpoint: Where they are asked for.
        parse_rows: How the rows are read.
        named: Symbol to the parameter that names it.
    """
    kind = record_kind(f"{family}_{interval.name}")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        params = {
            **named(symbol),
            "interval": "1M" if interval.name == "1mo" else interval.name,
            "startTime": str(first_ms),
            "endTime": str(last_ms),
            "limit": str(endpoint.rows),
        }
        return Request(endpoint.path, params, endpoint.weight, endpoint.pool)

    def parse(body: bytes, symbol: str) -> Sequence[Record]:
        return parse_rows(body, Origin(market, symbol, kind.name))

    return History(kind, endpoint.rows, request, parse, split_rows)


def agg_trades(market: str, endpoint: Endpoint, reach: Reach | None = None) -> History:
    """Declare the aggregate trades: pages by id, which cannot be asked for together with a time."""
    return History(
        record_kind("agg_trades"),
        endpoint.rows,
        lambda symbol, first_id, last_id: _ask_from(endpoint, symbol, first_id, last_id),
        lambda body, symbol: parse_agg_trades(body, Origin(market, symbol, "agg_trades")),
        split_rows,
        ends=_ends(market, endpoint, lambda trade: trade.agg_trade_id, lambda trade: trade.agg_trade_id),
        runs_on=True,
        reach=reach,
    )


def trades(market: str, endpoint: Endpoint, aggregated: Endpoint) -> History:
    """Declare the single trades, which can be asked for by id alone.

    Args:
        market: As the contract names it.
        endpoint: Where they are asked for.
        aggregated: Where the aggregate trades are, which can be asked for by time and name the trades in them.
    """
    return History(
        record_kind("trades"),
        endpoint.rows,
        lambda symbol, first_id, last_id: _ask_from(endpoint, symbol, first_id, last_id),
        lambda body, symbol: parse_trades(body, Origin(market, symbol, "trades")),
        split_rows,
        ends=_ends(market, aggregated, lambda trade: trade.first_trade_id, lambda trade: trade.last_trade_id),
        runs_on=True,
    )


def _ask_from(endpoint: Endpoint, symbol: str, first_id: int, last_id: int) -> Request:
    """Ask for trades by id: the answer begins at the first id or behind it."""
    params = {"symbol": symbol, "fromId": str(first_id), "limit": str(last_id - first_id + 1)}
    return Request(endpoint.path, params, endpoint.weight, endpoint.pool)


def _ends(
    market: str, endpoint: Endpoint, first_id_of: Callable[[AggTrade], int], last_id_of: Callable[[AggTrade], int]
) -> EndRequests:
    """Ask for the first and the last aggregate trade of a range.

    With nothing but a start the exchange gives the oldest ones from there on; with nothing but an end, which it takes
    as inclusive, the latest up to there.
    """

    def ask(symbol: str, bound: str, time_ms: int) -> Request:
        return Request(
            endpoint.path, {"symbol": symbol, bound: str(time_ms), "limit": "1"}, endpoint.weight, endpoint.pool
        )

    def parse(body: bytes, symbol: str, id_of: Callable[[AggTrade], int]) -> list[End]:
        found = parse_agg_trades(body, Origin(market, symbol, "agg_trades"))
        if any(id_of(trade) < 0 for trade in found):
            raise RejectedRecordError("an aggregate trade that does not name its trades")
        return [End(id_of(trade), trade.trade_time) for trade in found]

    return EndRequests(
        first=lambda symbol, start_ms: ask(symbol, "startTime", start_ms),
        last=lambda symbol, end_ms: ask(symbol, "endTime", end_ms - 1),
        parse_first=lambda body, symbol: parse(body, symbol, first_id_of),
        parse_last=lambda body, symbol: parse(body, symbol, last_id_of),
    )


def parse_candles(body: bytes, origin: Origin) -> list[Candle]:
    """Read a page of `GET /api/v3/klines` or `GET /fapi/v1/klines`.

    Sample: `[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,
    "2434.19055334",308,"1756.87402397","28.46694368","0"]]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    try:
        return make_candles(_klines_decoder.decode(body), origin)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of klines: {exc}") from exc


def make_candles(rows: Iterable[Kline[int]], origin: Origin, units_per_ms: int = 1) -> list[Candle]:
    """Make candles of rows; `units_per_ms` tells the unit of their times."""
    prefix, market, symbol, kind = origin.prefix, origin.market, origin.symbol, origin.kind
    return [
        Candle(
            key=f"{prefix}{row.open_time // units_per_ms}",
            exchange=EXCHANGE,
            market=market,
            symbol=symbol,
            type=kind,
            open_time=row.open_time // units_per_ms,
            close_time=row.close_time // units_per_ms,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            quote_volume=row.quote_volume,
            trades=row.trades,
            taker_buy_volume=row.taker_buy_volume,
            taker_buy_quote_volume=row.taker_buy_quote_volume,
        )
        for row in rows
    ]


def parse_price_candles(body: bytes, origin: Origin) -> list[PriceCandle]:
    """Read a page of `GET /fapi/v1/markPriceKlines`, `indexPriceKlines` or `premiumIndexKlines`.

    Sample: `[[1591256460000,"9653.29201333","9654.56401333","9653.07367333","9653.07367333","0",1591256519999,"0",60,
    "0","0","0"]]`, from the official connector's documentation.

    Raises:
        RejectedRecordError: The body is no such page.
    """
    try:
        return make_price_candles(_price_klines_decoder.decode(body), origin)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of klines of a price: {exc}") from exc


def make_price_candles(rows: Iterable[PriceKline[int]], origin: Origin, units_per_ms: int = 1) -> list[PriceCandle]:
    """Make candles of a price; `units_per_ms` tells the unit of the rows' times."""
    prefix = origin.prefix
    return [
        PriceCandle(
            key=f"{prefix}{row.open_time // units_per_ms}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind,
            open_time=row.open_time // units_per_ms,
            close_time=row.close_time // units_per_ms,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
        )
        for row in rows
    ]


def parse_agg_trades(body: bytes, origin: Origin) -> list[AggTrade]:
    """Read a page of `GET /api/v3/aggTrades` or `GET /fapi/v1/aggTrades`.

    Sample: `[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}]`;
    futures have `nq`, the quantity without retail orders, in place of `M`.

    Raises:
        RejectedRecordError: The body is no such page.
    """
    try:
        return make_agg_trades(_agg_trades_decoder.decode(body), origin)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of aggregate trades: {exc}") from exc


def make_agg_trades(rows: Iterable[AggTradeRow[int]], origin: Origin, units_per_ms: int = 1) -> list[AggTrade]:
    """Make aggregate trades of rows; `units_per_ms` tells the unit of their times."""
    prefix, market, symbol, kind = origin.prefix, origin.market, origin.symbol, origin.kind
    return [
        AggTrade(
            key=f"{prefix}{row.a}",
            exchange=EXCHANGE,
            market=market,
            symbol=symbol,
            type=kind,
            agg_trade_id=row.a,
            price=row.p,
            quantity=row.q,
            first_trade_id=row.f,
            last_trade_id=row.l,
            trade_time=row.T // units_per_ms,
            is_buyer_maker=row.m,
        )
        for row in rows
    ]


def parse_trades(body: bytes, origin: Origin) -> list[Trade]:
    """Read a page of `GET /api/v3/historicalTrades`, or the answer of `GET /fapi/v1/trades`.

    Sample: `[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
    "isBuyerMaker":true,"isBestMatch":true}]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    try:
        return make_trades(_trades_decoder.decode(body), origin)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of trades: {exc}") from exc


def make_trades(rows: Iterable[TradeRow[int]], origin: Origin, units_per_ms: int = 1) -> list[Trade]:
    """Make single trades of rows; `units_per_ms` tells the unit of their times."""
    prefix, market, symbol, kind = origin.prefix, origin.market, origin.symbol, origin.kind
    return [
        Trade(
            key=f"{prefix}{row.id}",
            exchange=EXCHANGE,
            market=market,
            symbol=symbol,
            type=kind,
            trade_id=row.id,
            price=row.price,
            quantity=row.qty,
            quote_quantity=row.quote_qty,
            trade_time=row.time // units_per_ms,
            is_buyer_maker=row.is_buyer_maker,
        )
        for row in rows
    ]


def depth_snapshot(
    market: str, path: str, pool: Pool, limits: Sequence[int], default_limit: int, weight_of: Callable[[int], int]
) -> Poll:
    """Declare how a market's order books are asked for.

    Args:
        market: As the contract names it.
        path: Of the request.
        pool: What counts it.
        limits: How many levels may be asked for.
        default_limit: How many are where nobody says.
        weight_of: Levels to what the request costs.
    """

    def request(symbol: str, limit: int) -> Request:
        return Request(path, {"symbol": symbol, "limit": str(limit)}, weight_of(limit), pool)

    def parse(body: bytes, symbol: str, limit: int, received_ms: int) -> DepthSnapshot:
        return parse_depth(body, Origin(market, symbol, "depth_snapshot"), limit, received_ms)

    return Poll(record_kind("depth_snapshot"), request, parse, limits, default_limit)


def parse_depth(body: bytes, origin: Origin, limit: int, received_ms: int) -> DepthSnapshot:
    """Read `GET /api/v3/depth` or `GET /fapi/v1/depth`; only that of futures tells a time.

    Sample: `{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"],…],
    "asks":[["61800.30","0.117"],…]}`, from a recorded connection.

    Raises:
        RejectedRecordError: The body is no such book.
    """
    try:
        book = _book_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not an order book: {exc}") from exc
    return DepthSnapshot(
        key=f"{origin.prefix}{book.last_update_id}-{limit}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        update_id=book.last_update_id,
        limit=limit,
        bids=bids_of(book.bids),
        asks=asks_of(book.asks),
        event_time=msgspec.UNSET if book.E is None else book.E,
        receipt_time=received_ms if book.E is None else msgspec.UNSET,
    )


def split_rows(body: bytes) -> list[bytes]:
    """Cut a page that could be read into its rows."""
    return [bytes(row) for row in _rows_decoder.decode(body)]


def parse_time(body: bytes) -> int:
    """Read `GET /api/v3/time` or `GET /fapi/v1/time`. Sample: `{"serverTime":1499827319559}`."""
    try:
        return _time_decoder.decode(body).server_time
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a server time: {exc}") from exc


def parse_exchange_info(body: bytes) -> ExchangeInfo:
    """Read `GET /api/v3/exchangeInfo` or `GET /fapi/v1/exchangeInfo`.

    Sample: `{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}],…,
    "symbols":[{"symbol":"BTCUSDT",…}]}`
    """
    try:
        return _info_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not exchange information: {exc}") from exc


def parse_refusal(_status: int, body: bytes) -> Refusal | None:
    """Read an error's body. Sample: `{"code":-1121,"msg":"Invalid symbol."}`."""
    try:
        error = _error_decoder.decode(body)
    except UNREADABLE:
        return None
    return Refusal(error.code, error.msg)
