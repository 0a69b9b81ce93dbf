"""Files of the archive: a series' items of some time as one packed CSV file, made when it is asked for first.

What is made is the same for everyone and at any time, to the last byte. It is kept on disk under no name, so that
nothing is left of it however this process ends.
"""

import asyncio
import hashlib
import os
import zipfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

from exchange_sim.market import Series, TimeUnit

_PIECE_BYTES: Final = 256 * 1024
_KEPT_FILES: Final = 64
_LEVEL: Final = 1
"""Of compression: making a file should not take longer than drawing what is in it."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file."""

    name: str
    """Of the packed file, without an ending."""
    series: Series
    positions: range
    header: bytes
    """The first line; empty where there is none."""
    lines: Callable[[Sequence[bytes]], list[bytes]]
    """Rows, as the REST interface gives them, to lines."""
    unit: TimeUnit


class PackedFile:
    """One file, made a batch at a time for whoever waits for it: a month of trades takes a minute.

    The disk is left to threads. A client that gives up cannot stop the one that works for it, so a batch is added only
    where it is the next one.
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self.sha256 = ""
        """Of the finished file."""
        self.spoilt_sha256 = ""
        """Of the same with a wrong byte in its middle."""
        self._file = TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._csv: IO[bytes] | None = None
        self._next = content.positions.start
        self._lock = Lock()

    async def finish(self, now_us: int) -> None:
        """Make what is not made yet; who gives up leaves what is made to the next one."""
        content = self.content
        while (first := self._next) < content.positions.stop:
            end = min(content.positions.stop, first + content.series.batch)
            lines = content.lines(content.series.rows(first, end, now_us, content.unit))
            await asyncio.to_thread(self._add, first, lines, end)
        await asyncio.to_thread(self._end)

    async def send(self, *, is_spoilt: bool = False) -> AsyncIterator[bytes]:
        """The finished file, piece by piece."""
        own = os.dup(self._file.fileno())
        try:
            pieces = _pieces(own, is_spoilt=is_spoilt)
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece
        finally:
            os.close(own)

    def close(self) -> None:
        """Give the disk back."""
        with self._lock:
            if self._csv is not None:
                self._csv.close()
            self._zip.close()
            self._file.close()

    def _add(self, first: int, lines: Sequence[bytes], end: int) -> None:
        with self._lock:
            if first != self._next:
                return
            if self._csv is None:
                self._csv = self._zip.open(f"{self.content.name}.csv", "w", force_zip64=True)
                lines = [self.content.header, *lines] if self.content.header else lines
            self._csv.write(b"\n".join([*lines, b""]))
            self._next = end

    def _end(self) -> None:
        with self._lock:
            if self.sha256:
                return
            assert self._csv is not None, "there are no empty files"
            self._csv.close()
            self._zip.close()
            self._file.flush()
            self.sha256 = _sha256(self._file.fileno(), is_spoilt=False)
            self.spoilt_sha256 = _sha256(self._file.fileno(), is_spoilt=True)


def _pieces(descriptor: int, *, is_spoilt: bool) -> Iterator[bytes]:
    middle = os.fstat(descriptor).st_size // 2
    at = 0
    while piece := os.pread(descriptor, _PIECE_BYTES, at):
        if is_spoilt and at <= middle < at + len(piece):
            yield piece[: middle - at] + bytes([piece[middle - at] ^ 0xFF]) + piece[middle - at + 1 :]
        else:
            yield piece
        at += len(piece)


def _sha256(descriptor: int, *, is_spoilt: bool) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(descriptor, is_spoilt=is_spoilt):
        digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Download:
    """What a request for a file is given."""

    file: PackedFile
    is_checksum: bool
    """Whether it is for the file's checksum instead."""


class Shelf:
    """The files that were asked for last."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, PackedFile] = OrderedDict()

    def take(self, path: str, content: Callable[[], Content]) -> PackedFile:
        """Return the file of a path; one that was not asked for yet begins to be made."""
        if path not in self._files:
            self._files[path] = PackedFile(content())
        self._files.move_to_end(path)
        while len(self._files) > _KEPT_FILES:
            self._files.popitem(last=False)[1].close()
        return self._files[path]

    def close(self) -> None:
        """Forget all of them."""
        while self._files:
            self._files.popitem()[1].close()
