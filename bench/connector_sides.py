"""Records on a topic to documents on disk: through the connector, and by a bare loop that posts the same lines.

Both tell their wall time from the first batch that is stored to the last: joining a group and connecting are no part of
a rate, and the first batch pays for them on either side.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter, process_time

import aiohttp
import msgspec

from arango_connector.adapters.database import RecordStore
from arango_connector.app.dataset import Dataset
from arango_connector.app.storing import Storing
from arango_connector.app.tally import Tally
from bench.market import job_settings, make_records, read_pages, start_command
from bench.sides import be_a_side
from streamforge_common.arango.database import open_database
from streamforge_common.contract.commands import Wanted
from streamforge_common.contract.records import RecordMessage
from streamforge_common.job import JobRun
from streamforge_common.kafka.messages import MessageWriter
from streamforge_common.kafka.records import RecordReader
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import ArangoSettings

_BATCH_RECORDS = 5_000
"""As many as the connector takes at once."""
_IMPORTS = 2
"""As many as the connector runs at a time."""


class Given(msgspec.Struct):
    """What a side needs to know."""

    bootstrap_servers: str
    pages: str
    """The file with the pages."""
    topic: str
    """Holds the records of these pages."""
    records: int
    arango_url: str
    arango_database: str
    arango_username: str
    arango_password: str
    import_url: str
    """Where imports go: the database, or a server that only counts lines."""
    collection: str
    """One that is not there yet."""


class _Clock:
    """Notes when batches are stored."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._began_cpu_s = 0.0
        self._records = 0
        self._batches = 0

    def stored(self, records: int) -> None:
        """Count a batch; the first one starts the clock."""
        if self._began_s is None:
            self._began_s, self._began_cpu_s = perf_counter(), process_time()
        else:
            self._records += records
            self._batches += 1

    def told(self) -> dict[str, float]:
        """Return what was reached since the first batch."""
        assert self._began_s is not None
        wall_s, cpu_s = perf_counter() - self._began_s, process_time() - self._began_cpu_s
        return {
            "records_per_s": self._records / wall_s,
            "records_per_cpu_s": self._records / cpu_s,
            "records_per_batch": self._records / self._batches,
        }


class _TimedReader(RecordReader):
    """The connector's reader; what is acknowledged is stored."""

    clock: _Clock

    async def ack(self, messages: Sequence[RecordMessage], note: str) -> None:
        """Acknowledge, and tell the clock."""
        await super().ack(messages, note)
        self.clock.stored(len(messages))


async def _through_the_connector(given: Given) -> Mapping[str, float]:
    start = start_command("arango-connector", given.records, given.collection)
    start = start.model_copy(update={"kafka_topic": given.topic})
    settings = job_settings(start, given.bootstrap_servers)
    dataset = Dataset.of(start)
    reader = _TimedReader(settings, given.topic, start.telemetry_id, longest_batch_s=600)
    reader.clock = clock = _Clock()
    events = MessageWriter(settings, delivery_timeout_s=60)
    async with Topics(settings) as topics:
        await topics.ensure(settings.queue_events_topic, 1, {})
        end_offsets = await topics.end_offsets(given.topic)
    async with _store(given, dataset) as store, events, reader:
        run = JobRun(settings, start, Wanted(start=start, end_offsets=end_offsets), events)
        await Storing(run, dataset, Tally(start.attempt), reader=reader, store=store).store()
        assert run.records_written == given.records
        return clock.told()


async def _bare(given: Given) -> Mapping[str, float]:
    lines = [value for _, value in make_records(read_pages(given.pages))]
    batches = [b"\n".join(lines[first : first + _BATCH_RECORDS]) for first in range(0, len(lines), _BATCH_RECORDS)]
    waiting = iter(batches)
    del lines
    clock = _Clock()
    settings = _database(given)
    url = f"{given.import_url}/_db/{settings.arango_database}/_api/import"
    parameters = {"type": "documents", "collection": given.collection, "onDuplicate": "update"}
    parameters |= {"waitForSync": "true", "details": "true"}
    login = aiohttp.encode_basic_auth(settings.arango_username, settings.arango_password.get_secret_value())
    start = start_command("arango-connector", given.records, given.collection)
    # Its indexes are the connector's.
    async with _store(given, Dataset.of(start)), aiohttp.ClientSession(headers={"Authorization": login}) as session:

        async def post() -> None:
            for batch in waiting:
                async with session.post(url, params=parameters, data=batch) as response:
                    result = await response.json()
                assert response.status == 201, result
                assert not result["errors"], result
                clock.stored(result["created"])

        await asyncio.gather(*(post() for _ in range(_IMPORTS)))
    return clock.told()


def _database(given: Given) -> ArangoSettings:
    return ArangoSettings.model_validate(msgspec.structs.asdict(given))


def _store(given: Given, dataset: Dataset) -> RecordStore:
    # The collection is made in the database; imports may go elsewhere.
    settings = _database(given)
    return RecordStore(
        settings.model_copy(update={"arango_url": given.import_url}),
        open_database(settings),
        dataset,
        outage_seconds=60,
        is_ending=lambda: False,
    )


if __name__ == "__main__":
    be_a_side({"connector": _through_the_connector, "bare": _bare}, Given)
