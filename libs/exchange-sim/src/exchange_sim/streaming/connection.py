"""One client's connection: what it has subscribed to, and what is on its way to it."""

import asyncio
from time import monotonic
from typing import Final

from aiohttp import web

from exchange_sim.ledger import Ledger
from exchange_sim.pages import Page
from exchange_sim.streaming.feed import Push

_BACKLOG: Final = 10_000
"""Messages. Who is behind by so many is cut off, as a real exchange does with slow readers."""


class Connection:
    """A connection that was upgraded to WebSocket."""

    def __init__(self, http: web.Request, socket: web.WebSocketResponse, ledger: Ledger, *, is_combined: bool) -> None:
        """Take over a connection.

        Args:
            http: The request that opened it.
            socket: Its other form.
            ledger: Counts what was sent.
            is_combined: Whether messages are wrapped together with their stream's name.
        """
        self.streams: dict[str, None] = {}
        """What it has subscribed to, in order."""
        self.is_combined = is_combined
        self._http = http
        self._socket = socket
        self._ledger = ledger
        self._backlog: asyncio.Queue[tuple[bytes, Page | None]] = asyncio.Queue(_BACKLOG)
        self._silent_until_s = 0.0
        self._has_ended = False

    def stall(self, seconds: float) -> None:
        """Send no messages for a while; the connection stays open and answers pings, as a dead subscription does."""
        self._silent_until_s = monotonic() + seconds

    async def put(self, push: Push, *, waits: bool, is_truncated: bool = False) -> None:
        """Bring a message on its way, whole or its first half."""
        if self._has_ended or monotonic() < self._silent_until_s:
            return
        frame = self._frame(push)
        item = (frame[: len(frame) // 2] if is_truncated else frame, push.page)
        if waits:
            await self._backlog.put(item)
        elif self._backlog.full():
            self.cut()
        else:
            self._backlog.put_nowait(item)

    async def answer(self, text: bytes) -> None:
        """Send what belongs to no stream, at once."""
        await self._socket.send_str(text.decode())

    async def send_all(self) -> None:
        """Send what is on its way, for ever; an item counts as served once it is out."""
        while True:
            frame, page = await self._backlog.get()
            await self._socket.send_str(frame.decode())
            if page is not None:
                self._ledger.record(page)

    def cut(self) -> None:
        """End the connection without a word, as a broken network does."""
        if self._http.transport is not None:
            self._http.transport.abort()

    def end(self) -> None:
        """Forget what is on its way: nobody reads it any more, and whoever waits for room must not wait for ever."""
        self._has_ended = True
        while not self._backlog.empty():
            self._backlog.get_nowait()

    def _frame(self, push: Push) -> bytes:
        if not self.is_combined:
            return push.message
        return b'{"stream":"%b","data":%b}' % (push.topic.stream.encode(), push.message)
