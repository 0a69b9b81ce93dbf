"""Serving a REST API: uvicorn, ended the way every process of StreamForge ends.

Only services with an API of their own import this; they ask for `streamforge-common[api]`.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

_IDLE_CONNECTION_S = 75
"""Longer than clients keep a connection that rests (httpx 5 s): whoever closes first must not be the server, or the
request that is just being sent is lost. uvicorn's own 5 s lost one in some hundred trials."""
_LAST_ANSWERS_WITHIN_S = 2
"""A client that does not read its answer cannot hold up the end for longer."""


async def serve_api(app: FastAPI, host: str, port: int, *, on_stop: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, and return when open requests are answered.

    Args:
        app: The API.
        host: Address to listen on.
        port: Port to listen on.
        on_stop: Called at the signal; ends answers that would go on for ever.
    """
    config = uvicorn.Config(
        app,
        host,
        port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_WITHIN_S,
    )
    await _Server(config, on_stop).serve()


class _Server(uvicorn.Server):
    """Ends on a signal without raising it again behind itself, so that what comes after can end too."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.handle_exit, signum, None)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._on_stop is not None:
            self._on_stop()
