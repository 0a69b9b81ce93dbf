"""Which collections a request reads and writes: checked against what the caller and a transaction may, and held."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Collection as Names
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from arangolite.errors import ArangoError, Problem
from arangolite.storage import catalog
from arangolite.storage.database import Database, Session, Transaction, Work
from arangolite.storage.stream import StreamTransaction

T = TypeVar("T")
State = Literal["running", "committed", "aborted"]
Check = Callable[[str], None]
"""Refuses a collection by its name."""

IDLE_SECONDS = 60.0
"""How long a transaction may be left alone before it is aborted; ArangoDB's default."""
MAX_BYTES = 128 << 20
"""How much one transaction may write; ArangoDB's default."""
LOCK_SECONDS = 900.0
"""How long to wait for a collection that a transaction has for itself; ArangoDB's default."""
_KEPT = 10_000  # ended transactions whose outcome can still be asked for


@dataclass(frozen=True)
class Declared:
    """What a transaction says that it will use."""

    reads: frozenset[str]
    writes: frozenset[str]
    exclusive: frozenset[str]
    implicit_reads: bool

    def check_read(self, collection: str) -> None:
        """Refuse with 1652 to read what was not declared, unless that is allowed."""
        if not self.implicit_reads and collection not in self.reads | self.writes | self.exclusive:
            raise _unregistered(collection)

    def check_write(self, collection: str) -> None:
        """Refuse with 1652 to write what was not declared for writing."""
        if collection not in self.writes | self.exclusive:
            raise _unregistered(collection)


def _unregistered(collection: str) -> ArangoError:
    return ArangoError(Problem.TRANSACTION_UNREGISTERED, f"{Problem.TRANSACTION_UNREGISTERED.text}: {collection}")


@dataclass
class Open:
    """A transaction that has been begun, and its outcome once it has ended."""

    stream: StreamTransaction
    username: str
    declared: Declared
    sync: bool
    held: Mapping[int, bool]
    state: State = "running"
    used_at: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Requests of one transaction are worked on one after the other."""


class Transactions:
    """The stream transactions of a server."""

    def __init__(self) -> None:
        self._all: dict[str, Open] = {}

    @property
    def count(self) -> int:
        """How many run."""
        return sum(opened.state == "running" for opened in self._all.values())

    async def begin(
        self, database: Database, username: str, declared: Declared, *, sync: bool, lock_s: float, max_bytes: int
    ) -> Open:
        """Lock what the transaction writes and take its snapshot."""
        writes = declared.writes | declared.exclusive
        held = {database.collections[name].id: name in declared.exclusive for name in writes}
        await database.collection_locks.acquire(held, lock_s)
        try:
            transaction_id = str(database.clock.reserve())
            stream = await asyncio.get_running_loop().run_in_executor(
                database.threads, StreamTransaction, transaction_id, database, writes, min(max_bytes, MAX_BYTES)
            )
        except BaseException:
            database.collection_locks.release(held)
            raise
        opened = self._all[transaction_id] = Open(stream, username, declared, sync, held)
        return opened

    def running(self, database: Database, username: str | None) -> list[Open]:
        """List the running transactions of a database: of one user, or with None of all."""
        return [
            opened
            for opened in self._all.values()
            if opened.state == "running" and opened.stream.database is database and username in (None, opened.username)
        ]

    def find(self, database: Database, username: str, transaction_id: str) -> Open:
        """Find a transaction of this user and database, or refuse with 10 or 1655."""
        if not transaction_id.isdecimal():
            raise ArangoError(Problem.BAD_PARAMETER, f"invalid transaction ID '{transaction_id}'")
        opened = self._all.get(transaction_id)
        if opened is None or opened.stream.database is not database or opened.username != username:
            raise ArangoError(Problem.TRANSACTION_NOT_FOUND, f"transaction '{transaction_id}' not found")
        return opened

    @asynccontextmanager
    async def leased(self, opened: Open, reads: Names[str], writes: Names[str]) -> AsyncIterator[StreamTransaction]:
        """Use a transaction for one request."""
        for name in reads:
            opened.declared.check_read(name)
        for name in writes:
            opened.declared.check_write(name)
        async with opened.lock:
            if opened.state != "running":
                message = f"transaction '{opened.stream.id}' has already been {opened.state}"
                raise ArangoError(Problem.TRANSACTION_NOT_FOUND, message)
            opened.used_at = time.monotonic()
            try:
                yield opened.stream
            finally:
                opened.used_at = time.monotonic()

    async def end(self, opened: Open, wanted: Literal["committed", "aborted"]) -> None:
        """Commit or abort; asking for the same again changes nothing."""
        async with opened.lock:
            if opened.state == wanted:
                return
            if opened.state != "running":
                raise ArangoError(
                    Problem.TRANSACTION_DISALLOWED,
                    f"transaction '{opened.stream.id}' has already been {opened.state}",
                )
            opened.state = "aborted"
            try:
                if wanted == "committed":
                    await opened.stream.commit(sync=opened.sync)
                    opened.state = "committed"
                else:
                    await opened.stream.abort()
            finally:
                opened.stream.database.collection_locks.release(opened.held)
                self._forget_old()

    async def abort_where(self, condition: Callable[[Open], bool]) -> None:
        """Abort the running transactions for which a condition holds."""
        for opened in [opened for opened in self._all.values() if opened.state == "running" and condition(opened)]:
            await self.end(opened, "aborted")

    async def abort_idle(self) -> None:
        """Abort what nobody has used for long."""
        limit = time.monotonic() - IDLE_SECONDS
        await self.abort_where(lambda opened: opened.used_at < limit and not opened.lock.locked())

    def _forget_old(self) -> None:
        ended = [key for key, opened in self._all.items() if opened.state != "running"]
        for key in ended[: max(0, len(ended) - _KEPT)]:
            del self._all[key]


class GuardedCatalog(dict[str, catalog.Collection]):
    """A catalog that refuses some collections when a query looks them up, whatever names it makes at run time."""

    def __init__(self, collections: Mapping[str, catalog.Collection], check: Check) -> None:
        super().__init__(collections)
        self._check = check

    def get(self, name: str, default: catalog.Collection | None = None) -> catalog.Collection | None:  # type: ignore[override]
        """Look a collection up."""
        found = super().get(name, default)
        if found is not None:
            self._check(found.name)
        return found


class GuardedSession:
    """A session whose catalog is guarded."""

    def __init__(self, session: Session, check: Check) -> None:
        self._session = session
        self._check = check
        self.reader = session.reader
        self.read = session.read
        self.is_transaction = session.is_transaction

    @property
    def name(self) -> str:
        """The database's name."""
        return self._session.name

    @property
    def collections(self) -> Mapping[str, catalog.Collection]:
        """The catalog."""
        return GuardedCatalog(self._session.collections, self._check)

    async def write(self, work: Work[T], *, sync: bool = False) -> T:
        """Run work that changes something, but not the catalog."""

        def guarded(transaction: Transaction) -> T:
            collections = transaction.collections
            transaction.collections = GuardedCatalog(collections, self._check)
            try:
                return work(transaction)
            finally:
                transaction.collections = collections

        return await self._session.write(guarded, sync=sync)
