"""Binance's WebSocket protocol: raw and combined streams, subscriptions, and who is sent away.

Source: https://github.com/binance/binance-spot-api-docs, web-socket-streams.md (2026-07). The wording of refusals is
that of its table of errors; how many too many messages it takes to be cut off is not published.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from exchange_sim.clock import Clock
from exchange_sim.journal import Journal, Request
from exchange_sim.ledger import Ledger
from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Topic
from exchange_sim.streaming.hub import Hub

_PING_EVERY_S: Final = 20.0
_MOST_STREAMS: Final = 1_024
_MESSAGES: Final = (5, 1.0)
"""That a client may send, and in how many seconds."""
_CONNECTS: Final = (300, 300.0)
"""The same of connections."""
_LONGEST_MESSAGE: Final = 64 * 1024
DAY_S: Final = 86_400.0


class _Ask(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


_ask_decoder = msgspec.json.Decoder(_Ask)


class _Pace:
    """Says whether something happens too often."""

    def __init__(self, most: int, window_s: float) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=most)

    def allows(self) -> bool:
        """Count one more."""
        now_s = monotonic()
        is_full = len(self._times) == self._times.maxlen
        is_too_fast = is_full and now_s - self._times[0] < self._window_s
        self._times.append(now_s)
        return not is_too_fast


@dataclass(frozen=True, slots=True)
class _RefusedError(Exception):
    """A request that is answered with an error."""

    code: int
    msg: str


class BinanceStreams:
    """The streams of one market, below one or more roots."""

    def __init__(
        self, market: str, hub: Hub, journal: Journal, ledger: Ledger, clock: Clock, *, longest_s: float = DAY_S
    ) -> None:
        """Connect nobody yet.

        Args:
            market: Whose streams they are.
            hub: Who sends messages.
            journal: Where connections are written down.
            ledger: Where what was sent is counted.
            clock: What time it is.
            longest_s: After which a connection is cut, seconds.
        """
        self._market = market
        self._hub = hub
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._longest_s = longest_s
        self._connects = _Pace(*_CONNECTS)

    def routes(self, roots: Sequence[str]) -> list[web.RouteDef]:
        """The paths: `/ws` and `/ws/<stream>/…` for raw messages, `/stream?streams=…` for combined ones."""
        return [
            web.get(f"{root}{path}", self._handle) for root in roots for path in ("/ws", "/ws/{streams:.+}", "/stream")
        ]

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        now_ms = self._clock() // 1000
        request = Request(
            seq=self._journal.next_seq(), at=now_ms, method="GET", path=http.path, query=http.query_string
        )
        self._journal.add(request)
        if not self._connects.allows():
            request.status = 429
            return web.Response(status=429)
        is_combined = http.path.endswith("/stream")
        names = http.query.get("streams", "") if is_combined else http.match_info.get("streams", "")
        socket = web.WebSocketResponse(heartbeat=_PING_EVERY_S, max_msg_size=_LONGEST_MESSAGE)
        await socket.prepare(http)
        request.status = 101
        connection = Connection(http, socket, self._ledger, is_combined=is_combined)
        try:
            self._subscribe(connection, [name for name in names.split("/") if name])
            await self._serve(connection, socket)
        except _RefusedError as exc:
            await socket.close(code=1008, message=exc.msg.encode())
        finally:
            for stream in list(connection.streams):
                self._hub.unsubscribe(connection, Topic(self._market, stream))
        return socket

    async def _serve(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        """Send and answer until the client leaves or its time is over."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send_all(connection))
            try:
                async with asyncio.timeout(self._longest_s):
                    await self._listen(connection, socket)
            except TimeoutError:
                await socket.close(code=1001, message=b"the longest time of a connection is over")
            sending.cancel()

    async def _listen(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        pace = _Pace(*_MESSAGES)
        async for message in socket:
            if not pace.allows():
                await socket.close(code=1008, message=b"Too many requests")
                return
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await connection.answer(msgspec.json.encode(self._answer(connection, message.data)))

    def _answer(self, connection: Connection, text: str | bytes) -> dict[str, Any]:
        ask_id: int | str | None = None
        try:
            try:
                ask = _ask_decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise _RefusedError(3, f"Invalid JSON: {exc}") from exc
            ask_id = ask.id
            return {"result": self._do(connection, ask), "id": ask_id}
        except _RefusedError as exc:
            return {"error": {"code": exc.code, "msg": exc.msg}, "id": ask_id}

    def _do(self, connection: Connection, ask: _Ask) -> list[str] | None:
        match ask.method:
            case "SUBSCRIBE":
                self._subscribe(connection, ask.params)
            case "UNSUBSCRIBE":
                for stream in ask.params:
                    self._hub.unsubscribe(connection, Topic(self._market, stream))
            case "LIST_SUBSCRIPTIONS":
                return list(connection.streams)
            case _:
                raise _RefusedError(2, f"Invalid request: unknown variant `{ask.method}`")
        return None

    def _subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        if len(connection.streams.keys() | set(streams)) > _MOST_STREAMS:
            raise _RefusedError(2, f"Invalid request: more than {_MOST_STREAMS} streams on one connection")
        for stream in streams:
            self._hub.subscribe(connection, Topic(self._market, stream))


async def _send_all(connection: Connection) -> None:
    try:
        await connection.send_all()
    except ConnectionError:
        # The client has left; whoever listens to it is told too.
        return
