"""The way of a batch: read, checked, stored, acknowledged.

1. Take what has come.
2. Check it: documents, repetitions, rejected.
3. Store the documents, then what is rejected; both are on disk before the next step.
4. Acknowledge: the group's committed place moves behind the batch.

While a batch is at 3 the one before it is at 4 and the next one at 1 and 2, and no further; batches are stored and
acknowledged in order.
Whatever ends the process before step 4 makes the same messages come again, and storing them again changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from arango_connector.app.batches import Batch, Rejected, Sorting
from arango_connector.app.dataset import Dataset
from arango_connector.app.tally import Tally
from streamforge_common.contract.records import RecordMessage
from streamforge_common.errors import TransientError
from streamforge_common.job import Completed, Ending, JobRun
from streamforge_common.telemetry import BATCH_SECONDS, CONSUMER_LAG, RECORDS

_BATCH_RECORDS = 5_000
"""About 2 MB of candles: large enough that the database's sync to disk, once per import, weighs little."""
_PART_RECORDS = 1_000
"""Are read and checked in one go, in some 4 ms. All of a batch would keep the batch before it from being sent."""
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


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch that is stored, and waits to be acknowledged; the counts are of messages."""

    batch: Batch
    written: int
    repeated: int
    rejected: int


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
        batch: Batch | None = None
        done: _Done | None = None
        while (ending := self._run.ending) is None:
            if self._run.is_paused:
                if done is not None:
                    await self._acknowledge(done)
                    done = None
                await self._run.report_progress("paused")
                await self._reader.idle(wait_ms=_WAIT_MS)
                continue
            batch, done = await self._step(batch, done)
            CONSUMER_LAG.labels(self._dataset.type).set(self._reader.lag())
            await self._run.report_progress(self._summary(), out_of_range=self._tally.out_of_range)
            if batch is None and done is None and await self._is_drained():
                return Completed(self._summary(), out_of_range=self._tally.out_of_range)
        if done is not None:
            with suppress(TransientError):  # then the batch comes again
                await self._acknowledge(done)
        return ending

    async def _step(self, batch: Batch | None, done: _Done | None) -> tuple[Batch | None, _Done | None]:
        """Store a batch while the one before it is acknowledged and the next one is read; return the latter two."""
        ahead, storing = None, None
        try:
            async with asyncio.TaskGroup() as group:
                if batch is not None:
                    storing = group.create_task(self._store_batch(batch))
                if done is not None:
                    group.create_task(self._acknowledge(done))
                ahead = await self._read(_WAIT_MS if batch is None and done is None else _AHEAD_MS)
        except* TransientError:
            # The database was still waited for when the work had to end; the batch comes again.
            if self._run.ending is None:
                raise
            storing = None
        return ahead, storing.result() if storing is not None else None

    async def _read(self, wait_ms: int) -> Batch | None:
        """Take and check what has come; None where that is nothing."""
        sorting, check_s = Sorting(self._dataset), 0.0
        while len(sorting) < _BATCH_RECORDS:
            messages = await self._reader.poll(max_records=_PART_RECORDS, wait_ms=0 if len(sorting) else wait_ms)
            if not messages:
                break
            began_s = perf_counter()
            sorting.add(messages)
            check_s += perf_counter() - began_s
            await asyncio.sleep(0)
        if not len(sorting):
            return None
        BATCH_SECONDS.labels(_SERVICE, "check").observe(check_s)
        return sorting.batch()

    async def _store_batch(self, batch: Batch) -> _Done:
        began_s = perf_counter()
        stored = await self._store.store(batch.documents) if batch.documents else Stored(0, 0, ())
        rejected = [*batch.rejected, *stored.refused]
        if rejected:
            await self._store.keep_rejected(rejected)
        BATCH_SECONDS.labels(_SERVICE, "store").observe(perf_counter() - began_s)
        return _Done(batch, stored.written, batch.repeated + stored.repeated, len(rejected))

    async def _acknowledge(self, done: _Done) -> None:
        began_s = perf_counter()
        tally = self._tally.plus(
            stored=done.written + done.repeated,
            repeated=done.repeated,
            rejected=done.rejected,
            out_of_range=done.batch.out_of_range,
        )
        await self._reader.ack(done.batch.messages, tally.encode())
        self._tally = tally
        self._run.records_written = tally.stored
        BATCH_SECONDS.labels(_SERVICE, "ack").observe(perf_counter() - began_s)
        for outcome in ("written", "repeated", "rejected"):
            RECORDS.labels(_SERVICE, self._dataset.type, outcome).inc(getattr(done, outcome))

    async def _is_drained(self) -> bool:
        end_offsets = self._run.end_offsets
        return end_offsets is not None and await self._reader.has_committed(end_offsets)

    def _summary(self) -> str:
        return (
            f"{self._tally.stored} records stored, {self._tally.repeated} of them again, "
            f"{self._tally.rejected} rejected; "
            f"{self._reader.lag()} to go"
        )
