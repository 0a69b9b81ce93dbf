"""The service as a process: its API beside a real broker, and its job."""

import asyncio
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.kafka.topics import PROBE_TOPIC, Topics
from streamforge_common.settings import KafkaSettings
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker


@asynccontextmanager
async def serving(bootstrap_servers: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    environment = {"PATH": os.defpath, "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "API_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dummy_service", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while True:
            line = (await process.stderr.readline()).decode()
            if found := re.search(r"running on (http://[\d.:]+)", line):
                break
        yield found[1], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.content_type, await response.text()


@pytest.fixture
async def probe_topic(kafka_broker: Broker) -> AsyncIterator[Topics]:
    """The topic that queue-manager makes, gone again afterwards."""
    async with Topics(KafkaSettings(kafka_bootstrap_servers=kafka_broker.bootstrap_servers)) as topics:
        await topics.ensure(PROBE_TOPIC, 1, {})
        yield topics
        await topics.delete(PROBE_TOPIC)


@pytest.mark.usefixtures("probe_topic")
async def test_a_ping_goes_through_the_broker_and_sigterm_ends_the_service_well(kafka_broker: Broker) -> None:
    async with serving(kafka_broker.bootstrap_servers) as (url, process):
        for _ in range(2):
            status, _, body = await get(f"{url}/ping")
            assert status == 200, body
            assert re.fullmatch(r'\{"kafka_round_trip_ms":[\d.]+\}', body)
        status, _, metrics = await get(f"{url}/metrics")
        assert "streamforge_records_total" in metrics
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_ping_says_that_its_topic_is_missing_and_does_not_make_it(
    kafka_broker: Broker, probe_topic: Topics
) -> None:
    await probe_topic.delete(PROBE_TOPIC)
    async with serving(kafka_broker.bootstrap_servers) as (url, _):
        status, content_type, body = await get(f"{url}/ping")
        assert (status, content_type) == (503, "application/problem+json")
        assert "no topic 'dummy-ping'; only queue-manager makes topics" in body
        assert not await probe_topic.exists(PROBE_TOPIC)


async def test_without_a_broker_the_ping_and_the_health_say_so() -> None:
    async with serving("127.0.0.1:1") as (url, _):
        status, content_type, body = await get(f"{url}/ping")
        assert (status, content_type) == (503, "application/problem+json")
        assert "Kafka" in body
        status, _, body = await get(f"{url}/health")
        assert status == 503
        assert "kafka" in body


@pytest.mark.parametrize("wish", [None, CommandKind.STOP])
async def test_the_job_counts_unless_it_is_stopped(
    kafka_broker: Broker, tmp_path: Path, wish: CommandKind | None
) -> None:
    driver = TaskDriver(kafka_broker.bootstrap_servers, "dummy-service", secrets.token_hex(3))
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    if wish is not None:
        await driver.tell(wish)

    async with driver.job(tmp_path / "dummy.log") as job:
        assert await job.exit_code() == 0, job.log()

    statuses = [event.status for event in await driver.events()]
    if wish is None:
        assert (statuses[0], statuses[-1]) == (TaskStatus.STARTING, TaskStatus.COMPLETED)
        assert set(statuses[1:-1]) == {TaskStatus.LOADING}
    else:
        assert statuses == [TaskStatus.STARTING, TaskStatus.STOPPED]
