"""The way of an archive's file: fetched and proven, read in chunks, published, checkpointed.

Files come one after the other; while one is published its next chunk is read, and the next file fetched. Where the
archive has no good file REST stands in for it. Only when the broker has acknowledged a chunk does the checkpoint move
behind it, so after a kill at most one chunk is on the topic twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import time
from typing import Any

import msgspec
from loguru import logger

from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.file_queue import ArchiveFile, Archives, FileQueue, Lack, name_of
from loader_producer.app.gaps import Continuity
from loader_producer.app.loading import EndOffsets, Exchange
from loader_producer.app.place import ArchivePlace, decode_place
from loader_producer.app.publishing import (
    DataTopic,
    PlaceStore,
    Publishing,
    Run,
    rest_while_paused,
    wait_while_steered,
)
from loader_producer.app.standing_in import RestStandIn
from streamforge_common.contract.events import ArchiveFileNote, TaskStatus
from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.archives import LineReader, Lines, Period
from streamforge_common.exchanges.rest import EndRequests
from streamforge_common.history.ends import find_settled_ends
from streamforge_common.history.pages import Ends, closed_ends
from streamforge_common.job import Completed, Ending

_REST = "REST"
"""In place of the path of a file."""
_NO_LINES = Lines((), ())


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a file, or what REST gave in its place."""

    period: Period
    path: str
    sha256: str
    """Empty for REST."""
    told: str
    """Where it is from, for people."""
    lines: Lines
    received_ms: int
    offset: int
    """Where the next chunk begins: bytes, over REST an id."""
    is_last: bool
    ends: Ends | None = None
    """The first and the last id of the period, where somebody tells."""


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
        self._stand_in = RestStandIn(exchange, dataset)
        self._places = places
        self._publishing = Publishing(run, dataset.type, data_topic)
        # The file before may hold the first records of the range.
        self._start_ms = dataset.time_range.start_ms - dataset.archive.runs_on_ms
        self._place = ArchivePlace(start_ms=self._start_ms, attempt=run.start.attempt)
        self._ends: Ends | None = None
        self._knows_ends = True
        self._spacing: int | None = None
        self._continuity = Continuity(dataset.archive.kind)
        self._missing_files = 0
        self._told_of: tuple[int, str, str] | None = None
        """The period, file and checksum that were told of last."""
        self._saving = asyncio.Lock()

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet, and return how it ended."""
        saved = await self._places.load()
        if saved is not None:
            self._resume(decode_place(saved, ArchivePlace))
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell_of_bans())
            is_loaded = await self._load_with(group)
            telling.cancel()
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
        first_id, next_id = self._continuity.first_id, self._continuity.next_id
        return None if first_id is None or next_id is None else (first_id, next_id - 1)

    async def _tell_of_bans(self) -> None:
        """Let those who come after this process know at once for how long the exchange is closed."""
        while True:
            until_s = await self._exchange.next_ban()
            await self._save_place(msgspec.structs.replace(self._place, banned_until_s=until_s))
            await self._run.report(TaskStatus.LOADING, "the exchange asks to be left alone", banned_until=until_s)

    async def _load_with(self, group: asyncio.TaskGroup) -> bool:
        """Say whether all is loaded; not where the work must end before."""
        if not await self._ask(group, self._find_ends(), "asking the exchange for the ends of the range"):
            return False
        # From here on completeness can be judged, however this ends; where the files tell, only when all are read.
        first_id, last_id = self._ends or (None, None)
        facts = {"first_id": first_id, "last_id": last_id, "spacing_ms": self._spacing}
        await self._run.report(TaskStatus.LOADING, "loading files of the archive", **facts)
        if self._knows_ends and self._ends is None:
            return True
        if not await self._load_files(group):
            return False
        if self._ends is not None:
            self._publishing.note_gaps(self._continuity.end_at(self._ends[1]))
        if self._told_of is not None:
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
        if dataset.history is not None and dataset.history.spacing is not None:
            self._spacing = await self._exchange.learn_spacing(dataset.symbol, dataset.history.spacing)
        self._continuity = Continuity(kind, self._spacing)
        self._continuity.first_id, self._continuity.next_id = self._place.first_id, self._place.next_id
        if kind.id_field == kind.time_field:
            self._ends = closed_ends(kind.grid, dataset.time_range, _now_ms())
        elif dataset.ends is None:
            self._knows_ends = False
        else:
            self._knows_ends, self._ends = await self._ask_for_ends(dataset.ends)
        if self._ends is not None:
            self._continuity.begin_at(self._ends[0])

    async def _ask_for_ends(self, requests: EndRequests) -> tuple[bool, Ends | None]:
        symbol, time_range = self._dataset.symbol, self._dataset.time_range
        try:
            return True, await find_settled_ends(
                time_range, _now_ms(), lambda: self._exchange.fetch_ends(symbol, time_range, requests)
            )
        except FatalError as exc:
            if exc.code != "exchange_refused":
                raise
            logger.info("the ends of the range are left to the files to tell: {}", exc)
            return False, None

    def _resume(self, place: ArchivePlace) -> None:
        self._place = place
        if place.path:
            self._told_of = (place.start_ms, place.path, place.sha256)
        if place.attempt == self._run.start.attempt:
            self._run.records_written = place.records_written
            self._publishing.rejected = place.records_rejected
        # An exchange bans an address, not a process: the ban of one that was killed is also ours.
        self._exchange.close_until(place.banned_until_s)
        logger.info("going on from {} of {!r}", place.offset, place.path)

    async def _load_files(self, group: asyncio.TaskGroup) -> bool:
        """Say whether all files are published; not where the work must end before."""
        async with aclosing(self._chunks(group)) as chunks:

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

    async def _chunks(self, group: asyncio.TaskGroup) -> AsyncGenerator[Chunk, None]:
        """Yield what there is from the place on, chunk by chunk; at least one of each period that there is."""
        place = self._place
        with FileQueue(self._dataset, self._archives, max(place.start_ms, self._start_ms), group) as files:
            while (found := await files.next()) is not None:
                period, file = found
                if isinstance(file, Lack):
                    chunks = self._chunks_over_rest(period, file, place, group)
                else:
                    chunks = self._chunks_of(period, file, place)
                async with aclosing(chunks):
                    async for chunk in chunks:
                        yield chunk

    async def _chunks_of(self, period: Period, file: ArchiveFile, place: ArchivePlace) -> AsyncGenerator[Chunk, None]:
        dataset = self._dataset
        path = dataset.archive.path(dataset.symbol, period)
        try:
            reader = LineReader(dataset.archive, dataset.symbol, period, file.head)
            is_same = (place.path, place.sha256) == (path, file.sha256)
            await file.seek(place.offset if is_same else reader.begin)
            told = f"{name_of(path)} as published, SHA-256 {file.sha256}"
            is_last = False
            while not is_last:
                lines = await file.read(reader.read)
                is_last = file.is_read
                yield Chunk(period, path, file.sha256, told, lines, file.received_ms, file.offset, is_last)
        finally:
            file.close()

    async def _chunks_over_rest(
        self, period: Period, lack: Lack, place: ArchivePlace, group: asyncio.TaskGroup
    ) -> AsyncGenerator[Chunk, None]:
        """Let REST stand in for a file, where it can.

        Raises:
            FatalError: Nothing can, and the file is spoilt, or tells what nobody else does.
        """
        whole = self._dataset.time_range
        start_ms = max(period.start_ms, whole.start_ms)
        end_ms = min(period.end_ms + self._dataset.archive.runs_on_ms, whole.end_ms)
        history = await self._stand_in.history_for(start_ms)
        if history is None:
            self._note_missing(period, lack)
            return
        is_same = (place.start_ms, place.path) == (period.start_ms, _REST)
        next_id = place.offset if is_same else None
        told = f"{lack.why}: REST has it"
        period_wanted = TimeRange(start_ms, end_ms)
        reading = self._stand_in.read(history, period_wanted, group, next_id=next_id, spacing=self._spacing)
        async with aclosing(reading) as parts:
            async for part in parts:
                lines, received_ms = _NO_LINES, 0
                if part.content is not None:
                    lines, received_ms = Lines(part.content.records, part.content.refused), part.content.received_ms
                yield Chunk(
                    period, _REST, "", told, lines, received_ms, part.next_id, is_last=part.is_last, ends=part.ends
                )

    def _note_missing(self, period: Period, lack: Lack) -> None:
        """Note a file that there is not, and nothing in its place.

        Raises:
            FatalError: It is spoilt, or nobody else knows which ids the range begins or ends with (`not_in_archive`).
        """
        if lack.fault is not None:
            raise lack.fault
        time_range = self._dataset.time_range
        is_edge = period.start_ms <= time_range.start_ms or period.end_ms >= time_range.end_ms
        if is_edge and not self._knows_ends:
            raise FatalError(
                f"{lack.why} (yet), so nobody can tell which records the range begins or ends with; "
                "ask for a range that it has, or go on with a retry once it has the file",
                code="not_in_archive",
            )
        logger.warning("{}", lack.why)
        self._missing_files += 1

    async def _publish(self, chunk: Chunk) -> None:
        """Bring a chunk on the topic; before the first of a file say which one it is."""
        await self._tell_of(chunk)
        records = self._in_range(chunk.lines.records)
        await self._publishing.publish(records, chunk.lines.refused, chunk.received_ms, name_of(chunk.path))
        if chunk.ends is not None:
            self._continuity.begin_at(chunk.ends[0])
        gaps = self._continuity.take(sorted(map(self._dataset.archive.kind.id_of, records)))
        if chunk.ends is not None and chunk.is_last:
            gaps += self._continuity.end_at(chunk.ends[1])
        self._publishing.note_gaps(gaps)

    async def _tell_of(self, chunk: Chunk) -> None:
        of = (chunk.period.start_ms, chunk.path, chunk.sha256)
        if self._told_of == of:
            return
        self._told_of = of
        file = ArchiveFileNote(path=chunk.path, sha256=chunk.sha256) if chunk.sha256 else None
        await self._run.report(TaskStatus.LOADING, chunk.told, archive_file=file)

    def _in_range(self, records: Sequence[Record]) -> Sequence[Record]:
        time_of, time_range = self._dataset.archive.kind.time_of, self._dataset.time_range
        return [record for record in records if time_range.start_ms <= time_of(record) < time_range.end_ms]

    async def _settle(self, chunk: Chunk) -> None:
        """Report, and move the checkpoint behind the chunk; behind a file's last one to the next file."""
        if not await self._publishing.tell(self._progress()):
            return
        place = ArchivePlace(
            start_ms=chunk.period.end_ms if chunk.is_last else chunk.period.start_ms,
            path=chunk.path,
            sha256=chunk.sha256,
            offset=chunk.offset,
            next_id=self._continuity.next_id,
            first_id=self._continuity.first_id,
            attempt=self._run.start.attempt,
            records_written=self._run.records_written,
            records_rejected=self._publishing.rejected,
            banned_until_s=self._place.banned_until_s,
        )
        await self._save_place(place)

    async def _save_place(self, place: ArchivePlace) -> None:
        self._place = place
        async with self._saving:
            await self._places.save(self._place.encode())

    def _progress(self) -> str:
        trouble = self._archives.trouble or self._exchange.trouble
        return _why_waiting(trouble) + (
            f"in {name_of(self._told_of[1])}" if self._told_of else "looking for the first file"
        )

    def _summary(self) -> str:
        lacking = f", which lacks {self._missing_files}" if self._missing_files else ""
        return self._publishing.summary(f"files of the archive{lacking}")


def _now_ms() -> int:
    return int(time() * 1000)


def _why_waiting(trouble: str) -> str:
    return f"trying again: {trouble}; " if trouble else ""
