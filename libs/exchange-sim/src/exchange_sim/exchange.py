"""The exchange as one: a request comes in, its weight is counted, an endpoint answers, all of it is written down."""

import msgspec
from aiohttp import web

from exchange_sim.binance.limits import Verdict, WeightLimit
from exchange_sim.binance.parameters import Parameters
from exchange_sim.binance.spot import Call, Endpoint, Spot
from exchange_sim.clock import Clock
from exchange_sim.errors import ExchangeError
from exchange_sim.journal import Journal, Request
from exchange_sim.ledger import Ledger
from exchange_sim.market import Market, Page, TimeUnit


class Exchange:
    """Everything behind `/api/`."""

    def __init__(self, market: Market, *, weight_limit: int, clock: Clock) -> None:
        self.market = market
        self.clock = clock
        self.limit = WeightLimit(weight_limit)
        self.journal = Journal()
        self.ledger = Ledger()
        self._spot = Spot(market, weight_limit)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one request and write it down."""
        endpoint = self._spot.endpoints.get(http.path) if http.method == "GET" else None
        now_us = self.clock()
        verdict = self.limit.admit(endpoint.weight if endpoint else 0, now_us)
        request = Request(
            seq=self.journal.next_seq(),
            at=now_us // 1000,
            method=http.method,
            path=http.path,
            query=http.query_string,
            weight=endpoint.weight if endpoint else 0,
            used_weight=verdict.used_weight,
            in_ban=verdict.ban_age_us is not None,
            ban_age_ms=None if verdict.ban_age_us is None else verdict.ban_age_us // 1000,
        )
        self.journal.add(request)
        response = self._answer(http, endpoint, verdict, now_us, request)
        response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = str(request.used_weight)
        if request.retry_after is not None:
            response.headers["Retry-After"] = str(request.retry_after)
        request.status = response.status
        return response

    def _answer(
        self, http: web.Request, endpoint: Endpoint | None, verdict: Verdict, now_us: int, request: Request
    ) -> web.Response:
        if verdict.status != 200:
            request.retry_after = verdict.retry_after_s
            return self._refuse_for_weight(verdict.status)
        if endpoint is None:
            return web.Response(
                status=404, text="<html><body><h2>404 Not found</h2></body></html>", content_type="text/html"
            )
        try:
            answer = endpoint.answer(_read(http, endpoint, now_us))
        except ExchangeError as exc:
            return _refusal(exc)
        if isinstance(answer, Page):
            self.ledger.record(answer)
            request.rows = len(answer.rows)
            answer = answer.body
        return _json(answer)

    def _refuse_for_weight(self, status: int) -> web.Response:
        if status == 418:
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
        return _refusal(ExchangeError(-1003, msg, status=status))


def _read(http: web.Request, endpoint: Endpoint, now_us: int) -> Call:
    """Read a request's parameters and the time unit that it wants.

    Raises:
        ExchangeError: A parameter or the unit is not one of the exchange's.
    """
    unit_name = http.headers.get("X-MBX-TIME-UNIT", "MILLISECOND").upper()
    if unit_name not in TimeUnit.__members__:
        raise ExchangeError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    parameters = Parameters(list(http.query.items()), endpoint.parameters, endpoint.mandatory)
    return Call(parameters, TimeUnit[unit_name], now_us)


def _refusal(error: ExchangeError) -> web.Response:
    return _json(msgspec.json.encode({"code": error.code, "msg": error.msg}), status=error.status)


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")
