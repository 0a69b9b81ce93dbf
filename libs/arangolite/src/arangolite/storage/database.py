"""One database is one SQLite file in WAL mode: a single writer thread, and readers that see what was last committed.

All work happens on threads, so that the event loop never waits for the disk. A write is a function that runs inside one
transaction; what it changes in the catalog becomes visible when the transaction is committed.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import Collection, Index
from arangolite.storage.locks import CollectionLocks, KeyLocks
from arangolite.storage.revisions import Clock

T = TypeVar("T")
Work = Callable[["Transaction"], T]
KeyCheck = Callable[[str], None]
"""Asked before a document with a key is written; raises to refuse it."""

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS collections (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type INTEGER NOT NULL,
    properties TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS indexes (
        collection INTEGER NOT NULL, number INTEGER NOT NULL, definition TEXT NOT NULL, PRIMARY KEY (collection, number)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")  # the second where the index of the log cannot grow
_IDLE_READERS = 8  # connections kept open for the next read; more are opened while more cursors are alive
_PAGE_BYTES = 16384  # four times SQLite's default: imports of new documents take a quarter less time, measured
_CHECKPOINT_PAGES = 1000  # 16 MiB of log before a commit pays for moving it into the file


class Numbers:
    """Row ids and autoincrement keys: handed out once each, whether or not their transaction is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_ids: dict[int, int] = {}
        self._last_keys: dict[int, int] = {}

    def take_ids(self, connection: sqlite3.Connection, collection: Collection, count: int) -> int:
        """Reserve row ids for new documents and return the first."""
        with self._lock:
            first = self._next_ids.get(collection.id)
            if first is None:
                query = f"SELECT coalesce(max(id), 0) + 1 FROM {collection.table}"
                first = int(connection.execute(query).fetchone()[0])
            self._next_ids[collection.id] = first + count
            return first

    def next_key(self, connection: sqlite3.Connection, collection: Collection, increment: int, offset: int) -> int:
        """Take the smallest number of the sequence offset + n * increment that is above the last one."""
        with self._lock:
            last = self._last_keys.get(collection.id)
            if last is None:
                row = connection.execute("SELECT value FROM meta WHERE name = ?", (_counter(collection),)).fetchone()
                last = None if row is None else int(row[0])
            number = max(1, offset) if last is None else last + increment
            self._last_keys[collection.id] = number
            return number


def _counter(collection: Collection) -> str:
    return f"autoincrement {collection.id}"


class Transaction:
    """What a write works with: the writer's connection and its own view of the catalog."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        collections: Mapping[str, Collection],
        clock: Clock,
        numbers: Numbers,
        locks: KeyLocks,
        check_key: KeyCheck | None,
    ) -> None:
        self.connection = connection
        self.collections = dict(collections)
        self.clock = clock
        self.check_key = check_key
        self._numbers = numbers
        self._locks = locks

    def collection(self, name: str) -> Collection:
        """Find a collection by its name or numeric id."""
        return find_collection(self.collections, name)

    def take_ids(self, collection: Collection, count: int) -> int:
        """Reserve row ids for new documents and return the first; those of a failed transaction are lost."""
        return self._numbers.take_ids(self.connection, collection, count)

    def next_key(self, collection: Collection, increment: int, offset: int) -> str:
        """Make the next key of an autoincrement collection."""
        number = self._numbers.next_key(self.connection, collection, increment, offset)
        self.keep_last_key(collection, number)
        return str(number)

    def keep_last_key(self, collection: Collection, number: int) -> None:
        """Note the last key of an autoincrement collection, for the next start."""
        statement = (
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2 "
            "WHERE cast(value AS INTEGER) < cast(?2 AS INTEGER)"
        )
        self.connection.execute(statement, (_counter(collection), str(number)))

    def claim(self, collection: Collection, key: str) -> None:
        """Refuse with 1200 to change a document that an open stream transaction has changed."""
        self._locks.check(collection.id, key)

    def is_contested(self, collection: Collection) -> bool:
        """Whether there is a document of a collection that `claim` would refuse."""
        return self._locks.holds_any(collection.id)


def find_collection(collections: Mapping[str, Collection], name: str) -> Collection:
    """Find a collection by its name or numeric id, or refuse with 1203."""
    found = collections.get(name)
    if found is None and name.isdecimal():
        found = next((collection for collection in collections.values() if str(collection.id) == name), None)
    if found is None:
        raise ArangoError(Problem.COLLECTION_NOT_FOUND, f"collection or view not found: {name}")
    return found


class Session(Protocol):
    """Where requests read and write: the database itself, or an open stream transaction."""

    @property
    def name(self) -> str:
        """The database's name."""

    @property
    def is_transaction(self) -> bool:
        """Whether everything here goes over one connection, so that a query must not stay half read."""

    @property
    def collections(self) -> Mapping[str, Collection]:
        """The catalog."""

    async def write(self, work: Work[T], *, sync: bool = False) -> T:
        """Run work that changes something; an exception takes everything back."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on one consistent state."""

    def reader(self, *, keep_after_error: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection for reading one consistent state."""


class Database:
    """An open database."""

    is_transaction = False

    def __init__(self, name: str, path: Path, readers: Executor, clock: Clock) -> None:
        self.name = name
        self.path = path
        self.clock = clock
        self.check_key: KeyCheck | None = None
        self.threads = readers
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"arangolite-write-{name}")
        self._idle: deque[sqlite3.Connection] = deque()
        self.numbers = Numbers()
        self.key_locks = KeyLocks()
        self.collection_locks = CollectionLocks()
        self._closed = False
        self._full_sync = False
        self._write_connection = connect(path)
        self.id = _prepare(self._write_connection, path, clock)
        self.collections: Mapping[str, Collection] = load_catalog(self._write_connection)

    def collection(self, name: str) -> Collection:
        """Find a collection by its name or numeric id."""
        return find_collection(self.collections, name)

    async def write(self, work: Work[T], *, sync: bool = False) -> T:
        """Run work inside a transaction on the writer's thread.

        Args:
            work: What to do; an exception rolls everything back.
            sync: Whether the transaction must have reached the disk before this returns (`waitForSync`). Otherwise it
                survives the death of the process at once and the loss of power after the next checkpoint.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._commit, work, sync)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on a reader's thread, on one consistent state."""

        def run() -> T:
            with self.reader(keep_after_error=True) as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self.threads, run)

    @contextlib.contextmanager
    def reader(self, *, keep_after_error: bool = False) -> Iterator[sqlite3.Connection]:
        """Lend a read-only connection that sees one consistent state until it is given back.

        Args:
            keep_after_error: Whether the connection is used again after an exception. Not where a statement may then
                still be half read: it would hold the connection to the state it began with.
        """
        connection = self._idle.pop() if self._idle else connect(self.path, read_only=True)
        keep = keep_after_error
        try:
            with translated_errors():
                connection.execute("BEGIN")
                yield connection
                keep = True
        finally:
            connection.rollback()
            if not keep or self._closed or len(self._idle) >= _IDLE_READERS:
                connection.close()
            else:
                self._idle.append(connection)

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the file, as far as no reader still needs it."""
        await self._maintain("PRAGMA wal_checkpoint(PASSIVE)")

    async def compact(self) -> None:
        """Write the file anew, without the room that removed documents have left."""
        await self._maintain("VACUUM")

    async def _maintain(self, statement: str) -> None:
        def work() -> None:
            if not self._closed:
                with translated_errors():
                    self._write_connection.execute(statement).fetchall()

        await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def close(self) -> None:
        """Finish the write in progress and close the file."""
        self._closed = True
        self._writer.shutdown(wait=True, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()
        self._write_connection.close()

    def _commit(self, work: Work[T], sync: bool) -> T:
        if self._closed:
            raise ArangoError(Problem.DATABASE_NOT_FOUND)
        connection = self._write_connection
        with translated_errors():
            if sync is not self._full_sync:
                connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._full_sync = sync
            connection.execute("BEGIN IMMEDIATE")
            try:
                transaction = Transaction(
                    connection, self.collections, self.clock, self.numbers, self.key_locks, self.check_key
                )
                result = work(transaction)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        self.collections = transaction.collections
        return result


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn SQLite's errors into ArangoDB's."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        name = getattr(exc, "sqlite_errorname", "")
        if name in _FULL:
            raise ArangoError(
                Problem.FILESYSTEM_FULL, "the disk is full; nothing was written. Free space and try again"
            ) from exc
        if "no such table" in str(exc):
            raise ArangoError(Problem.COLLECTION_NOT_FOUND, "the collection was dropped meanwhile") from exc
        raise


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection to a database's file."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    connection.text_factory = bytes  # documents go from the file to the wire as they are
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = {-8192 if read_only else -65536}")  # KiB
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, clock: Clock) -> str:
    """Create the tables that are not there, check the version of an old one, and return the database's id."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise ArangoError(
            Problem.INTERNAL,
            f"{path.name} has schema version {version}, this arangolite writes {SCHEMA_VERSION}; "
            "use the arangolite that made it",
        )
    connection.executescript(_SCHEMA)
    if version == 0:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (str(clock.reserve()),))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    row: tuple[bytes] = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()
    return row[0].decode()


def load_catalog(connection: sqlite3.Connection) -> Mapping[str, Collection]:
    """Read the collections and indexes that a connection sees."""
    indexes: dict[int, list[Index]] = {}
    for owner, definition in connection.execute(
        "SELECT collection, definition FROM indexes ORDER BY collection, number"
    ):
        indexes.setdefault(owner, []).append(Index.from_json(definition))
    return {
        name.decode(): Collection(
            number, name.decode(), kind, msgspec.json.decode(properties), tuple(indexes.get(number, ()))
        )
        for number, name, kind, properties in connection.execute(
            "SELECT id, name, type, properties FROM collections ORDER BY id"
        )
    }
