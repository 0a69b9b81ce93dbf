"""Binance spot and USDⓈ-M futures: live streams.

Both are asked for combined streams, whose frames carry the stream's name. Futures have two paths, and a stream that is
asked for on the wrong one delivers nothing.

Source: binance-spot-api-docs, web-socket-streams.md, state of 2026-07-21, and the docstrings of the official USDⓈ-M
connector, state of 2026-08-21 (read 2026-11-21).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from streamforge_common.contract.baskets import EVERY_SYMBOL
from streamforge_common.contract.intervals import INTERVALS
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
)
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.binance_shared import EXCHANGE, AggTradeRow, Origin, make_agg_trades
from streamforge_common.exchanges.decoding import UNREADABLE, Finite, FiniteLevel, asks_of, bids_of
from streamforge_common.exchanges.streams import (
    Answered,
    BookRules,
    Incoming,
    Leaving,
    Parsed,
    Pushed,
    Stream,
    StreamMarket,
)

_CONNECT_EVERY_S = 1.0
"""300 connections in five minutes are allowed per address."""
_LIFE_S = 86_400.0
_NAMES_MAX = 100
"""A connection may have 1,024 streams; how long a frame may be is not told."""
_ASK_EVERY_S = 0.3
"""Five frames a second are taken, of which the answers to pings are some."""
_SHUTDOWN = "serverShutdown"
_COIN_M = 2
"""`st` of contracts with the coin as margin, which all-market streams bring too."""
_Side = Literal["buy", "sell"]
_BUSY_SILENCE_S = 60.0
"""Of what even quiet symbols have in a minute; a symbol that has not is connected anew in vain, ever more seldom."""
_BOOK_LEVELS_MAX = 500
"""What lies behind a snapshot's last level is not known, so a book must have room to move before it needs another."""
_MARK_PRICE_SILENCE_S = 15.0
"""It comes every second, whatever the market does."""


class _Error(msgspec.Struct, frozen=True):
    code: int
    msg: str


class _Frame(msgspec.Struct, frozen=True):
    """Any frame; which of the fields are there tells what it is."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    e: str | None = None
    error: _Error | None = None
    code: int | None = None
    msg: str = ""
    id: int | str | None = None


class _Trade(msgspec.Struct, frozen=True, gc=False):
    s: str
    t: Count
    p: Finite
    q: Finite
    T: TimeMs
    m: bool
    X: str = "MARKET"
    """Futures only: what is not of the market is the insurance fund's or a deleveraging."""


class _AggTrade(AggTradeRow[TimeMs], frozen=True, gc=False):
    """A row as REST has it, and whose it is."""

    s: str


class _Bar(msgspec.Struct, frozen=True, gc=False):
    t: TimeMs
    T: TimeMs
    i: str
    o: Finite
    c: Finite
    h: Finite
    l: Finite  # noqa: E741
    v: Finite
    n: Count
    x: bool
    q: Finite
    V: Finite
    Q: Finite


class _Kline(msgspec.Struct, frozen=True):
    s: str
    k: _Bar


class _BookTicker(msgspec.Struct, frozen=True, gc=False):
    s: str
    u: Count
    b: Finite
    B: Finite
    a: Finite
    A: Finite
    E: TimeMs | None = None


class _DepthUpdate(msgspec.Struct, frozen=True):
    s: str
    E: TimeMs
    U: Count
    u: Count
    b: list[FiniteLevel]
    a: list[FiniteLevel]
    pu: Count | None = None
    """Futures only."""


class _MarkPrice(msgspec.Struct, frozen=True, gc=False):
    s: str
    E: TimeMs
    p: Finite
    i: Finite
    T: TimeMs = 0
    r: str = ""
    """Dated contracts have no funding."""


class _Order(msgspec.Struct, frozen=True):
    s: str
    S: str
    p: Finite
    q: Finite
    T: TimeMs


class _ForceOrder(msgspec.Struct, frozen=True):
    E: TimeMs
    o: _Order


class _Contract(msgspec.Struct, frozen=True):
    s: str = ""


class _Whose(_Contract, frozen=True):
    """Of an all-market stream: the contract that an item is of. The margin comes since 2026-06-29, with COIN-M's."""

    o: _Contract | None = None
    """Of an order."""
    st: int = 1


# Not strict: numbers in strings are numbers.
_frame_decoder = msgspec.json.Decoder(_Frame)
_trade_decoder = msgspec.json.Decoder(_Trade, strict=False)
_agg_trade_decoder = msgspec.json.Decoder(_AggTrade, strict=False)
_kline_decoder = msgspec.json.Decoder(_Kline, strict=False)
_book_ticker_decoder = msgspec.json.Decoder(_BookTicker, strict=False)
_depth_decoder = msgspec.json.Decoder(_DepthUpdate, strict=False)
_mark_price_decoder = msgspec.json.Decoder(_MarkPrice, strict=False)
_force_order_decoder = msgspec.json.Decoder(_ForceOrder, strict=False)
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_whose_decoder = msgspec.json.Decoder(_Whose)


def _read(frame: bytes) -> Incoming:
    """Tell what a frame is.

    Samples: `{"stream":"btcusdt@trade","data":{"e":"trade",…}}`; `{"result":null,"id":1}`; `{"error":{"code":2,"msg":
    "Invalid request: …"},"id":1}`; `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`
    """
    try:
        read = _frame_decoder.decode(frame)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a frame of Binance: {exc}") from exc
    if read.stream is not None:
        return Leaving() if read.stream == f"!{_SHUTDOWN}" else Pushed(read.stream, bytes(read.data))
    if read.e == _SHUTDOWN:
        return Leaving()
    if read.error is not None:
        return Answered(f"{read.error.code} {read.error.msg}")
    if read.code is not None:
        return Answered(f"{read.code} {read.msg}")
    if read.id is not None:
        return Answered(None)
    raise RejectedRecordError("a frame of Binance that is neither a message nor an answer")


def _parse_trade(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@trade`; those of futures that are not of the market are passed over.

    Sample: `{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}`, from a recorded connection; futures have `"X":"MARKET"` in place of `M`.
    """
    trade = _trade_decoder.decode(message)
    _check_symbol(trade.s, origin)
    if trade.X != "MARKET":
        return Parsed(passed_over=(trade.t,))
    record = Trade(
        key=f"{origin.prefix}{trade.t}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        trade_id=trade.t,
        price=trade.p,
        quantity=trade.q,
        trade_time=trade.T,
        is_buyer_maker=trade.m,
    )
    return Parsed((record,))


def _parse_agg_trade(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@aggTrade`.

    Sample: `{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000",
    "f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}`, from a recorded connection.
    """
    trade = _agg_trade_decoder.decode(message)
    _check_symbol(trade.s, origin)
    return Parsed(make_agg_trades([trade], origin))


def _parse_kline(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@kline_<interval>`, which is a record once its candle is closed.

    Sample: `{"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT",
    "i":"1m","f":19862761,"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000",
    "v":"25877.00000000","n":30,"x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}`, from a
    recorded connection.
    """
    kline = _kline_decoder.decode(message)
    _check_symbol(kline.s, origin)
    bar = kline.k
    if origin.kind != f"candles_{_INTERVAL_NAMES.get(bar.i, bar.i)}":
        raise RejectedRecordError(f"a candle of {bar.i!r} where {origin.kind!r} was asked for")
    if not bar.x:
        return Parsed()
    record = Candle(
        key=f"{origin.prefix}{bar.t}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        open_time=bar.t,
        close_time=bar.T,
        open=bar.o,
        high=bar.h,
        low=bar.l,
        close=bar.c,
        volume=bar.v,
        quote_volume=bar.q,
        trades=bar.n,
        taker_buy_volume=bar.V,
        taker_buy_quote_volume=bar.Q,
    )
    return Parsed((record,))


def _parse_book_ticker(message: bytes, origin: Origin, received_ms: int) -> Parsed:
    """Read a message of `<symbol>@bookTicker`; those of spot tell no time.

    Samples, from recorded connections: `{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",
    "a":"61837.64000000","A":"1.54698000"}`; futures `{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",
    "b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}`
    """
    ticker = _book_ticker_decoder.decode(message)
    _check_symbol(ticker.s, origin)
    record = BookTicker(
        key=f"{origin.prefix}{ticker.u}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        update_id=ticker.u,
        bid_price=ticker.b,
        bid_quantity=ticker.B,
        ask_price=ticker.a,
        ask_quantity=ticker.A,
        event_time=msgspec.UNSET if ticker.E is None else ticker.E,
        receipt_time=received_ms if ticker.E is None else msgspec.UNSET,
    )
    return Parsed((record,))


def _parse_depth(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@depth@100ms` or `<symbol>@depth@0ms`.

    Samples, from recorded connections: `{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,
    "b":[["0.35130000","6195.00000000"],["0.34750000","5548.00000000"]],"a":[]}`; futures `{"e":"depthUpdate",
    "E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,
    "b":[["58710.20","0.014"],["61510.90","0.000"],…],"a":[…]}`
    """
    update = _depth_decoder.decode(message)
    _check_symbol(update.s, origin)
    record = Depth(
        key=f"{origin.prefix}{update.u}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        event_time=update.E,
        first_update_id=update.U,
        last_update_id=update.u,
        previous_update_id=msgspec.UNSET if update.pu is None else update.pu,
        bids=bids_of(update.b),
        asks=asks_of(update.a),
    )
    return Parsed((record,))


def _parse_mark_price(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@markPrice@1s`.

    Sample: `{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091",
    "P":"11784.25641265","r":"0.00038167","T":1562306400000,"st":1}`, from the documentation.
    """
    mark = _mark_price_decoder.decode(message)
    _check_symbol(mark.s, origin)
    record = MarkPrice(
        key=f"{origin.prefix}{mark.E}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        event_time=mark.E,
        mark_price=mark.p,
        index_price=mark.i,
        funding_rate=msgspec.convert(mark.r, Finite, strict=False) if mark.r and mark.T else msgspec.UNSET,
        next_funding_time=mark.T or msgspec.UNSET,
    )
    return Parsed((record,))


def _parse_force_order(message: bytes, origin: Origin, _received_ms: int) -> Parsed:
    """Read a message of `<symbol>@forceOrder`: the latest of a second, so there are more than these.

    The side is that of the order which closes the position: who held it is on the other one.

    Sample: `{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014",
    "p":"9910.00000000","ap":"9910.12345678","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}`, from the
    documentation.
    """
    read = _force_order_decoder.decode(message)
    order = read.o
    _check_symbol(order.s, origin)
    if order.S not in ("BUY", "SELL"):
        raise RejectedRecordError(f"an order whose side is {order.S!r}")
    was_long = order.S == "SELL"
    side: _Side = "sell" if was_long else "buy"
    record = Liquidation(
        key=f"{origin.prefix}{liquidation_name(order.T, side, order.p, order.q, 0)}",
        exchange=EXCHANGE,
        market=origin.market,
        symbol=origin.symbol,
        type=origin.kind,
        event_time=read.E,
        trade_time=order.T,
        side=side,
        price=order.p,
        quantity=order.q,
        position_side="long" if was_long else "short",
    )
    return Parsed((record,))


def _check_symbol(found: str, origin: Origin) -> None:
    if found != origin.symbol:
        raise RejectedRecordError(f"a message of {found!r} where {origin.symbol!r} was asked for")


_Parse = Callable[[bytes, Origin, int], Parsed]


def _stream(
    market: str,
    kind_name: str,
    path: str,
    suffix: str,
    parse: _Parse,
    silence_s: float | None,
    *,
    is_numbered: bool,
    connections: int = 1,
) -> Stream:
    """Declare a stream.

    Args:
        market: As the contract names it.
        kind_name: As in types.
        path: Where to connect.
        suffix: What follows the symbol in its name.
        parse: How its messages are read.
        silence_s: As in `Stream`.
        is_numbered: Whether every id of the kind's grid has a record.
        connections: As in `Stream`.
    """
    kind = record_kind(kind_name)

    def parse_message(message: bytes, symbol: str, received_ms: int) -> Parsed:
        try:
            return parse(message, Origin(market, symbol, kind_name), received_ms)
        except UNREADABLE as exc:
            raise RejectedRecordError(f"not a message of {kind_name}: {exc}") from exc

    return Stream(
        kind,
        path,
        lambda symbol: f"{symbol.lower()}@{suffix}",
        parse_message,
        kind.grid if is_numbered else None,
        silence_s,
        connections=connections,
    )


def _also_of_all(stream: Stream, name: str) -> Stream:
    """Declare that there is a stream of every symbol too; a message holds one item or a list of them.

    Sample: `[{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11185.87786614",…,"st":1},{…,"s":
    "BTCUSD_PERP",…,"st":2}]`, from the documentation.
    """

    def parse(message: bytes, symbol: str, received_ms: int) -> Parsed:
        if symbol != EVERY_SYMBOL:
            return stream.parse(message, symbol, received_ms)
        try:
            items = _items_decoder.decode(message) if message.startswith(b"[") else [message]
            contracts = [_whose_decoder.decode(item) for item in items]
        except UNREADABLE as exc:
            raise RejectedRecordError(f"not a message of {name}: {exc}") from exc
        records: list[Record] = []
        for item, contract in zip(items, contracts, strict=True):
            if contract.st != _COIN_M:
                records += stream.parse(bytes(item), (contract.o or contract).s, received_ms).records
        return Parsed(records)

    return replace(
        stream,
        name=lambda symbol: name if symbol == EVERY_SYMBOL else stream.name(symbol),
        parse=parse,
        is_of_all=True,
    )


def _spot_follows(update: Depth, book_id: int) -> bool:
    return update.first_update_id == book_id + 1


def _spot_joins(update: Depth, book_id: int) -> bool:
    assert update.first_update_id is not msgspec.UNSET
    return update.first_update_id <= book_id + 1 <= update.last_update_id


def _um_follows(update: Depth, book_id: int) -> bool:
    return update.previous_update_id == book_id


def _um_joins(update: Depth, book_id: int) -> bool:
    assert update.first_update_id is not msgspec.UNSET
    return update.first_update_id <= book_id <= update.last_update_id or _um_follows(update, book_id)


def _books(market: str, path: str, suffix: str, rules: BookRules) -> list[Stream]:
    """Declare the differences of order books, and the books that are made from them."""
    depth = _stream(market, "depth", path, suffix, _parse_depth, _BUSY_SILENCE_S, is_numbered=False)
    depth = replace(depth, book=rules)
    return [depth, replace(depth, kind=record_kind("order_book"))]


_INTERVAL_NAMES = {"1M": "1mo"}
"""Binance's name to the contract's, where they differ."""


def _klines(market: str, path: str, intervals: Sequence[str]) -> list[Stream]:
    theirs = {ours: name for name, ours in _INTERVAL_NAMES.items()}
    return [
        _stream(
            market,
            f"candles_{name}",
            path,
            f"kline_{theirs.get(name, name)}",
            _parse_kline,
            _BUSY_SILENCE_S,
            is_numbered=True,
        )
        for name in intervals
    ]


def _market(market: str, base_url_setting: str, streams: Sequence[Stream], lacks: dict[str, str]) -> StreamMarket:
    return StreamMarket(
        exchange=EXCHANGE,
        market=market,
        base_url_setting=base_url_setting,
        streams={stream.kind.name: stream for stream in streams},
        subscribe=lambda names: msgspec.json.encode({"method": "SUBSCRIBE", "params": names, "id": 1}),
        unsubscribe=lambda name: msgspec.json.encode({"method": "UNSUBSCRIBE", "params": [name], "id": 1}),
        read=_read,
        names_max=_NAMES_MAX,
        ask_every_s=_ASK_EVERY_S,
        connect_every_s=_CONNECT_EVERY_S,
        life_s=_LIFE_S,
        lacks=lacks,
    )


_STREAM, _PUBLIC, _MARKET = "/stream", "/public/stream", "/market/stream"
_POLLED = "the exchange does not push it; ask for api_funding_rate, or ws_mark_price, which carries it"
_SPOT_BOOKS = BookRules(_spot_follows, _spot_joins, snapshot_limit=5_000, levels_max=_BOOK_LEVELS_MAX, is_linked=True)
_UM_BOOKS = BookRules(_um_follows, _um_joins, snapshot_limit=1_000, levels_max=_BOOK_LEVELS_MAX, is_linked=True)
# Documented are 100, 250 and 500 ms; every update as it happens is what collectors of futures ask for.

SPOT = _market(
    "spot",
    "binance_spot_ws_url",
    [
        _stream("spot", "trades", _STREAM, "trade", _parse_trade, _BUSY_SILENCE_S, is_numbered=True),
        _stream("spot", "agg_trades", _STREAM, "aggTrade", _parse_agg_trade, _BUSY_SILENCE_S, is_numbered=True),
        _stream("spot", "book_ticker", _STREAM, "bookTicker", _parse_book_ticker, _BUSY_SILENCE_S, is_numbered=False),
        *_books("spot", _STREAM, "depth@100ms", _SPOT_BOOKS),
        *_klines("spot", _STREAM, INTERVALS),
    ],
    dict.fromkeys(
        ("mark_price", "liquidations", "funding_rate", "mark_candles", "index_candles", "premium_candles"),
        "spot has no such thing; ask for it in market um",
    ),
)
UM = _market(
    "um",
    "binance_futures_ws_url",
    [
        # Over REST there are the latest of them only.
        _stream("um", "trades", _PUBLIC, "trade", _parse_trade, _BUSY_SILENCE_S, is_numbered=True, connections=2),
        _stream("um", "agg_trades", _MARKET, "aggTrade", _parse_agg_trade, _BUSY_SILENCE_S, is_numbered=True),
        _stream("um", "book_ticker", _PUBLIC, "bookTicker", _parse_book_ticker, _BUSY_SILENCE_S, is_numbered=False),
        _also_of_all(
            _stream(
                "um", "mark_price", _MARKET, "markPrice@1s", _parse_mark_price, _MARK_PRICE_SILENCE_S, is_numbered=False
            ),
            "!markPrice@arr@1s",
        ),
        _also_of_all(
            _stream("um", "liquidations", _MARKET, "forceOrder", _parse_force_order, None, is_numbered=False),
            "!forceOrder@arr",
        ),
        *_books("um", _PUBLIC, "depth@0ms", _UM_BOOKS),
        *_klines("um", _MARKET, [name for name in INTERVALS if name != "1s"]),
    ],
    {"funding_rate": _POLLED},
)
