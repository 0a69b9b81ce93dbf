"""The way of an archive's file: fetched and proven, read in chunks, published, checkpointed.

Files come one after the other; the next chunk is read while one is published. Only when the broker has acknowledged a
chunk does the checkpoint move behind it, so after a kill at most one chunk is on the topic twice.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from time import time
from typing import Any, Protocol

from loguru import logger

from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.files import days_of, plan_files
from loader_producer.app.loading import EndOffsets
from loader_producer.app.place import ArchivePlace, decode_place
from loader_producer.app.publishing import (
    DataTopic,
    PlaceStore,
    Publishing,
    Run,
    rest_while_paused,
    wait_while_steered,
)
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.archives import LineReader, Lines, Period
from streamforge_common.exchanges.rest import End, EndRequests
from streamforge_common.history.ends import find_ends
from streamforge_common.history.pages import Ends, closed_ends, find_missing
from streamforge_common.job import Completed, Ending


class ArchiveFile(Protocol):
    """One file that is proven to be what the exchange has published."""

    @property
    def sha256(self) -> str:
        """Of the packed file."""

    @property
    def received_ms(self) -> int:
        """When it came, Unix milliseconds."""

    @property
    def head(self) -> bytes:
        """The first bytes of what is in it."""

    @property
    def offset(self) -> int:
        """Where in it the next chunk begins, bytes."""

    @property
    def is_read(self) -> bool:
        """Whether there is no next chunk."""

    async def seek(self, offset: int) -> None:
        """Go on from there."""

    async def read(self, parse: Callable[[bytes], Lines]) -> Lines:
        """Read the next chunk, which is some whole lines."""


class Archives(Protocol):
    """Where files come from."""

    @property
    def trouble(self) -> str:
        """Why a file is asked for again; empty where it came."""

    def opened(self, path: str) -> AbstractAsyncContextManager[ArchiveFile | None]:
        """Fetch and prove a file; None where there is none."""


class Exchange(Protocol):
    """The REST interface of the same market."""

    @property
    def trouble(self) -> str:
        """Why it is asked again; empty where it answers."""

    async def learn_limits(self, symbol: str) -> None:
        """Ask for the limits. Raises FatalError where there is no such symbol (`exchange_refused`)."""

    async def fetch_ends(self, symbol: str, time_range: TimeRange, ends: EndRequests) -> tuple[End | None, End | None]:
        """Return the first record at or after the start of the range, and the last one before its end."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a file."""

    period: Period
    path: str
    file: ArchiveFile
    lines: Lines
    offset: int
    """Where in the file the next chunk begins."""
    is_last: bool


class ArchiveLoading:
    """Loads one dataset from an archive."""

    def __init__(
        self,
        run: Run,
        dataset: ArchiveDataset,
        *,
        archives: Archives,
        exchange: Exchange,
        data_topic: DataTopic,
        places: PlaceStore,
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._archives = archives
        self._exchange = exchange
        self._places = places
        self._publishing = Publishing(run, dataset.type, data_topic)
        self._place = ArchivePlace(start_ms=dataset.time_range.start_ms, attempt=run.start.attempt)
        self._ends: Ends | None = None
        self._knows_ends = True
        self._next_id: int | None = None
        self._first_id: int | None = None
        self._missing_files = 0
        self._told_of = ("", "")

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet, and return how it ended."""
        saved = await self._places.load()
        if saved is not None:
            self._resume(decode_place(saved, ArchivePlace))
        async with asyncio.TaskGroup() as group:
            is_loaded = await self._load_with(group)
        if not is_loaded:
            assert self._run.ending is not None
            return self._run.ending
        first_id, last_id = self._ends or self._ends_seen() or (None, None)
        return Completed(
            self._summary(),
            await end_offsets(self._dataset.kafka_topic),
            first_id=first_id,
            last_id=last_id,
            exchange_gaps=self._publishing.gaps,
        )

    def _ends_seen(self) -> Ends | None:
        """Return the first and the last id of the files, which are read."""
        if self._first_id is None or self._next_id is None:
            return None
        return self._first_id, self._next_id - 1

    async def _load_with(self, group: asyncio.TaskGroup) -> bool:
        """Say whether all is loaded; not where the work must end before."""
        if not await self._ask(group, self._find_ends(), "asking the exchange for the ends of the range"):
            return False
        # From here on completeness can be judged, however this ends; where the files tell, only when all are read.
        first_id, last_id = self._ends or (None, None)
        await self._run.report(TaskStatus.LOADING, "loading files of the archive", first_id=first_id, last_id=last_id)
        if self._knows_ends and self._ends is None:
            return True
        if not await self._load_files(group):
            return False
        if self._ends is not None:
            self._note_ids([self._dataset.archive.kind.grid.advance(self._ends[1])])
        if any(self._told_of):
            return True
        # Not one file: it may be that there is no such symbol.
        asking = self._exchange.learn_limits(self._dataset.symbol)
        return await self._ask(group, asking, "asking the exchange for the symbol")

    async def _ask(self, group: asyncio.TaskGroup, question: Coroutine[Any, Any, None], progress: str) -> bool:
        """Say whether a question was answered; not where the work must end before."""
        asking = group.create_task(question)
        await wait_while_steered(self._run, asking, lambda: _why_waiting(self._exchange.trouble) + progress)
        if not asking.done():
            asking.cancel()
            return False
        asking.result()
        return True

    async def _find_ends(self) -> None:
        """Learn the first and the last id, apart from the files, where there is somebody to ask.

        Where the exchange does not answer for times so far back, or does not know the symbol any more, the files
        themselves have to tell.
        """
        dataset = self._dataset
        kind = dataset.archive.kind
        if kind.id_field == kind.time_field:
            self._ends = closed_ends(kind.grid, dataset.time_range, int(time() * 1000))
        elif dataset.ends is None:
            self._knows_ends = False
        else:
            self._knows_ends, self._ends = await self._ask_for_ends(dataset.ends)
        if self._ends is not None and self._next_id is None:
            self._next_id = self._ends[0]

    async def _ask_for_ends(self, requests: EndRequests) -> tuple[bool, Ends | None]:
        dataset = self._dataset
        try:
            return True, await find_ends(
                dataset.time_range, lambda: self._exchange.fetch_ends(dataset.symbol, dataset.time_range, requests)
            )
        except FatalError as exc:
            if exc.code != "exchange_refused":
                raise
            logger.info("the ends of the range are left to the files to tell: {}", exc)
            return False, None

    def _resume(self, place: ArchivePlace) -> None:
        self._place = place
        self._next_id, self._first_id = place.next_id, place.first_id
        self._told_of = (place.path, place.sha256)
        if place.attempt == self._run.start.attempt:
            self._run.records_written = place.records_written
            self._publishing.rejected = place.records_rejected
        logger.info("going on from byte {} of {!r}", place.offset, place.path)

    async def _load_files(self, group: asyncio.TaskGroup) -> bool:
        """Say whether all files are published; not where the work must end before."""
        async with aclosing(self._chunks()) as chunks:

            async def read_next() -> Chunk | None:
                return await anext(chunks, None)

            reading = group.create_task(read_next())
            while self._run.ending is None:
                if self._run.is_paused:
                    await rest_while_paused(self._run)
                    continue
                await wait_while_steered(self._run, reading, self._progress)
                if not reading.done() or self._run.is_paused:
                    continue
                chunk = reading.result()
                if chunk is None:
                    return True
                reading = group.create_task(read_next())
                await self._publish(chunk)
                await self._settle(chunk)
            reading.cancel()
            await asyncio.wait({reading})
        return False

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yield the files from the place on, chunk by chunk; at least one of each file that there is."""
        dataset, place = self._dataset, self._place
        time_range, archive = dataset.time_range, dataset.archive
        wanted = deque(plan_files(max(place.start_ms, time_range.start_ms), time_range.end_ms, int(time() * 1000)))
        while wanted:
            period = wanted.popleft()
            path = archive.path(dataset.symbol, period)
            async with self._archives.opened(path) as file:
                if file is None and period.is_month:
                    wanted.extendleft(reversed(days_of(period)))
                elif file is None:
                    self._note_missing(period, path)
                else:
                    reader = LineReader(archive, dataset.symbol, period, file.head)
                    is_same = (place.path, place.sha256) == (path, file.sha256)
                    await file.seek(place.offset if is_same else reader.begin)
                    is_last = False
                    while not is_last:
                        lines = await file.read(reader.read)
                        is_last = file.is_read
                        yield Chunk(period, path, file, lines, file.offset, is_last)

    def _note_missing(self, period: Period, path: str) -> None:
        """Note a file that there is not.

        Raises:
            FatalError: Nobody else knows which ids the range begins or ends with (`not_in_archive`).
        """
        time_range = self._dataset.time_range
        is_edge = period.start_ms <= time_range.start_ms or period.end_ms >= time_range.end_ms
        if is_edge and not self._knows_ends:
            raise FatalError(
                f"the archive has no {path!r} (yet), so nobody can tell which records the range begins or ends with; "
                "ask for a range that it has, or go on with a retry once it has the file",
                code="not_in_archive",
            )
        logger.warning("the archive has no {!r}", path)
        self._missing_files += 1

    async def _publish(self, chunk: Chunk) -> None:
        """Bring a chunk on the topic; before the first of a file say that the file is proven."""
        if self._told_of != (chunk.path, chunk.file.sha256):
            self._told_of = (chunk.path, chunk.file.sha256)
            await self._run.report(TaskStatus.LOADING, f"{_name(chunk.path)} as published, SHA-256 {chunk.file.sha256}")
        records = self._in_range(chunk.lines.records)
        await self._publishing.publish(records, chunk.lines.refused, chunk.file.received_ms, chunk.path)
        self._note_ids(sorted(map(self._dataset.archive.kind.id_of, records)))

    def _in_range(self, records: Sequence[Record]) -> Sequence[Record]:
        time_of, time_range = self._dataset.archive.kind.time_of, self._dataset.time_range
        return [record for record in records if time_range.start_ms <= time_of(record) < time_range.end_ms]

    def _note_ids(self, ids: Sequence[int]) -> None:
        """Look for ids that should have come before these or between them."""
        if not ids:
            return
        if self._next_id is None:
            # Nobody else has told.
            self._first_id = self._next_id = ids[0]
        gaps, self._next_id = find_missing(self._dataset.archive.kind.grid, self._next_id, ids)
        self._publishing.note_gaps(gaps)

    async def _settle(self, chunk: Chunk) -> None:
        """Report, and move the checkpoint behind the chunk; behind a file's last one to the next file."""
        if not await self._publishing.tell(self._progress()):
            return
        self._place = ArchivePlace(
            start_ms=chunk.period.end_ms if chunk.is_last else chunk.period.start_ms,
            path=chunk.path,
            sha256=chunk.file.sha256,
            offset=chunk.offset,
            next_id=self._next_id,
            first_id=self._first_id,
            attempt=self._run.start.attempt,
            records_written=self._run.records_written,
            records_rejected=self._publishing.rejected,
        )
        await self._places.save(self._place.encode())

    def _progress(self) -> str:
        path, _ = self._told_of
        return _why_waiting(self._archives.trouble) + (f"in {_name(path)}" if path else "looking for the first file")

    def _summary(self) -> str:
        lacking = f", which lacks {self._missing_files}" if self._missing_files else ""
        return self._publishing.summary(f"files of the archive{lacking}")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _why_waiting(trouble: str) -> str:
    return f"trying again: {trouble}; " if trouble else ""
