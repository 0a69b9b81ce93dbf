"""Binance spot: REST market data.

Source: binance-spot-api-docs, rest-api.md, state of 2026-07-21 (read 2026-11-21).
"""

import sys
from typing import Annotated

import msgspec

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.records import Candle, Count, TimeMs, record_key_prefix
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.rest import CandleHistory, Pool, Refusal, Request, RestMarket

_EXCHANGE, _MARKET = "binance", "spot"
_KLINES_LIMIT = 1_000
"""The most candles in one answer; the weight is 2 however many are asked for."""
_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""Spelt out because "nan" and "inf" are read as numbers otherwise."""


class _Kline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of klines; decimal numbers are strings, which the decoder reads as the nearest doubles."""

    open_time: TimeMs
    open: _Finite
    high: _Finite
    low: _Finite
    close: _Finite
    volume: _Finite
    close_time: TimeMs
    quote_volume: _Finite
    trades: Count
    taker_buy_volume: _Finite
    taker_buy_quote_volume: _Finite


class _ServerTime(msgspec.Struct, frozen=True, rename="camel"):
    server_time: TimeMs


class _RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: Annotated[int, msgspec.Meta(gt=0)]


class _ExchangeInfo(msgspec.Struct, frozen=True, rename="camel"):
    rate_limits: list[_RateLimit] = []


class _Error(msgspec.Struct, frozen=True):
    code: int
    msg: str


# Not strict: numbers in strings are numbers.
_klines_decoder = msgspec.json.Decoder(list[_Kline], strict=False)
_rows_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_info_decoder = msgspec.json.Decoder(_ExchangeInfo)
_time_decoder = msgspec.json.Decoder(_ServerTime)
_error_decoder = msgspec.json.Decoder(_Error)


def _request_candles(symbol: str, interval: Interval, first_ms: int, last_ms: int) -> Request:
    """Ask for candles by their open times, both ends inclusive."""
    name = "1M" if interval.name == "1mo" else interval.name
    params = {
        "symbol": symbol,
        "interval": name,
        "startTime": str(first_ms),
        "endTime": str(last_ms),
        "limit": str(_KLINES_LIMIT),
    }
    return Request("/api/v3/klines", params, weight=2)


def _parse_candles(body: bytes, symbol: str, interval: Interval) -> list[Candle]:
    """Read a page of `GET /api/v3/klines`.

    Sample: `[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,
    "2434.19055334",308,"1756.87402397","28.46694368","0"]]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    kind = f"candles_{interval.name}"
    prefix = record_key_prefix(_EXCHANGE, _MARKET, symbol, kind)
    try:
        return [
            Candle(
                key=f"{prefix}{row.open_time}",
                exchange=_EXCHANGE,
                market=_MARKET,
                symbol=symbol,
                type=kind,
                open_time=row.open_time,
                close_time=row.close_time,
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
            for row in _klines_decoder.decode(body)
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise RejectedRecordError(f"not a page of klines: {exc}") from exc


def _split_rows(body: bytes) -> list[bytes]:
    return [bytes(row) for row in _rows_decoder.decode(body)]


def _parse_time(body: bytes) -> int:
    """Read `GET /api/v3/time`. Sample: `{"serverTime":1499827319559}`."""
    try:
        return _time_decoder.decode(body).server_time
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise RejectedRecordError(f"not a server time: {exc}") from exc


def _request_limits(symbol: str) -> Request:
    return Request("/api/v3/exchangeInfo", {"symbol": symbol}, weight=20)


def _parse_weight_per_minute(body: bytes) -> int | None:
    """Read `GET /api/v3/exchangeInfo`.

    Sample: `{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}],…}`
    """
    try:
        limits = _info_decoder.decode(body).rate_limits
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise RejectedRecordError(f"not exchange information: {exc}") from exc
    per_minute = ("REQUEST_WEIGHT", "MINUTE", 1)
    return next((it.limit for it in limits if (it.rate_limit_type, it.interval, it.interval_num) == per_minute), None)


def _parse_refusal(body: bytes) -> Refusal | None:
    """Read an error's body. Sample: `{"code":-1121,"msg":"Invalid symbol."}`."""
    try:
        error = _error_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Refusal(error.code, error.msg)


SPOT = RestMarket(
    exchange=_EXCHANGE,
    market=_MARKET,
    base_url_setting="binance_spot_rest_url",
    pool=Pool("spot", weight_per_minute=6_000, used_weight_header="X-MBX-USED-WEIGHT-1M"),
    candles=CandleHistory(INTERVALS, _KLINES_LIMIT, _request_candles, _parse_candles, _split_rows),
    time_request=Request("/api/v3/time", {}, weight=1),
    parse_time=_parse_time,
    limits_request=_request_limits,
    parse_weight_per_minute=_parse_weight_per_minute,
    parse_refusal=_parse_refusal,
)
