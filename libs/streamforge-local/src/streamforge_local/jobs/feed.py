"""Tell whoever watches which job has changed, without ever waiting for a slow one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

_UNREAD_CHANGES = 1_000
"""A watcher this far behind is dropped; it lists the jobs again and has missed nothing."""


class JobChange(msgspec.Struct, frozen=True):
    """One change of one job; `status` is that of the job, or `deleted`."""

    queue_id: str
    name: str
    status: str


class ChangeFeed:
    """Hands every change to all watchers."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[JobChange | None]] = set()
        self._is_closed = False

    @contextmanager
    def watch(self) -> Iterator[asyncio.Queue[JobChange | None]]:
        """Get all changes from now on; None says that nothing more will come."""
        # One place more than it is filled with, so that the end can always be told.
        watcher: asyncio.Queue[JobChange | None] = asyncio.Queue(_UNREAD_CHANGES + 1)
        self._watchers.add(watcher)
        if self._is_closed:
            self._end(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def publish(self, change: JobChange) -> None:
        """Hand a change to all watchers."""
        for watcher in list(self._watchers):
            if watcher.qsize() < _UNREAD_CHANGES:
                watcher.put_nowait(change)
            else:
                self._end(watcher)

    def close(self) -> None:
        """Tell all watchers that nothing more will come."""
        self._is_closed = True
        for watcher in list(self._watchers):
            self._end(watcher)

    def _end(self, watcher: asyncio.Queue[JobChange | None]) -> None:
        self._watchers.discard(watcher)
        watcher.put_nowait(None)
