"""Bybit v5's market data, spot and linear: its endpoints, its envelope, its limit.

Answers come in an envelope, newest rows first, and mostly with the HTTP status 200 also where they are refusals.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from exchange_sim.books import Books
from exchange_sim.bybit import rows
from exchange_sim.bybit.query import Query, wrong
from exchange_sim.clock import MINUTE_US, SECOND_US
from exchange_sim.errors import ExchangeError
from exchange_sim.limits import Verdict, WeightLimit
from exchange_sim.market import Derivatives, Market, Series, Symbol
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.pages import Frame, Selection
from exchange_sim.simulation.derivatives import latest_open_interest
from exchange_sim.translated import Translated
from exchange_sim.venue import Answer

_LATEST_TRADES: Final = {"spot": (60, 60), "linear": (500, 1000)}
"""How many trades are given where no number is asked for, and at most."""
_REQUESTS, _WINDOW_US, _BAN_US = 600, 5 * SECOND_US, 10 * MINUTE_US
_TOO_MANY: Final = ExchangeError(10006, "Too many visits. Exceeded the API Rate Limit.", status=200)
_TOO_FREQUENT: Final = ExchangeError(403, "access too frequent", status=403)

_Traded = TypeVar("_Traded", Market, Derivatives)
_Ask = Callable[[Query, int], bytes | Selection]


class Bybit:
    """Implements `Venue`; without a market it knows no symbol."""

    def __init__(self, spot: Market | None, linear: Derivatives | None, books: Books, moments: AnsweredMoments) -> None:
        self._spot = spot
        self._linear = linear
        self._books = books
        self._moments = moments
        self._limit = WeightLimit(_REQUESTS, _WINDOW_US, tolerated=0, first_ban_us=_BAN_US)
        self.endpoints: Final[Mapping[str, _Ask]] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/kline": self._klines,
            "/v5/market/mark-price-kline": self._price_klines("mark"),
            "/v5/market/index-price-kline": self._price_klines("index"),
            "/v5/market/premium-index-price-kline": self._price_klines("premium"),
            "/v5/market/funding/history": self._funding,
            "/v5/market/open-interest": self._open_interest,
            "/v5/market/recent-trade": self._latest_trades,
            "/v5/market/orderbook": self._order_book,
            "/v5/market/tickers": self._tickers,
        }

    def knows(self, path: str) -> bool:
        """Whether there is such a path."""
        return path in self.endpoints

    def weigh(self, path: str, query: Mapping[str, str]) -> int:
        """One request is one."""
        return int(path in self.endpoints)

    def admit(self, path: str, weight: int, now_us: int) -> Verdict:
        """Count a request and decide on it."""
        return self._limit.admit(weight, now_us)

    def ban(self, duration_us: int, now_us: int) -> Verdict:
        """Refuse everything for a while."""
        return self._limit.ban(duration_us, now_us)

    def prepare(self, http: web.Request, now_us: int) -> Answer:
        """Read a request; what is wrong with it is found when it is answered."""
        ask, query = self.endpoints[http.path], Query(dict(http.query))
        return lambda: ask(query, now_us)

    def refusal_of(self, verdict: Verdict) -> ExchangeError:
        """A ban has a status of its own; one request too many has none."""
        return _TOO_FREQUENT if verdict.status == 418 else _TOO_MANY

    def body_of(self, error: ExchangeError, now_us: int) -> bytes:
        """Write a refusal."""
        return _envelope({}, now_us, error.code, error.msg)

    def headers_of(self, used_weight: int) -> Mapping[str, str]:
        """Nothing tells how much of the address's limit is used."""
        return {}

    def _time(self, query: Query, now_us: int) -> bytes:
        return _envelope({"timeSecond": str(now_us // SECOND_US), "timeNano": str(now_us * 1000)}, now_us)

    def _instruments(self, query: Query, now_us: int) -> bytes:
        """Tell what there is; a symbol that there is not makes an empty list."""
        category = query.text("category")
        market = self._spot if category == "spot" else self._linear if category == "linear" else None
        if category not in ("spot", "linear"):
            raise wrong("category is invalid")
        symbols = market.symbols() if market else ()
        if "symbol" in query:
            found = market.symbol(query.text("symbol")) if market else None
            symbols = [found] if found else []
        described = [self._describe(category, symbol) for symbol in symbols]
        return _envelope({"category": category, "nextPageCursor": "", "list": described}, now_us)

    def _describe(self, category: str, symbol: Symbol) -> dict[str, Any]:
        described: dict[str, Any] = {
            "symbol": symbol.name,
            "status": "Trading",
            "baseCoin": symbol.base,
            "quoteCoin": symbol.quote,
            "priceFilter": {"tickSize": symbol.tick_size},
        }
        if category == "linear" and self._linear is not None:
            described["contractType"] = "LinearPerpetual"
            described["fundingInterval"] = self._linear.funding_hours(symbol) * 60
        return described

    def _klines(self, query: Query, now_us: int) -> Selection:
        category, interval = query.text("category", "linear"), query.interval()
        series: Series
        if category == "spot":
            spot, symbol = _found(self._spot, query)
            series = spot.candles(symbol, interval, 0)
        else:
            linear, symbol = self._found_linear(query)
            series = linear.candles(symbol, interval)
        return self._page(query, now_us, Translated(series, f"bybit:{category}", rows.candles), category)

    def _price_klines(self, price: str) -> _Ask:
        def ask(query: Query, now_us: int) -> Selection:
            linear, symbol = self._found_linear(query)
            series = linear.price_candles(price, symbol, query.interval())
            return self._page(query, now_us, Translated(series, "bybit:linear", rows.price_candles), "linear")

        return ask

    def _page(self, query: Query, now_us: int, series: Series, category: str) -> Selection:
        positions = _latest(series, query, ("start", "end"), query.limit(200, 1000), now_us)
        result = {"category": category, "symbol": series.symbol}
        return Selection(series, positions, now_us, frame=_newest_first(result, now_us))

    def _funding(self, query: Query, now_us: int) -> Selection:
        linear, symbol = self._found_linear(query)
        if "startTime" in query and "endTime" not in query:
            raise wrong("endTime is required with startTime")
        series = Translated(linear.funding(symbol), "bybit:linear", rows.funding)
        positions = _latest(series, query, ("startTime", "endTime"), query.limit(200, 200), now_us)
        return Selection(series, positions, now_us, frame=_newest_first({"category": "linear"}, now_us))

    def _open_interest(self, query: Query, now_us: int) -> Selection:
        linear, symbol = self._found_linear(query)
        series = Translated(linear.open_interest(symbol, query.period()), "bybit:linear", rows.open_interest)
        window = _latest(series, query, ("startTime", "endTime"), None, now_us)
        stop = window.stop if (cursor := query.cursor()) is None else max(window.start, min(window.stop, cursor))
        positions = range(max(window.start, stop - query.limit(50, 200)), stop)
        result = {
            "category": "linear",
            "symbol": symbol.name,
            "nextPageCursor": str(positions.start) if positions.start > window.start else "",
        }
        return Selection(series, positions, now_us, frame=_newest_first(result, now_us))

    def _order_book(self, query: Query, now_us: int) -> Selection:
        category, name = query.text("category"), query.text("symbol")
        if category not in ("spot", "linear"):
            raise wrong("category is invalid")
        limit = query.limit(1 if category == "spot" else 25, 1000)
        book = self._books.book_now(f"bybit:{category}", name, now_us)
        if book is None:
            raise wrong("symbol invalid")
        result = {"s": name, "b": book.bids[:limit], "a": book.asks[:limit], "ts": now_us // 1000}
        result |= {"u": book.update_id, "seq": book.update_id, "cts": book.time_us // 1000}
        return self._moments.select(f"bybit:{category}", name, "depth_snapshot", _envelope(result, now_us), now_us)

    def _tickers(self, query: Query, now_us: int) -> Selection:
        """Tell of linear what is held, the latest measurement as that of now; of nothing else."""
        linear, symbol = self._found_linear(query)
        row = latest_open_interest(linear, symbol, now_us)
        ticker = {"symbol": symbol.name, "openInterest": row["sumOpenInterest"]}
        ticker["openInterestValue"] = row["sumOpenInterestValue"]
        answer = _envelope({"category": "linear", "list": [ticker]}, now_us)
        return self._moments.select("bybit:linear", symbol.name, "open_interest", answer, now_us)

    def _latest_trades(self, query: Query, now_us: int) -> Selection:
        """Give the latest trades, which is all that there is of them; those of linear are the aggregated ones."""
        category = query.text("category")
        series: Series
        if category == "spot":
            spot, symbol = _found(self._spot, query)
            series = spot.trades(symbol)
        else:
            linear, symbol = self._found_linear(query)
            series = linear.agg_trades(symbol)
        series = Translated(series, f"bybit:{category}", kind="trades")
        end = series.end(now_us)
        positions = range(max(series.first, end - query.limit(*_LATEST_TRADES[category])), end)
        in_envelope = _newest_first({"category": category}, now_us)
        return Selection(
            series, positions, now_us, frame=lambda listed: in_envelope(rows.trades(series.symbol, listed))
        )

    def _found_linear(self, query: Query) -> tuple[Derivatives, Symbol]:
        if query.text("category", "linear") != "linear":
            raise wrong("category is invalid")
        return _found(self._linear, query)


def _found(market: _Traded | None, query: Query) -> tuple[_Traded, Symbol]:
    """The market with the symbol that is asked for."""
    symbol = market.symbol(query.text("symbol")) if market else None
    if market is None or symbol is None:
        raise wrong("symbol invalid")
    return market, symbol


def _latest(series: Series, query: Query, names: tuple[str, str], limit: int | None, now_us: int) -> range:
    """The most recent items of a window, both of whose ends are inclusive."""
    start_us, end_us = (query.time_us(name) for name in names)
    first, end = series.first, series.end(now_us)
    if start_us is not None:
        first = max(first, series.position_at(start_us))
    if end_us is not None:
        end = min(end, series.position_at(end_us + 1000))
    end = max(first, end)
    return range(first if limit is None else max(first, end - limit), end)


def _newest_first(result: Mapping[str, str], now_us: int) -> Frame:
    def frame(oldest_first: Sequence[bytes]) -> bytes:
        listed = msgspec.Raw(b"[" + b",".join(reversed(oldest_first)) + b"]")
        return _envelope({**result, "list": listed}, now_us)

    return frame


def _envelope(result: Mapping[str, Any], now_us: int, code: int = 0, message: str = "OK") -> bytes:
    return msgspec.json.encode(
        {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_us // 1000}
    )
