"""The exchange as one: a request comes in, its weight is counted, an endpoint answers, all of it is written down.

The way of a request: `handle` counts its weight and refuses it if there is too much, `_answer` asks the endpoint and
shows the request to the fault plan, `_send` makes the HTTP answer and tells the ledger which items went out.
"""

import asyncio
import math
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from aiohttp import web

from exchange_sim.binance import messages as binance_messages
from exchange_sim.binance import streams as binance
from exchange_sim.binance.archives import Archives, missing_file
from exchange_sim.binance.futures import Futures
from exchange_sim.binance.spot import Spot
from exchange_sim.binance.streams import BinanceStreams
from exchange_sim.books import Books
from exchange_sim.bybit import messages as bybit_messages
from exchange_sim.bybit import streams as bybit
from exchange_sim.bybit.interface import Bybit
from exchange_sim.bybit.streams import BybitStreams
from exchange_sim.clock import SECOND_US, Clock
from exchange_sim.errors import ExchangeError
from exchange_sim.faults import effects
from exchange_sim.faults.plan import LEAST_ROWS, Fault, FaultKind, FaultPlan
from exchange_sim.journal import Journal, Request
from exchange_sim.ledger import Ledger
from exchange_sim.limits import Verdict
from exchange_sim.market import Derivatives, Market
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.packed_files import Download, PackedFile
from exchange_sim.pages import Page, Selection, make_page
from exchange_sim.simulation.books import SimulatedBooks
from exchange_sim.streaming.feed import Feed
from exchange_sim.streaming.hub import Hub
from exchange_sim.streaming.server import DAY_S, Rate, StreamServer
from exchange_sim.streaming.simulated import SimulatedFeed, Sources
from exchange_sim.venue import Answer, Venue

_ON_ITS_WAY_S = 0.05
"""A reset throws away what has not been sent yet."""
_Content = bytes | Page | Download | ExchangeError
"""What an answer is made of."""


@dataclass(frozen=True, slots=True)
class OtherMarkets:
    """What there is beside Binance spot; a recording has none of it."""

    um: Derivatives
    bybit_spot: Market
    linear: Derivatives


class Exchange:
    """Everything but the tool's own pages."""

    def __init__(
        self,
        market: Market,
        *,
        weight_limit: int,
        clock: Clock,
        others: OtherMarkets | None = None,
        feed: Feed | None = None,
        books: Books | None = None,
        seed: int = 0,
        connection_s: float = DAY_S,
    ) -> None:
        """Open the exchange.

        Args:
            market: Of Binance spot.
            weight_limit: Of Binance spot.
            clock: What time it is.
            others: The other markets, where there are any.
            feed: Where live messages come from; None for the simulated markets themselves.
            books: The order books; None for simulated ones.
            seed: Of the simulated ones.
            connection_s: After which a connection to streams is cut, seconds.
        """
        self.market = market
        self.markets: Sequence[Market | Derivatives] = (
            (market, others.um, others.bybit_spot, others.linear) if others else (market,)
        )
        self.clock = clock
        self.faults = FaultPlan()
        self.journal = Journal()
        self.ledger = Ledger()
        simulated_books = SimulatedBooks(seed)
        self.books = books or simulated_books
        moments = AnsweredMoments()
        self._archives = Archives(market, others.um if others else None)
        self._venues: Mapping[str, Venue] = {
            "/api/": Spot(market, weight_limit, self.books, moments).interface(),
            "/fapi/": (futures := Futures(others.um if others else None, self.books, moments).interface()),
            "/futures/": futures,
            "/v5/": Bybit(
                others.bybit_spot if others else None, others.linear if others else None, self.books, moments
            ),
            "/data/": self._archives,
        }
        self.roots = tuple(self._venues)
        self.hub = Hub(feed or self._live_markets(market, others, simulated_books), self.faults, self._shutdown_message)

        def server(connects: Rate, messages: Rate | None = None) -> StreamServer:
            return StreamServer(
                self.hub,
                self.journal,
                self.ledger,
                clock,
                connects=connects,
                messages=messages,
                longest_s=connection_s,
            )

        self.stream_routes = [
            *BinanceStreams("binance:spot", server(binance.CONNECTS, binance.MESSAGES)).routes([""]),
            *BinanceStreams("binance:um", server(binance.CONNECTS, binance.MESSAGES)).routes(["/public", "/market"]),
            *BybitStreams("bybit:spot", server(bybit.CONNECTS)).routes(),
            *BybitStreams("bybit:linear", server(bybit.CONNECTS)).routes(),
        ]

    def _live_markets(self, market: Market, others: OtherMarkets | None, books: SimulatedBooks) -> Feed:
        sources: dict[str, Sources] = {"binance:spot": partial(binance_messages.spot_source, market, books)}
        if others is not None:
            sources["binance:um"] = partial(binance_messages.futures_source, others.um, books)
            sources["bybit:spot"] = partial(bybit_messages.spot_source, others.bybit_spot, books)
            sources["bybit:linear"] = partial(bybit_messages.linear_source, others.linear, books)
        return SimulatedFeed(self.clock, sources)

    def _shutdown_message(self, market: str) -> bytes | None:
        if not market.startswith("binance:"):
            return None
        return b'{"e":"serverShutdown","E":%d}' % (self.clock() // 1000)

    def close(self) -> None:
        """Give back what the exchange holds."""
        self._archives.close()

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one request and write it down."""
        venue = next(venue for root, venue in self._venues.items() if http.path.startswith(root))
        is_known = http.method == "GET" and venue.knows(http.path)
        weight = venue.weigh(http.path, http.query) if is_known else 0
        now_us = self.clock()
        verdict = venue.admit(http.path, weight, now_us)
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
            response = self._refuse(venue, verdict, request)
        elif not is_known:
            response = web.Response(status=404, body=b"<html><body><h2>404 Not found</h2></body></html>")
            response.content_type = "text/html"
        else:
            response = await self._answer(http, venue, now_us, request)
        response.headers.update(venue.headers_of(request.used_weight))
        if request.retry_after is not None:
            response.headers["Retry-After"] = str(request.retry_after)
        request.status = response.status
        return response

    async def _answer(self, http: web.Request, venue: Venue, now_us: int, request: Request) -> web.Response:
        answer: _Content
        try:
            answer = await _ask(venue.prepare(http, now_us))
        except ExchangeError as exc:
            answer = exc
        fault = self.faults.take(http.path, lambda kind: _shows(kind, answer))
        if fault is None:
            return self._send(venue, answer, request)
        request.fault = fault.kind
        match fault.kind:
            case FaultKind.TIMEOUT:
                await _never()
            case FaultKind.RESET:
                _reset(http)
                await _never()
            case FaultKind.SLOW:
                await asyncio.sleep(fault.lasting_s)
                return self._send(venue, answer, request)
            case FaultKind.CUT_FILE:
                assert isinstance(answer, Download)
                return web.Response(body=_begun(http, answer.file), content_type="application/zip")
        return self._misbehave(fault, venue, answer, request)

    def _misbehave(self, fault: Fault, venue: Venue, answer: _Content, request: Request) -> web.Response:
        """The faults that are an answer: a wrong status, a wrong body, or wrong rows."""
        kind = fault.kind
        if kind is FaultKind.TOO_MANY_REQUESTS:
            verdict = Verdict(429, request.used_weight, math.ceil(fault.lasting_s), None)
            return self._refuse(venue, verdict, request)
        if kind is FaultKind.BAN:
            return self._refuse(venue, venue.ban(int(fault.lasting_s * SECOND_US), self.clock()), request)
        if kind in effects.SERVER_ERRORS:
            return self._send(venue, ExchangeError(*effects.SERVER_ERRORS[kind], status=int(kind)), request)
        if kind is FaultKind.HTML:
            return web.Response(body=effects.HTML, content_type="text/html", charset="utf-8")
        if kind in effects.PAGE_EFFECTS and isinstance(answer, Page):
            return self._send(venue, effects.PAGE_EFFECTS[kind](answer), request)
        if kind is FaultKind.MISSING_FILE:
            return self._send(venue, missing_file(), request)
        if kind is FaultKind.WRONG_CHECKSUM and isinstance(answer, Download):
            return _checksum(answer.file.content.name, answer.file.sha256[::-1])
        if kind is FaultKind.CORRUPT_ZIP and isinstance(answer, Download):
            return _download(answer, is_spoilt=True)
        assert not isinstance(answer, Download), kind
        return _json(effects.BODY_EFFECTS[kind](self._body(venue, answer)))

    def _send(self, venue: Venue, answer: _Content, request: Request) -> web.Response:
        if isinstance(answer, Download):
            if not answer.is_checksum:
                content = answer.file.content
                self.ledger.record_all(content.series, content.positions)
                request.rows = len(content.positions)
            return _download(answer)
        if isinstance(answer, Page):
            self.ledger.record(answer)
            request.rows = len(answer.rows)
        status = answer.status if isinstance(answer, ExchangeError) else 200
        return _json(self._body(venue, answer), status=status)

    def _refuse(self, venue: Venue, verdict: Verdict, request: Request) -> web.Response:
        error = venue.refusal_of(verdict)
        request.retry_after = verdict.retry_after_s
        return self._send(venue, error, request)

    def _body(self, venue: Venue, answer: bytes | Page | ExchangeError) -> bytes:
        if isinstance(answer, ExchangeError):
            return venue.body_of(answer, self.clock())
        return answer.body if isinstance(answer, Page) else answer


async def _ask(prepared: Answer) -> bytes | Page | Download:
    answer = prepared()
    if isinstance(answer, Awaitable):
        return await answer
    return await make_page(answer) if isinstance(answer, Selection) else answer


def _shows(kind: FaultKind, answer: _Content) -> bool:
    """Whether a fault can be seen on an answer."""
    if kind in LEAST_ROWS:
        return isinstance(answer, Page) and len(answer.rows) >= LEAST_ROWS[kind]
    if kind is FaultKind.WRONG_CHECKSUM:
        return isinstance(answer, Download) and answer.is_checksum
    if kind is FaultKind.CUT_FILE:
        return isinstance(answer, Download) and not answer.is_checksum
    if kind in (FaultKind.CORRUPT_ZIP, FaultKind.MISSING_FILE):
        return isinstance(answer, Download)
    return kind not in effects.BODY_EFFECTS or not isinstance(answer, Download)


def _download(download: Download, *, is_spoilt: bool = False) -> web.Response:
    file = download.file
    if download.is_checksum:
        return _checksum(file.content.name, file.spoilt_sha256 if is_spoilt else file.sha256)
    return web.Response(body=file.send(is_spoilt=is_spoilt), content_type="application/zip")


async def _begun(http: web.Request, file: PackedFile) -> AsyncIterator[bytes]:
    """The beginning of a file, and then a reset."""
    async for piece in file.send():
        yield piece[: len(piece) // 2]
        await asyncio.sleep(_ON_ITS_WAY_S)
        _reset(http)
        await _never()


def _checksum(name: str, sha256: str) -> web.Response:
    """E.g. `2e3d…9f  BTCUSDT-aggTrades-2024-08-01.zip`."""
    return web.Response(text=f"{sha256}  {name}.zip\n")


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
