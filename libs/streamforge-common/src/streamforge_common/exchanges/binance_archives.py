"""Binance's public archives: spot and USDⓈ-M futures.

Spot files have no header and, since 2025-01-01, times in microseconds; futures files have a header and milliseconds.

Source: github.com/binance/binance-public-data, README, python/enums.py and AGGREGATE_TRADE_UPDATES.md (read
2026-11-25), which the samples are from where nothing else is said.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from streamforge_common.contract.intervals import INTERVALS
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import AggTrade, Candle, FundingRate, OpenInterest, PriceCandle, Record, Trade
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import binance_shared as shared
from streamforge_common.exchanges.archives import Archive, ArchiveMarket, ArchiveTime, Period
from streamforge_common.exchanges.binance_um import ARCHIVED_PERIOD, make_funding_rate, make_open_interest
from streamforge_common.exchanges.decoding import UNREADABLE, Finite

_ROOTS = {"spot": "spot", "um": "futures/um"}
"""Market to its folder."""
_MONTHLY_ONLY = ("3d", "1w", "1mo")
"""Intervals of which there are no files of a day."""
_EPOCH, _MILLISECOND = datetime(1970, 1, 1), timedelta(milliseconds=1)  # noqa: DTZ001  # as the texts, which are UTC
_CHECKSUM = re.compile(rb"([0-9a-f]{64})  ?\*?([A-Za-z0-9_.-]+)\s*")

_Parse = Callable[[bytes, shared.Origin, int], Sequence[Record]]


class _AggTradeLine(shared.AggTradeRow[ArchiveTime], frozen=True, array_like=True, gc=False):
    """The columns are in the order of the answer's fields; spot has one more, which says nothing any more."""


class _TradeLine(shared.TradeRow[ArchiveTime], frozen=True, array_like=True, gc=False):
    """Likewise."""


class _FundingLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was paid, and how many hours after the time before."""

    calc_time: ArchiveTime
    funding_interval_hours: int
    last_funding_rate: Finite


class _MetricsLine(msgspec.Struct, frozen=True, array_like=True):
    """What was held; the ratios behind it are no records of ours."""

    create_time: Annotated[datetime, msgspec.Meta(tz=False)]
    symbol: str
    sum_open_interest: Finite
    sum_open_interest_value: Finite


# Not strict: all fields are strings.
_klines_decoder = msgspec.json.Decoder(list[shared.Kline[ArchiveTime]], strict=False)
_price_klines_decoder = msgspec.json.Decoder(list[shared.PriceKline[ArchiveTime]], strict=False)
_agg_trades_decoder = msgspec.json.Decoder(list[_AggTradeLine], strict=False)
_trades_decoder = msgspec.json.Decoder(list[_TradeLine], strict=False)
_funding_decoder = msgspec.json.Decoder(list[_FundingLine], strict=False)
_metrics_decoder = msgspec.json.Decoder(list[_MetricsLine], strict=False)


def _parse_candles(lines: bytes, origin: shared.Origin, units_per_ms: int) -> list[Candle]:
    """Read lines of `klines`.

    Sample: `1601510340000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1601510399999,2240.39860900,13,
    401.82000000,1669.98121300,0`
    """
    try:
        return shared.make_candles(_klines_decoder.decode(lines), origin, units_per_ms)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of klines: {exc}") from exc


def _parse_price_candles(lines: bytes, origin: shared.Origin, units_per_ms: int) -> list[PriceCandle]:
    """Read lines of `markPriceKlines`, `indexPriceKlines` or `premiumIndexKlines`, whose volumes mean nothing.

    The documentation has no sample; the columns are taken to be those of `klines`, as over REST.
    """
    try:
        return shared.make_price_candles(_price_klines_decoder.decode(lines), origin, units_per_ms)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of klines of a price: {exc}") from exc


def _parse_agg_trades(lines: bytes, origin: shared.Origin, units_per_ms: int) -> list[AggTrade]:
    """Read lines of `aggTrades`. Sample: `0,0.20000000,50.00000000,0,0,1608872400000,False,True`."""
    try:
        return shared.make_agg_trades(_agg_trades_decoder.decode(lines), origin, units_per_ms)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of aggregate trades: {exc}") from exc


def _parse_trades(lines: bytes, origin: shared.Origin, units_per_ms: int) -> list[Trade]:
    """Read lines of `trades`. Sample: `51175358,17.80180000,5.69000000,101.29224200,1583709433583,True,True`."""
    try:
        return shared.make_trades(_trades_decoder.decode(lines), origin, units_per_ms)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of trades: {exc}") from exc


def _parse_funding(lines: bytes, origin: shared.Origin, units_per_ms: int) -> list[FundingRate]:
    """Read lines of `fundingRate`; they tell no mark price, which REST does.

    Sample: `1751328000007,8,0.00008191`, of ETHUSDT-fundingRate-2025-07, as quoted in a third party's tests.
    """
    try:
        rows = _funding_decoder.decode(lines)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of funding rates: {exc}") from exc
    return [make_funding_rate(row.calc_time // units_per_ms, row.last_funding_rate, origin) for row in rows]


def _parse_metrics(lines: bytes, origin: shared.Origin, _units_per_ms: int) -> list[OpenInterest]:
    """Read lines of `metrics`, as far as they tell the open interest; their times are texts.

    Sample: `2025-11-02 00:05:00,BTCUSDT,76643.1910000000000000,8430743345.6809000000000000,2.05109210,1.90989100,
    1.87546479,0.76060100`, of BTCUSDT-metrics-2025-11-02, as quoted in a third party's tests.
    """
    try:
        rows = _metrics_decoder.decode(lines)
    except UNREADABLE as exc:
        raise RejectedRecordError(f"not a line of metrics: {exc}") from exc
    if any(row.symbol != origin.symbol for row in rows):
        raise RejectedRecordError(f"metrics of others in a file of {origin.symbol!r}")
    return [
        make_open_interest(
            (row.create_time - _EPOCH) // _MILLISECOND, row.sum_open_interest, row.sum_open_interest_value, origin
        )
        for row in rows
    ]


def _parse_checksum(body: bytes, path: str) -> str:
    """Read a file's checksum.

    Sample: `645f8f581a6e4828df12f16b73f9f7451f12bef2ab24d4fc4b0466805e793e7d  BTCUSDT-aggTrades-2018-01.zip`
    """
    told = _CHECKSUM.fullmatch(body)
    name = path.rpartition("/")[2]
    if told is None or told[2].decode() != name:
        raise RejectedRecordError(f"not the checksum of {name!r}")
    return told[1].decode()


def _archive(market: str, kind: str, what: str, parse: _Parse, time_column: int) -> Archive:
    """Declare the files of one kind.

    Args:
        market: As the contract names it.
        kind: Of the records.
        what: The archive's name of the kind; with the interval behind a slash, where it has one.
        parse: How lines are read.
        time_column: Which column has a time.
    """
    folder, _, interval = what.partition("/")

    def path(symbol: str, period: Period) -> str:
        length = "monthly" if period.is_month else "daily"
        way = f"{folder}/{symbol}/{interval}" if interval else f"{folder}/{symbol}"
        return f"/data/{_ROOTS[market]}/{length}/{way}/{symbol}-{interval or folder}-{period.name}.zip"

    return Archive(
        record_kind(kind),
        path,
        time_column,
        lambda lines, symbol, units_per_ms: parse(lines, shared.Origin(market, symbol, kind), units_per_ms),
    )


def _candles(market: str, family: str, folder: str, parse: _Parse) -> list[Archive]:
    intervals = [name for name in INTERVALS if name not in _MONTHLY_ONLY and (market == "spot" or name != "1s")]
    return [_archive(market, f"{family}_{name}", f"{folder}/{name}", parse, time_column=0) for name in intervals]


def _trades(market: str) -> list[Archive]:
    return [
        _archive(market, "agg_trades", "aggTrades", _parse_agg_trades, time_column=5),
        _archive(market, "trades", "trades", _parse_trades, time_column=4),
    ]


_FUNDING = replace(
    _archive("um", "funding_rate", "fundingRate", _parse_funding, time_column=0),
    has_days=False,
)
_OPEN_INTEREST = replace(
    _archive("um", f"open_interest_{ARCHIVED_PERIOD}", "metrics", _parse_metrics, time_column=0),
    has_months=False,
    # Up to 2026-06-24 a day's file goes from 00:05 to the midnight behind it, from then on from midnight to 23:55; its
    # lines are in no order, some are there twice. Source: binance-public-data, issues 484 and 491 (read 2026-11-25).
    runs_on_ms=1,
)


def _market(market: str, archives: Sequence[Archive]) -> ArchiveMarket:
    return ArchiveMarket(
        exchange=shared.EXCHANGE,
        market=market,
        base_url_setting="binance_dumps_url",
        archives={archive.kind.name: archive for archive in archives},
        checksum_path=lambda path: f"{path}.CHECKSUM",
        parse_checksum=_parse_checksum,
    )


SPOT = _market("spot", [*_candles("spot", "candles", "klines", _parse_candles), *_trades("spot")])

UM = _market(
    "um",
    [
        *_candles("um", "candles", "klines", _parse_candles),
        *_candles("um", "mark_candles", "markPriceKlines", _parse_price_candles),
        *_candles("um", "index_candles", "indexPriceKlines", _parse_price_candles),
        *_candles("um", "premium_candles", "premiumIndexKlines", _parse_price_candles),
        *_trades("um"),
        _FUNDING,
        _OPEN_INTEREST,
    ],
)
