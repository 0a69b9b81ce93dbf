"""The endpoints of Binance USDⓈ-M futures' market data: their parameters, weights, limits and answers.

Source: docstrings of the official connector (2026-08), error codes as for spot. Trades are given for the last 48 hours,
single trades are the latest only, open interest for the last month, funding and open interest have limits of their own.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from exchange_sim.binance import interface
from exchange_sim.binance.interface import Call, Endpoint, Interface
from exchange_sim.books import Books
from exchange_sim.clock import DAY_US, HOUR_US, MINUTE_US
from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import INTERVALS, Interval
from exchange_sim.limits import WeightLimit
from exchange_sim.market import Derivatives, Series, Symbol
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.pages import Selection
from exchange_sim.simulation.derivatives import FUNDING_HOURS, latest_open_interest
from exchange_sim.windows import select

WEIGHT_LIMIT: Final = 2_400

_WINDOW_US: Final = 5 * MINUTE_US
_FUNDING_REQUESTS: Final = 500
_DATA_REQUESTS: Final = 1_000
_TRADES_KEPT_US: Final = 48 * HOUR_US
_MEASUREMENTS_KEPT_US: Final = 31 * DAY_US
_KLINES_WEIGHTS: Final = ((0, 100, 500, 1_001), (1, 2, 5, 10))
"""From so many rows on, a request for candles weighs so much."""
_DEFAULT_LEVELS: Final = 500
_DEPTH_LIMITS: Final = frozenset({5, 10, 20, 50, 100, 500, 1_000})
_DEPTH_WEIGHTS: Final = ((0, 51, 101, 501), (2, 5, 10, 20))
"""From so many levels on, a request for a book weighs so much."""
_PERIODS: Final = frozenset({"5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"})

SeriesOf = Callable[[Symbol, Interval], Series]


class Futures:
    """Answers requests from a market; without one it knows no symbol."""

    def __init__(self, market: Derivatives | None, books: Books, moments: AnsweredMoments) -> None:
        self._market = market
        self._books = books
        self._moments = moments
        self._funding = WeightLimit(_FUNDING_REQUESTS, _WINDOW_US)
        self._data = WeightLimit(_DATA_REQUESTS, _WINDOW_US)
        times = ("startTime", "endTime")
        candles = ("interval", *times, "limit")

        def klines(series_of: SeriesOf, named: str = "symbol") -> Endpoint:
            def answer(call: Call) -> Selection:
                return self._klines(call, series_of, named)

            return Endpoint(_klines_weight, (named, *candles), (named, "interval"), answer)

        self.endpoints: Final = {
            "/fapi/v1/ping": Endpoint(1, (), (), interface.ping),
            "/fapi/v1/time": Endpoint(1, (), (), interface.time),
            "/fapi/v1/exchangeInfo": Endpoint(1, (), (), self._exchange_info),
            "/fapi/v1/klines": klines(self._candles),
            "/fapi/v1/markPriceKlines": klines(self._price_candles("mark")),
            "/fapi/v1/indexPriceKlines": klines(self._price_candles("index"), "pair"),
            "/fapi/v1/premiumIndexKlines": klines(self._price_candles("premium")),
            "/fapi/v1/aggTrades": Endpoint(20, ("symbol", "fromId", *times, "limit"), ("symbol",), self._agg_trades),
            "/fapi/v1/depth": Endpoint(_depth_weight, ("symbol", "limit"), ("symbol",), self._depth),
            "/fapi/v1/openInterest": Endpoint(1, ("symbol",), ("symbol",), self._open_interest_now),
            "/fapi/v1/trades": Endpoint(5, ("symbol", "limit"), ("symbol",), self._latest_trades),
            "/fapi/v1/fundingRate": Endpoint(
                1, ("symbol", *times, "limit"), ("symbol",), self._funding_rate, self._funding
            ),
            "/fapi/v1/fundingInfo": Endpoint(1, (), (), self._funding_info, self._funding),
            "/futures/data/openInterestHist": Endpoint(
                1, ("symbol", "period", *times, "limit"), ("symbol", "period"), self._open_interest, self._data
            ),
        }

    def interface(self) -> Interface:
        """The endpoints behind their limits."""
        return Interface(self.endpoints, WeightLimit(WEIGHT_LIMIT))

    def _candles(self, symbol: Symbol, interval: Interval) -> Series:
        return self._known.candles(symbol, interval)

    def _price_candles(self, price: str) -> SeriesOf:
        return lambda symbol, interval: self._known.price_candles(price, symbol, interval)

    def _exchange_info(self, call: Call) -> bytes:
        symbols = self._market.symbols() if self._market else ()
        described = [
            {
                "symbol": symbol.name,
                "pair": symbol.name,
                "contractType": "PERPETUAL",
                "status": "TRADING",
                "baseAsset": symbol.base,
                "quoteAsset": symbol.quote,
                "marginAsset": symbol.quote,
                "filters": interface.filters(symbol),
            }
            for symbol in symbols
        ]
        now_ms, limits = call.now_us // 1000, interface.rate_limits(WEIGHT_LIMIT)
        return msgspec.json.encode(
            {"timezone": "UTC", "serverTime": now_ms, "rateLimits": limits, "exchangeFilters": [], "symbols": described}
        )

    def _klines(self, call: Call, series_of: SeriesOf, named: str) -> Selection:
        parameters = call.parameters
        symbol = self._symbol(parameters.symbol(named))
        interval = parameters.interval()
        if interval.name == "1s":
            raise ExchangeError(-1120, "Invalid interval.")
        series = series_of(symbol, interval)
        return Selection(series, select(series, interface.window(parameters, 500, 1500), call.now_us), call.now_us)

    def _agg_trades(self, call: Call) -> Selection:
        series = self._known.agg_trades(self._symbol(call.parameters.symbol()))
        wanted = interface.window(call.parameters, 500, 1000)
        start_us, end_us = wanted.start_us, wanted.end_us
        if start_us is not None and end_us is not None and end_us - start_us >= HOUR_US + 1000:
            raise ExchangeError(-1127, "More than 1 hours between startTime and endTime.")
        oldest = series.position_at(call.now_us - _TRADES_KEPT_US)
        return Selection(series, interface.by_id_or_time(series, call, wanted, oldest), call.now_us)

    def _latest_trades(self, call: Call) -> Selection:
        series = self._known.trades(self._symbol(call.parameters.symbol()))
        return Selection(series, select(series, interface.window(call.parameters, 500, 1000), call.now_us), call.now_us)

    def _funding_rate(self, call: Call) -> Selection:
        series = self._known.funding(self._symbol(call.parameters.symbol()))
        return Selection(series, select(series, interface.window(call.parameters, 100, 1000), call.now_us), call.now_us)

    def _funding_info(self, call: Call) -> bytes:
        """Tell the symbols that differ from the rule."""
        market = self._market
        hours = {symbol.name: market.funding_hours(symbol) for symbol in market.symbols()} if market else {}
        return msgspec.json.encode(
            [
                {"symbol": name, "fundingIntervalHours": every, "disclaimer": False}
                for name, every in hours.items()
                if every != FUNDING_HOURS
            ]
        )

    def _open_interest(self, call: Call) -> Selection:
        parameters = call.parameters
        symbol, period = self._symbol(parameters.symbol()), parameters.text("period")
        if period not in _PERIODS:
            raise ExchangeError(-1130, "parameter 'period' is invalid.")
        wanted = interface.window(parameters, 30, 500)
        oldest_us = call.now_us - _MEASUREMENTS_KEPT_US
        if wanted.start_us is not None and wanted.start_us < oldest_us:
            raise ExchangeError(-1130, "parameter 'startTime' is invalid.")
        series = self._known.open_interest(symbol, INTERVALS[period])
        positions = select(series, wanted, call.now_us)
        oldest = series.position_at(oldest_us)
        return Selection(series, range(max(positions.start, oldest), max(positions.stop, oldest)), call.now_us)

    def _open_interest_now(self, call: Call) -> Selection:
        """Tell the latest measurement as that of now."""
        symbol = self._symbol(call.parameters.symbol())
        held = latest_open_interest(self._known, symbol, call.now_us)["sumOpenInterest"]
        answer = {"openInterest": held, "symbol": symbol.name, "time": call.now_us // 1000}
        return self._moments.select(
            "binance:um", symbol.name, "open_interest", msgspec.json.encode(answer), call.now_us
        )

    def _depth(self, call: Call) -> Selection:
        name, limit = call.parameters.symbol(), call.parameters.limit(_DEFAULT_LEVELS, max(_DEPTH_LIMITS))
        if limit not in _DEPTH_LIMITS:
            raise ExchangeError(-4021, f"{limit} is not valid depth limit")
        book = self._books.book_now("binance:um", name, call.now_us)
        if book is None:
            raise ExchangeError(-1121, "Invalid symbol.")
        times = {"E": call.now_us // 1000, "T": book.time_us // 1000}
        answer = {"lastUpdateId": book.update_id, **times, "bids": book.bids[:limit], "asks": book.asks[:limit]}
        return self._moments.select("binance:um", name, "depth_snapshot", msgspec.json.encode(answer), call.now_us)

    @property
    def _known(self) -> Derivatives:
        if self._market is None:
            raise ExchangeError(-1121, "Invalid symbol.")
        return self._market

    def _symbol(self, name: str) -> Symbol:
        """A symbol that is listed: the listing cannot be asked for one alone, so it must have all."""
        symbol = self._known.symbol(name)
        if symbol is None or symbol not in self._known.symbols():
            raise ExchangeError(-1121, "Invalid symbol.")
        return symbol


def _klines_weight(query: Mapping[str, str]) -> int:
    bounds, weights = _KLINES_WEIGHTS
    return weights[bisect_right(bounds, interface.limit_in(query, 500)) - 1]


def _depth_weight(query: Mapping[str, str]) -> int:
    bounds, weights = _DEPTH_WEIGHTS
    return weights[bisect_right(bounds, interface.limit_in(query, _DEFAULT_LEVELS)) - 1]
