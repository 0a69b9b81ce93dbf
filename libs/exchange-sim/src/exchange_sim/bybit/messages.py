"""Messages of Bybit's topics, made from the items of the simulated market, whose rows are Binance's.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07).
"""

from typing import Any

import msgspec

from exchange_sim.bybit.query import INTERVAL_NAMES
from exchange_sim.bybit.rows import read_trade
from exchange_sim.clock import SECOND_US
from exchange_sim.intervals import INTERVALS
from exchange_sim.market import Derivatives, Market, Series
from exchange_sim.streaming.simulated import Source
from exchange_sim.translated import Translated

_KLINE_EVERY_US = SECOND_US


def spot_source(market: Market, topic: str) -> Source | None:
    """Return how a topic of spot is made, None where there is no such thing."""
    head, _, name = topic.rpartition(".")
    symbol = market.symbol(name)
    if symbol is None:
        return None
    if head == "publicTrade":
        return _trades(topic, Translated(market.trades(symbol), "bybit:spot"))
    interval = INTERVALS.get(INTERVAL_NAMES.get(head.removeprefix("kline."), ""))
    if interval is None:
        return None
    return _klines(topic, Translated(market.candles(symbol, interval, 0), "bybit:spot"))


def linear_source(market: Derivatives, topic: str) -> Source | None:
    """Return how a topic of linear is made, None where there is no such thing; its trades are the aggregated ones."""
    head, _, name = topic.rpartition(".")
    symbol = market.symbol(name)
    if symbol is None:
        return None
    if head == "publicTrade":
        return _trades(topic, Translated(market.agg_trades(symbol), "bybit:linear", kind="trades"))
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
