"""Binance spot: REST market data.

Source: binance-spot-api-docs, rest-api.md, state of 2026-07-21 (read 2026-11-21).
"""

import sys
from typing import Annotated

import msgspec

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import AggTrade, Candle, Count, TimeMs, TradeId, record_key_prefix
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.rest import EndRequests, History, Pool, Refusal, Request, RestMarket

_EXCHANGE, _MARKET = "binance", "spot"
_PAGE_ROWS = 1_000
"""The most rows in one answer; a request weighs the same however many are asked for."""
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


class _AggTradeRow(msgspec.Struct, frozen=True, gc=False):
    """One row of aggTrades, under the exchange's own one-letter names."""

    a: Count
    p: _Finite
    q: _Finite
    f: TradeId
    l: TradeId  # noqa: E741
    T: TimeMs
    m: bool


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
_agg_trades_decoder = msgspec.json.Decoder(list[_AggTradeRow], strict=False)
_rows_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_info_decoder = msgspec.json.Decoder(_ExchangeInfo)
_time_decoder = msgspec.json.Decoder(_ServerTime)
_error_decoder = msgspec.json.Decoder(_Error)


def _candles(interval: Interval) -> History:
    """Declare the candles of an interval: the exchange takes their open times, both ends inclusive."""
    kind = record_kind(f"candles_{interval.name}")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        params = {
            "symbol": symbol,
            "interval": "1M" if interval.name == "1mo" else interval.name,
            "startTime": str(first_ms),
            "endTime": str(last_ms),
            "limit": str(_PAGE_ROWS),
        }
        return Request("/api/v3/klines", params, weight=2)

    def parse(body: bytes, symbol: str) -> list[Candle]:
        return _parse_candles(body, symbol, kind.name)

    return History(kind, _PAGE_ROWS, request, parse, _split_rows, ends=None, runs_on=False)


def _parse_candles(body: bytes, symbol: str, kind: str) -> list[Candle]:
    """Read a page of `GET /api/v3/klines`.

    Sample: `[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,
    "2434.19055334",308,"1756.87402397","28.46694368","0"]]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
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


def _request_agg_trades(symbol: str, first_id: int, last_id: int) -> Request:
    """Ask by id, which cannot be asked for together with a time; the answer begins at the id or behind it."""
    return _agg_trades_request(symbol, "fromId", first_id, last_id - first_id + 1)


def _request_first_agg_trade(symbol: str, start_ms: int) -> Request:
    """With nothing but a start the exchange gives the oldest trades from there on."""
    return _agg_trades_request(symbol, "startTime", start_ms, 1)


def _request_last_agg_trade(symbol: str, end_ms: int) -> Request:
    """With nothing but an end, which it takes as inclusive, the exchange gives the latest trades up to there."""
    return _agg_trades_request(symbol, "endTime", end_ms - 1, 1)


def _agg_trades_request(symbol: str, bound: str, value: int, limit: int) -> Request:
    return Request("/api/v3/aggTrades", {"symbol": symbol, bound: str(value), "limit": str(limit)}, weight=4)


def _parse_agg_trades(body: bytes, symbol: str) -> list[AggTrade]:
    """Read a page of `GET /api/v3/aggTrades`.

    Sample: `[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    prefix = record_key_prefix(_EXCHANGE, _MARKET, symbol, "agg_trades")
    try:
        return [
            AggTrade(
                key=f"{prefix}{row.a}",
                exchange=_EXCHANGE,
                market=_MARKET,
                symbol=symbol,
                type="agg_trades",
                agg_trade_id=row.a,
                price=row.p,
                quantity=row.q,
                first_trade_id=row.f,
                last_trade_id=row.l,
                trade_time=row.T,
                is_buyer_maker=row.m,
            )
            for row in _agg_trades_decoder.decode(body)
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise RejectedRecordError(f"not a page of aggregate trades: {exc}") from exc


def _split_rows(body: bytes) -> list[bytes]:
    return [bytes(row) for row in _rows_decoder.decode(body)]


_AGG_TRADES = History(
    record_kind("agg_trades"),
    _PAGE_ROWS,
    _request_agg_trades,
    _parse_agg_trades,
    _split_rows,
    ends=EndRequests(_request_first_agg_trade, _request_last_agg_trade),
    runs_on=True,
)


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
    histories={history.kind.name: history for history in (*map(_candles, map(Interval, INTERVALS)), _AGG_TRADES)},
    time_request=Request("/api/v3/time", {}, weight=1),
    parse_time=_parse_time,
    limits_request=_request_limits,
    parse_weight_per_minute=_parse_weight_per_minute,
    parse_refusal=_parse_refusal,
)
