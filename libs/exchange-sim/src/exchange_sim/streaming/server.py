"""A connection from its request to its end, whichever exchange's protocol is spoken on it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from aiohttp import WSMsgType, web

from exchange_sim.clock import Clock
from exchange_sim.journal import Journal, Request
from exchange_sim.ledger import Ledger
from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Topic
from exchange_sim.streaming.hub import Hub

_PING_EVERY_S: Final = 20.0
_LONGEST_MESSAGE: Final = 64 * 1024
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    most: int
    window_s: float


class StreamRefusedError(Exception):
    """What a client asks for is refused, in the exchange's words."""

    def __init__(self, msg: str, code: int = 0) -> None:
        super().__init__(msg)
        self.msg = msg
        self.code = code


class Dialect(Protocol):
    """What an exchange's protocol decides."""

    @property
    def market(self) -> str:
        """Whose streams are sent."""
        ...

    def subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        """Subscribe to streams. Raises StreamRefusedError."""
        ...

    def answer(self, connection: Connection, text: str | bytes) -> bytes:
        """Do what a client's message asks for, and answer it."""
        ...


class StreamServer:
    """The connections of one market."""

    def __init__(
        self,
        hub: Hub,
        journal: Journal,
        ledger: Ledger,
        clock: Clock,
        *,
        connects: Rate,
        messages: Rate | None,
        longest_s: float,
    ) -> None:
        """Connect nobody yet.

        Args:
            hub: Who sends messages.
            journal: Where connections are written down.
            ledger: Where what was sent is counted.
            clock: What time it is.
            connects: How often clients may connect.
            messages: How often one may send a message; None where nothing limits it.
            longest_s: After which a connection is cut, seconds.
        """
        self.hub = hub
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._connects = _Pace(connects)
        self._messages = messages
        self._longest_s = longest_s

    async def handle(
        self, http: web.Request, dialect: Dialect, streams: Sequence[str], *, is_combined: bool
    ) -> web.StreamResponse:
        """Serve one connection to its end; `streams` are those that its address asks for."""
        request = Request(
            seq=self._journal.next_seq(),
            at=self._clock() // 1000,
            method="GET",
            path=http.path,
            query=http.query_string,
        )
        self._journal.add(request)
        if not self._connects.allows():
            request.status = 429
            return web.Response(status=429)
        socket = web.WebSocketResponse(heartbeat=_PING_EVERY_S, max_msg_size=_LONGEST_MESSAGE)
        await socket.prepare(http)
        request.status = 101
        connection = Connection(http, socket, self._ledger, is_combined=is_combined)
        try:
            dialect.subscribe(connection, streams)
            await self._serve(connection, socket, dialect)
        except StreamRefusedError as exc:
            await socket.close(code=1008, message=exc.msg.encode())
        finally:
            connection.end()
            for stream in list(connection.streams):
                self.hub.unsubscribe(connection, Topic(dialect.market, stream))
        return socket

    async def _serve(self, connection: Connection, socket: web.WebSocketResponse, dialect: Dialect) -> None:
        """Send and answer until the client leaves or its time is over."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send_all(connection))
            try:
                async with asyncio.timeout(self._longest_s):
                    await self._listen(connection, socket, dialect)
            except TimeoutError:
                await socket.close(code=1001, message=b"the longest time of a connection is over")
            sending.cancel()

    async def _listen(self, connection: Connection, socket: web.WebSocketResponse, dialect: Dialect) -> None:
        pace = None if self._messages is None else _Pace(self._messages)
        async for message in socket:
            if pace is not None and not pace.allows():
                await socket.close(code=1008, message=b"Too many requests")
                return
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await connection.answer(dialect.answer(connection, message.data))


class _Pace:
    """Says whether something happens too often."""

    def __init__(self, rate: Rate) -> None:
        self._window_s = rate.window_s
        self._times: deque[float] = deque(maxlen=rate.most)

    def allows(self) -> bool:
        """Count one more."""
        now_s = monotonic()
        is_full = len(self._times) == self._times.maxlen
        is_too_fast = is_full and now_s - self._times[0] < self._window_s
        self._times.append(now_s)
        return not is_too_fast


async def _send_all(connection: Connection) -> None:
    try:
        await connection.send_all()
    except ConnectionError:
        # The client has left; whoever listens to it is told too.
        return
