"""The simulated market's rows, which are Binance's, as Bybit writes them: all numbers are strings.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07).
"""

from collections.abc import Sequence

import msgspec

_MINUTE_MS = 60_000


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
