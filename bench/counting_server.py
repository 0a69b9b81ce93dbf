"""A server that takes imports, counts their lines and answers as ArangoDB does; prints its URL once it serves.

It is the ceiling of a connector: the whole way there and back, and no database behind it.
"""

import asyncio

from aiohttp import web

from streamforge_local.ports import LOOPBACK


async def _count(request: web.Request) -> web.Response:
    body = await request.read()
    created = body.count(b"\n") + 1
    return web.json_response(
        {"error": False, "created": created, "errors": 0, "empty": 0, "updated": 0, "ignored": 0, "details": []},
        status=201,
    )


async def _serve() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", _count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
