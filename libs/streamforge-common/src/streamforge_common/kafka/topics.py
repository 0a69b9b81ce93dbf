"""Creating topics, reading their ends and the places of groups."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from streamforge_common.kafka.clients import connection_options, start, stop, translated
from streamforge_common.settings import KafkaSettings

PROBE_TOPIC = "dummy-ping"
"""Carries the probes and loads of dummy-service, which nobody else reads; made by queue-manager as all topics are."""

_TOPIC_CONFIG = {"message.timestamp.type": "LogAppendTime"}
"""Of every topic: a reader can then trust the order of the log's own clock; event times are in the values."""


class Topics:
    """The broker's topics; an async context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._options = connection_options(settings)

    async def __aenter__(self) -> Self:
        self._admin = AIOKafkaAdminClient(**self._options)
        # The admin client has no call for end offsets.
        self._reader = AIOKafkaConsumer(**self._options, enable_auto_commit=False)
        await start(self._admin, self._reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._admin, self._reader)

    async def ping(self) -> None:
        """Ask the broker for anything.

        Raises:
            TransientError: It does not answer.
        """
        with translated("asking for the cluster"):
            await self._admin.describe_cluster()

    async def ensure(self, topic: str, partitions: int, config: Mapping[str, str]) -> None:
        """Create a topic unless it is there; `config` adds to what every topic has."""
        # The broker's own replication factor, which aiokafka takes only beside an (empty) assignment of replicas.
        new = NewTopic(topic, partitions, -1, replica_assignments={}, topic_configs={**_TOPIC_CONFIG, **config})
        with translated(f"creating topic {topic!r}"):
            response = await self._admin.create_topics([new])
            for _, code, *_ in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"creating topic {topic!r}")

    async def exists(self, topic: str) -> bool:
        """Say whether the broker has a topic."""
        with translated(f"looking for topic {topic!r}"):
            description = await self._admin.describe_topics([topic])
            error = for_code(description[0]["error_code"])
            if error not in (NoError, UnknownTopicOrPartitionError):
                raise error(topic)
        return error is NoError

    async def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Replace a topic's configuration; `config` adds to what every topic has. A topic that is gone is fine."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {**_TOPIC_CONFIG, **config})
        with translated(f"configuring topic {topic!r}"):
            for response in await self._admin.alter_configs([resource]):
                for code, message, *_ in response.resources:
                    error = for_code(code)
                    if code and error is not UnknownTopicOrPartitionError:
                        raise error(f"configuring topic {topic!r}: {message}")

    async def delete(self, topic: str) -> None:
        """Delete a topic; one that is gone is fine."""
        with translated(f"deleting topic {topic!r}"):
            response = await self._admin.delete_topics([topic])
            for _, code, *_ in response.topic_error_codes:
                error = for_code(code)
                if code and error is not UnknownTopicOrPartitionError:
                    raise error(f"deleting topic {topic!r}")

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return, for every partition, the offset of the message to be written next."""
        with translated(f"reading the ends of {topic!r}"):
            description = await self._admin.describe_topics([topic])
            error = for_code(description[0]["error_code"])
            if description[0]["error_code"]:
                raise error(topic)
            partitions = [TopicPartition(topic, part["partition"]) for part in description[0]["partitions"]]
            ends = await self._reader.end_offsets(partitions)
        return {tp.partition: offset for tp, offset in ends.items()}

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return a group's committed place on every partition where it has one."""
        with translated(f"reading the places of group {group!r}"):
            places = await self._admin.list_consumer_group_offsets(group)
        return {tp.partition: place.offset for tp, place in places.items() if tp.topic == topic and place.offset >= 0}
