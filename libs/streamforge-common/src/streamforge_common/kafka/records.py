"""Records, many at a time: publishing a page, consuming batches.

Neither end waits for single records: the writer fills batches itself and awaits their acknowledgements together, the
reader takes what has come in one call. That is worth more than the choice of the client library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata
from loguru import logger

from streamforge_common.contract.records import Headers, RecordMessage
from streamforge_common.errors import FatalError
from streamforge_common.kafka.clients import connection_options, start, stop, translated
from streamforge_common.settings import KafkaSettings

_COMPRESSION = "zstd"
"""Measured on pages of real candles: a seventh of the time that aiokafka's lz4 takes, which knows only its slowest
level, and three quarters of its size."""
_BATCH_BYTES = 512 * 1024
"""Large enough that a page of 1,000 candles is one batch, small beside the broker's limit for a message."""
_SESSION_TIMEOUT_MS = 10_000
"""How long the partitions of a killed member rest before another gets them."""
_FETCH_BYTES = 4 * 1024 * 1024
"""The most that is fetched ahead per partition; with the batch in hand it bounds the memory of a connector."""
_PARTITION_MOVED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class RecordWriter:
    """Publishes records on one data topic; an async context manager."""

    def __init__(self, settings: KafkaSettings, topic: str, *, delivery_timeout_s: float) -> None:
        """Prepare a writer.

        Args:
            settings: Where the broker is.
            topic: The data topic; it exists.
            delivery_timeout_s: How long a batch may wait for a broker that is away. Shorter than the worst tolerated
                outage, it would turn every longer one into errors.
        """
        self._topic = topic
        self._options = connection_options(settings)
        self._delivery_timeout_ms = int(delivery_timeout_s * 1000)
        self._partitions: list[int] = []

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            compression_type=_COMPRESSION,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=self._delivery_timeout_ms,
        )
        await start(self._producer)
        try:
            with translated(f"looking for topic {self._topic!r}"):
                self._partitions = sorted(await self._producer.partitions_for(self._topic))
        except BaseException:
            await stop(self._producer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._producer)

    async def publish(self, records: Iterable[tuple[bytes, bytes]], headers: Headers) -> None:
        """Publish (key, value) pairs in order, all with the same headers; fails as `publish_messages` does."""
        await self.publish_messages((key, value, headers) for key, value in records)

    async def publish_messages(self, messages: Iterable[tuple[bytes, bytes, Headers]]) -> None:
        """Publish (key, value, headers) in order; one key always goes to one partition.

        Raises:
            TransientError: Not every message is known to be in the log; publishing all again may repeat some.
        """
        pending: list[asyncio.Future[Any]] = []
        builders: dict[int, BatchBuilder] = {}
        with translated(f"publishing on {self._topic!r}"):
            for key, value, headers in messages:
                partition = self._partition_of(key)
                builder = builders.get(partition) or self._producer.create_batch()
                if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    pending.append(await self._send(builder, partition))
                    builder = self._producer.create_batch()
                    builder.append(timestamp=None, key=key, value=value, headers=headers)
                builders[partition] = builder
            for partition, builder in builders.items():
                pending.append(await self._send(builder, partition))
            await asyncio.gather(*pending)

    async def _send(self, builder: BatchBuilder, partition: int) -> "asyncio.Future[Any]":
        builder.close()
        future: asyncio.Future[Any] = await self._producer.send_batch(builder, self._topic, partition=partition)
        return future

    def _partition_of(self, key: bytes) -> int:
        if len(self._partitions) == 1:
            return self._partitions[0]
        positive_hash: int = murmur2(key) & 0x7FFFFFFF
        return self._partitions[positive_hash % len(self._partitions)]


class RecordReader:
    """Consumes one data topic as a member of the task's group; an async context manager.

    A batch is taken with `poll` and acknowledged with `ack`: nothing else moves the committed place, and what is not
    acknowledged comes again, to the next start of this member or to another.

    Partitions move from member to member. The broker lets any member commit on any partition, so one that commits late
    would move the place of the new owner back, and the owner would wait for ever for what it has read already. So what
    was taken before a partition was given away is not acknowledged any more.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, group: str, *, longest_batch_s: float, may_skip: bool = False
    ) -> None:
        """Prepare a reader.

        Args:
            settings: Where the broker is.
            topic: The data topic; it exists.
            group: The consumer group, the task's telemetry_id.
            longest_batch_s: How long one batch may take until the group gives its partitions away.
            may_skip: Whether to go on with what the topic still holds where it has forgotten what comes next: in a
                repair, which looked at what is stored and publishes the rest again.
        """
        self._topic = topic
        self._group = group
        self._may_skip = may_skip
        self._options = connection_options(settings)
        self._longest_batch_ms = int(longest_batch_s * 1000)
        self._taken: dict[TopicPartition, range] = {}
        """Offsets that `poll` has returned since a partition was assigned."""
        self._committing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self._options,
            group_id=self._group,
            enable_auto_commit=False,
            # A place that is not there is for `poll` to judge; nothing is ever skipped.
            auto_offset_reset="none",
            session_timeout_ms=_SESSION_TIMEOUT_MS,
            max_poll_interval_ms=self._longest_batch_ms,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        self._consumer.subscribe([self._topic], listener=_GivingAway(self._give_away))
        await start(self._consumer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._consumer)

    async def poll(self, *, max_records: int, wait_ms: int) -> list[RecordMessage]:
        """Return what has come, in the order of each partition; empty after `wait_ms` without anything.

        Raises:
            FatalError: The topic no longer holds what comes next (`data_expired`).
        """
        polled = await self._get(max_records, wait_ms)
        for partition, records in polled.items():
            before = self._taken.get(partition)
            first = records[0].offset if before is None else before.start
            self._taken[partition] = range(first, records[-1].offset + 1)
        return [record for records in polled.values() for record in records]

    async def idle(self, *, wait_ms: int) -> None:
        """Take nothing for a while; a member that does not call at all would lose its partitions."""
        held = self._consumer.assignment()
        self._consumer.pause(*held)
        try:
            polled = await self._get(1, wait_ms)
        finally:
            self._consumer.resume(*(held & self._consumer.assignment()))
        for partition, records in polled.items():
            # It came meanwhile, so it was not held.
            self._consumer.seek(partition, records[0].offset)

    async def _get(self, max_records: int, wait_ms: int) -> dict[TopicPartition, list[RecordMessage]]:
        with translated(f"reading {self._topic!r}"):
            try:
                polled: dict[TopicPartition, list[RecordMessage]] = await self._consumer.getmany(
                    timeout_ms=wait_ms, max_records=max_records
                )
            except NoOffsetForPartitionError as exc:
                # A group without a place starts at the very first record, not at what retention has left over.
                self._consumer.seek(exc.args[0], 0)
                return {}
            except OffsetOutOfRangeError as exc:
                if self._may_skip:
                    await self._skip_to_what_is_left(list(exc.args[0]))
                    return {}
                raise FatalError(
                    f"topic {self._topic!r} no longer holds the next records ({exc}); load the range again",
                    code="data_expired",
                ) from exc
        return polled

    async def _skip_to_what_is_left(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on behind what the topic has forgotten; the place is committed, as nothing more may come."""
        firsts = await self._consumer.beginning_offsets(partitions)
        logger.warning("{!r} no longer holds what comes next; a repair goes on at {}", self._topic, firsts)
        for partition, first in firsts.items():
            self._consumer.seek(partition, first)
        await self._consumer.commit(firsts)

    async def notes(self) -> list[str]:
        """Return what was last kept beside the group's committed places, one text per partition that has one."""
        admin = AIOKafkaAdminClient(**self._options)
        await start(admin)
        try:
            with translated(f"reading the places on {self._topic!r}"):
                places = await admin.list_consumer_group_offsets(self._group)
        finally:
            await stop(admin)
        return [at.metadata for partition, at in places.items() if partition.topic == self._topic and at.metadata]

    async def ack(self, messages: Sequence[RecordMessage], note: str) -> None:
        """Commit the place behind these messages: each of them is stored, or kept as rejected.

        `note` is kept beside the place, and moves with it or not at all; at most 4,096 bytes, the broker's limit.
        Where a partition has moved to another member meanwhile nothing is committed; the new owner gets the messages
        again, which is no loss.
        """
        last = {TopicPartition(self._topic, message.partition): message.offset for message in messages}
        async with self._committing:
            behind = {
                partition: OffsetAndMetadata(offset + 1, note)
                for partition, offset in last.items()
                if offset in self._taken.get(partition, ())
            }
            if len(behind) < len(last):
                logger.info("partitions of {!r} have moved: {} of {} committed", self._topic, len(behind), len(last))
            if not behind:
                return
            with translated(f"committing on {self._topic!r}"):
                try:
                    await self._consumer.commit(behind)
                except _PARTITION_MOVED as exc:
                    logger.info("commit on {!r} refused, the partitions have moved: {!r}", self._topic, exc)

    async def _give_away(self) -> None:
        """Commit nothing any more of what was taken so far; a commit on its way is waited for."""
        async with self._committing:
            self._taken.clear()

    async def has_committed(self, end_offsets: Mapping[int, int]) -> bool:
        """Say whether the group's committed place has reached the given offset on every partition."""
        with translated(f"reading the places on {self._topic!r}"):
            for number, end in end_offsets.items():
                committed = await self._consumer.committed(TopicPartition(self._topic, number))
                if (committed or 0) < end:
                    return False
        return True

    def lag(self) -> int:
        """Count the messages behind the last poll, as far as the broker has told."""
        total = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is not None:
                taken = self._taken.get(partition)
                total += 0 if taken is None else max(0, end - taken.stop)
        return total


class _GivingAway(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Tells when all partitions are given away, as they are before each is assigned anew, perhaps to another."""

    def __init__(self, give_away: Callable[[], Awaitable[None]]) -> None:
        self._give_away = give_away

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._give_away()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        pass
