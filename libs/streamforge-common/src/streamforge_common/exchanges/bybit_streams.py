"""Bybit v5, spot and linear: live streams.

Both markets have the same topics, so only the address that a connection was made to tells them apart.

Source: bybit-exchange/docs, v5, state of 2026-07-24 (read 2026-11-21).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, Literal, TypeVar

import msgspec

from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.kinds import liquidation_name, record_kind
from streamforge_common.contract.records import (
    BookTicker,
    Candle,
    Count,
    Depth,
    Liquidation,
    MarkPrice,
    Record,
    TimeMs,
    Trade,
    TradeName,
)
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.bybit import EXCHANGE, INTERVALS, Origin
from streamforge_common.exchanges.decoding import UNREADABLE, Finite, FiniteLevel, asks_of, bids_of
from streamforge_common.exchanges.streams import (
    Answered,
    BookRules,
    Heartbeat,
    Incoming,
    Parsed,
    Pushed,
    Stream,
    StreamMarket,
)

_CONNECT_EVERY_S = 0.6
"""500 connections in five minutes are allowed per address."""
_NAMES_MAX = 10
"""More are refused on spot."""
_ASK_EVERY_S = 0.1
"""No limit is documented."""
_PING_EVERY_S = 20.0
_BUSY_SILENCE_S = 60.0
"""Of what even quiet symbols have in a minute; a symbol that has not is connected anew in vain, ever more seldom."""
_QUOTES_SILENCE_S = 15.0
"""The best prices are repeated after three seconds without a change."""
_LEVELS = 200
"""Of the books that are listened to: the exchange keeps each side of them at so many levels."""
_EMPTY_SIDE = msgspec.UNSET, msgspec.UNSET
_Side = Literal["Buy", "Sell"]
_Row = TypeVar("_Row")


class _Frame(msgspec.Struct, frozen=True):
    """Any frame; which of the fields are there tells what it is."""

    topic: str | None = None
    op: str = ""
    success: bool = True
    ret_msg: str = ""


class _Message(msgspec.Struct, Generic[_Row], frozen=True):
    topic: str
    data: _Row
    ts: TimeMs
    cts: TimeMs | None = None
    type: str = ""


class _Trade(msgspec.Struct, frozen=True):
    s: str
    i: TradeName
    p: Finite
    v: Finite
    T: TimeMs
    S: _Side
    """Of the taker."""


class _Kline(msgspec.Struct, frozen=True):
    start: TimeMs
    end: TimeMs
    interval: str
    open: Finite
    high: Finite
    low: Finite
    close: Finite
    volume: Finite
    turnover: Finite
    confirm: bool


class _Book(msgspec.Struct, frozen=True):
    s: str
    u: Count
    b: list[FiniteLevel]
    a: list[FiniteLevel]


class _Ticker(msgspec.Struct, frozen=True, rename="camel"):
    """What has changed of a ticker; what is absent has not."""

    symbol: str
    mark_price: Finite | None = None
    index_price: Finite | None = None
    funding_rate: str = ""
    """Empty for contracts without funding."""
    next_funding_time: str = ""


class _Liquidation(msgspec.Struct, frozen=True):
    s: str
    S: _Side
    p: Finite
    v: Finite
    T: TimeMs


# Not strict: numbers in strings are numbers.
_frame_decoder = msgspec.json.Decoder(_Frame)
_trades_decoder = msgspec.json.Decoder(_Message[list[_Trade]], strict=False)
_klines_decoder = msgspec.json.Decoder(_Message[list[_Kline]], strict=False)
_book_decoder = msgspec.json.Decoder(_Message[_Book], strict=False)
_ticker_decoder = msgspec.json.Decoder(_Message[_Ticker], strict=False)
_liquidations_decoder = msgspec.json.Decoder(_Message[list[_Liquidation]], strict=False)


def _read(frame: bytes) -> Incoming:
    """Tell what a frame is.

    Samples: `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":…,"data":[…]}`; `{"success":true,"ret_msg":"",
    "conn_id":"d8bu1olkndm7crnfs1e0-j6akw","req_id":"","op":"subscribe"}`; `{"success":false,"ret_msg":"Invalid topic:
    invalid.topic.BTCUSDT",…,"op":"subscribe"}`; `{"success":true,"ret_msg":"pong","op":"ping",…}`
    """
    try:
        read = _frame_decoder.decode(frame)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a frame of Bybit: {exc}") from exc
    if read.topic is not None:
        return Pushed(read.topic, frame)
    if read.op in ("subscribe", "unsubscribe"):
        return Answered(None if read.success else read.ret_msg)
    if read.op in ("ping", "pong"):
        return Heartbeat()
    raise RejectedRecordError("a frame of Bybit that is neither a message nor an answer")


def _parse_trades(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `publicTrade.<symbol>`.

    Sample: `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,
    "s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7",
    "BT":false,"RPI":false,"seq":753843954913}]}`, from a recorded connection.
    """
    trades = _trades_decoder.decode(message).data
    for trade in trades:
        _check_symbol(trade.s, origin)
    return [
        Trade(
            key=f"{origin.prefix}{trade.i}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            trade_id=trade.i,
            price=trade.p,
            quantity=trade.v,
            trade_time=trade.T,
            is_buyer_maker=trade.S == "Sell",
        )
        for trade in trades
    ]


def _parse_klines(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `kline.<interval>.<symbol>`, which may hold the closed candle and the one behind it.

    Sample: `{"topic":"kline.1.ETHUSDT","data":[{"start":1786310760000,"end":1786310819999,"interval":"1",
    "open":"1922.43","close":"1922.48","high":"1922.48","low":"1922.42","volume":"15.7","turnover":"30182.0724",
    "confirm":true,"timestamp":1786310820123},{"start":1786310820000,…,"confirm":false,…}],"ts":1786310820123,
    "type":"snapshot"}`, from a recorded connection.
    """
    read = _klines_decoder.decode(message)
    _check_symbol(read.topic.rpartition(".")[2], origin)
    assert isinstance(origin.kind.grid, Interval)
    interval = origin.kind.grid
    if any(INTERVALS[interval.name] != bar.interval for bar in read.data):
        raise RejectedRecordError(f"a candle of another interval where {origin.kind.name!r} was asked for")
    return [
        Candle(
            key=f"{origin.prefix}{bar.start}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            open_time=bar.start,
            close_time=bar.end,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            quote_volume=bar.turnover,
        )
        for bar in read.data
        if bar.confirm
    ]


def _parse_book_ticker(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `orderbook.1.<symbol>`: the best prices, again after three seconds without a change.

    Sample: `{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT","b":[["16493.50",
    "0.006"]],"a":[["16611.00","0.029"]],"u":18521288,"seq":7961638724},"cts":1672304484976}`, from the documentation.
    """
    read = _book_decoder.decode(message)
    book = read.data
    _check_symbol(book.s, origin)
    if read.cts is None:
        raise RejectedRecordError("best prices without the time of the matching engine")
    (bid_price, bid_quantity) = book.b[0] if book.b else _EMPTY_SIDE
    (ask_price, ask_quantity) = book.a[0] if book.a else _EMPTY_SIDE
    record = BookTicker(
        key=f"{origin.prefix}{read.cts}-{book.u}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind.name,
        update_id=book.u,
        bid_price=bid_price,
        bid_quantity=bid_quantity,
        ask_price=ask_price,
        ask_quantity=ask_quantity,
        event_time=read.cts,
    )
    return [record]


def _parse_depth(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `orderbook.200.<symbol>`: all levels at first, then those that have changed.

    After a restart of the exchange's service ids begin at 1 again, with all levels, whatever the message calls itself.

    Sample: `{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["65095.30",
    "0.005"],["65093.10","0"],…],"a":[…],"u":15076953,"seq":753843913870},"cts":1786310818129}`, from a recorded
    connection.
    """
    read = _book_decoder.decode(message)
    book = read.data
    _check_symbol(book.s, origin)
    if read.cts is None:
        raise RejectedRecordError("a book without the time of the matching engine")
    is_snapshot = read.type == "snapshot" or book.u == 1
    record = Depth(
        key=f"{origin.prefix}{read.cts}-{book.u}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind.name,
        event_time=read.cts,
        last_update_id=book.u,
        is_snapshot=True if is_snapshot else msgspec.UNSET,
        bids=bids_of(book.b),
        asks=asks_of(book.a),
    )
    return [record]


def _parse_mark_price(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `tickers.<symbol>`, which is a record where the mark price has changed.

    Sample: `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"65117.43",
    "openInterestValue":"3899995666.09","ask1Price":"65114.30","ask1Size":"10.488",…},"cs":753843915209,
    "ts":1786310818183}`, from a recorded connection.
    """
    read = _ticker_decoder.decode(message)
    ticker = read.data
    _check_symbol(ticker.symbol, origin)
    if ticker.mark_price is None:
        return []
    funding_rate, next_funding = ticker.funding_rate, ticker.next_funding_time
    record = MarkPrice(
        key=f"{origin.prefix}{read.ts}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind.name,
        event_time=read.ts,
        mark_price=ticker.mark_price,
        index_price=msgspec.UNSET if ticker.index_price is None else ticker.index_price,
        funding_rate=msgspec.convert(funding_rate, Finite, strict=False) if funding_rate else msgspec.UNSET,
        next_funding_time=msgspec.convert(next_funding, TimeMs, strict=False) if next_funding else msgspec.UNSET,
    )
    return [record]


def _parse_liquidations(message: bytes, origin: Origin) -> list[Record]:
    """Read a message of `allLiquidation.<symbol>`; the side is that of the position, and the price the bankruptcy's.

    Sample: `{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,
    "s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}]}`, from the documentation.
    """
    read = _liquidations_decoder.decode(message)
    records: list[Record] = []
    equal: dict[_Liquidation, int] = {}
    for closed in read.data:
        _check_symbol(closed.s, origin)
        number = equal.get(closed, 0)
        equal[closed] = number + 1
        side: Literal["buy", "sell"] = "buy" if closed.S == "Buy" else "sell"
        name = liquidation_name(closed.T, side, closed.p, closed.v, number)
        record = Liquidation(
            key=f"{origin.prefix}{name}",
            exchange=EXCHANGE,
            market=origin.market,
            symbol=origin.symbol,
            type=origin.kind.name,
            event_time=read.ts,
            trade_time=closed.T,
            side=side,
            price=closed.p,
            quantity=closed.v,
            position_side="long" if side == "buy" else "short",
        )
        records.append(record)
    return records


def _check_symbol(found: str, origin: Origin) -> None:
    if found != origin.symbol:
        raise RejectedRecordError(f"a message of {found!r} where {origin.symbol!r} was asked for")


_Parse = Callable[[bytes, Origin], Sequence[Record]]


def _stream(
    market: str,
    kind_name: str,
    topic: str,
    parse: _Parse,
    silence_s: float | None,
    *,
    is_numbered: bool = False,
    connections: int = 1,
) -> Stream:
    """Declare a stream; `is_numbered` says whether every id of the kind's grid has a record."""
    kind = record_kind(kind_name)

    def parse_message(message: bytes, symbol: str, _received_ms: int) -> Parsed:
        try:
            return Parsed(parse(message, Origin(market, symbol, kind)))
        except UNREADABLE as exc:
            raise RejectedRecordError(f"not a message of {topic!r}: {exc}") from exc

    return Stream(
        kind,
        f"/v5/public/{market}",
        lambda symbol: f"{topic}.{symbol}",
        parse_message,
        kind.grid if is_numbered else None,
        silence_s,
        connections=connections,
    )


def _follows(update: Depth, book_id: int) -> bool:
    """Tell by what the exchange does; it does not promise it."""
    return update.last_update_id == book_id + 1


_BOOKS = BookRules(_follows, _follows, snapshot_limit=None, levels_max=_LEVELS, is_linked=False)


def _market(market: str, streams: Sequence[Stream], lacks: Mapping[str, str]) -> StreamMarket:
    klines = [
        _stream(market, f"candles_{ours}", f"kline.{theirs}", _parse_klines, _BUSY_SILENCE_S, is_numbered=True)
        for ours, theirs in INTERVALS.items()
    ]
    both = [
        # Over REST there are the latest of them only.
        _stream(market, "trades", "publicTrade", _parse_trades, _BUSY_SILENCE_S, connections=2),
        _stream(market, "book_ticker", "orderbook.1", _parse_book_ticker, _QUOTES_SILENCE_S),
    ]
    depth = replace(_stream(market, "depth", f"orderbook.{_LEVELS}", _parse_depth, _BUSY_SILENCE_S), book=_BOOKS)
    books = [depth, replace(depth, kind=record_kind("order_book"))]
    return StreamMarket(
        exchange=EXCHANGE,
        market=market,
        base_url_setting="bybit_ws_url",
        streams={stream.kind.name: stream for stream in (*both, *books, *streams, *klines)},
        subscribe=lambda topics: msgspec.json.encode({"req_id": "1", "op": "subscribe", "args": topics}),
        unsubscribe=lambda topic: msgspec.json.encode({"req_id": "1", "op": "unsubscribe", "args": [topic]}),
        read=_read,
        names_max=_NAMES_MAX,
        ask_every_s=_ASK_EVERY_S,
        connect_every_s=_CONNECT_EVERY_S,
        ping=b'{"op":"ping"}',
        ping_every_s=_PING_EVERY_S,
        lacks=lacks,
    )


_NO_AGG_TRADES = {"agg_trades": "Bybit has no aggregate trades; ask for ws_trades"}

SPOT = _market(
    "spot",
    [],
    {
        **_NO_AGG_TRADES,
        **dict.fromkeys(
            ("mark_price", "liquidations", "funding_rate", "mark_candles", "index_candles", "premium_candles"),
            "spot has no such thing; ask for it in market linear",
        ),
    },
)
LINEAR = _market(
    "linear",
    [
        _stream("linear", "mark_price", "tickers", _parse_mark_price, _BUSY_SILENCE_S),
        _stream("linear", "liquidations", "allLiquidation", _parse_liquidations, None),
    ],
    {
        **_NO_AGG_TRADES,
        "funding_rate": "the exchange does not push it; ask for api_funding_rate, or ws_mark_price, which carries it",
    },
)
