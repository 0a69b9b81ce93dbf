"""The tool's own pages below `/_sim/`: what can be asked for, what was asked, and what was served."""

import asyncio
from collections.abc import Iterable

import msgspec
from aiohttp import web

from exchange_sim.exchange import Exchange
from exchange_sim.faults.plan import Fault, FaultKind
from exchange_sim.ledger import ServedItem
from exchange_sim.market import Series

_CHUNK_BYTES = 256 * 1024


class Control:
    """Looks at the exchange from behind; nothing here counts as a request to it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/_sim/markets", self._markets),
            web.get("/_sim/requests", self._requests),
            web.get("/_sim/served", self._served),
            web.get("/_sim/book", self._book),
            web.get("/_sim/faults", self._faults),
            web.put("/_sim/faults", self._plan_faults),
            web.delete("/_sim/faults", self._clear_faults),
        ]

    async def _markets(self, http: web.Request) -> web.StreamResponse:
        exchange, now_us = self._exchange, self._exchange.clock()
        asked = http.query.get("symbol")
        lines = (
            _market_line(exchange.market.mode, series, now_us)
            for market in exchange.markets
            for symbol in (filter(None, [market.symbol(asked)]) if asked else market.symbols())
            for series in market.series(symbol)
        )
        return await _json_lines(http, lines)

    async def _requests(self, http: web.Request) -> web.StreamResponse:
        return await _json_lines(http, (msgspec.json.encode(request) for request in self._exchange.journal))

    async def _served(self, http: web.Request) -> web.StreamResponse:
        query = http.query
        symbol, kind = query.get("symbol") or None, query.get("kind") or None
        market = query.get("market") or None
        items = self._exchange.ledger.items(symbol, kind, self._exchange.clock(), market)
        return await _json_lines(http, map(_served_line, items))

    async def _book(self, http: web.Request) -> web.StreamResponse:
        query = http.query
        update_id = query.get("update_id", "")
        if not update_id.isdecimal():
            raise web.HTTPBadRequest(text="expected market, symbol and update_id\n")
        book = self._exchange.books.book_at(query.get("market", ""), query.get("symbol", ""), int(update_id))
        if book is None:
            raise web.HTTPNotFound(text="there is no book of that update\n")
        return web.Response(body=msgspec.json.encode(book), content_type="application/json", charset="utf-8")

    async def _faults(self, http: web.Request) -> web.StreamResponse:
        lines = [
            {**msgspec.to_builtins(planned.fault), "seen": planned.seen, "fired": planned.fired}
            | {"remaining": planned.fault.count - planned.fired}
            for planned in self._exchange.faults.planned
        ]
        return web.Response(body=msgspec.json.encode(lines), content_type="application/json", charset="utf-8")

    async def _plan_faults(self, http: web.Request) -> web.StreamResponse:
        try:
            faults = msgspec.json.decode(await http.read(), type=list[Fault])
        except msgspec.DecodeError as exc:
            raise web.HTTPBadRequest(
                text=f'{exc}; expected [{{"path","kind","count","after","seconds"}}], '
                f"kind one of {', '.join(FaultKind)}\n"
            ) from exc
        self._exchange.faults.replace(faults)
        return await self._faults(http)

    async def _clear_faults(self, http: web.Request) -> web.StreamResponse:
        self._exchange.faults.replace([])
        return web.Response(status=204)


def _market_line(mode: str, series: Series, now_us: int) -> bytes:
    first, end = series.first, series.end(now_us)
    return msgspec.json.encode(
        {
            "mode": mode,
            "market": series.market,
            "symbol": series.symbol,
            "kind": series.kind,
            "first": series.time_us(first) // 1000,
            "last": series.time_us(end - 1) // 1000,
            "items": end - first,
        }
    )


def _served_line(served: ServedItem) -> bytes:
    """E.g. `{"market":"binance:spot","symbol":"BTCUSDT","kind":"candles_5m","times":1,"open":false,"item":[…]}`."""
    return b'{"market":%b,"symbol":%b,"kind":%b,"times":%d,"open":%b,"item":%b}' % (
        msgspec.json.encode(served.market),
        msgspec.json.encode(served.symbol),
        msgspec.json.encode(served.kind),
        served.times,
        b"true" if served.is_open else b"false",
        served.row,
    )


async def _json_lines(http: web.Request, lines: Iterable[bytes]) -> web.StreamResponse:
    """Send lines as they are made: there may be millions of them."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson; charset=utf-8"})
    await response.prepare(http)
    chunk = bytearray()
    for line in lines:
        chunk += line + b"\n"
        if len(chunk) >= _CHUNK_BYTES:
            await response.write(bytes(chunk))
            chunk.clear()
            # Writing waits only for a slow reader; the exchange goes on in between.
            await asyncio.sleep(0)
    await response.write(bytes(chunk))
    await response.write_eof()
    return response
