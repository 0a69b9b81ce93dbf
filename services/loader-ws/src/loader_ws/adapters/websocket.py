"""Listening to an exchange over WebSocket.

Whether to connect anew is not decided here: whatever ends a connection is one failure, told to whoever listens. Frames
are bounded in size, and in number where nobody takes them: then the connection is not read any more.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from loader_ws.app.dataset import Dataset
from streamforge_common.errors import FatalError, TransientError

_CONNECT_WITHIN_S = 10
_PING_EVERY_S = 20
"""As the exchanges ping themselves. A connection that does not answer for as long is dead."""
_CLOSE_WITHIN_S = 2
"""Short: a loader that ends has published what it has, and the exchange needs no farewell."""
_FRAME_BYTES_MAX = 4 * 1024 * 1024
_FRAMES_WAITING_MAX = 256
_LATER_STATUSES = frozenset({403, 408, 418, 429})
"""Of refused connections: limits and firewalls, which let one in again. Other 4xx will not change."""


class StreamConnection:
    """One connection that has asked for a dataset's stream."""

    def __init__(self, dataset: Dataset, socket: ClientConnection) -> None:
        self._market = dataset.market
        self._socket = socket
        self._pinged_s = monotonic()

    async def ask(self, *datasets: Dataset) -> None:
        """Ask for streams. Raises TransientError."""
        await self._send(self._market.subscribe([dataset.stream_name for dataset in datasets]))

    async def ask_anew(self, dataset: Dataset) -> None:
        """Ask for the stream once more, as if it had not been asked for. Raises TransientError."""
        await self._send(self._market.unsubscribe(dataset.stream_name))
        await self.ask(dataset)

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        """Return the next frame and when it came, Unix milliseconds.

        Raises:
            TransientError: The connection is lost, or silent for longer than `within_s`.
        """
        until_s = None if within_s is None else monotonic() + within_s
        while True:
            wait_s = self._until_ping_s()
            if until_s is not None:
                left_s = until_s - monotonic()
                wait_s = left_s if wait_s is None else min(left_s, wait_s)
            try:
                async with asyncio.timeout(wait_s):
                    frame = await self._socket.recv(decode=False)
                return bytes(frame), int(time() * 1000)
            except TimeoutError:
                if until_s is not None and monotonic() >= until_s:
                    raise TransientError(f"{self._market.exchange} sent nothing for {within_s:.0f} s") from None
            except ConnectionClosed as exc:
                raise TransientError(f"{self._market.exchange} ended the connection: {exc}") from exc
            await self._ping()

    def _until_ping_s(self) -> float | None:
        if self._market.ping is None:
            return None
        return max(0.0, self._pinged_s + self._market.ping_every_s - monotonic())

    async def _ping(self) -> None:
        if self._market.ping is not None and self._until_ping_s() == 0:
            self._pinged_s = monotonic()
            await self._send(self._market.ping)

    async def _send(self, frame: bytes) -> None:
        try:
            await self._socket.send(frame, text=True)
        except ConnectionClosed as exc:
            raise TransientError(f"{self._market.exchange} ended the connection: {exc}") from exc


class StreamClient:
    """One market's streams."""

    def __init__(self, base_url: str) -> None:
        """Prepare a client.

        Args:
            base_url: Scheme (`ws` or `wss`), host and port.
        """
        self._base_url = base_url.rstrip("/")

    @asynccontextmanager
    async def connect(self, dataset: Dataset) -> AsyncIterator[StreamConnection]:
        """Connect and ask for the dataset's stream; fails as `open` does."""
        async with self.open(dataset) as connection:
            await connection.ask(dataset)
            yield connection

    @asynccontextmanager
    async def open(self, dataset: Dataset) -> AsyncIterator[StreamConnection]:
        """Connect where the dataset's stream is to be had.

        Raises:
            TransientError: The exchange is away, or wants to be left alone.
            FatalError: It refuses such connections (`exchange_refused`), or its address is none (`bad_address`).
        """
        url = self._base_url + dataset.stream.path
        exchange = dataset.market.exchange
        try:
            socket = await connect(
                url,
                open_timeout=_CONNECT_WITHIN_S,
                ping_interval=_PING_EVERY_S,
                ping_timeout=_PING_EVERY_S,
                close_timeout=_CLOSE_WITHIN_S,
                max_size=_FRAME_BYTES_MAX,
                max_queue=_FRAMES_WAITING_MAX,
            )
        except InvalidURI as exc:
            raise FatalError(f"cannot listen at {url!r}: expected ws:// or wss://", code="bad_address") from exc
        except InvalidStatus as exc:
            status = exc.response.status_code
            message = f"{exchange} answered {dataset.stream.path} with status {status}"
            if 400 <= status < 500 and status not in _LATER_STATUSES:
                raise FatalError(message, code="exchange_refused") from exc
            raise TransientError(message) from exc
        except (OSError, TimeoutError, InvalidHandshake) as exc:
            raise TransientError(f"{exchange} cannot be reached: {str(exc) or repr(exc)}") from exc
        async with socket:
            yield StreamConnection(dataset, socket)
