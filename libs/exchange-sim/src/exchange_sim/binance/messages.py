"""Messages of Binance's streams, made from the items of its REST interface.

Source: https://github.com/binance/binance-spot-api-docs, web-socket-streams.md (2026-07).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange_sim.clock import SECOND_US
from exchange_sim.intervals import INTERVALS, Interval
from exchange_sim.market import Derivatives, IdentifiedSeries, Market, Series, Symbol
from exchange_sim.simulation.books import Moment, MomentSeries, SimulatedBooks
from exchange_sim.streaming.simulated import Source

_KLINE_EVERY_US: Final = 2 * SECOND_US
_KLINE_1S_EVERY_US: Final = SECOND_US
_ALL_MARK_PRICES: Final = "!markPrice@arr@1s"
_ALL_MARKET: Final = frozenset({_ALL_MARK_PRICES, "!forceOrder@arr"})
_KLINE_COLUMNS: Final = "tohlcvTqnVQB"
"""What a stream calls the columns of a row of klines."""


_SPOT_MARK: Final = {"M": True}
_FUTURES_MARK: Final = {"X": "MARKET"}
"""What a message of a single trade ends with: nothing that the insurance fund did is simulated."""


class _Trade(msgspec.Struct, rename="camel"):
    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


_trade_decoder = msgspec.json.Decoder(_Trade)
_kline_decoder = msgspec.json.Decoder(list[int | str])


def spot_source(market: Market, books: SimulatedBooks, stream: str) -> Source | None:
    """Return how a stream of spot is made, None where there is no such thing."""
    name, _, suffix = stream.partition("@")
    symbol = market.symbol(name.upper())
    if symbol is None:
        return None
    if suffix == "trade":
        return _trades(symbol, market.trades(symbol), _SPOT_MARK)
    if suffix.partition("@")[0] == "depth":
        return _depth(symbol, books, "binance:spot", is_futures=False)
    if suffix == "aggTrade":
        return _agg_trades(symbol, market.agg_trades(symbol))
    interval = INTERVALS.get(suffix.removeprefix("kline_"))
    return None if interval is None else _klines(symbol, interval, market.candles(symbol, interval, 0))


def futures_source(market: Derivatives, books: SimulatedBooks, stream: str) -> Source | None:
    """Return how a stream of futures is made, None where there is no such thing."""
    if stream in _ALL_MARKET:
        return _as_it_is(market.mark_prices(None) if stream == _ALL_MARK_PRICES else market.liquidations(None))
    name, _, suffix = stream.partition("@")
    symbol = market.symbol(name.upper())
    if symbol is None:
        return None
    if suffix == "trade":
        return _trades(symbol, market.trades(symbol), _FUTURES_MARK)
    if suffix.partition("@")[0] == "depth":
        return _depth(symbol, books, "binance:um", is_futures=True)
    if suffix == "aggTrade":
        return _agg_trades(symbol, market.agg_trades(symbol))
    if suffix == "markPrice@1s":
        return _as_it_is(market.mark_prices(symbol))
    if suffix == "forceOrder":
        return _as_it_is(market.liquidations(symbol))
    interval = INTERVALS.get(suffix.removeprefix("kline_"))
    return None if interval is None else _klines(symbol, interval, market.candles(symbol, interval))


def _as_it_is(series: Series) -> Source:
    """Push items that are messages already."""
    return Source(series, lambda row, _now_us, _is_final: row)


def _agg_trades(symbol: Symbol, series: IdentifiedSeries) -> Source:
    """Push every aggregated trade, e.g. `{"e":"aggTrade","E":…,"s":"BTCUSDT","a":26129,"p":"0.01633102",…}`."""

    def wrap(row: bytes, now_us: int, _is_final: bool) -> bytes:
        return b'{"e":"aggTrade","E":%d,"s":"%b",%b' % (now_us // 1000, symbol.name.encode(), row[1:])

    return Source(series, wrap)


def _trades(symbol: Symbol, series: Series, mark: Mapping[str, object]) -> Source:
    """Push every trade, e.g. `{"e":"trade","E":…,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":…,"m":true,…}`."""

    def wrap(row: bytes, now_us: int, _is_final: bool) -> bytes:
        trade = _trade_decoder.decode(row)
        return msgspec.json.encode(
            {
                "e": "trade",
                "E": now_us // 1000,
                "s": symbol.name,
                "t": trade.id,
                "p": trade.price,
                "q": trade.qty,
                "T": trade.time,
                "m": trade.is_buyer_maker,
                **mark,
            }
        )

    return Source(series, wrap)


def _depth(symbol: Symbol, books: SimulatedBooks, market: str, *, is_futures: bool) -> Source | None:
    """Push what changes in a book, ten times a second whatever pace was asked for.

    E.g. `{"e":"depthUpdate","E":…,"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}`.
    """
    book = books.book(market, symbol.name)
    if book is None:
        return None

    def write(moment: Moment) -> bytes:
        at_ms = moment.end_us // 1000
        message: dict[str, object] = {"e": "depthUpdate", "E": at_ms}
        if is_futures:
            message["T"] = at_ms
        message |= {"s": symbol.name, "U": moment.first_id, "u": moment.last_id}
        if is_futures:
            message["pu"] = moment.before_id
        message["b"] = [(price, quantity) for is_bid, price, quantity in moment.changes if is_bid]
        message["a"] = [(price, quantity) for is_bid, price, quantity in moment.changes if not is_bid]
        return msgspec.json.encode(message)

    return Source(MomentSeries(book, market, symbol.name, write), lambda row, _now_us, _is_final: row)


def _klines(symbol: Symbol, interval: Interval, series: Series) -> Source:
    """Push a candle while it is open, and once when it is closed; which trades it holds is not told (-1)."""

    def wrap(row: bytes, now_us: int, is_final: bool) -> bytes:
        values = dict(zip(_KLINE_COLUMNS, _kline_decoder.decode(row), strict=True))
        bar = {**values, "s": symbol.name, "i": interval.name, "f": -1, "L": -1, "x": is_final}
        return msgspec.json.encode({"e": "kline", "E": now_us // 1000, "s": symbol.name, "k": bar})

    is_second = interval.length_us == SECOND_US
    return Source(series, wrap, _KLINE_1S_EVERY_US if is_second else _KLINE_EVERY_US)
