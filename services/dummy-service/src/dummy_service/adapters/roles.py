"""What the targets do with records: publish them, consume them, or only count."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from time import time

from dummy_service.app.series import Series
from dummy_service.app.simulating import Place, Role
from streamforge_common.contract.records import RECEIPT_TIME_HEADER
from streamforge_common.job import Completed, JobRun
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.records import RecordReader, RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.outages import connect, patiently
from streamforge_common.settings import JobSettings
from streamforge_common.telemetry import CONSUMER_LAG, RECORDS

_LONGEST_BATCH_S = 60.0
"""Nothing is done with a batch but to count it."""
_POLL_MS = 100
"""How long an empty topic is waited on before commands are looked at again."""
_COUNTED = 3
"""Where nothing else is asked for: as far as the counting job goes."""


class Target(StrEnum):
    """Whose part can be played: every target of the contract."""

    LOADER_PRODUCER = "loader-producer"
    LOADER_WS = "loader-ws"
    ARANGO_CONNECTOR = "arango-connector"
    GRAPH_BUILDER = "graph-builder"
    GNN_TRAINER = "gnn-trainer"
    DUMMY_SERVICE = "dummy-service"


@asynccontextmanager
async def role_of(settings: JobSettings, run: JobRun, records: int | None) -> AsyncIterator[Role]:
    """Connect what a target needs, and yield its role.

    Args:
        settings: Of the job; its target is a `Target`.
        run: The job as its work sees it.
        records: How many records the work is, where that is said.

    Raises:
        FatalError: The dataset cannot be played, or the broker is away for too long.
    """
    start, outage_seconds = run.start, settings.outage_seconds
    async with AsyncExitStack() as stack:
        match Target(settings.target):
            case Target.ARANGO_CONNECTOR:
                reader = RecordReader(
                    settings, start.kafka_topic, settings.telemetry_id, longest_batch_s=_LONGEST_BATCH_S
                )
                await connect(stack, reader, outage_seconds)
                yield Connector(run, reader, outage_seconds)
            case Target.LOADER_PRODUCER | Target.LOADER_WS:
                series = Series.of(start, records)
                writer = RecordWriter(settings, start.kafka_topic, delivery_timeout_s=outage_seconds)
                checkpoint = Checkpoint(
                    settings, start.kafka_topic, settings.telemetry_id, outage_seconds=outage_seconds
                )
                topics = Topics(settings)
                for client in (writer, checkpoint, topics):
                    await connect(stack, client, outage_seconds)
                yield Loader(run, series, writer, checkpoint, topics, outage_seconds)
            case _:
                # A task on a whole workflow has no data topic; the place is then kept beside the commands.
                topic = start.kafka_topic or settings.queue_control_topic
                checkpoint = Checkpoint(settings, topic, settings.telemetry_id, outage_seconds=outage_seconds)
                await connect(stack, checkpoint, outage_seconds)
                yield Counter(run, checkpoint, _COUNTED if records is None else records)


class Loader:
    """Publishes a series."""

    def __init__(
        self,
        run: JobRun,
        series: Series,
        writer: RecordWriter,
        checkpoint: Checkpoint,
        topics: Topics,
        outage_seconds: float,
    ) -> None:
        self._run = run
        self._series = series
        self._writer = writer
        self._checkpoint = checkpoint
        self._topics = topics
        self._outage_seconds = outage_seconds

    @property
    def known(self) -> Mapping[str, object]:
        """The ends of the dataset: from here on its completeness can be judged."""
        first_id, last_id = self._series.ends or (None, None)
        return {"first_id": first_id, "last_id": last_id}

    async def kept(self) -> Iterable[str]:
        """Return the checkpoint."""
        saved = await self._checkpoint.load()
        return () if saved is None else (saved,)

    async def do(self, place: Place, most: int) -> Place:
        """Publish, and move the checkpoint behind it."""
        left = most if self._series.published is None else min(most, self._series.published - place.done)
        received = (RECEIPT_TIME_HEADER, str(int(time() * 1000)).encode())
        await self._writer.publish([self._series.message(place.done + i) for i in range(left)], [received])
        behind = place.plus(left)
        await self._checkpoint.save(behind.encode())
        _count(self._run, left)
        return behind

    async def rest(self, seconds: float) -> None:
        """Wait."""
        await self._run.wait_for_change(seconds)

    async def is_through(self, place: Place) -> bool:
        """Say whether the series is published."""
        return self._series.published is not None and place.done >= self._series.published

    async def completed(self, message: str) -> Completed:
        """Tell the ends of the topic, and of the dataset."""
        ends = await patiently(lambda: self._topics.end_offsets(self._run.start.kafka_topic), self._outage_seconds)
        first_id, last_id = self._series.ends or (None, None)
        return Completed(message, ends, first_id=first_id, last_id=last_id)


class Connector:
    """Consumes a data topic and commits its place, as the task's group; stores nothing."""

    def __init__(self, run: JobRun, reader: RecordReader, outage_seconds: float) -> None:
        self._run = run
        self._reader = reader
        self._outage_seconds = outage_seconds

    @property
    def known(self) -> Mapping[str, object]:
        """Nothing before it has read."""
        return {}

    async def kept(self) -> Iterable[str]:
        """Return what is kept beside the committed places."""
        return await patiently(self._reader.notes, self._outage_seconds)

    async def do(self, place: Place, most: int) -> Place:
        """Take what has come, and commit."""
        messages = await self._reader.poll(max_records=most, wait_ms=_POLL_MS)
        CONSUMER_LAG.labels(self._run.start.type).set(self._reader.lag())
        if not messages:
            return place
        behind = place.plus(len(messages))
        await self._reader.ack(messages, behind.encode())
        _count(self._run, len(messages))
        return behind

    async def rest(self, seconds: float) -> None:
        """Take nothing, and stay a member of the group."""
        await self._reader.idle(wait_ms=int(seconds * 1000))

    async def is_through(self, place: Place) -> bool:
        """Say whether it is drained."""
        return self._run.end_offsets is not None and await self._reader.has_committed(self._run.end_offsets)

    async def completed(self, message: str) -> Completed:
        """Tell nothing besides."""
        return Completed(message)


class Counter:
    """Counts; such a task has neither a topic to write nor one to read."""

    def __init__(self, run: JobRun, checkpoint: Checkpoint, records: int) -> None:
        self._run = run
        self._checkpoint = checkpoint
        self._records = records

    @property
    def known(self) -> Mapping[str, object]:
        """Nothing."""
        return {}

    async def kept(self) -> Iterable[str]:
        """Return the checkpoint."""
        saved = await self._checkpoint.load()
        return () if saved is None else (saved,)

    async def do(self, place: Place, most: int) -> Place:
        """Count, and keep how far."""
        behind = place.plus(min(most, self._records - place.done))
        await self._checkpoint.save(behind.encode())
        _count(self._run, behind.done - place.done)
        return behind

    async def rest(self, seconds: float) -> None:
        """Wait."""
        await self._run.wait_for_change(seconds)

    async def is_through(self, place: Place) -> bool:
        """Say whether all is counted."""
        return place.done >= self._records

    async def completed(self, message: str) -> Completed:
        """Tell nothing besides."""
        return Completed(message)


def _count(run: JobRun, records: int) -> None:
    RECORDS.labels(run.start.target, run.start.type, "written").inc(records)
