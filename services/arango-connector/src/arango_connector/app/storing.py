"""The way of a batch: read, checked, stored, acknowledged.

1. Take what has come.
2. Check it: documents, repetitions, rejected.
3. Store the documents, then what is rejected; both are on disk before the next step.
4. Acknowledge: the group's committed place moves behind the batch.

Two batches may be at 3 at a time, if they share no `_key`: a later document of the same `_key` is stored later. Batches
are acknowledged in order, and the next one is read while another is being stored.
Whatever ends the process before step 4 makes the same messages come again, and storing them again changes nothing.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
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
_IMPORTS = 2
"""At a time: the database works on one while the other is on its way there or back."""
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
class _Import:
    """A batch that is being stored, or that is stored and waits to be acknowledged."""

    batch: Batch
    stored: "asyncio.Task[Stored]"


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
        ending: Ending | None = None
        try:
            async with asyncio.TaskGroup() as group:
                ending = await self._store_all(group)
        except* TransientError:
            # The database was still waited for when the work had to end; those batches come again.
            ending = self._run.ending
            if ending is None:
                raise
        assert ending is not None
        return ending

    async def _store_all(self, group: asyncio.TaskGroup) -> Ending:
        imports: deque[_Import] = deque()
        while (ending := self._run.ending) is None:
            if self._run.is_paused:
                await self._acknowledge(imports)
                await self._run.report_progress("paused")
                await self._reader.idle(wait_ms=_WAIT_MS)
                continue
            if len(imports) == _IMPORTS:
                await self._acknowledge_first(imports)
                continue
            batch = await self._read(_AHEAD_MS if imports else _WAIT_MS)
            if batch is None or any(batch.shares_keys(earlier.batch) for earlier in imports):
                await self._acknowledge(imports)
            if batch is not None:
                imports.append(_Import(batch, group.create_task(self._store_batch(batch))))
            CONSUMER_LAG.labels(self._dataset.type).set(self._reader.lag())
            await self._run.report_progress(self._summary(), out_of_range=self._tally.out_of_range)
            if batch is None and await self._is_drained():
                return Completed(self._summary(), out_of_range=self._tally.out_of_range)
        await self._acknowledge(imports)
        return ending

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

    async def _store_batch(self, batch: Batch) -> Stored:
        began_s = perf_counter()
        stored = await self._store.store(batch.documents) if batch.by_key else Stored(0, 0, ())
        rejected = [*batch.rejected, *stored.refused]
        if rejected:
            await self._store.keep_rejected(rejected)
        BATCH_SECONDS.labels(_SERVICE, "store").observe(perf_counter() - began_s)
        return stored

    async def _acknowledge(self, imports: deque[_Import]) -> None:
        while imports:
            await self._acknowledge_first(imports)

    async def _acknowledge_first(self, imports: deque[_Import]) -> None:
        """Wait until the earliest batch is stored, and acknowledge it; the counts are of messages."""
        first = imports.popleft()
        batch, stored = first.batch, await first.stored
        began_s = perf_counter()
        repeated = batch.repeated + stored.repeated
        rejected = len(batch.rejected) + len(stored.refused)
        tally = self._tally.plus(
            stored=stored.written + repeated, repeated=repeated, rejected=rejected, out_of_range=batch.out_of_range
        )
        await self._reader.ack(batch.messages, tally.encode())
        self._tally = tally
        self._run.records_written = tally.stored
        BATCH_SECONDS.labels(_SERVICE, "ack").observe(perf_counter() - began_s)
        for outcome, count in (("written", stored.written), ("repeated", repeated), ("rejected", rejected)):
            RECORDS.labels(_SERVICE, self._dataset.type, outcome).inc(count)

    async def _is_drained(self) -> bool:
        end_offsets = self._run.end_offsets
        return end_offsets is not None and await self._reader.has_committed(end_offsets)

    def _summary(self) -> str:
        return (
            f"{self._tally.stored} records stored, {self._tally.repeated} of them again, "
            f"{self._tally.rejected} rejected; "
            f"{self._reader.lag()} to go"
        )
