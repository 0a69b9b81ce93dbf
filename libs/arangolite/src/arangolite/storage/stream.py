"""Stream transactions: several requests that see one state and their own changes, and reach the database together.

A stream transaction does not hold SQLite's one write lock, so a forgotten one blocks nobody. It reads a snapshot on a
connection of its own and keeps its changes beside it, in temporary tables. Temporary views with the names of the real
tables show both as one: SQLite looks a name up among temporary objects first, so everything that reads and writes
documents works on them unchanged. The commit moves the changes to the writer, if nobody has changed the same documents
meanwhile.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Row, row_from_columns
from arangolite.storage.catalog import Collection, IndexTable
from arangolite.storage.database import Database, Transaction, Work, connect, load_catalog, translated_errors
from arangolite.storage.locks import conflict

T = TypeVar("T")


@dataclass(frozen=True)
class Change:
    """What a transaction made of one document: the rows before and after, None where there was or is none."""

    before: Row | None
    after: Row | None


class _Step(Transaction):
    """One request's work inside a stream transaction."""

    def __init__(self, owner: "StreamTransaction", connection: sqlite3.Connection) -> None:
        database = owner.database
        super().__init__(
            connection, owner.collections, database.clock, database.numbers, database.key_locks, database.check_key
        )
        self._owner = owner

    def keep_last_key(self, collection: Collection, number: int) -> None:
        """Keep it until the commit: the snapshot's own tables cannot be written."""
        self._owner.last_keys[collection.name] = number

    def claim(self, collection: Collection, key: str) -> None:
        """Hold a document until the end, or refuse with 1200 when another transaction has changed it."""
        self._owner.claim(collection, key)


class StreamTransaction:
    """An open transaction; one request at a time may use it."""

    is_transaction = True

    def __init__(self, transaction_id: str, database: Database, written: frozenset[str], max_bytes: int) -> None:
        """Take a snapshot; blocks on the disk.

        Args:
            transaction_id: What clients know it by.
            database: What it reads and will write to.
            written: The collections that it may change.
            max_bytes: How much it may write before it is refused with 32.
        """
        self.id = transaction_id
        self.database = database
        self.last_keys: dict[str, int] = {}
        self._max_bytes = max_bytes
        self._claimed: set[tuple[int, str]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._connection = connect(database.path)
        self._latest = connect(database.path, read_only=True)
        self._connection.execute("BEGIN")
        self.collections: Mapping[str, Collection] = load_catalog(self._connection)
        self._written = [self.collections[name] for name in sorted(written) if name in self.collections]
        _run(self._connection, ["CREATE TEMP TABLE written (bytes INTEGER NOT NULL)", "INSERT INTO written VALUES (0)"])
        for collection in self._written:
            _run(self._connection, _overlay_documents(collection))
            for table in collection.index_tables:
                _run(self._connection, _overlay_index(table))

    @property
    def name(self) -> str:
        """The database's name."""
        return self.database.name

    async def write(self, work: Work[T], *, sync: bool = False) -> T:
        """Run work inside the transaction; an exception takes back what this work did.

        Args:
            work: What to do.
            sync: Nothing yet; what is written waits for the commit.
        """
        del sync
        return await self._on_thread(lambda: self._step(work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on the snapshot and the changes."""

        def run() -> T:
            with self.reader() as connection:
                return work(connection)

        return await self._on_thread(run)

    @contextlib.contextmanager
    def reader(self, *, keep_after_error: bool = False) -> Iterator[sqlite3.Connection]:
        """Lend the transaction's connection."""
        del keep_after_error
        self._check_open()
        with translated_errors():
            yield self._connection

    async def commit(self, *, sync: bool) -> None:
        """Write the changes to the database and end.

        Raises:
            ArangoError: 1200 when somebody else has changed the same documents, 1203 when a collection is gone; nothing
                is written then, and the transaction has ended, too.
        """
        try:
            changes = await self._on_thread(self._changes)
            if any(changes.values()):
                await self.database.write(lambda transaction: self._apply(transaction, changes), sync=sync)
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Forget the changes and end; a second call does nothing."""
        await self._on_thread(self.close)

    def close(self) -> None:
        """End on this thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._connection.close()
            self._latest.close()
        self.database.key_locks.release(self._claimed)

    def claim(self, collection: Collection, key: str) -> None:
        """Hold a document until the end, or refuse with 1200 when somebody else has changed it since the beginning."""
        lock = (collection.id, key)
        if lock in self._claimed:
            return
        self.database.key_locks.take(collection.id, key, self.id)
        query = f"SELECT rev FROM main.{collection.table} WHERE key = ?"
        try:
            seen, stored = (source.execute(query, (key,)).fetchone() for source in (self._connection, self._latest))
            unchanged = seen == stored
        except sqlite3.OperationalError:
            unchanged = False  # the collection was dropped meanwhile
        if not unchanged:
            self.database.key_locks.release([lock])
            raise conflict(key)
        self._claimed.add(lock)

    def _step(self, work: Work[T]) -> T:
        with self._lock:
            self._check_open()
            with translated_errors():
                self._connection.execute("SAVEPOINT step")
                try:
                    result = work(_Step(self, self._connection))
                    self._check_size()
                except BaseException:
                    _run(self._connection, ["ROLLBACK TO step", "RELEASE step"])
                    raise
                self._connection.execute("RELEASE step")
        return result

    def _check_open(self) -> None:
        if self._closed:
            raise ArangoError(Problem.TRANSACTION_ABORTED, f"transaction '{self.id}' has ended")

    def _check_size(self) -> None:
        written: tuple[int] = self._connection.execute("SELECT bytes FROM written").fetchone()
        if written[0] > self._max_bytes:
            raise ArangoError(
                Problem.RESOURCE_LIMIT,
                f"aborting transaction: maximal transaction size limit of {self._max_bytes} bytes is reached",
            )

    def _changes(self) -> dict[str, list[Change]]:
        with self._lock:
            self._check_open()
            return {collection.name: self._changes_of(collection) for collection in self._written}

    def _changes_of(self, collection: Collection) -> list[Change]:
        number, read = collection.id, self._connection.execute
        gone = read(
            f"SELECT d.id, d.key, d.rev, d.doc FROM temp.gone_{number} AS g "
            f"CROSS JOIN main.{collection.table} AS d ON d.id = g.id"
        )
        before = {row.id: row for row in map(row_from_columns, gone)}
        added = read(f"SELECT id, key, rev, doc FROM temp.new_{number} ORDER BY id")
        after = {row.id: row for row in map(row_from_columns, added)}
        return [Change(before.get(row_id), after.get(row_id)) for row_id in dict.fromkeys([*before, *after])]

    def _apply(self, transaction: Transaction, changes: Mapping[str, list[Change]]) -> None:
        for collection in self._written:
            current = transaction.collection(str(collection.id))  # it may have another name by now, and other indexes
            apply_changes(transaction.connection, current, changes[collection.name])
            if collection.name in self.last_keys:
                transaction.keep_last_key(current, self.last_keys[collection.name])

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.database.threads, work)


def apply_changes(connection: sqlite3.Connection, collection: Collection, changes: list[Change]) -> None:
    """Write rows as they are, revisions included; removals first, so that keys and unique values can move.

    Raises:
        ArangoError: 1200 when a row is not what the changes were made from, or its place is taken.
    """
    for change in changes:
        if change.before is not None:
            _check_unchanged(connection, collection, change.before)
    gone = [change.before for change in changes if change.before is not None]
    added = [change.after for change in changes if change.after is not None]
    run, table = connection.executemany, collection.table
    try:
        for index in collection.index_tables:
            run(f"DELETE FROM {index.name} WHERE k = ? AND id = ?", _entries(index, gone))
        run(f"DELETE FROM {table} WHERE id = ?", [(row.id,) for row in gone])
        rows = [(row.id, row.key, row.rev, row.text_as_str()) for row in added]
        run(f"INSERT INTO {table} (id, key, rev, doc) VALUES (?, ?, ?, ?)", rows)
        for index in collection.index_tables:
            run(f"INSERT INTO {index.name} (k, id) VALUES (?, ?)", _entries(index, added))
    except sqlite3.IntegrityError as exc:
        message = "conflict, another transaction has used the same key or unique value"
        raise ArangoError(Problem.CONFLICT, message) from exc


def _entries(index: IndexTable, rows: list[Row]) -> list[tuple[bytes, int]]:
    return [(entry, row.id) for row in rows for entry in index.entries(msgspec.json.decode(row.text))]


def _check_unchanged(connection: sqlite3.Connection, collection: Collection, row: Row) -> None:
    found = connection.execute(f"SELECT rev FROM {collection.table} WHERE id = ?", (row.id,)).fetchone()
    if found is None or found[0].decode() != row.rev:
        raise conflict(row.key)


def _run(connection: sqlite3.Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _overlay_documents(collection: Collection) -> list[str]:
    """Shadow a collection's table by a view of it and of what the transaction changes."""
    number, table = collection.id, collection.table
    new, gone = f"new_{number}", f"gone_{number}"
    counted = "UPDATE written SET bytes = bytes + length(NEW.key) + length(NEW.doc);"
    return [
        f"CREATE TEMP TABLE {new} "
        "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, rev TEXT NOT NULL, doc TEXT NOT NULL)",
        f"CREATE TEMP TABLE {gone} (id INTEGER PRIMARY KEY)",
        f"CREATE TEMP VIEW {table} AS SELECT id, key, rev, doc FROM main.{table} AS o "
        f"WHERE NOT EXISTS (SELECT 1 FROM temp.{gone} AS g WHERE g.id = o.id) "
        f"UNION ALL SELECT id, key, rev, doc FROM temp.{new}",
        f"CREATE TEMP TRIGGER insert_{number} INSTEAD OF INSERT ON {table} BEGIN "
        f"INSERT INTO {new} VALUES (NEW.id, NEW.key, NEW.rev, NEW.doc); {counted} END",
        f"CREATE TEMP TRIGGER update_{number} INSTEAD OF UPDATE ON {table} BEGIN "
        f"INSERT OR IGNORE INTO {gone} VALUES (OLD.id); "
        f"INSERT OR REPLACE INTO {new} VALUES (NEW.id, NEW.key, NEW.rev, NEW.doc); {counted} END",
        f"CREATE TEMP TRIGGER delete_{number} INSTEAD OF DELETE ON {table} BEGIN "
        f"INSERT OR IGNORE INTO {gone} VALUES (OLD.id); DELETE FROM {new} WHERE id = OLD.id; "
        "UPDATE written SET bytes = bytes + length(OLD.key); END",
    ]


def _overlay_index(index: IndexTable) -> list[str]:
    """Shadow the table of an index likewise."""
    table = index.name
    new, gone = f"new_{table}", f"gone_{table}"
    columns = "(k BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (k, id)) WITHOUT ROWID"
    return [
        f"CREATE TEMP TABLE {new} {columns}",
        f"CREATE TEMP TABLE {gone} {columns}",
        f"CREATE TEMP VIEW {table} AS SELECT k, id FROM main.{table} AS o "
        f"WHERE NOT EXISTS (SELECT 1 FROM temp.{gone} AS g WHERE g.k = o.k AND g.id = o.id) "
        f"UNION ALL SELECT k, id FROM temp.{new}",
        f"CREATE TEMP TRIGGER insert_{table} INSTEAD OF INSERT ON {table} BEGIN "
        f"INSERT INTO {new} VALUES (NEW.k, NEW.id); END",
        f"CREATE TEMP TRIGGER delete_{table} INSTEAD OF DELETE ON {table} BEGIN "
        f"INSERT OR IGNORE INTO {gone} VALUES (OLD.k, OLD.id); DELETE FROM {new} WHERE k = OLD.k AND id = OLD.id; END",
    ]
