"""Small messages, one at a time: commands and events."""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streamforge_common.kafka.clients import connection_options, start, stop, translated
from streamforge_common.settings import KafkaSettings

_POLL_MESSAGES = 1_000
"""Bounds what one poll holds in memory."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class MessageWriter:
    """Writes messages, each of them acknowledged before the call returns; an async context manager."""

    def __init__(self, settings: KafkaSettings, *, delivery_timeout_s: float) -> None:
        """Prepare a writer.

        Args:
            settings: Where the broker is.
            delivery_timeout_s: How long a message may wait for a broker that is away.
        """
        self._options = connection_options(settings)
        self._delivery_timeout_ms = int(delivery_timeout_s * 1000)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, request_timeout_ms=self._delivery_timeout_ms
        )
        await start(self._producer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._producer)

    async def write(self, topic: str, key: str, value: bytes) -> int:
        """Write one message and return the broker's append time, Unix milliseconds.

        Raises:
            TransientError: It is not known to be in the log; writing it again may write it twice.
        """
        with translated(f"writing to {topic!r}"):
            metadata = await self._producer.send_and_wait(topic, value, key=key.encode())
        timestamp: int = metadata.timestamp
        return timestamp


class _Reader:
    """What both readers share: the life of the consumer, and messages as StreamForge knows them."""

    def __init__(self, settings: KafkaSettings, topic: str, *subscribed: str, group: str | None = None) -> None:
        self._topic = topic
        self._subscribed = subscribed
        self._options = {**connection_options(settings), "group_id": group, "enable_auto_commit": False}

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(*self._subscribed, auto_offset_reset="earliest", **self._options)
        await start(self._consumer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._consumer)

    async def _poll(self, wait_ms: int) -> list[Message]:
        with translated(f"reading {self._topic!r}"):
            polled = await self._consumer.getmany(timeout_ms=wait_ms, max_records=_POLL_MESSAGES)
        return [
            Message(record.partition, record.offset, record.key, record.value)
            for records in polled.values()
            for record in records
        ]


class LogReader(_Reader):
    """Reads a whole topic from a moment on, outside any group; an async context manager."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic, topic)

    async def read_since(self, since_ms: int) -> list[Message]:
        """Return what was appended from a moment (Unix milliseconds) to the end as it is now; `tail` goes on there."""
        with translated(f"reading {self._topic!r}"):
            partitions = self._consumer.assignment()
            ends = await self._consumer.end_offsets(partitions)
            starts = await self._consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
            for partition in partitions:
                found = starts[partition]
                self._consumer.seek(partition, found.offset if found else ends[partition])
            messages: list[Message] = []
            while [tp for tp in partitions if await self._consumer.position(tp) < ends[tp]]:
                messages += await self._poll(1_000)
        return messages

    async def tail(self) -> AsyncGenerator[Message, None]:
        """Yield what is appended from now on, for ever, in the order of each partition."""
        while True:
            for message in await self._poll(1_000):
                yield message


class PlaceReader(_Reader):
    """Reads a whole topic and keeps its place under a group's name; an async context manager.

    It is no member of the group: two readers under one name both read everything, and neither has to wait until the
    broker believes that a killed predecessor is gone.
    """

    def __init__(self, settings: KafkaSettings, topic: str, group: str, partitions: Collection[int]) -> None:
        super().__init__(settings, topic, group=group)
        self._partitions = [TopicPartition(topic, number) for number in partitions]

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._consumer.assign(self._partitions)
        return self

    async def poll(self, *, wait_ms: int) -> list[Message]:
        """Return what has come, in the order of each partition; empty after `wait_ms` without anything."""
        return await self._poll(wait_ms)

    async def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Remember the place: partition to the offset to go on from."""
        with translated(f"committing on {self._topic!r}"):
            await self._consumer.commit({TopicPartition(self._topic, part): at for part, at in next_offsets.items()})
