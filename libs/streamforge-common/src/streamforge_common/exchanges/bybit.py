"""Bybit v5, spot and linear: REST market data.

Answers come in an envelope that tells of a refusal whatever the HTTP status is, and newest rows first.

Source: bybit-exchange/docs, v5, state of 2026-07-24 (read 2026-11-21).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.kinds import RecordKind, record_kind
from streamforge_common.contract.records import (
    Candle,
    Count,
    DepthSnapshot,
    FundingRate,
    OpenInterest,
    PriceCandle,
    Record,
    TimeMs,
    Trade,
    TradeName,
    record_key_prefix,
)
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.decoding import UNREADABLE, Finite, FiniteLevel, asks_of, bids_of
from streamforge_common.exchanges.rest import (
    History,
    Latest,
    Poll,
    Pool,
    Refusal,
    RefusedError,
    Request,
    RestMarket,
    SpacingRequest,
)

EXCHANGE = "bybit"
_POOL = Pool("bybit", limit=600, window_s=5)
_CANDLE_ROWS, _FUNDING_ROWS, _MEASUREMENT_ROWS = 1_000, 200, 200
_LEVELS_MAX, _DEFAULT_LEVELS = 1_000, 100
_MINUTE_MS = 60_000
_FUNDING_PAGE_MINUTES = 8 * 24 * 60
"""Funding is due once an hour at most, so that a page has 192 rows at most; eight days begin and end at midnight."""

_LATEST_TRADES = {"spot": 60, "linear": 1_000}
"""The most that the exchange gives, by market."""

INTERVALS = {
    **{f"{minutes}m": str(minutes) for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": str(hours * 60) for hours in (1, 2, 4, 6, 12)},
    "1d": "D",
    "1w": "W",
    "1mo": "M",
}
"""The contract's name to Bybit's."""
_PERIODS = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1d"}

_SUCCESS = 0
_LATER_S = {10000: 0.0, 10016: 0.0, 10006: 5.0, 10018: 5.0}
"""Codes that a later request need not meet: the server's own trouble, and limits, which a window of 5 s ends."""
_FORBIDDEN, _TOO_FREQUENT, _TOO_FREQUENT_WAIT_S = 403, b"access too frequent", 600.0
"""Beyond the limit of an address everything is refused; the documentation asks for ten minutes of silence."""

_Row = TypeVar("_Row")


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")
    time: TimeMs = 0


class _Rows(msgspec.Struct, Generic[_Row], frozen=True):
    list: list[_Row]
    symbol: str | None = None


class _Kline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    open_time: TimeMs
    open: Finite
    high: Finite
    low: Finite
    close: Finite
    volume: Finite
    turnover: Finite


class _PriceKline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    open_time: TimeMs
    open: Finite
    high: Finite
    low: Finite
    close: Finite


class _Funding(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_rate: Finite
    funding_rate_timestamp: TimeMs


class _Measured(msgspec.Struct, frozen=True, rename="camel"):
    open_interest: Finite
    timestamp: TimeMs


class _Book(msgspec.Struct, frozen=True):
    s: str
    b: list[FiniteLevel]
    a: list[FiniteLevel]
    ts: TimeMs
    u: Count


class _Ticker(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    open_interest: Finite
    open_interest_value: Finite


class _Traded(msgspec.Struct, frozen=True, rename="camel"):
    exec_id: TradeName
    symbol: str
    price: Finite
    size: Finite
    side: Literal["Buy", "Sell"]
    """Of the taker."""
    time: TimeMs


class _Instrument(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_interval: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Minutes; of perpetual contracts only."""


# Not strict: numbers in strings are numbers.
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_rows_decoder = msgspec.json.Decoder(_Rows[msgspec.Raw])
_klines_decoder = msgspec.json.Decoder(_Rows[_Kline], strict=False)
_price_klines_decoder = msgspec.json.Decoder(_Rows[_PriceKline], strict=False)
_funding_decoder = msgspec.json.Decoder(_Rows[_Funding], strict=False)
_measured_decoder = msgspec.json.Decoder(_Rows[_Measured], strict=False)
_book_decoder = msgspec.json.Decoder(_Book, strict=False)
_tickers_decoder = msgspec.json.Decoder(_Rows[_Ticker], strict=False)
_traded_decoder = msgspec.json.Decoder(_Rows[_Traded], strict=False)
_instruments_decoder = msgspec.json.Decoder(_Rows[_Instrument])


@dataclass(frozen=True)
class Origin:
    """Where records come from, which is part of each of them."""

    market: str
    symbol: str
    kind: RecordKind

    @cached_property
    def prefix(self) -> str:
        """What the keys of the records begin with."""
        return record_key_prefix(EXCHANGE, self.market, self.symbol, self.kind.name)


def _open(body: bytes) -> _Envelope:
    """Open an envelope.

    Sample: `{"retCode":10001,"retMsg":"params error: symbol invalid","result":{},"retExtInfo":{},"time":1709891679050}`

    Raises:
        RejectedRecordError: The body is none; RefusedError where it holds a refusal.
    """
    try:
        envelope = _envelope_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not an answer of Bybit: {exc}") from exc
    if envelope.ret_code != _SUCCESS:
        raise RefusedError(_refusal_of(envelope))
    return envelope


def _refusal_of(envelope: _Envelope) -> Refusal:
    return Refusal(envelope.ret_code, envelope.ret_msg, _LATER_S.get(envelope.ret_code))


def _read(decoder: msgspec.json.Decoder[_Rows[_Row]], body: bytes, symbol: str) -> list[_Row]:
    """Read the rows of an envelope, oldest first."""
    try:
        rows = decoder.decode(_open(body).result)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of rows: {exc}") from exc
    if rows.symbol not in (None, symbol):
        raise RejectedRecordError(f"rows of {rows.symbol!r} where {symbol!r} was asked for")
    return rows.list[::-1]


def _split_rows(body: bytes) -> list[bytes]:
    return [bytes(row) for row in _rows_decoder.decode(_envelope_decoder.decode(body).result).list[::-1]]


def _parse_candles(body: bytes, origin: Origin) -> list[Record]:
    """Read a page of `GET /v5/market/kline`; turnover is the volume in the quote asset, trades are not counted.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"category":"linear","symbol":"BTCUSDT","list":[["1670608800000",
    "17071","17073","17027","17055.5","268611","15.74462667"]]},"retExtInfo":{},"time":1672025956592}`
    """
    close_time = _interval_of(origin.kind).close_time
    return [
        Candle(
            key=f"{origin.prefix}{row.open_time}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            open_time=row.open_time,
            close_time=close_time(row.open_time),
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            quote_volume=row.turnover,
        )
        for row in _read(_klines_decoder, body, origin.symbol)
    ]


def _parse_price_candles(body: bytes, origin: Origin) -> list[Record]:
    """Read a page of `GET /v5/market/mark-price-kline`, `index-price-kline` or `premium-index-price-kline`.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":[["1670608800000",
    "17164.16","17164.16","17121.5","17131.64"]]},"retExtInfo":{},"time":1672026361839}`
    """
    close_time = _interval_of(origin.kind).close_time
    return [
        PriceCandle(
            key=f"{origin.prefix}{row.open_time}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            open_time=row.open_time,
            close_time=close_time(row.open_time),
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
        )
        for row in _read(_price_klines_decoder, body, origin.symbol)
    ]


def _interval_of(kind: RecordKind) -> Interval:
    assert isinstance(kind.grid, Interval)
    return kind.grid


def _parse_funding(body: bytes, origin: Origin) -> list[Record]:
    """Read a page of `GET /v5/market/funding/history`.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","fundingRate":
    "0.0001","fundingRateTimestamp":"1709884800000"}]},"time":1709891679050}`
    """
    rows = _read(_funding_decoder, body, origin.symbol)
    if any(row.symbol != origin.symbol for row in rows):
        raise RejectedRecordError(f"funding of others where {origin.symbol!r} was asked for")
    return [
        FundingRate(
            key=f"{origin.prefix}{row.funding_rate_timestamp}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            funding_time=row.funding_rate_timestamp,
            funding_rate=row.funding_rate,
        )
        for row in rows
    ]


def _parse_open_interest(body: bytes, origin: Origin) -> list[Record]:
    """Read a page of `GET /v5/market/open-interest`: both sides of all positions, in the base asset.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":[{"openInterest":
    "461134384.00000000","timestamp":"1669571400000"}],"nextPageCursor":""},"retExtInfo":{},"time":1672053548579}`
    """
    return [
        OpenInterest(
            key=f"{origin.prefix}{row.timestamp}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            time=row.timestamp,
            open_interest=row.open_interest,
        )
        for row in _read(_measured_decoder, body, origin.symbol)
    ]


def _parse_trades(body: bytes, origin: Origin) -> list[Record]:
    """Read `GET /v5/market/recent-trade`.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"2100000000007764263",
    "symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":false,
    "isRPITrade":false,"seq":"123456"}]},"retExtInfo":{},"time":1672053054358}`
    """
    rows = _read(_traded_decoder, body, origin.symbol)
    if any(row.symbol != origin.symbol for row in rows):
        raise RejectedRecordError(f"trades of others where {origin.symbol!r} was asked for")
    return [
        Trade(
            key=f"{origin.prefix}{row.exec_id}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            trade_id=row.exec_id,
            price=row.price,
            quantity=row.size,
            trade_time=row.time,
            is_buyer_maker=row.side == "Sell",
        )
        for row in rows
    ]


def _ask(path: str, params: Mapping[str, str]) -> Request:
    return Request(f"/v5/market/{path}", params, 1, _POOL)


_Parse = Callable[[bytes, Origin], Sequence[Record]]


def _parser(market: str, kind: RecordKind, parse: _Parse) -> Callable[[bytes, str], Sequence[Record]]:
    return lambda body, symbol: parse(body, Origin(market, symbol, kind))


def _candles(market: str, family: str, path: str, name: str, parse: _Parse) -> History:
    """Declare the candles of one price and interval: the exchange takes their open times, both ends inclusive."""
    kind = record_kind(f"{family}_{name}")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        window = {"start": str(first_ms), "end": str(last_ms), "limit": str(_CANDLE_ROWS)}
        return _ask(path, {"category": market, "symbol": symbol, "interval": INTERVALS[name], **window})

    return History(kind, _CANDLE_ROWS, request, _parser(market, kind, parse), _split_rows)


def _open_interest(period: str) -> History:
    """Declare the open interest of a period; a page is a window that fits into one answer, so no cursor is needed."""
    kind = record_kind(f"open_interest_{period}")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        window = {"startTime": str(first_ms), "endTime": str(last_ms), "limit": str(_MEASUREMENT_ROWS)}
        return _ask(
            "open-interest", {"category": "linear", "symbol": symbol, "intervalTime": _PERIODS[period], **window}
        )

    return History(kind, _MEASUREMENT_ROWS, request, _parser("linear", kind, _parse_open_interest), _split_rows)


def _funding() -> History:
    """Declare the funding rates; without an end the exchange refuses a start."""
    kind = record_kind("funding_rate")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        window = {"startTime": str(first_ms), "endTime": str(last_ms), "limit": str(_FUNDING_ROWS)}
        return _ask("funding/history", {"category": "linear", "symbol": symbol, **window})

    return History(
        kind,
        _FUNDING_PAGE_MINUTES,
        request,
        _parser("linear", kind, _parse_funding),
        _split_rows,
        spacing=SpacingRequest(_symbol_request("linear"), _parse_funding_interval),
        rows_max=_FUNDING_ROWS,
    )


def _depth_snapshot(market: str) -> Poll:
    """Declare how order books are asked for."""
    kind = record_kind("depth_snapshot")

    def request(symbol: str, limit: int) -> Request:
        return _ask("orderbook", {"category": market, "symbol": symbol, "limit": str(limit)})

    def parse(body: bytes, symbol: str, limit: int, _received_ms: int) -> DepthSnapshot:
        return _parse_order_book(body, Origin(market, symbol, kind), limit)

    return Poll(kind, request, parse, range(1, _LEVELS_MAX + 1), _DEFAULT_LEVELS)


def _parse_order_book(body: bytes, origin: Origin, limit: int) -> DepthSnapshot:
    """Read `GET /v5/market/orderbook`.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","b":[["65485.47","47.081829"]],"a":[["65557.7",
    "16.606555"]],"ts":1716863719031,"u":230704,"seq":1432604333,"cts":1716863718905},"retExtInfo":{},
    "time":1716863719382}`, from the documentation.
    """
    try:
        book = _book_decoder.decode(_open(body).result)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not an order book: {exc}") from exc
    if book.s != origin.symbol:
        raise RejectedRecordError(f"a book of {book.s!r} where {origin.symbol!r} was asked for")
    return DepthSnapshot(
        key=f"{origin.prefix}{book.u}-{limit}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind.name,
        update_id=book.u,
        limit=limit,
        bids=bids_of(book.b),
        asks=asks_of(book.a),
        event_time=book.ts,
    )


def _open_interest_now() -> Poll:
    """Declare how the open interest is asked for: by the ticker, since measurements come every five minutes only."""
    kind = record_kind("open_interest")

    def request(symbol: str, _: int) -> Request:
        return _ask("tickers", {"category": "linear", "symbol": symbol})

    def parse(body: bytes, symbol: str, _limit: int, _received_ms: int) -> OpenInterest:
        return _parse_ticker(body, Origin("linear", symbol, kind))

    return Poll(kind, request, parse)


def _parse_ticker(body: bytes, origin: Origin) -> OpenInterest:
    """Read `GET /v5/market/tickers` of one symbol; its time is that of the answer.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","lastPrice":
    "65114.30","openInterest":"59891.732","openInterestValue":"3899996265.01",…}]},"retExtInfo":{},
    "time":1786310818183}`, with the values of a recorded connection, whose ticker has the same fields.
    """
    (ticker, *others) = _read(_tickers_decoder, body, origin.symbol) or (None,)
    if ticker is None or others or ticker.symbol != origin.symbol:
        raise RejectedRecordError(f"not the ticker of {origin.symbol!r} alone")
    time_ms = _parse_time(body)
    return OpenInterest(
        key=f"{origin.prefix}{time_ms}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind.name,
        time=time_ms,
        open_interest=ticker.open_interest,
        open_interest_value=ticker.open_interest_value,
    )


def _latest_trades(market: str) -> Latest:
    kind, limit = record_kind("trades"), str(_LATEST_TRADES[market])

    def request(symbol: str) -> Request:
        return _ask("recent-trade", {"category": market, "symbol": symbol, "limit": limit})

    return Latest(kind, request, _parser(market, kind, _parse_trades))


def _symbol_request(market: str) -> Callable[[str], Request]:
    return lambda symbol: _ask("instruments-info", {"category": market, "symbol": symbol})


def _parse_instrument(body: bytes, symbol: str) -> _Instrument:
    """Read `GET /v5/market/instruments-info` of one symbol.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","fundingInterval":480,
    …}],"nextPageCursor":""},"retExtInfo":{},"time":1707186451514}`
    """
    instruments = _read(_instruments_decoder, body, symbol)
    found = next((instrument for instrument in instruments if instrument.symbol == symbol), None)
    if found is None:
        raise RefusedError(Refusal(10001, f"there is no symbol {symbol!r}"))
    return found


def _parse_funding_interval(body: bytes, symbol: str) -> int:
    minutes = _parse_instrument(body, symbol).funding_interval
    if not minutes:
        raise RefusedError(Refusal(10001, f"{symbol!r} is a contract without funding"))
    return minutes * _MINUTE_MS


def _parse_limit(body: bytes, symbol: str) -> None:
    """Look for the symbol; what the limit of the address is the exchange does not tell."""
    _parse_instrument(body, symbol)


def _parse_time(body: bytes) -> int:
    """Read `GET /v5/market/time`.

    Sample: `{"retCode":0,"retMsg":"OK","result":{"timeSecond":"1688639403","timeNano":"1688639403423213947"},
    "retExtInfo":{},"time":1688639403423}`
    """
    time_ms = _open(body).time
    if not time_ms:
        raise RejectedRecordError("an answer without a time")
    return time_ms


def _parse_refusal(status: int, body: bytes) -> Refusal | None:
    """Read the body of an error; that of too many requests may be plain text."""
    if status == _FORBIDDEN and _TOO_FREQUENT in body.lower():
        return Refusal(status, _TOO_FREQUENT.decode(), _TOO_FREQUENT_WAIT_S)
    try:
        envelope = _envelope_decoder.decode(body)
    except UNREADABLE:
        return None
    return _refusal_of(envelope)


def _market(market: str, histories: Sequence[History], lacks: Mapping[str, str], *polls: Poll) -> RestMarket:
    return RestMarket(
        exchange=EXCHANGE,
        market=market,
        base_url_setting="bybit_rest_url",
        pool=_POOL,
        histories={history.kind.name: history for history in histories},
        time_request=_ask("time", {}),
        parse_time=_parse_time,
        symbol_request=_symbol_request(market),
        parse_limit=_parse_limit,
        parse_refusal=_parse_refusal,
        polls={poll.kind.name: poll for poll in (_depth_snapshot(market), *polls)},
        latest={"trades": _latest_trades(market)},
        lacks=lacks,
    )


_NO_TRADES = {
    "trades": "Bybit gives the latest trades only and no history of them; ask for api_candles_1m",
    "agg_trades": "Bybit has no aggregate trades; ask for api_candles_1m",
}
_LINEAR_ONLY = "spot has no such thing; ask for it in market linear"

SPOT = _market(
    "spot",
    [_candles("spot", "candles", "kline", name, _parse_candles) for name in INTERVALS],
    {
        **_NO_TRADES,
        **dict.fromkeys(
            ("mark_candles", "index_candles", "premium_candles", "funding_rate", "open_interest"), _LINEAR_ONLY
        ),
    },
)
LINEAR = _market(
    "linear",
    [
        *(
            _candles("linear", family, path, name, parse)
            for name in INTERVALS
            for family, path, parse in (
                ("candles", "kline", _parse_candles),
                ("mark_candles", "mark-price-kline", _parse_price_candles),
                ("index_candles", "index-price-kline", _parse_price_candles),
                ("premium_candles", "premium-index-price-kline", _parse_price_candles),
            )
        ),
        *(_open_interest(period) for period in _PERIODS),
        _funding(),
    ],
    _NO_TRADES,
    _open_interest_now(),
)
