"""The way of a batch: read, checked, stored, acknowledged.

1. Take what has come.
2. Check it: documents, repetitions, rejected.
3. Store the documents, then what is rejected; both are on disk before the next step.
4. Acknowledge: the group's committed place moves behind the batch.

While a batch is at 3 and 4 the next one is at 1 and 2, and no further; batches are stored and acknowledged in order.
Whatever ends the process before step 4 makes the same messages come again, and storing them again changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from arango_connector.app.batches import Batch, Rejected, sort_batch
from arango_connector.app.dataset import Dataset
from arango_connector.app.tally import Tally
from streamforge_common.contract.records import RecordMessage
from streamforge_common.errors import TransientError
from streamforge_common.job import Completed, Ending, JobRun
from streamforge_common.telemetry import BATCH_SECONDS, CONSUMER_LAG, RECORDS

_BATCH_RECORDS = 5_000
"""About 2 MB of candles: large enough that the database's sync to disk, once per import, weighs little."""
_WAIT_MS = 500
"""How long an empty topic is waited on before commands are looked at again."""
_AHEAD_MS = 50
"""The same while a batch is being stored: about as long as that takes, so that an end is noticed soon."""
_SERVICE = "arango-connector"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the documents of a batch."""

    written: int
    """New in the collection."""
    repeated: int
    """There already."""
    refused: Sequence[Rejected]
    """What the database does not accept."""


class Reader(Protocol):
    """Where batches come from."""

    async def poll(self, *, max_records: int, wait_ms: int) -> list[RecordMessage]:
        """Return what has come."""

    async def idle(self, *, wait_ms: int) -> None:
        """Take nothing for a while."""

    async def ack(self, messages: Sequence[RecordMessage], note: str) -> None:
        """Move the committed place behind these, and keep a text beside it."""

    async def has_committed(self, end_offsets: Mapping[int, int]) -> bool:
        """Say whether everything up to there is acknowledged."""

    def lag(self) -> int:
        """Count what is left."""


class Store(Protocol):
    """Where documents go. Both calls return when all is on disk, and raise TransientError when that is not to be."""

    async def store(self, messages: Sequence[RecordMessage]) -> Stored:
        """Store documents, no `_key` twice."""

    async def keep_rejected(self, rejected: Sequence[Rejected]) -> None:
        """Keep what does not become a document, with the reason."""


class Storing:
    """Stores one dataset."""

    def __init__(self, run: JobRun, dataset: Dataset, tally: Tally, *, reader: Reader, store: Store) -> None:
        self._run = run
        self._dataset = dataset
        self._tally = tally
        self._reader = reader
        self._store = store
        self._run.records_written = tally.stored

    async def store(self) -> Ending:
        """Store what comes until no more can come, or the work must end."""
        ahead: Batch | None = None
        while (ending := self._run.ending) is None:
            if self._run.is_paused:
                await self._run.report_progress("paused")
                await self._reader.idle(wait_ms=_WAIT_MS)
                continue
            batch = ahead if ahead is not None else await self._read(_WAIT_MS)
            ahead = await self._store_and_read_ahead(batch) if batch is not None else None
            CONSUMER_LAG.labels(self._dataset.type).set(self._reader.lag())
            await self._run.report_progress(self._summary(), out_of_range=self._tally.out_of_range)
            if await self._is_drained():
                return Completed(self._summary(), out_of_range=self._tally.out_of_range)
        return ending

    async def _read(self, wait_ms: int) -> Batch | None:
        """Take and check what has come; None where that is nothing."""
        messages = await self._reader.poll(max_records=_BATCH_RECORDS, wait_ms=wait_ms)
        if not messages:
            return None
        began_s = perf_counter()
        batch = sort_batch(messages, self._dataset)
        BATCH_SECONDS.labels(_SERVICE, "check").observe(perf_counter() - began_s)
        return batch

    async def _store_and_read_ahead(self, batch: Batch) -> Batch | None:
        """Store and acknowledge a batch while the next one is read and checked, and return that one."""
        ahead = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store_batch(batch))
                ahead = await self._read(_AHEAD_MS)
        except* TransientError:
            # The database was still waited for when the work had to end; the batch comes again.
            if self._run.ending is None:
                raise
        return ahead

    async def _store_batch(self, batch: Batch) -> None:
        began_s = perf_counter()
        stored = await self._store.store(batch.documents) if batch.documents else Stored(0, 0, ())
        rejected = [*batch.rejected, *stored.refused]
        if rejected:
            await self._store.keep_rejected(rejected)
        stored_s = perf_counter()
        repeated = batch.repeated + stored.repeated
        tally = self._tally.plus(
            stored=stored.written + repeated,
            repeated=repeated,
            rejected=len(rejected),
            out_of_range=batch.out_of_range,
        )
        await self._reader.ack(batch.messages, tally.encode())
        self._tally = tally
        self._run.records_written = tally.stored
        for stage, seconds in (("store", stored_s - began_s), ("ack", perf_counter() - stored_s)):
            BATCH_SECONDS.labels(_SERVICE, stage).observe(seconds)
        for outcome, number in (("written", stored.written), ("repeated", repeated), ("rejected", len(rejected))):
            RECORDS.labels(_SERVICE, self._dataset.type, outcome).inc(number)

    async def _is_drained(self) -> bool:
        end_offsets = self._run.end_offsets
        return end_offsets is not None and await self._reader.has_committed(end_offsets)

    def _summary(self) -> str:
        return (
            f"{self._tally.stored} records stored, {self._tally.repeated} of them again, "
            f"{self._tally.rejected} rejected; "
            f"{self._reader.lag()} to go"
        )
