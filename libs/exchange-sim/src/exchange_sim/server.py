"""The exchange on a port, from start to signal."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from exchange_sim.control import Control
from exchange_sim.exchange import Exchange

_FAREWELL_S: Final = 0.25
"""How long answers under way may take when the server ends; one that never comes must not hold it up."""


@asynccontextmanager
async def serving(exchange: Exchange, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the context lasts; yields the URL, with the port that was chosen if 0 was asked for."""
    app = web.Application()
    app.add_routes(Control(exchange).routes())
    app.add_routes(exchange.stream_routes)
    for root in exchange.roots:
        app.router.add_route("*", root + "{path:.*}", exchange.handle)
    # A client that gave up is not worth the work; a fault that never answers ends only this way.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_FAREWELL_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        chosen_port = runner.addresses[0][1]
        async with asyncio.TaskGroup() as group:
            streaming = group.create_task(exchange.hub.run())
            yield f"http://{f'[{host}]' if ':' in host else host}:{chosen_port}"
            streaming.cancel()
    finally:
        await runner.cleanup()
        exchange.close()


async def wait_for_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    await stopped.wait()
