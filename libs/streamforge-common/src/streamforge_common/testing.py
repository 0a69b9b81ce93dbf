"""Driving one job in a test as queue-manager drives it: topics, commands, the process, its events.

The job is a real process and the broker a real one; only queue-manager is played.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.events import Event, TaskStatus
from streamforge_common.ids import QueueId, make_data_topic, make_telemetry_id
from streamforge_common.kafka.clients import start, stop
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings

_CONTROL_TOPIC, _EVENTS_TOPIC = "queue-control", "queue-events"


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job's process."""

    process: asyncio.subprocess.Process
    _log: Path

    async def exit_code(self) -> int:
        """Wait for the end."""
        return await self.process.wait()

    def log(self) -> str:
        """Return the log lines of the job so far, those of its earlier starts before them."""
        return self._log.read_text()


class TaskDriver:
    """Plays queue-manager for one task."""

    def __init__(self, bootstrap_servers: str, target: str, suffix: str, **fields: object) -> None:
        """Prepare a task.

        Args:
            bootstrap_servers: Of the broker.
            target: The service.
            suffix: Six digits that no other test has.
            fields: Of its commands: exchange, market, symbol, type, time_range, collection_name, options.
        """
        self.kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)
        self.queue_id = QueueId(f"wf-test-20240801-{suffix}")
        self.target = target
        self.telemetry_id = make_telemetry_id(target, suffix)
        self.kafka_topic = make_data_topic(self.queue_id)
        self.attempt = 1
        self._fields = fields

    async def create_topics(self, *, partitions: int = 1) -> None:
        """Create what queue-manager creates before it launches anything."""
        async with Topics(self.kafka) as topics:
            await topics.ensure(_CONTROL_TOPIC, 1, {})
            await topics.ensure(_EVENTS_TOPIC, 1, {})
            await topics.ensure(self.kafka_topic, partitions, {})

    async def tell(self, kind: CommandKind, end_offsets: Mapping[int, int] | None = None, **fields: object) -> None:
        """Write a command for the running attempt; `fields` differ from the task's for this one."""
        command = Command.model_validate(
            {
                **self._fields,
                **fields,
                "command": kind,
                "queue_id": self.queue_id,
                "target": self.target,
                "telemetry_id": self.telemetry_id,
                "attempt": self.attempt,
                "kafka_topic": self.kafka_topic,
                "end_offsets": None if end_offsets is None else {str(part): at for part, at in end_offsets.items()},
                "timestamp": time(),
            }
        )
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.kafka_bootstrap_servers) as producer:
            await producer.send_and_wait(_CONTROL_TOPIC, command.encode(), key=self.queue_id.encode())

    @asynccontextmanager
    async def job(self, log: Path, *program: str, **environment: str) -> AsyncIterator[RunningJob]:
        """Run the job as its launcher does, its log lines appended to a file; killed at the end where it still runs.

        Args:
            log: The file.
            program: A module and its arguments, to be run in place of the target's.
            environment: Further variables.
        """
        variables = {
            "PATH": os.defpath,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.kafka_bootstrap_servers,
            "QUEUE_ID": self.queue_id,
            "TARGET": self.target,
            "TELEMETRY_ID": self.telemetry_id,
            "ATTEMPT": str(self.attempt),
            **environment,
        }
        with log.open("ab") as lines:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *(program or (self.target.replace("-", "_"),)), env=variables, stderr=lines
            )
        try:
            yield RunningJob(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def events(self) -> list[Event]:
        """Return what the task has reported so far."""
        messages = await self.read(_EVENTS_TOPIC)
        events = [Event.model_validate_json(message.value) for message in messages]
        return [event for event in events if event.producer == self.telemetry_id]

    async def wait_for(self, status: TaskStatus, accepts: Callable[[Event], bool] = lambda _: True) -> Event:
        """Return the first event with a status, waiting for it; the test's own time-out bounds the wait."""
        async with AIOKafkaConsumer(
            _EVENTS_TOPIC,
            bootstrap_servers=self.kafka.kafka_bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer:
            async for message in consumer:
                event = Event.model_validate_json(message.value)
                if event.producer == self.telemetry_id and event.status is status and accepts(event):
                    return event
        raise AssertionError("the log has no end")

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """Return all messages of a topic."""
        async with Topics(self.kafka) as topics:
            ends = await topics.end_offsets(topic)
        messages: list[ConsumerRecord] = []
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.kafka_bootstrap_servers)
        await start(consumer)
        for number, end in ends.items():
            partition = TopicPartition(topic, number)
            consumer.assign([partition])
            consumer.seek(partition, 0)
            while await consumer.position(partition) < end:
                for polled in (await consumer.getmany(timeout_ms=1_000)).values():
                    messages += polled
        await stop(consumer)
        return messages
