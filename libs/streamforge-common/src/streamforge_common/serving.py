"""`/health` and `/metrics` of a process that serves nothing else."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from streamforge_common import telemetry
from streamforge_common.outages import Neighbour, health_of


@asynccontextmanager
async def probes_served(port: int, neighbours: Sequence[Neighbour]) -> AsyncIterator[int]:
    """Serve `/health` (200, or 503 with the reason per component) and `/metrics`; yields the port, a free one for 0."""

    async def health(_: web.Request) -> web.Response:
        healthy, body = health_of(neighbours)
        return web.json_response(body, status=200 if healthy else 503)

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": telemetry.METRICS_CONTENT_TYPE}
        return web.Response(body=telemetry.metrics_page(), headers=headers)

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        # A job is asked by Prometheus and the kubelet from outside its pod; it answers nothing that is secret.
        site = web.TCPSite(runner, "0.0.0.0", port)  # noqa: S104
        await site.start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
