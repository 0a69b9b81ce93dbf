"""The files of an archive in the order of the plan: while one is used the next is fetched, and no more than that."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import time
from types import TracebackType
from typing import Protocol, Self

from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.files import days_of, plan_files
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.archives import Lines, Period

_AHEAD_BYTES_MAX = 1024**3
"""Behind a larger file none is fetched ahead: the next is about as large, and the room of a job is bounded."""


class ArchiveFile(Protocol):
    """One file that is proven to be what the exchange has published."""

    @property
    def sha256(self) -> str:
        """Of the packed file."""

    @property
    def packed_bytes(self) -> int:
        """How much disk it takes."""

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

    def close(self) -> None:
        """Give the disk back."""


class Archives(Protocol):
    """Where files come from."""

    @property
    def trouble(self) -> str:
        """Why a file is asked for again; empty where it came."""

    async def fetch(self, path: str) -> ArchiveFile | None:
        """Fetch and prove a file, which is to be closed; None where there is none.

        Raises:
            FatalError: It is not what it should be (`archive_corrupt`).
        """


@dataclass(frozen=True, slots=True)
class Lack:
    """What there is in place of a file."""

    why: str
    """E.g. `the archive has no …`."""
    fault: FatalError | None = None
    """What would end the job if nothing could stand in for the file."""


Found = tuple[Period, ArchiveFile | Lack]


class FileQueue:
    """Fetches the files of one dataset; a context manager, that closes what was fetched and not taken."""

    def __init__(self, dataset: ArchiveDataset, archives: Archives, start_ms: int, group: asyncio.TaskGroup) -> None:
        """Fetch nothing yet.

        Args:
            dataset: What the files are of.
            archives: Where they come from.
            start_ms: Where to begin in the dataset's range.
            group: Owns what is under way.
        """
        self._dataset = dataset
        self._archives = archives
        self._group = group
        self._now_ms = int(time() * 1000)
        self._wanted = deque(_plan(dataset, start_ms, self._now_ms))
        self._ahead: asyncio.Task[Found] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ahead = self._ahead
        if ahead is None or ahead.cancel() or ahead.cancelled() or ahead.exception() is not None:
            return
        _, found = ahead.result()
        if not isinstance(found, Lack):
            found.close()

    async def next(self) -> Found | None:
        """Return the next file, which is to be closed, or what there is in its place; None behind the last one.

        The days take the place of a month whose file does not exist (yet).
        """
        while True:
            self._begin()
            if self._ahead is None:
                return None
            period, found = await self._ahead
            self._ahead = None
            if isinstance(found, Lack) and period.is_month and self._dataset.archive.has_days:
                self._wanted.extendleft(reversed(days_of(period)))
                continue
            if isinstance(found, Lack) or found.packed_bytes <= _AHEAD_BYTES_MAX:
                self._begin()
            return period, found

    def _begin(self) -> None:
        if self._ahead is None and self._wanted:
            self._ahead = self._group.create_task(self._fetch(self._wanted.popleft()))

    async def _fetch(self, period: Period) -> Found:
        rest_from_ms = self._dataset.rest_from_ms
        if rest_from_ms is not None and period.start_ms >= rest_from_ms:
            return period, Lack(f"what is younger than {period.name} is not asked of the archive")
        path = self._dataset.archive.path(self._dataset.symbol, period)
        if period.end_ms > self._now_ms:
            return period, Lack(f"{name_of(path)} cannot be out before its time is over")
        try:
            file = await self._archives.fetch(path)
        except FatalError as exc:
            if exc.code != "archive_corrupt":
                raise
            return period, Lack(f"{name_of(path)} is not what it should be", exc)
        return period, Lack(f"the archive has no {name_of(path)}") if file is None else file


def _plan(dataset: ArchiveDataset, start_ms: int, now_ms: int) -> Iterator[Period]:
    """Yield the files, and behind them what is left to REST as one period."""
    end_ms, rest_from_ms = dataset.time_range.end_ms, dataset.rest_from_ms
    yield from plan_files(dataset.archive, start_ms, end_ms if rest_from_ms is None else rest_from_ms, now_ms)
    if rest_from_ms is not None:
        yield Period(max(start_ms, rest_from_ms), end_ms, is_month=False)


def name_of(path: str) -> str:
    """Return the name of a file."""
    return path.rpartition("/")[2]
