"""The endpoints of Binance spot's market data: their parameters, weights and answers.

Source: https://github.com/binance/binance-spot-api-docs, rest-api.md (2026-07).
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from exchange_sim.binance import interface
from exchange_sim.binance.interface import Call, Endpoint, Interface
from exchange_sim.binance.parameters import bad_combination
from exchange_sim.books import Books
from exchange_sim.errors import ExchangeError
from exchange_sim.limits import WeightLimit
from exchange_sim.market import IdentifiedSeries, Market, Symbol, TimeUnit
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.pages import Selection
from exchange_sim.windows import select

_DEFAULT_LIMIT: Final = 500
_MOST_ROWS: Final = 1000
_DEFAULT_LEVELS, _MOST_LEVELS = 100, 5000
_DEPTH_WEIGHTS: Final = ((0, 101, 501, 1_001), (5, 25, 50, 250))
"""From so many levels on, a request for a book weighs so much."""


class Spot:
    """Answers requests from a market."""

    def __init__(self, market: Market, weight_limit: int, books: Books, moments: AnsweredMoments) -> None:
        self._market = market
        self._books = books
        self._moments = moments
        self._weight_limit = weight_limit
        times = ("startTime", "endTime")
        self.endpoints: Final = {
            "/api/v3/ping": Endpoint(1, (), (), interface.ping),
            "/api/v3/time": Endpoint(1, (), (), interface.time),
            "/api/v3/exchangeInfo": Endpoint(20, ("symbol", "symbols"), (), self._exchange_info),
            "/api/v3/klines": Endpoint(
                2, ("symbol", "interval", *times, "timeZone", "limit"), ("symbol", "interval"), self._klines
            ),
            "/api/v3/trades": Endpoint(25, ("symbol", "limit"), ("symbol",), self._trades),
            "/api/v3/historicalTrades": Endpoint(25, ("symbol", "fromId", "limit"), ("symbol",), self._trades),
            "/api/v3/depth": Endpoint(_depth_weight, ("symbol", "limit"), ("symbol",), self._depth),
            "/api/v3/aggTrades": Endpoint(4, ("symbol", "fromId", *times, "limit"), ("symbol",), self._agg_trades),
        }

    def interface(self) -> Interface:
        """The endpoints behind their limit."""
        return Interface(self.endpoints, WeightLimit(self._weight_limit), frozenset(TimeUnit))

    def _exchange_info(self, call: Call) -> bytes:
        parameters = call.parameters
        if "symbol" in parameters and "symbols" in parameters:
            raise bad_combination()
        if "symbol" in parameters:
            symbols = [self._symbol(parameters.symbol())]
        elif "symbols" in parameters:
            symbols = [self._symbol(name) for name in parameters.symbols()]
        else:
            symbols = list(self._market.symbols())
        return msgspec.json.encode(
            {
                "timezone": "UTC",
                "serverTime": call.now_us // call.unit.value,
                "rateLimits": interface.rate_limits(self._weight_limit),
                "exchangeFilters": [],
                "symbols": [_describe(symbol) for symbol in symbols],
            }
        )

    def _klines(self, call: Call) -> Selection:
        parameters = call.parameters
        symbol = self._symbol(parameters.symbol())
        series = self._market.candles(symbol, parameters.interval(), parameters.offset_us())
        positions = select(series, interface.window(parameters, _DEFAULT_LIMIT, _MOST_ROWS), call.now_us)
        return Selection(series, positions, call.now_us, call.unit)

    def _depth(self, call: Call) -> Selection:
        name, limit = call.parameters.symbol(), call.parameters.limit(_DEFAULT_LEVELS, _MOST_LEVELS)
        book = self._books.book_now("binance:spot", name, call.now_us)
        if book is None:
            raise ExchangeError(-1121, "Invalid symbol.")
        answer = msgspec.json.encode(
            {"lastUpdateId": book.update_id, "bids": book.bids[:limit], "asks": book.asks[:limit]}
        )
        return self._moments.select("binance:spot", name, "depth_snapshot", answer, call.now_us)

    def _agg_trades(self, call: Call) -> Selection:
        parameters = call.parameters
        series = self._market.agg_trades(self._symbol(parameters.symbol()))
        return Selection(series, _by_id_or_time(series, call), call.now_us, call.unit)

    def _trades(self, call: Call) -> Selection:
        series = self._market.trades(self._symbol(call.parameters.symbol()))
        return Selection(series, _by_id_or_time(series, call), call.now_us, call.unit)

    def _symbol(self, name: str) -> Symbol:
        symbol = self._market.symbol(name)
        if symbol is None:
            raise ExchangeError(-1121, "Invalid symbol.")
        return symbol


def _depth_weight(query: Mapping[str, str]) -> int:
    bounds, weights = _DEPTH_WEIGHTS
    return weights[bisect_right(bounds, interface.limit_in(query, _DEFAULT_LEVELS)) - 1]


def _by_id_or_time(series: IdentifiedSeries, call: Call) -> range:
    return interface.by_id_or_time(series, call, interface.window(call.parameters, _DEFAULT_LIMIT, _MOST_ROWS))


def _describe(symbol: Symbol) -> dict[str, Any]:
    """A symbol as `exchangeInfo` lists it, with the fields that a reader of market data needs."""
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": interface.filters(symbol),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }
