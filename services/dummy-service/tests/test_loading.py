"""The load with a topic of our own, and as a process beside a real broker."""

import asyncio
import itertools
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dummy_service.app.figures import Latencies
from dummy_service.app.loading import Load, LoadPlan
from streamforge_common.errors import TransientError
from streamforge_common.ids import new_suffix
from streamforge_common.kafka.topics import PROBE_TOPIC, Topics
from streamforge_common.settings import KafkaSettings
from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings

SECOND_NS = 1_000_000_000


class SlowTopic:
    """Acknowledges nothing until it is told to."""

    def __init__(self) -> None:
        self.held: list[Sequence[tuple[bytes, bytes]]] = []
        self.is_open = asyncio.Event()

    async def publish(self, records: Sequence[tuple[bytes, bytes]], headers: Sequence[tuple[str, bytes]]) -> None:
        self.held.append(records)
        await self.is_open.wait()


class FailingTopic:
    """Loses what comes third."""

    def __init__(self) -> None:
        self.calls = 0

    async def publish(self, records: Sequence[tuple[bytes, bytes]], headers: Sequence[tuple[str, bytes]]) -> None:
        self.calls += 1
        if self.calls == 3:
            raise TransientError("lost")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_broker_that_does_not_answer_holds_the_load_back_and_all_that_is_late_is_told() -> None:
    now_ns = 0
    topic = SlowTopic()
    load = Load(LoadPlan("t", rate=100_000, size=1_000, seconds=1), topic, lambda: now_ns, patience_s=60)
    now_ns = SECOND_NS // 2
    async with asyncio.TaskGroup() as group:
        running = group.create_task(load.run())
        await settle()
        held = sum(map(len, topic.held))
        assert held == load.under_way < 1_000
        now_ns = SECOND_NS
        await settle()
        assert sum(map(len, topic.held)) == held
        topic.is_open.set()
    report = running.result()

    assert (report.wanted, report.sent, report.acknowledged) == (100_000, sum(map(len, topic.held)), report.sent)
    assert report.sent < 3_000
    assert report.behind_max_ms > 900
    assert report.latency_max_ms == 500
    assert report.records_per_second == report.sent


async def test_a_failure_ends_the_load_and_is_told() -> None:
    clock_ns = itertools.count(step=SECOND_NS // 1_000)
    report = await Load(LoadPlan("t", 1_000, 10, 60), FailingTopic(), lambda: next(clock_ns), patience_s=60).run()

    assert report.sent < report.wanted
    assert report.unacknowledged == sum(report.errors.values()) > 0
    assert list(report.errors) == ["lost"]
    assert not report.interrupted


async def test_records_are_of_the_size_differ_and_are_numbered() -> None:
    topic = SlowTopic()
    topic.is_open.set()
    clock_ns = itertools.count(step=SECOND_NS)
    await Load(LoadPlan("t", 500, 37, 2), topic, lambda: next(clock_ns), patience_s=60).run()

    records = [record for handful in topic.held for record in handful]
    assert sorted(int(key) for key, _ in records) == list(range(1_000))
    assert {len(value) for _, value in records} == {37}
    assert len({value for _, value in records}) == 1_000


@pytest.mark.parametrize(("rate", "seconds", "wanted"), [(1_000, 10, 10_000), (0.1, 30, 3), (0.5, 5, 3), (7, 0.01, 1)])
def test_wanted_is_what_is_due_before_the_time_is_over(rate: float, seconds: float, wanted: int) -> None:
    assert LoadPlan("t", rate, 1, seconds).total == wanted


@given(st.lists(st.tuples(st.integers(1, 10**11), st.integers(1, 1_000)), min_size=1, max_size=50), st.floats(1, 100))
def test_a_percentile_is_at_most_two_hundredths_above_the_true_one(latencies: list[tuple[int, int]], percent) -> None:
    kept = Latencies()
    for latency_ns, records in latencies:
        kept.add(latency_ns, records)
    every = sorted(latency for latency, records in latencies for _ in range(records))
    true_ms = every[math.ceil(len(every) * percent / 100) - 1] / 1e6
    found_ms = kept.percentile_ms(percent)
    assert found_ms is not None
    assert true_ms - 0.001 <= found_ms <= true_ms * 1.0201 + 0.001


@asynccontextmanager
async def loading(bootstrap_servers: str, *arguments: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"PATH": os.defpath, "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, **more}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dummy_service", "load", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def topics(kafka_broker: Broker) -> AsyncIterator[Topics]:
    async with Topics(KafkaSettings(kafka_bootstrap_servers=kafka_broker.bootstrap_servers)) as topics:
        yield topics


@pytest.fixture
async def topic(topics: Topics) -> str:
    """A topic of two partitions that nobody else uses."""
    name = f"load-{new_suffix()}"
    await topics.ensure(name, 2, {})
    return name


async def records_on(topics: Topics, topic: str) -> int:
    return sum((await topics.end_offsets(topic)).values())


async def first_record_on(topics: Topics, topic: str) -> None:
    while not await records_on(topics, topic):  # noqa: ASYNC110  # nobody tells when there is one
        await asyncio.sleep(0.05)


async def test_a_load_is_on_the_topic_as_reported(kafka_broker: Broker, topics: Topics, topic: str) -> None:
    arguments = ("--rate", "2000", "--size", "300", "--seconds", "1", "--topic", topic)
    async with loading(kafka_broker.bootstrap_servers, *arguments, "--json") as process:
        told, log = await process.communicate()
    assert process.returncode == 0, log
    report = json.loads(told)
    assert report["acknowledged"] == report["sent"] == await records_on(topics, topic) > 0
    assert (report["wanted"], report["unacknowledged"], report["errors"]) == (2_000, 0, {})
    assert report["bytes_acknowledged"] == 300 * report["acknowledged"]
    assert report["latency_p50_ms"] <= report["latency_p99_ms"] <= report["latency_max_ms"]

    async with loading(kafka_broker.bootstrap_servers, *arguments) as process:
        told, _ = await process.communicate()
    assert "records/s" in told.decode()
    assert "p99" in told.decode()


async def test_sigterm_ends_a_load_with_its_report(kafka_broker: Broker, topics: Topics, topic: str) -> None:
    arguments = ("--rate", "200", "--seconds", "3600", "--topic", topic, "--json")
    async with loading(kafka_broker.bootstrap_servers, *arguments) as process:
        await first_record_on(topics, topic)
        process.send_signal(signal.SIGTERM)
        told, log = await process.communicate()
    assert process.returncode == 0, log
    report = json.loads(told)
    assert report["interrupted"]
    assert report["acknowledged"] == report["sent"] == await records_on(topics, topic)


async def test_records_that_are_not_acknowledged_are_told_and_make_the_exit_code(tmp_path: Path) -> None:
    with Broker(tmp_path, install(Settings.from_environment())) as broker:
        async with Topics(KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)) as topics:
            await topics.ensure(PROBE_TOPIC, 1, {})
            arguments = ("--rate", "200", "--seconds", "3600", "--json")
            async with loading(broker.bootstrap_servers, *arguments, OUTAGE_SECONDS="2") as process:
                await first_record_on(topics, PROBE_TOPIC)
                broker.kill()
                told, log = await process.communicate()
    assert process.returncode == 1, log
    report = json.loads(told)
    assert report["unacknowledged"] == sum(report["errors"].values()) > 0
    assert report["acknowledged"] + report["unacknowledged"] == report["sent"]


@pytest.mark.parametrize(
    ("topic", "said"), [("nobody-made-me", "no topic 'nobody-made-me'"), ("queue-control", "steers the platform")]
)
async def test_a_topic_that_is_missing_or_not_for_noise_is_refused(kafka_broker: Broker, topic: str, said: str) -> None:
    async with loading(kafka_broker.bootstrap_servers, "--topic", topic) as process:
        _, log = await process.communicate()
    assert process.returncode != 0
    assert said in log.decode()
