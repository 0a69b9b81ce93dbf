"""What keeps writers apart: documents that open transactions changed, collections that one of them has for itself."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from arangolite.errors import ArangoError, Problem


def conflict(key: str) -> ArangoError:
    """Say that two transactions want to change the same document."""
    message = f"conflict, write-write conflict - in index primary of type primary over '_key'; conflicting key: {key}"
    return ArangoError(Problem.CONFLICT, message)


class KeyLocks:
    """Which stream transaction has changed a document and not ended yet. For all threads."""

    def __init__(self) -> None:
        self._owners: dict[tuple[int, str], str] = {}
        self._lock = threading.Lock()

    def check(self, collection: int, key: str) -> None:
        """Refuse with 1200 a key that a transaction holds."""
        if self._owners and (collection, key) in self._owners:
            raise conflict(key)

    def holds_any(self, collection: int) -> bool:
        """Whether a transaction holds a key of a collection."""
        with self._lock:
            return any(held == collection for held, _ in self._owners)

    def take(self, collection: int, key: str, owner: str) -> None:
        """Hold a key for a transaction, or refuse with 1200."""
        with self._lock:
            holder = self._owners.setdefault((collection, key), owner)
            if holder != owner:
                raise conflict(key)

    def release(self, keys: Collection[tuple[int, str]]) -> None:
        """Let keys go."""
        with self._lock:
            for key in keys:
                self._owners.pop(key, None)


class CollectionLocks:
    """Who writes to a collection: many at once, or one exclusively. Used on the event loop only."""

    def __init__(self) -> None:
        self._writers: Counter[int] = Counter()
        self._exclusive: set[int] = set()
        self._changed = asyncio.Event()

    async def acquire(self, wanted: Mapping[int, bool], timeout_s: float) -> None:
        """Take locks, all or none.

        Args:
            wanted: Collection ids, and whether each is wanted exclusively.
            timeout_s: How long to wait for others before refusing with 18.
        """
        if not self._try(wanted):
            try:
                async with asyncio.timeout(timeout_s):
                    while not self._try(wanted):
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError as exc:
                raise ArangoError(Problem.LOCK_TIMEOUT) from exc

    def release(self, held: Mapping[int, bool]) -> None:
        """Give locks back."""
        for collection, exclusive in held.items():
            if exclusive:
                self._exclusive.discard(collection)
            else:
                self._writers[collection] -= 1
                if not self._writers[collection]:
                    del self._writers[collection]
        self._changed.set()

    @asynccontextmanager
    async def held(self, wanted: Mapping[int, bool], timeout_s: float) -> AsyncIterator[None]:
        """Hold locks for the length of a `with` block."""
        await self.acquire(wanted, timeout_s)
        try:
            yield
        finally:
            self.release(wanted)

    def _try(self, wanted: Mapping[int, bool]) -> bool:
        if any(
            collection in self._exclusive or (exclusive and collection in self._writers)
            for collection, exclusive in wanted.items()
        ):
            return False
        for collection, exclusive in wanted.items():
            if exclusive:
                self._exclusive.add(collection)
            else:
                self._writers[collection] += 1
        return True
