"""Pytest fixtures for tests that need real parts; load them with `pytest_plugins = ["streamforge_local.testing"]`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker for the whole session: use topics and groups of your own, and leave it running.

    It starts at first use, in about 2 s. Its address is `kafka_broker.bootstrap_servers`. A test that wants to stop or
    kill a broker makes its own: `Broker(tmp_path, install(Settings.from_environment()))`.
    """
    with Broker(tmp_path_factory.mktemp("kafka"), install(Settings.from_environment())) as broker:
        yield broker


@asynccontextmanager
async def exchange_served(*options: str) -> AsyncIterator[str]:
    """Serve exchange-sim as a process of its own, with options of its command line; yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange_sim", "serve", "--port", "0", *options), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()
