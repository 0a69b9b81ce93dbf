"""What holds for every test of the workspace."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import pytest_asyncio
from blockbuster import blockbuster_ctx

# Started in the background of a script, this process ignores SIGINT, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("workspace", deadline=None)
hypothesis.settings.load_profile("workspace")

pytest_plugins = ["streamforge_local.testing"]
"""Only here does pytest let a plugin be named for all of them."""

_OURS = [
    "arango_connector",
    "arangolite",
    "dummy_service",
    "exchange_sim",
    "job_runner",
    "loader_producer",
    "loader_ws",
    "queue_manager",
    "streamforge_common",
]
_TEST_TOOLS = ["streamforge_common.testing"]
"""They read the log of a job where a test asks for it."""


@pytest.fixture(autouse=True)
def _no_blocking_call_on_an_event_loop() -> Iterator[None]:
    """Make a blocking call of our code on an event loop an error; python-arango and SQLite block."""
    with blockbuster_ctx(_OURS, excluded_modules=_TEST_TOOLS):
        yield


@pytest_asyncio.fixture(autouse=True)
async def _no_leftover_asyncio_tasks() -> AsyncIterator[None]:
    """Every task is owned: a test that leaves one running has found one that is not."""
    before = asyncio.all_tasks()
    yield
    leftover = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not leftover, f"left running: {leftover}"
