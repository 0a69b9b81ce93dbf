"""What Binance's interfaces have in common: how requests are read, weighed and refused, and what answers carry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from exchange_sim.binance.parameters import Parameters, bad_combination
from exchange_sim.errors import ExchangeError
from exchange_sim.limits import Verdict, WeightLimit
from exchange_sim.market import IdentifiedSeries, Symbol, TimeUnit
from exchange_sim.pages import Selection
from exchange_sim.venue import Answer
from exchange_sim.windows import Window, select


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was admitted."""

    parameters: Parameters
    unit: TimeUnit
    now_us: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the interface."""

    weight: int | Callable[[Mapping[str, str]], int]
    """Or how it is told from the query."""
    parameters: tuple[str, ...]
    mandatory: tuple[str, ...]
    answer: Callable[[Call], bytes | Selection]
    pool: WeightLimit | None = None
    """The limit that counts it; None is that of the interface."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Implements `Venue`."""

    endpoints: Mapping[str, Endpoint]
    limit: WeightLimit
    units: frozenset[TimeUnit] = field(default=frozenset({TimeUnit.MILLISECOND}))
    """In which times can be asked for."""

    def knows(self, path: str) -> bool:
        """Whether there is such a path."""
        return path in self.endpoints

    def weigh(self, path: str, query: Mapping[str, str]) -> int:
        """What a request costs."""
        if path not in self.endpoints:
            return 0
        weight = self.endpoints[path].weight
        return weight if isinstance(weight, int) else weight(query)

    def admit(self, path: str, weight: int, now_us: int) -> Verdict:
        """Count a request; who is banned by the interface is banned from its other pools too."""
        pool = self.endpoints[path].pool if path in self.endpoints else None
        if pool is None:
            return self.limit.admit(weight, now_us)
        is_banned = now_us < self.limit.banned_until_us
        return self.limit.admit(0, now_us) if is_banned else pool.admit(weight, now_us)

    def ban(self, duration_us: int, now_us: int) -> Verdict:
        """Refuse everything for a while."""
        return self.limit.ban(duration_us, now_us)

    def prepare(self, http: web.Request, now_us: int) -> Answer:
        """Read a request's parameters and the time unit that it wants."""
        endpoint = self.endpoints[http.path]
        unit_name = http.headers.get("X-MBX-TIME-UNIT", "MILLISECOND").upper()
        if unit_name not in {unit.name for unit in self.units}:
            raise ExchangeError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
        parameters = Parameters(list(http.query.items()), endpoint.parameters, endpoint.mandatory)
        call = Call(parameters, TimeUnit[unit_name], now_us)
        return lambda: endpoint.answer(call)

    def refusal_of(self, verdict: Verdict) -> ExchangeError:
        """Say why a request is not admitted."""
        if verdict.status == 418:
            until_ms = self.limit.banned_until_us // 1000
            msg = (
                f"Way too much request weight used; IP banned until {until_ms}. "
                "Please use WebSocket Streams for live updates to avoid bans."
            )
        else:
            msg = (
                f"Too much request weight used; current limit is {self.limit.limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
        return ExchangeError(-1003, msg, status=verdict.status)

    def body_of(self, error: ExchangeError, now_us: int) -> bytes:
        """Write a refusal."""
        return msgspec.json.encode({"code": error.code, "msg": error.msg})

    def headers_of(self, used_weight: int) -> Mapping[str, str]:
        """Tell the weight that was used."""
        return {"X-MBX-USED-WEIGHT": str(used_weight), "X-MBX-USED-WEIGHT-1M": str(used_weight)}


def ping(_: Call) -> bytes:
    """Answer `ping`."""
    return b"{}"


def time(call: Call) -> bytes:
    """Answer `time`."""
    return b'{"serverTime":%d}' % (call.now_us // call.unit.value)


def rate_limits(weight_limit: int) -> list[dict[str, object]]:
    """Describe the limit as `exchangeInfo` does."""
    return [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit}]


def filters(symbol: Symbol) -> list[dict[str, str]]:
    """Describe the steps of a symbol as `exchangeInfo` does."""
    return [
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
    ]


def window(parameters: Parameters, default_limit: int, most_rows: int) -> Window:
    """Read the window that a request asks for."""
    return Window(parameters.start_us(), parameters.end_us(), parameters.limit(default_limit, most_rows))


def limit_in(query: Mapping[str, str], default: int) -> int:
    """Tell how many rows a query asks for, without refusing any."""
    limit = query.get("limit", "")
    return int(limit) if limit.isdecimal() and len(limit) < 10 else default


def by_id_or_time(series: IdentifiedSeries, call: Call, wanted: Window, oldest: int = 0) -> range:
    """The positions that a request for trades is given: from an id on, or by the window rule.

    Args:
        series: Of the trades.
        call: The request.
        wanted: Its window.
        oldest: The position of the oldest trade that the exchange still gives.
    """
    from_id = call.parameters.number("fromId")
    if from_id is None:
        found = select(series, wanted, call.now_us)
        if found.start >= oldest:
            return found
        start_us = series.time_us(oldest) if wanted.start_us is not None else None
        found = select(series, Window(start_us, wanted.end_us, wanted.limit), call.now_us)
        return range(max(found.start, oldest), max(found.stop, oldest))
    if wanted.start_us is not None or wanted.end_us is not None:
        raise bad_combination()
    first = max(oldest, series.position_of(from_id))
    return range(first, max(first, min(series.end(call.now_us), first + wanted.limit)))
