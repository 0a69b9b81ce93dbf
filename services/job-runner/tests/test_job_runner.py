import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from job_runner.adapters.neighbours import Neighbours
from streamforge_local.ports import LOOPBACK, PortClaims

TOKEN = "t" * 32
PASSWORD = "the database's"
WITHIN = aiohttp.ClientTimeout(total=30)


class Runner:
    """The program as a container runs it; neither broker nor database is there, so its jobs wait for them."""

    def __init__(self, folder: Path, ports: PortClaims) -> None:
        self.port, nobody = ports.claim(), ports.claim()
        self.environment = {
            **os.environ,  # noqa: TID251  # of a child
            "API_PORT": str(self.port),
            "JOB_RUNNER_TOKEN": TOKEN,
            "JOB_RUNNER_FOLDER": str(folder),
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{nobody}",
            "ARANGO_URL": f"http://{LOOPBACK}:{nobody}",
            "ARANGO_PASSWORD": PASSWORD,
            "BINANCE_SPOT_REST_URL": "http://exchange.example",
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[aiohttp.ClientSession]:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "job_runner", env=self.environment)
        try:
            async with aiohttp.ClientSession(f"http://{LOOPBACK}:{self.port}", timeout=WITHIN) as http:
                while not await self.is_healthy(http):
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
                http.headers["Authorization"] = f"Bearer {TOKEN}"
                yield http
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def is_healthy(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get("/health") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


@pytest.fixture
def runner(tmp_path):
    with PortClaims() as ports:
        yield Runner(tmp_path, ports)


async def start(http, target):
    wish = {"queue_id": "wf-a", "target": target, "telemetry_id": f"{target}__a", "attempt": 1, "commands_since": 0}
    async with http.put(f"/jobs/{target}-a-1", json=wish) as answer:
        assert answer.status == 201, await answer.text()
    return await until_it_runs(http, f"{target}-a-1")


async def until_it_runs(http, name):
    while True:
        async with http.get(f"/jobs/{name}") as answer:
            if pid := (await answer.json())["pid"]:
                return pid
        await asyncio.sleep(0.05)


def process_of(pid):
    return Path(f"/proc/{pid}")


def is_there(pid):
    return process_of(pid).exists()


def environment_of(pid):
    entries = (process_of(pid) / "environ").read_text().split("\0")
    return dict(entry.partition("=")[::2] for entry in entries if entry)


async def test_a_job_is_told_what_its_target_needs_and_no_secret_beyond_it(runner):
    async with runner.running() as http:
        loader = environment_of(await start(http, "loader-producer"))
        connector = environment_of(await start(http, "arango-connector"))

    assert loader["KAFKA_BOOTSTRAP_SERVERS"] == runner.environment["KAFKA_BOOTSTRAP_SERVERS"]
    assert loader["BINANCE_SPOT_REST_URL"] == "http://exchange.example"
    assert loader["TELEMETRY_ID"] == "loader-producer__a"
    assert not any(name.startswith("ARANGO_") for name in loader)
    assert connector["ARANGO_PASSWORD"] == PASSWORD
    assert "BINANCE_SPOT_REST_URL" not in connector
    assert TOKEN not in {*loader.values(), *connector.values()}


async def test_what_was_not_finished_goes_on_after_a_restart(runner):
    async with runner.running() as http:
        first = await start(http, "loader-ws")
    assert not is_there(first)

    async with runner.running() as http:
        assert await until_it_runs(http, "loader-ws-a-1") != first


async def test_nobody_starts_a_job_without_the_token(runner):
    async with runner.running() as http, http.get("/jobs", headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401


async def test_one_broker_and_the_database_have_to_be_there():
    with PortClaims() as ports, socket.create_server((LOOPBACK, 0)) as server:
        here, away = f"{LOOPBACK}:{server.getsockname()[1]}", f"{LOOPBACK}:{ports.claim()}"

        assert await Neighbours(f"{away}, {here}", f"http://{here}").are_there()
        assert not await Neighbours(away, f"http://{here}").are_there()
        assert not await Neighbours(here, f"http://{away}").are_there()
