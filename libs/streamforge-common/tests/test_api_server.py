"""How a REST API is served."""

import asyncio
import os
import signal

import httpx
from fastapi import FastAPI

from streamforge_common.api_server import serve_api
from streamforge_local.ports import LOOPBACK, PortClaims

_RESTS_S = 5.5
"""Longer than httpx keeps a connection that rests, and longer than uvicorn does by itself."""


async def test_a_connection_that_rests_is_closed_by_its_client_first():
    app = FastAPI()
    app.get("/")(lambda: "here")
    with PortClaims() as claims:
        port = claims.claim()
        async with asyncio.TaskGroup() as group:
            group.create_task(serve_api(app, LOOPBACK, port))
            async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as client:
                for _ in range(100):
                    try:
                        assert (await client.get("/")).json() == "here"
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.readline()
            await asyncio.sleep(_RESTS_S)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b'"here"')
            writer.close()
            os.kill(os.getpid(), signal.SIGTERM)
