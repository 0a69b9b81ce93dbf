"""Binance USDⓈ-M futures: REST market data.

Source: docstrings of the official connector, state of 2026-08-21 (read 2026-11-21).
"""

from dataclasses import replace
from typing import Annotated

import msgspec

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import FundingRate, OpenInterest, TimeMs
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import binance_shared as shared
from streamforge_common.exchanges.decoding import UNREADABLE, Finite
from streamforge_common.exchanges.rest import (
    History,
    Latest,
    Poll,
    Pool,
    Reach,
    Refusal,
    RefusedError,
    Request,
    RestMarket,
    SpacingRequest,
)

_MARKET = "um"
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_INTERVALS = [Interval(name) for name in INTERVALS if name != "1s"]
_WEIGHT = Pool("um", limit=2_400, used_header="X-MBX-USED-WEIGHT-1M")
_FUNDING_REQUESTS = Pool("um_funding", limit=500, window_s=300)
_DATA_REQUESTS = Pool("um_data", limit=1_000, window_s=300)

_FUNDING_ROWS = 1_000
_FUNDING_PAGE_MINUTES = 41 * 24 * 60
"""Funding is due once an hour at most, so that a page has 984 rows at most; 41 days begin and end at midnight."""
_FUNDING_HOURS = 8
"""Of a symbol that `fundingInfo` does not list."""
_MEASUREMENT_ROWS = 500
ARCHIVED_PERIOD = "5m"
"""Of open interest: the only one that the archives have."""
_PERIODS = (ARCHIVED_PERIOD, "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1_000)
_DEFAULT_LEVELS = 100
_MEASUREMENTS_REACH = Reach(30 * _DAY_MS, "month (30 days)", None)
_ARCHIVED_MEASUREMENTS_REACH = replace(_MEASUREMENTS_REACH, instead=f"dump_open_interest_{ARCHIVED_PERIOD}")


class _FundingRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_rate: Finite
    funding_time: TimeMs
    mark_price: str = ""
    """Empty in rows from before it was recorded."""


class _FundingInfo(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    funding_interval_hours: Annotated[int, msgspec.Meta(gt=0)]


class _Held(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    open_interest: Finite
    time: TimeMs


class _Measured(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    sum_open_interest: Finite
    sum_open_interest_value: Finite
    timestamp: TimeMs


# Not strict: numbers in strings are numbers.
_funding_decoder = msgspec.json.Decoder(list[_FundingRow], strict=False)
_funding_info_decoder = msgspec.json.Decoder(list[_FundingInfo])
_held_decoder = msgspec.json.Decoder(_Held, strict=False)
_measured_decoder = msgspec.json.Decoder(list[_Measured], strict=False)


def _klines(path: str) -> shared.Endpoint:
    """A page of up to 499 rows weighs 2, one of 1,500 weighs 10: short pages bring more rows a minute."""
    return shared.Endpoint(f"/fapi/v1/{path}", rows=499, weight=2, pool=_WEIGHT)


def _pair(symbol: str) -> dict[str, str]:
    """Name the pair of a contract, which is all that an index has: that of BTCUSDT_261225 is BTCUSDT."""
    return {"pair": symbol.partition("_")[0]}


_AGG_TRADES = shared.Endpoint("/fapi/v1/aggTrades", rows=1_000, weight=20, pool=_WEIGHT)
_AGG_TRADES_REACH = Reach(48 * _HOUR_MS, "48 hours", "dump_agg_trades")
_LATEST_TRADES = 1_000


def _candles_of(interval: Interval) -> list[History]:
    """Declare the candles of all four prices."""
    computed = shared.parse_price_candles
    return [
        shared.candles(_MARKET, "candles", interval, _klines("klines"), shared.parse_candles),
        shared.candles(_MARKET, "mark_candles", interval, _klines("markPriceKlines"), computed),
        shared.candles(_MARKET, "index_candles", interval, _klines("indexPriceKlines"), computed, _pair),
        shared.candles(_MARKET, "premium_candles", interval, _klines("premiumIndexKlines"), computed),
    ]


def _request_funding(symbol: str, first_ms: int, last_ms: int) -> Request:
    """Ask from just before the first scheduled time to just before the one behind the last: real times jitter."""
    params = {
        "symbol": symbol,
        "startTime": str(first_ms - _MINUTE_MS // 2),
        "endTime": str(last_ms + _MINUTE_MS // 2 - 1),
        "limit": str(_FUNDING_ROWS),
    }
    return Request("/fapi/v1/fundingRate", params, 1, _FUNDING_REQUESTS)


def _parse_funding(body: bytes, symbol: str) -> list[FundingRate]:
    """Read a page of `GET /fapi/v1/fundingRate`.

    Sample: `[{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000003,"markPrice":
    "34287.54619963"}]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    origin = shared.Origin(_MARKET, symbol, "funding_rate")
    try:
        return [_funding_of(row, origin) for row in _funding_decoder.decode(body)]
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of funding rates: {exc}") from exc


def _funding_of(row: _FundingRow, origin: shared.Origin) -> FundingRate:
    if row.symbol != origin.symbol:
        raise RejectedRecordError(f"funding of {row.symbol!r} where {origin.symbol!r} was asked for")
    mark_price = msgspec.convert(row.mark_price, Finite, strict=False) if row.mark_price else msgspec.UNSET
    return make_funding_rate(row.funding_time, row.funding_rate, origin, mark_price)


def make_funding_rate(
    time_ms: int, rate: float, origin: shared.Origin, mark_price: float | msgspec.UnsetType = msgspec.UNSET
) -> FundingRate:
    """Make a record of what was paid at a time, which is some milliseconds off the scheduled one."""
    scheduled_ms = (time_ms + _MINUTE_MS // 2) // _MINUTE_MS * _MINUTE_MS
    return FundingRate(
        key=f"{origin.prefix}{scheduled_ms}",
        exchange=shared.EXCHANGE,
        market=_MARKET,
        symbol=origin.symbol,
        type=origin.kind,
        funding_time=scheduled_ms,
        funding_rate=rate,
        mark_price=mark_price,
    )


def _parse_funding_interval(body: bytes, symbol: str) -> int:
    """Read `GET /fapi/v1/fundingInfo`, which lists the symbols that differ from the rule.

    Sample: `[{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.02500000","adjustedFundingRateFloor":"-0.02500000",
    "fundingIntervalHours":8,"disclaimer":false}]`
    """
    try:
        listed = _funding_info_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not funding information: {exc}") from exc
    hours = next((info.funding_interval_hours for info in listed if info.symbol == symbol), _FUNDING_HOURS)
    return hours * _HOUR_MS


_FUNDING = History(
    record_kind("funding_rate"),
    _FUNDING_PAGE_MINUTES,
    _request_funding,
    _parse_funding,
    shared.split_rows,
    spacing=SpacingRequest(
        lambda _: Request("/fapi/v1/fundingInfo", {}, 1, _FUNDING_REQUESTS), _parse_funding_interval
    ),
    rows_max=_FUNDING_ROWS,
)


def _open_interest(period: str) -> History:
    """Declare the open interest of a period, of which the exchange takes the times, both ends inclusive."""
    kind = record_kind(f"open_interest_{period}")

    def request(symbol: str, first_ms: int, last_ms: int) -> Request:
        window = {"startTime": str(first_ms), "endTime": str(last_ms), "limit": str(_MEASUREMENT_ROWS)}
        params = {"symbol": symbol, "period": period, **window}
        return Request("/futures/data/openInterestHist", params, 1, _DATA_REQUESTS)

    def parse(body: bytes, symbol: str) -> list[OpenInterest]:
        return _parse_open_interest(body, shared.Origin(_MARKET, symbol, kind.name))

    reach = _ARCHIVED_MEASUREMENTS_REACH if period == ARCHIVED_PERIOD else _MEASUREMENTS_REACH
    return History(kind, _MEASUREMENT_ROWS, request, parse, shared.split_rows, reach=reach)


def _parse_open_interest(body: bytes, origin: shared.Origin) -> list[OpenInterest]:
    """Read a page of `GET /futures/data/openInterestHist`; the time was seen as a number and as a string.

    Sample: `[{"symbol":"BTCUSDT","sumOpenInterest":"20403.63700000","sumOpenInterestValue":"150570784.07809979",
    "timestamp":"1583127900000"}]`

    Raises:
        RejectedRecordError: The body is no such page.
    """
    try:
        rows = _measured_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a page of open interest: {exc}") from exc
    if any(row.symbol != origin.symbol for row in rows):
        raise RejectedRecordError(f"open interest of others where {origin.symbol!r} was asked for")
    return [
        make_open_interest(row.timestamp, row.sum_open_interest, row.sum_open_interest_value, origin) for row in rows
    ]


def make_open_interest(time_ms: int, held: float, value: float, origin: shared.Origin) -> OpenInterest:
    """Make a record of what was held at a time: in the base asset, and its value in the quote asset."""
    return OpenInterest(
        key=f"{origin.prefix}{time_ms}",
        exchange=shared.EXCHANGE,
        market=_MARKET,
        symbol=origin.symbol,
        type=origin.kind,
        time=time_ms,
        open_interest=held,
        open_interest_value=value,
    )


def _parse_open_interest_now(body: bytes, symbol: str, _limit: int, _received_ms: int) -> OpenInterest:
    """Read `GET /fapi/v1/openInterest`.

    Sample: `{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}`

    Raises:
        RejectedRecordError: The body is no such measurement.
    """
    origin = shared.Origin(_MARKET, symbol, "open_interest")
    try:
        held = _held_decoder.decode(body)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not an open interest: {exc}") from exc
    if held.symbol != symbol:
        raise RejectedRecordError(f"open interest of {held.symbol!r} where {symbol!r} was asked for")
    return OpenInterest(
        key=f"{origin.prefix}{held.time}",
        exchange=shared.EXCHANGE,
        market=_MARKET,
        symbol=symbol,
        type=origin.kind,
        time=held.time,
        open_interest=held.open_interest,
    )


def _weigh_depth(limit: int) -> int:
    return next(weight for most, weight in ((50, 2), (100, 5), (500, 10), (1_000, 20)) if limit <= most)


_POLLS = (
    shared.depth_snapshot(_MARKET, "/fapi/v1/depth", _WEIGHT, _DEPTH_LIMITS, _DEFAULT_LEVELS, _weigh_depth),
    Poll(
        record_kind("open_interest"),
        lambda symbol, _: Request("/fapi/v1/openInterest", {"symbol": symbol}, 1, _WEIGHT),
        _parse_open_interest_now,
    ),
)

_TRADES = Latest(
    record_kind("trades"),
    lambda symbol: Request("/fapi/v1/trades", {"symbol": symbol, "limit": str(_LATEST_TRADES)}, 5, _WEIGHT),
    # Trades of the insurance fund and of deleveraging, which have ids too, are left out.
    lambda body, symbol: shared.parse_trades(body, shared.Origin(_MARKET, symbol, "trades")),
)

_HISTORIES = (
    *(history for interval in _INTERVALS for history in _candles_of(interval)),
    shared.agg_trades(_MARKET, _AGG_TRADES, _AGG_TRADES_REACH),
    _FUNDING,
    *map(_open_interest, _PERIODS),
)


def _parse_limit(body: bytes, symbol: str) -> int | None:
    """Read the limit. Raises RefusedError where the symbol is not listed."""
    info = shared.parse_exchange_info(body)
    if all(listed.symbol != symbol for listed in info.symbols):
        raise RefusedError(Refusal(-1121, f"Invalid symbol. {symbol!r} is not listed."))
    return info.weight_per_minute


UM = RestMarket(
    exchange=shared.EXCHANGE,
    market=_MARKET,
    base_url_setting="binance_futures_rest_url",
    pool=_WEIGHT,
    latest={"trades": _TRADES},
    other_pools=(_FUNDING_REQUESTS, _DATA_REQUESTS),
    histories={history.kind.name: history for history in _HISTORIES},
    time_request=Request("/fapi/v1/time", {}, 1, _WEIGHT),
    parse_time=shared.parse_time,
    # Of one symbol alone the exchange cannot be asked.
    symbol_request=lambda _: Request("/fapi/v1/exchangeInfo", {}, 1, _WEIGHT),
    parse_limit=_parse_limit,
    parse_refusal=shared.parse_refusal,
    polls={poll.kind.name: poll for poll in _POLLS},
    lacks={
        "trades": "over REST it gives single trades for one month and to holders of a key only; ask for dump_trades",
    },
)
