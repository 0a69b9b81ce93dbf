"""The exchange as one: a request comes in, its weight is counted, an endpoint answers, all of it is written down.

The way of a request: `handle` counts its weight and refuses it if there is too much, `_answer` asks the endpoint and
shows the request to the fault plan, `_send` makes the HTTP answer and tells the ledger which items went out.
"""

import asyncio
import math
import socket
import struct
from typing import NoReturn

import msgspec
from aiohttp import web

from exchange_sim.binance.limits import Verdict, WeightLimit
from exchange_sim.binance.parameters import Parameters
from exchange_sim.binance.spot import Call, Endpoint, Spot
from exchange_sim.clock import SECOND_US, Clock
from exchange_sim.errors import ExchangeError
from exchange_sim.faults import effects
from exchange_sim.faults.plan import Fault, FaultKind, FaultPlan
from exchange_sim.journal import Journal, Request
from exchange_sim.ledger import Ledger
from exchange_sim.market import Market, TimeUnit
from exchange_sim.pages import Page, Selection, make_page


class Exchange:
    """Everything behind `/api/`."""

    def __init__(self, market: Market, *, weight_limit: int, clock: Clock) -> None:
        self.market = market
        self.clock = clock
        self.limit = WeightLimit(weight_limit)
        self.faults = FaultPlan()
        self.journal = Journal()
        self.ledger = Ledger()
        self._spot = Spot(market, weight_limit)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one request and write it down."""
        endpoint = self._spot.endpoints.get(http.path) if http.method == "GET" else None
        weight = endpoint.weight if endpoint else 0
        now_us = self.clock()
        verdict = self.limit.admit(weight, now_us)
        request = Request(
            seq=self.journal.next_seq(),
            at=now_us // 1000,
            method=http.method,
            path=http.path,
            query=http.query_string,
            weight=weight,
            used_weight=verdict.used_weight,
            in_ban=verdict.ban_age_us is not None,
            ban_age_ms=None if verdict.ban_age_us is None else verdict.ban_age_us // 1000,
        )
        self.journal.add(request)
        if verdict.status != 200:
            response = self._refuse_for_weight(verdict, request)
        elif endpoint is None:
            response = web.Response(status=404, body=b"<html><body><h2>404 Not found</h2></body></html>")
            response.content_type = "text/html"
        else:
            response = await self._answer(http, endpoint, now_us, request)
        response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = str(request.used_weight)
        if request.retry_after is not None:
            response.headers["Retry-After"] = str(request.retry_after)
        request.status = response.status
        return response

    async def _answer(self, http: web.Request, endpoint: Endpoint, now_us: int, request: Request) -> web.Response:
        answer: bytes | Page | ExchangeError
        try:
            answer = await _ask(endpoint, _read(http, endpoint, now_us))
        except ExchangeError as exc:
            answer = exc
        fault = self.faults.take(http.path, len(answer.rows) if isinstance(answer, Page) else 0)
        if fault is None:
            return self._send(answer, request)
        request.fault = fault.kind
        match fault.kind:
            case FaultKind.TIMEOUT:
                await _never()
            case FaultKind.RESET:
                _reset(http)
                await _never()
            case FaultKind.SLOW:
                await asyncio.sleep(fault.lasting_s)
                return self._send(answer, request)
        return self._misbehave(fault, answer, request)

    def _misbehave(self, fault: Fault, answer: bytes | Page | ExchangeError, request: Request) -> web.Response:
        """The faults that are an answer: a wrong status, a wrong body, or wrong rows."""
        kind = fault.kind
        if kind is FaultKind.TOO_MANY_REQUESTS:
            return self._refuse_for_weight(Verdict(429, request.used_weight, math.ceil(fault.lasting_s), None), request)
        if kind is FaultKind.BAN:
            return self._refuse_for_weight(self.limit.ban(int(fault.lasting_s * SECOND_US), self.clock()), request)
        if kind in effects.SERVER_ERRORS:
            return _refusal(ExchangeError(*effects.SERVER_ERRORS[kind], status=int(kind)))
        if kind is FaultKind.HTML:
            return web.Response(body=effects.HTML, content_type="text/html", charset="utf-8")
        if kind in effects.PAGE_EFFECTS and isinstance(answer, Page):
            return self._send(effects.PAGE_EFFECTS[kind](answer), request)
        return _json(effects.BODY_EFFECTS[kind](_body(answer)))

    def _send(self, answer: bytes | Page | ExchangeError, request: Request) -> web.Response:
        if isinstance(answer, ExchangeError):
            return _refusal(answer)
        if isinstance(answer, Page):
            self.ledger.record(answer)
            request.rows = len(answer.rows)
        return _json(_body(answer))

    def _refuse_for_weight(self, verdict: Verdict, request: Request) -> web.Response:
        request.retry_after = verdict.retry_after_s
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
        return _refusal(ExchangeError(-1003, msg, status=verdict.status))


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


async def _ask(endpoint: Endpoint, call: Call) -> bytes | Page:
    answer = endpoint.answer(call)
    return await make_page(answer) if isinstance(answer, Selection) else answer


def _body(answer: bytes | Page | ExchangeError) -> bytes:
    if isinstance(answer, ExchangeError):
        return msgspec.json.encode({"code": answer.code, "msg": answer.msg})
    return answer.body if isinstance(answer, Page) else answer


def _refusal(error: ExchangeError) -> web.Response:
    return _json(_body(error), status=error.status)


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


async def _never() -> NoReturn:
    """Wait until the client gives up, or the server ends: both cancel the request."""
    while True:
        await asyncio.Event().wait()


def _reset(http: web.Request) -> None:
    """Cut the connection with a TCP reset, as a failing middlebox does; a mere close would look like an end."""
    if http.transport is not None:
        connection: socket.socket = http.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        http.transport.abort()
