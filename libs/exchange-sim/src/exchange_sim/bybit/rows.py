"""The simulated market's rows, which are Binance's, as Bybit writes them: all numbers are strings.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07).
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

_MINUTE_MS = 60_000
_SINGLE, _AGGREGATED = ("id", "price", "qty", "time", "isBuyerMaker"), ("a", "p", "q", "T", "m")
"""What a row calls a trade's id, price, size, time, and whether its taker sold."""


class Traded(NamedTuple):
    """A trade of either sort."""

    number: int
    price: str
    size: str
    time_ms: int
    is_buyer_maker: bool

    @property
    def side(self) -> str:
        """That of the taker."""
        return "Sell" if self.is_buyer_maker else "Buy"


def read_trade(row: bytes) -> Traded:
    """Read a row of single trades, or of aggregated ones."""
    trade = msgspec.json.decode(row)
    return Traded(*(trade[name] for name in (_AGGREGATED if "a" in trade else _SINGLE)))


def trades(symbol: str, rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `{"execId":"2100000000007764263","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy",…}`."""
    return [
        msgspec.json.encode(
            {
                "execId": str(trade.number),
                "symbol": symbol,
                "price": trade.price,
                "size": trade.size,
                "side": trade.side,
                "time": str(trade.time_ms),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(trade.number),
            }
        )
        for trade in map(read_trade, rows)
    ]


def candles(rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `["1670608800000","17071","17073","17027","17055.5","268611","15.74462667"]`."""
    decoded = map(msgspec.json.decode, rows)
    return [msgspec.json.encode([str(row[0]), *row[1:6], row[7]]) for row in decoded]


def price_candles(rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `["1670608800000","17164.16","17164.16","17121.5","17131.64"]`."""
    decoded = map(msgspec.json.decode, rows)
    return [msgspec.json.encode([str(row[0]), *row[1:5]]) for row in decoded]


def funding(rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `{"symbol":"ETHPERP","fundingRate":"0.0001","fundingRateTimestamp":"1672041600000"}`, without a jitter."""
    return [
        msgspec.json.encode(
            {
                "symbol": row["symbol"],
                "fundingRate": row["fundingRate"],
                "fundingRateTimestamp": str(row["fundingTime"] - row["fundingTime"] % _MINUTE_MS),
            }
        )
        for row in map(msgspec.json.decode, rows)
    ]


def open_interest(rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `{"openInterest":"461134384.00000000","timestamp":"1669571400000"}`."""
    decoded = map(msgspec.json.decode, rows)
    return [
        msgspec.json.encode({"openInterest": row["sumOpenInterest"], "timestamp": str(row["timestamp"])})
        for row in decoded
    ]
