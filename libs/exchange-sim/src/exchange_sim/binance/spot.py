"""The endpoints of Binance spot's market data: their parameters, weights and answers.

Source: https://github.com/binance/binance-spot-api-docs, rest-api.md (2026-07).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from exchange_sim.binance.parameters import Parameters, bad_combination
from exchange_sim.errors import ExchangeError
from exchange_sim.market import IdentifiedSeries, Market, Symbol, TimeUnit
from exchange_sim.pages import Selection
from exchange_sim.windows import Window, select

_DEFAULT_LIMIT: Final = 500
_MOST_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was admitted."""

    parameters: Parameters
    unit: TimeUnit
    now_us: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the interface."""

    weight: int
    parameters: tuple[str, ...]
    mandatory: tuple[str, ...]
    answer: Callable[[Call], bytes | Selection]


class Spot:
    """Answers requests from a market."""

    def __init__(self, market: Market, weight_limit: int) -> None:
        self._market = market
        self._weight_limit = weight_limit
        times = ("startTime", "endTime")
        self.endpoints: Final = {
            "/api/v3/ping": Endpoint(1, (), (), self._ping),
            "/api/v3/time": Endpoint(1, (), (), self._time),
            "/api/v3/exchangeInfo": Endpoint(20, ("symbol", "symbols"), (), self._exchange_info),
            "/api/v3/klines": Endpoint(
                2, ("symbol", "interval", *times, "timeZone", "limit"), ("symbol", "interval"), self._klines
            ),
            "/api/v3/trades": Endpoint(25, ("symbol", "limit"), ("symbol",), self._trades),
            "/api/v3/historicalTrades": Endpoint(25, ("symbol", "fromId", "limit"), ("symbol",), self._trades),
            "/api/v3/aggTrades": Endpoint(4, ("symbol", "fromId", *times, "limit"), ("symbol",), self._agg_trades),
        }

    def _ping(self, call: Call) -> bytes:
        return b"{}"

    def _time(self, call: Call) -> bytes:
        return b'{"serverTime":%d}' % (call.now_us // call.unit.value)

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
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": self._weight_limit,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [_describe(symbol) for symbol in symbols],
            }
        )

    def _klines(self, call: Call) -> Selection:
        parameters = call.parameters
        symbol = self._symbol(parameters.symbol())
        series = self._market.candles(symbol, parameters.interval(), parameters.offset_us())
        positions = select(series, _window(parameters), call.now_us)
        return Selection(series, positions, call.now_us, call.unit)

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


def _window(parameters: Parameters) -> Window:
    return Window(parameters.start_us(), parameters.end_us(), parameters.limit(_DEFAULT_LIMIT, _MOST_ROWS))


def _by_id_or_time(series: IdentifiedSeries, call: Call) -> range:
    """The positions that a request for trades is given: from an id on, or by the window rule."""
    window = _window(call.parameters)
    from_id = call.parameters.number("fromId")
    if from_id is None:
        return select(series, window, call.now_us)
    if window.start_us is not None or window.end_us is not None:
        raise bad_combination()
    first = series.position_of(from_id)
    return range(first, max(first, min(series.end(call.now_us), first + window.limit)))


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
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": symbol.tick_size,
                "maxPrice": "1000000.00000000",
                "tickSize": symbol.tick_size,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": symbol.lot_size,
                "maxQty": "92141578.00000000",
                "stepSize": symbol.lot_size,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }
