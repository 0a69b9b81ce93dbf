"""queue-manager on Kafka: commands out, events in, topics made."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from loguru import logger
from pydantic import ValidationError

from streamforge_common import telemetry
from streamforge_common.contract.commands import Command
from streamforge_common.contract.events import Event
from streamforge_common.kafka.messages import Message, MessageWriter, PlaceReader
from streamforge_common.kafka.topics import PROBE_TOPIC, Topics
from streamforge_common.outages import patiently
from streamforge_common.settings import KafkaSettings

EVENTS_GROUP = "queue-manager"
"""Where the place on `queue-events` is kept. Every replica reads all events; one that was noted adds nothing again."""
_FOREVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
_EVENTS_CONFIG = {"cleanup.policy": "delete"}
"""Events are read within seconds and kept in the audit trail; the broker's default retention is for looking back."""

_PROBE_CONFIG = {"retention.ms": "60000", "retention.bytes": str(2**30), "segment.bytes": str(2**26)}
"""A probe is read within seconds. A load of dummy-service is read by nobody, and must not fill the disk either."""

NotedEvents = dict[str, list[tuple[Event, int, int]]]
"""queue_id to events in the order of the log, each with its partition and offset."""


class KafkaControlLog:
    """Implements `ControlLog`."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Topics,
        writer: MessageWriter,
        *,
        partitions: int,
        retention_hours: float,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._writer = writer
        self._partitions = partitions
        self._retention_hours = retention_hours

    async def prepare(self) -> None:
        """Create the topics that all workflows share unless they are there; one partition each keeps the order."""
        await self._topics.ensure(self._settings.queue_control_topic, 1, _FOREVER)
        await self._topics.ensure(self._settings.queue_events_topic, 1, _EVENTS_CONFIG)
        await self._topics.ensure(PROBE_TOPIC, 1, _PROBE_CONFIG)

    async def create_data_topic(self, topic: str) -> None:
        """Create a data topic, which keeps everything until its workflow has ended."""
        await self._topics.ensure(topic, self._partitions, _FOREVER)

    async def set_retention(self, topic: str, *, expires: bool) -> None:
        """Let a data topic forget after `DATA_TOPIC_RETENTION_HOURS`, or keep everything."""
        config = {**_FOREVER, "retention.ms": str(int(self._retention_hours * 3_600_000))} if expires else _FOREVER
        await self._topics.configure(topic, config)

    async def delete_topic(self, topic: str) -> None:
        """Delete a topic; none of that name is fine."""
        await self._topics.delete(topic)

    async def tell(self, command: Command) -> int:
        """Write a command and return the broker's append time, Unix milliseconds."""
        return await self._writer.write(self._settings.queue_control_topic, command.queue_id, command.encode())

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the ends of a topic."""
        return await self._topics.end_offsets(topic)

    async def events_are_read(self) -> bool:
        """Say whether every event that is on the log now has been taken in, by whichever replica."""
        ends = await self._topics.end_offsets(self._settings.queue_events_topic)
        places = await self._topics.committed(EVENTS_GROUP, self._settings.queue_events_topic)
        return all(places.get(partition, 0) >= end for partition, end in ends.items())


async def read_events(
    reader: PlaceReader,
    take: Callable[[str, Sequence[tuple[Event, int, int]]], Awaitable[bool]],
    *,
    outage_seconds: float,
) -> None:
    """Take in events for ever; the place is committed only once they are stored with their workflows.

    A broker or database that is away is waited for, while the API goes on to answer.
    """
    while True:
        messages = await patiently(partial(reader.poll, wait_ms=1_000), outage_seconds)
        if not messages:
            continue
        for queue_id, events in _by_workflow(messages).items():
            if not await patiently(partial(take, queue_id, events), outage_seconds):
                logger.bind(queue_id=queue_id).warning("skipped {} events of an unknown workflow", len(events))
        places = {message.partition: message.offset + 1 for message in messages}
        await patiently(partial(reader.commit, places), outage_seconds)


def _by_workflow(messages: Sequence[Message]) -> NotedEvents:
    events: NotedEvents = defaultdict(list)
    for message in messages:
        try:
            event = Event.model_validate_json(message.value or b"")
        except ValidationError as exc:
            telemetry.EVENTS.labels("malformed").inc()
            logger.warning("skipped a malformed event at offset {}: {}", message.offset, exc.errors()[0]["msg"])
        else:
            telemetry.EVENTS.labels(event.status).inc()
            events[event.queue_id].append((event, message.partition, message.offset))
    return events
