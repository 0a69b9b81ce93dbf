"""Binance's public archives: a packed CSV file for each symbol, kind and day or month, and a checksum beside it.

Spot files have no header and, since 2025, times in microseconds; futures files have a header and milliseconds. A day is
there when it is over, a month from the first Monday behind it. There are no limits.

Source: https://github.com/binance/binance-public-data (read 2026-07).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from exchange_sim.clock import SECOND_US
from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import BY_FILE_NAME, Interval
from exchange_sim.limits import Verdict
from exchange_sim.market import Derivatives, Market, Series, Symbol, TimeUnit
from exchange_sim.packed_files import Content, Download, Shelf
from exchange_sim.venue import Answer

_PATH: Final = re.compile(
    r"/data/(?P<root>spot|futures/um)/(?P<length>daily|monthly)/(?P<folder>[A-Za-z]+)/(?P<symbol>[A-Z0-9_-]+)/"
    r"(?:(?P<interval>\w+)/)?(?P<name>(?P=symbol)-(?P<what>\w+)-(?P<period>\d{4}-\d\d(?:-\d\d)?))\.zip"
    r"(?P<checksum>\.CHECKSUM)?",
    re.ASCII,
)
_MICROSECONDS_SINCE: Final = datetime(2025, 1, 1, tzinfo=UTC)
_MONTHLY_ONLY: Final = frozenset({"3d", "1w", "1mo"})
_KLINES_HEADER: Final = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
_AGG_TRADES_HEADER: Final = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
_TRADES_HEADER: Final = b"id,price,qty,quote_qty,time,is_buyer_maker"
_FUNDING_HEADER: Final = b"calc_time,funding_interval_hours,last_funding_rate"
_METRICS_HEADER: Final = (
    b"create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    b"sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
_METRICS_BEGIN_THE_DAY_SINCE: Final = datetime(2026, 6, 25, tzinfo=UTC)
"""Before, a day's first measurement was in the file of the day before."""
_METRICS_PERIOD: Final = BY_FILE_NAME["5m"]

Lines = Callable[[Sequence[bytes]], list[bytes]]


@dataclass(frozen=True, slots=True)
class _Folder:
    """One sort of files of a market; its candles have intervals, everything else none."""

    candles: Callable[[Symbol, Interval], Series] | None
    items: Callable[[Symbol], Series] | None
    header: bytes
    lines: Lines
    lengths: frozenset[str] = frozenset({"daily", "monthly"})
    begins_the_day_since: datetime | None = None
    """Since when an item at the very start of a file's time is in it, and not in the file before; None: always."""

    def late_us(self, at: datetime) -> int:
        """By how much what begins then leaves out its very start, microseconds."""
        return int(self.begins_the_day_since is not None and at < self.begins_the_day_since)


def _candle_lines(rows: Sequence[bytes]) -> list[bytes]:
    """From `[1657756800000,"20234.87000000",…,"0"]` to `1657756800000,20234.87000000,…,0`."""
    return [row[1:-1].replace(b'"', b"") for row in rows]


def _trade_lines(columns: int, true: str, false: str) -> Lines:
    """From `{"a":26129,"p":"0.01633102",…,"m":true,"M":true}` to `26129,0.01633102,…,True,True`."""
    words = {True: true, False: false}

    def lines(rows: Sequence[bytes]) -> list[bytes]:
        found = (list(msgspec.json.decode(row).values())[:columns] for row in rows)
        return [",".join(words[it] if isinstance(it, bool) else str(it) for it in values).encode() for values in found]

    return lines


def _funding_lines(market: Derivatives) -> Lines:
    """From `{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingTime":1570608000003,…}` to `1570608000003,8,0.0001`."""

    def lines(rows: Sequence[bytes]) -> list[bytes]:
        found = []
        for row in map(msgspec.json.decode, rows):
            symbol = market.symbol(row["symbol"])
            assert symbol is not None, row
            found.append(f"{row['fundingTime']},{market.funding_hours(symbol)},{row['fundingRate']}".encode())
        return found

    return lines


def _metrics_lines(rows: Sequence[bytes]) -> list[bytes]:
    """From `{"symbol":"BTCUSDT","sumOpenInterest":"20403.638",…}` to `2024-08-01 00:05:00,BTCUSDT,20403.638,…`."""
    found = []
    for row in map(msgspec.json.decode, rows):
        time = datetime.fromtimestamp(row["timestamp"] / 1000, UTC)
        held = f"{row['sumOpenInterest']},{row['sumOpenInterestValue']}"
        found.append(f"{time:%Y-%m-%d %H:%M:%S},{row['symbol']},{held},1.50000000,1.50000000,1.50000000,1".encode())
    # As in the real files, of which some are in no order.
    return found[::-1]


def _spot_folders(market: Market) -> Mapping[str, _Folder]:
    return {
        "klines": _Folder(lambda symbol, interval: market.candles(symbol, interval, 0), None, b"", _candle_lines),
        "aggTrades": _Folder(None, market.agg_trades, b"", _trade_lines(8, "True", "False")),
        "trades": _Folder(None, market.trades, b"", _trade_lines(7, "True", "False")),
    }


def _um_folders(market: Derivatives) -> Mapping[str, _Folder]:
    def prices(price: str) -> _Folder:
        return _Folder(
            lambda symbol, interval: market.price_candles(price, symbol, interval), None, _KLINES_HEADER, _candle_lines
        )

    return {
        "klines": _Folder(market.candles, None, _KLINES_HEADER, _candle_lines),
        "markPriceKlines": prices("mark"),
        "indexPriceKlines": prices("index"),
        "premiumIndexKlines": prices("premium"),
        "aggTrades": _Folder(None, market.agg_trades, _AGG_TRADES_HEADER, _trade_lines(7, "true", "false")),
        "trades": _Folder(None, market.trades, _TRADES_HEADER, _trade_lines(6, "true", "false")),
        "fundingRate": _Folder(
            None, market.funding, _FUNDING_HEADER, _funding_lines(market), lengths=frozenset({"monthly"})
        ),
        "metrics": _Folder(
            None,
            lambda symbol: market.open_interest(symbol, _METRICS_PERIOD),
            _METRICS_HEADER,
            _metrics_lines,
            lengths=frozenset({"daily"}),
            begins_the_day_since=_METRICS_BEGIN_THE_DAY_SINCE,
        ),
    }


class Archives:
    """Implements `Venue`: every file of the markets that there are."""

    def __init__(self, spot: Market, um: Derivatives | None) -> None:
        self._symbols: dict[str, Callable[[str], Symbol | None]] = {"spot": spot.symbol}
        self._folders: dict[str, Mapping[str, _Folder]] = {"spot": _spot_folders(spot)}
        if um is not None:
            self._symbols["futures/um"] = um.symbol
            self._folders["futures/um"] = _um_folders(um)
        self._shelf = Shelf()

    def close(self) -> None:
        """Give the disk back."""
        self._shelf.close()

    def knows(self, path: str) -> bool:
        """Whether a path is that of a file, be it there or not."""
        return _PATH.fullmatch(path) is not None

    def weigh(self, path: str, query: Mapping[str, str]) -> int:
        """Nothing."""
        return 0

    def admit(self, path: str, weight: int, now_us: int) -> Verdict:
        """Everybody."""
        return Verdict(200, 0, 0, None)

    def ban(self, duration_us: int, now_us: int) -> Verdict:
        """Refuse this request; there is nothing that would remember a ban."""
        return Verdict(418, 0, duration_us // SECOND_US, None)

    def prepare(self, http: web.Request, now_us: int) -> Answer:
        """Find a file."""
        asked = _PATH.fullmatch(http.path)
        assert asked is not None, http.path
        path = http.path.removesuffix(asked["checksum"] or "")
        file = self._shelf.take(path, lambda: self._content(asked, now_us))

        async def download() -> Download:
            await file.finish(now_us)
            return Download(file, is_checksum=asked["checksum"] is not None)

        return download

    def refusal_of(self, verdict: Verdict) -> ExchangeError:
        """Say that it is too much."""
        return ExchangeError(verdict.status, "Please reduce your request rate.", status=verdict.status)

    def body_of(self, error: ExchangeError, now_us: int) -> bytes:
        """Write a refusal as the store behind the archive does."""
        return b"<Error><Code>%d</Code><Message>%b</Message></Error>" % (error.code, error.msg.encode())

    def headers_of(self, used_weight: int) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def _content(self, asked: re.Match[str], now_us: int) -> Content:
        """Say what is in a file. Raises ExchangeError where there is none."""
        folder = self._folders.get(asked["root"], {}).get(asked["folder"])
        symbol = self._symbols[asked["root"]](asked["symbol"]) if folder else None
        start, end, published = _times(asked["length"], asked["period"])
        if folder is None or symbol is None or asked["length"] not in folder.lengths or now_us < _us(published):
            raise missing_file()
        series = _series(folder, symbol, asked)
        ends = (
            min(series.end(now_us), max(series.first, series.position_at(_us(at) + folder.late_us(at))))
            for at in (start, end)
        )
        positions = range(*ends)
        if not positions:
            raise missing_file()
        is_fine = asked["root"] == "spot" and start >= _MICROSECONDS_SINCE
        unit = TimeUnit.MICROSECOND if is_fine else TimeUnit.MILLISECOND
        return Content(asked["name"], series, positions, folder.header, folder.lines, unit)


def missing_file() -> ExchangeError:
    """The refusal of a file that there is not."""
    return ExchangeError(404, "The specified key does not exist.", status=404)


def _series(folder: _Folder, symbol: Symbol, asked: re.Match[str]) -> Series:
    """What a file is made of. Raises ExchangeError where the path makes no sense."""
    name = asked["interval"]
    if folder.items is not None and name is None and asked["what"] == asked["folder"]:
        return folder.items(symbol)
    interval = BY_FILE_NAME.get(name or "")
    is_there = asked["what"] == name and not (asked["length"] == "daily" and name in _MONTHLY_ONLY)
    if folder.candles is None or interval is None or not is_there:
        raise missing_file()
    return folder.candles(symbol, interval)


def _times(length: str, period: str) -> tuple[datetime, datetime, datetime]:
    """When what is in a file begins and ends, and when it is there. Raises ExchangeError: no such day or month."""
    try:
        start = datetime.strptime(period, "%Y-%m" if length == "monthly" else "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as exc:
        raise missing_file() from exc
    if length == "daily":
        end = start + timedelta(days=1)
        return start, end, end
    end = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
    return start, end, end + timedelta(days=-end.weekday() % 7)


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_US
