"""Wires the connector and runs its job."""

from contextlib import AsyncExitStack

import uvloop
from arango.database import StandardDatabase

from arango_connector.adapters.database import RecordStore
from arango_connector.app.dataset import Dataset
from arango_connector.app.storing import Storing
from arango_connector.app.tally import Tally
from arango_connector.settings import Settings
from streamforge_common.arango.database import open_database, ping_database
from streamforge_common.job import Ending, JobRun, run_job
from streamforge_common.kafka.records import RecordReader
from streamforge_common.outages import Neighbour, connect, patiently
from streamforge_common.settings import read_settings
from streamforge_common.telemetry import configure_job_logging

_CALL_S = 3.0
"""For a call that is not an import: those run in threads, which a process that was told to end has to wait for."""
_BATCH_BEYOND_OUTAGE_S = 60.0
"""A batch may wait for the database as long as an outage may last, and then some, before its partitions move."""


def main() -> None:
    """Run one job to its end."""
    settings = read_settings(Settings)
    configure_job_logging(settings)

    database = open_database(settings, request_timeout_s=_CALL_S)

    async def store(run: JobRun) -> Ending:
        return await _store(settings, database, run)

    neighbour = Neighbour("arangodb", lambda: ping_database(database), settings.outage_seconds)
    raise SystemExit(uvloop.run(run_job(settings, store, [neighbour])))


async def _store(settings: Settings, database: StandardDatabase, run: JobRun) -> Ending:
    dataset = Dataset.of(run.start)
    store = RecordStore(
        settings,
        database,
        dataset,
        outage_seconds=settings.outage_seconds,
        is_ending=lambda: run.ending is not None,
    )
    longest_batch_s = settings.outage_seconds + _BATCH_BEYOND_OUTAGE_S
    reader = RecordReader(
        settings,
        dataset.kafka_topic,
        settings.telemetry_id,
        longest_batch_s=longest_batch_s,
        may_skip=dataset.is_repaired,
    )
    async with AsyncExitStack() as stack:
        for client in (store, reader):
            await connect(stack, client, settings.outage_seconds)
        # What others count is theirs: one of several instances counts what it does itself.
        kept = [] if settings.instance else await patiently(reader.notes, settings.outage_seconds)
        tally = Tally.resume(settings.attempt, kept)
        return await Storing(run, dataset, tally, reader=reader, store=store).store()


if __name__ == "__main__":
    main()
