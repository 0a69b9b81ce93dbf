"""What a container's health check runs, as the process that it is."""

import asyncio
import os
import sys

import pytest
from aiohttp import web


async def check(**environment):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamforge_common.health_check",
        env={"PATH": os.defpath, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    return process.returncode, (stdout + stderr).decode()


@pytest.fixture
async def service():
    health = {"status": 200}

    async def show(_):
        return web.json_response(health, status=health["status"])

    app = web.Application()
    app.add_routes([web.get("/health", show)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield str(runner.addresses[0][1]), health
    await runner.cleanup()


async def test_it_says_what_the_service_beside_it_says(service):
    port, health = service
    assert await check(METRICS_PORT=port) == (0, '{"status": 200}\n')
    health["status"] = 503
    assert await check(METRICS_PORT="1", API_PORT=port) == (1, '{"status": 503}\n')


async def test_a_service_that_does_not_answer_is_not_healthy():
    code, said = await check(METRICS_PORT="1")
    assert code == 1
    assert said.startswith("no answer: ConnectionRefusedError")
