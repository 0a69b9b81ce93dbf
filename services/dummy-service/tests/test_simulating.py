"""Simulated tasks as processes between a real broker and a played queue-manager."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from dummy_service.adapters.roles import Target
from dummy_service.app.simulating import Place
from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.errors import FATAL_EXIT_CODE, FatalError
from streamforge_common.ids import new_suffix
from streamforge_common.kafka.topics import Topics
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

DAY = {
    "exchange": "binance",
    "market": "spot",
    "symbol": "BTCUSDT",
    "type": "api_candles_5m",
    "time_range": "2024-08-01:2024-08-02",
}
FIRST_MS, CANDLES = 1_722_470_400_000, 288
SIMULATE = ("dummy_service", "simulate", "--rate", "100000")

MakeTask = Callable[..., TaskDriver]


@pytest.fixture
def task(kafka_broker: Broker) -> MakeTask:
    return lambda target="loader-producer", **fields: TaskDriver(
        kafka_broker.bootstrap_servers, target, new_suffix(), **{**DAY, **fields}
    )


async def started(task: TaskDriver) -> TaskDriver:
    await task.create_topics()
    await task.tell(CommandKind.START)
    return task


async def statuses(task: TaskDriver) -> list[TaskStatus]:
    return [event.status for event in await task.events()]


async def ends_of(task: TaskDriver) -> dict[int, int]:
    async with Topics(task.kafka) as topics:
        return await topics.end_offsets(task.kafka_topic)


async def test_a_simulated_loader_publishes_what_is_valid_and_tells_true_ends(task: MakeTask, tmp_path: Path) -> None:
    loader = task()
    await loader.create_topics(partitions=3)
    await loader.tell(CommandKind.START)

    async with loader.job(tmp_path / "log", *SIMULATE) as job:
        assert await job.exit_code() == 0, job.log()

    events = await loader.events()
    assert [events[0].status, events[1].status, events[-1].status] == [
        TaskStatus.STARTING,
        TaskStatus.LOADING,
        TaskStatus.COMPLETED,
    ]
    last = events[-1]
    assert (last.finished, last.records_written) == (True, CANDLES)
    ends = await ends_of(loader)
    assert last.end_offsets == {str(partition): end for partition, end in ends.items()}
    assert (last.first_id, last.last_id) == (FIRST_MS, Interval("5m").advance(FIRST_MS, CANDLES - 1))
    check = RecordCheck("binance", "spot", "BTCUSDT", record_kind("candles_5m"))
    records = [check.check(message.value) for message in await loader.read(loader.kafka_topic)]
    assert sorted(record.open_time for record in records) == [FIRST_MS + n * 300_000 for n in range(CANDLES)]


async def test_a_simulated_connector_is_drained_by_its_own_commits(task: MakeTask, tmp_path: Path) -> None:
    connector = await started(task("arango-connector"))
    async with AIOKafkaProducer(bootstrap_servers=connector.kafka.kafka_bootstrap_servers) as producer:
        for number in range(50):
            await producer.send_and_wait(connector.kafka_topic, b"%d" % number)

    async with connector.job(tmp_path / "log", *SIMULATE) as job:
        await connector.wait_for(TaskStatus.LOADING, lambda event: event.records_written == 50)
        await connector.tell(CommandKind.DRAIN, {0: 50})
        assert await job.exit_code() == 0, job.log()

    last = (await connector.events())[-1]
    assert (last.status, last.finished, last.records_written) == (TaskStatus.COMPLETED, True, 50)
    async with Topics(connector.kafka) as topics:
        assert await topics.committed(connector.telemetry_id, connector.kafka_topic) == {0: 50}


@pytest.mark.parametrize(
    ("fault", "exit_code", "retryable"),
    [("error", 1, True), ("vanish", -signal.SIGKILL, None), ("quit", 0, None)],
)
async def test_a_fault_comes_once_and_the_next_start_goes_on_behind_it(
    task: MakeTask, tmp_path: Path, fault: str, exit_code: int, retryable: bool | None
) -> None:
    loader = await started(task())
    program = (*SIMULATE, "--fault", fault, "--fault-after", "100")

    async with loader.job(tmp_path / "log", *program) as job:
        assert await job.exit_code() == exit_code, job.log()
    before = await loader.events()
    assert not before[-1].finished
    assert before[-1].status is (TaskStatus.ERROR if retryable else TaskStatus.LOADING)
    if retryable:
        assert before[-1].error is not None
        assert (before[-1].error.retryable, before[-1].records_written) == (True, 100)
    assert await ends_of(loader) == {0: 100}

    async with loader.job(tmp_path / "log", *program) as job:
        assert await job.exit_code() == 0, job.log()
    last = (await loader.events())[-1]
    assert (last.status, last.records_written, last.end_offsets) == (TaskStatus.COMPLETED, CANDLES, {"0": CANDLES})


@pytest.mark.parametrize(
    ("script", "records"), [(("--fault", "fatal-error", "--fault-after", "7"), 7), (("--end", "error"), CANDLES)]
)
async def test_an_error_for_good_is_its_last_word(
    task: MakeTask, tmp_path: Path, script: tuple[str, ...], records: int
) -> None:
    loader = await started(task())
    async with loader.job(tmp_path / "log", *SIMULATE, *script) as job:
        assert await job.exit_code() == FATAL_EXIT_CODE, job.log()
    last = (await loader.events())[-1]
    assert (last.status, last.finished, last.records_written) == (TaskStatus.ERROR, True, records)
    assert last.error is not None
    assert (last.error.code, last.error.retryable) == ("simulated", False)


async def test_a_fault_after_nothing_comes_at_every_start(task: MakeTask, tmp_path: Path) -> None:
    loader = await started(task())
    for _ in range(2):
        async with loader.job(tmp_path / "log", *SIMULATE, "--fault", "error") as job:
            assert await job.exit_code() == 1, job.log()
    assert await ends_of(loader) == {0: 0}


async def test_a_hanging_task_is_ended_by_nothing_but_a_kill(task: MakeTask, tmp_path: Path) -> None:
    loader = await started(task())
    log = tmp_path / "log"
    async with loader.job(log, *SIMULATE, "--fault", "hang", "--fault-after", "5") as job:
        while "hang" not in job.log():  # noqa: ASYNC110  # nobody tells what is in a log
            await asyncio.sleep(0.05)
        await loader.tell(CommandKind.STOP)
        job.process.send_signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.exit_code(), 2)
    assert job.process.returncode == -signal.SIGKILL
    assert TaskStatus.STOPPED not in await statuses(loader)


async def test_it_pauses_goes_on_and_stops_as_it_is_told(task: MakeTask, tmp_path: Path) -> None:
    loader = await started(task("loader-ws", type="ws_agg_trades", time_range=""))
    async with loader.job(tmp_path / "log", *SIMULATE[:2], "--rate", "50") as job:
        await loader.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 0)
        await loader.tell(CommandKind.PAUSE)
        paused = await loader.wait_for(TaskStatus.PAUSED)
        assert await ends_of(loader) == {0: paused.records_written}
        await loader.tell(CommandKind.RESUME)
        await loader.wait_for(TaskStatus.LOADING, lambda event: event.records_written > paused.records_written)
        await loader.tell(CommandKind.STOP)
        assert await job.exit_code() == 0, job.log()
    last = (await loader.events())[-1]
    assert (last.status, last.finished) == (TaskStatus.STOPPED, True)
    assert await ends_of(loader) == {0: last.records_written}


async def test_it_stops_without_being_asked_where_the_script_has_it(task: MakeTask, tmp_path: Path) -> None:
    loader = await started(task())
    async with loader.job(tmp_path / "log", *SIMULATE, "--end", "stopped", "--records", "10") as job:
        assert await job.exit_code() == 0, job.log()
    last = (await loader.events())[-1]
    assert (last.status, last.finished, last.records_written) == (TaskStatus.STOPPED, True, 10)


@pytest.mark.parametrize("target", [Target.GRAPH_BUILDER, Target.GNN_TRAINER, Target.DUMMY_SERVICE])
async def test_a_task_without_a_data_topic_counts(task: MakeTask, tmp_path: Path, target: Target) -> None:
    counting = await started(task(target))
    counting.kafka_topic = ""
    async with counting.job(tmp_path / "log", *SIMULATE, "--records", "20") as job:
        assert await job.exit_code() == 0, job.log()
    last = (await counting.events())[-1]
    assert (last.status, last.records_written, last.end_offsets) == (TaskStatus.COMPLETED, 20, None)


async def test_a_person_names_the_workflow_and_the_target_and_gets_the_latest_attempt(task: MakeTask) -> None:
    loader = await started(task())
    loader.attempt = 2
    await loader.tell(CommandKind.START)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *SIMULATE, "--queue-id", loader.queue_id, "--target", loader.target, "--json"),
        env={"PATH": os.defpath, "KAFKA_BOOTSTRAP_SERVERS": loader.kafka.kafka_bootstrap_servers},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, log = await process.communicate()
    assert process.returncode == 0, log
    assert json.loads(told) == {
        "queue_id": loader.queue_id,
        "telemetry_id": loader.telemetry_id,
        "attempt": 2,
        "records_written": CANDLES,
        "ending": "completed",
        "exit_code": 0,
    }
    assert {event.attempt for event in await loader.events()} == {2}


async def test_an_interruption_is_no_error_whatever_its_exit_code(task: MakeTask) -> None:
    loader = await started(task())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dummy_service", "simulate", "--queue-id", loader.queue_id, "--target", loader.target),
        *("--rate", "20", "--json"),
        env={
            "PATH": os.defpath,
            "KAFKA_BOOTSTRAP_SERVERS": loader.kafka.kafka_bootstrap_servers,
            "INTERRUPTED_EXIT_CODE": "143",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await loader.wait_for(TaskStatus.LOADING)
    process.send_signal(signal.SIGTERM)
    told, log = await process.communicate()
    assert process.returncode == 143, log
    assert json.loads(told)["ending"] == "interrupted"


async def test_it_says_so_where_no_start_command_comes(kafka_broker: Broker) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *SIMULATE, "--queue-id", "wf-nobody", "--target", "loader-producer"),
        env={
            "PATH": os.defpath,
            "KAFKA_BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
            "OUTAGE_SECONDS": "1",
            "QUEUE_CONTROL_TOPIC": await control_topic(kafka_broker),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()
    assert process.returncode == 1
    assert "no start command to 'loader-producer' of 'wf-nobody' within 1 s" in log.decode()


async def control_topic(kafka_broker: Broker) -> str:
    driver = TaskDriver(kafka_broker.bootstrap_servers, "dummy-service", new_suffix())
    await driver.create_topics()
    return driver.kafka.queue_control_topic


def test_a_place_that_somebody_else_has_kept_is_refused() -> None:
    with pytest.raises(FatalError):
        Place.resume(1, ['{"next_id": 5, "attempt": 1, "records_written": 7}'])
    assert Place.resume(2, [Place(5, 1, 5).encode(), Place(9, 1, 9).encode()]) == Place(9, 2, 0)
