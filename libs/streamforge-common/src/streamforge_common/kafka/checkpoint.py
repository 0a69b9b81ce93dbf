"""Where a loader stands, kept beside its data: the metadata of an offset that its own group commits on its data topic.

Such a group never consumes. Its one committed offset on partition 0 carries the checkpoint, so the checkpoint lives
and dies with the topic that it speaks of, and no other store has to agree with the log.
"""

from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from streamforge_common.kafka.clients import connection_options, start, stop, translated
from streamforge_common.outages import patiently
from streamforge_common.settings import KafkaSettings


class Checkpoint:
    """The checkpoint of one loader; an async context manager."""

    def __init__(self, settings: KafkaSettings, topic: str, group: str, *, outage_seconds: float) -> None:
        self._options = connection_options(settings)
        self._partition = TopicPartition(topic, 0)
        self._group = group
        self._outage_seconds = outage_seconds

    async def __aenter__(self) -> Self:
        self._committer = AIOKafkaConsumer(**self._options, group_id=self._group, enable_auto_commit=False)
        self._admin = AIOKafkaAdminClient(**self._options)
        await start(self._committer, self._admin)
        self._committer.assign([self._partition])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._admin, self._committer)

    async def load(self) -> str | None:
        """Return what was saved last, None where nothing was."""
        # Unlike a consumer the admin client does not wait for a coordinator that is just being chosen.
        return await patiently(self._read, self._outage_seconds)

    async def _read(self) -> str | None:
        with translated("reading the checkpoint"):
            places = await self._admin.list_consumer_group_offsets(self._group, partitions=[self._partition])
        place = places.get(self._partition)
        return str(place.metadata) if place is not None and place.offset >= 0 and place.metadata else None

    async def save(self, text: str) -> None:
        """Replace the checkpoint; at most 4,096 bytes, the broker's limit for an offset's metadata."""
        with translated("saving the checkpoint"):
            await self._committer.commit({self._partition: OffsetAndMetadata(0, text)})
