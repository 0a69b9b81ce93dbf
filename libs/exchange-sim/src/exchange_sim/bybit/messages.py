"""Messages of Bybit's topics, made from the items of the simulated market, whose rows are Binance's.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07).
"""

from typing import Any

import msgspec

from exchange_sim.books import BookView
from exchange_sim.bybit.query import INTERVAL_NAMES
from exchange_sim.bybit.rows import read_trade
from exchange_sim.clock import SECOND_US
from exchange_sim.intervals import INTERVALS
from exchange_sim.market import Derivatives, Market, Series
from exchange_sim.simulation.books import Moment, MomentSeries, SimulatedBooks
from exchange_sim.streaming.simulated import Source
from exchange_sim.translated import Translated

_KLINE_EVERY_US = SECOND_US
BOOK_TOPIC = "orderbook.200"
"""The one depth that there is here."""


def spot_source(market: Market, books: SimulatedBooks, topic: str) -> Source | None:
    """Return how a topic of spot is made, None where there is no such thing."""
    head, _, name = topic.rpartition(".")
    symbol = market.symbol(name)
    if symbol is None:
        return None
    if head == "publicTrade":
        return _trades(topic, Translated(market.trades(symbol), "bybit:spot"))
    if head == BOOK_TOPIC:
        return _depth(topic, books, "bybit:spot", name)
    interval = INTERVALS.get(INTERVAL_NAMES.get(head.removeprefix("kline."), ""))
    if interval is None:
        return None
    return _klines(topic, Translated(market.candles(symbol, interval, 0), "bybit:spot"))


def linear_source(market: Derivatives, books: SimulatedBooks, topic: str) -> Source | None:
    """Return how a topic of linear is made, None where there is no such thing; its trades are the aggregated ones."""
    head, _, name = topic.rpartition(".")
    symbol = market.symbol(name)
    if symbol is None:
        return None
    if head == "publicTrade":
        return _trades(topic, Translated(market.agg_trades(symbol), "bybit:linear", kind="trades"))
    if head == BOOK_TOPIC:
        return _depth(topic, books, "bybit:linear", name)
    interval = INTERVALS.get(INTERVAL_NAMES.get(head.removeprefix("kline."), ""))
    return None if interval is None else _klines(topic, market.candles(symbol, interval))


def _trades(topic: str, series: Series) -> Source:
    """Push every trade, e.g. `{"topic":…,"type":"snapshot","ts":…,"data":[{"T":…,"s":"BTCUSDT","S":"Sell",…}]}`."""

    def wrap(row: bytes, now_us: int, _is_final: bool) -> bytes:
        trade = read_trade(row)
        item = {"T": trade.time_ms, "s": series.symbol, "S": trade.side, "v": trade.size, "p": trade.price}
        item |= {"i": str(trade.number), "BT": False, "RPI": False, "seq": trade.number}
        return _message(topic, now_us, [item])

    return Source(series, wrap)


def _depth(topic: str, books: SimulatedBooks, market: str, symbol: str) -> Source | None:
    """Push what changes in a book; whoever subscribes is sent all of it first.

    E.g. `{"topic":…,"type":"delta","ts":…,"data":{"s":"BTCUSDT","b":[["16493.50","0"]],"a":[],"u":7,"seq":7},"cts":…}`.
    """
    book = books.book(market, symbol)
    if book is None:
        return None

    def write(moment: Moment) -> bytes:
        bids = [(price, quantity) for is_bid, price, quantity in moment.changes if is_bid]
        asks = [(price, quantity) for is_bid, price, quantity in moment.changes if not is_bid]
        return book_message(topic, "delta", BookView(moment.last_id, moment.end_us, bids, asks))

    def whole(position: int) -> bytes:
        return book_message(topic, "snapshot", book.book_at_end(position))

    return Source(MomentSeries(book, market, symbol, write), lambda row, _now_us, _is_final: row, whole=whole)


def book_message(topic: str, kind: str, view: BookView) -> bytes:
    """Write the levels of a book, all of them or those that have changed."""
    at_ms = view.time_us // 1000
    data = {"s": topic.rpartition(".")[2], "b": view.bids, "a": view.asks, "u": view.update_id, "seq": view.update_id}
    return msgspec.json.encode({"topic": topic, "type": kind, "ts": at_ms, "data": data, "cts": at_ms})


def _klines(topic: str, series: Series) -> Source:
    """Push a candle while it is open, and once when it is closed."""
    name = topic.split(".")[1]

    def wrap(row: bytes, now_us: int, is_final: bool) -> bytes:
        opened, first, high, low, last, volume, closes, turnover, *_ = msgspec.json.decode(row)
        bar = {"start": opened, "end": closes, "interval": name, "open": first, "close": last, "high": high}
        bar |= {"low": low, "volume": volume, "turnover": turnover, "confirm": is_final, "timestamp": now_us // 1000}
        return _message(topic, now_us, [bar])

    return Source(series, wrap, _KLINE_EVERY_US)


def _message(topic: str, now_us: int, data: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"topic": topic, "type": "snapshot", "ts": now_us // 1000, "data": data})
