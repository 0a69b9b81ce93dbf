"""The one way documents are written: a batch collects changes, sees them, and reaches the tables in few statements.

A batch knows nothing of the API's options; it puts and removes whole documents, keeps the index tables in step and
refuses what a unique index refuses. Import, the document API and AQL's INSERT/UPDATE/REPLACE/REMOVE are all made of it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import EXPANSION, Collection, IndexTable, Path, lookup
from arangolite.storage.database import Transaction
from arangolite.values import Value, encode_column

Document = dict[str, Value]

_decode = msgspec.json.decode
_encode = msgspec.json.encode
_CHUNK = 64  # revisions and row ids are taken so many at a time; the unused ones are lost, which is harmless
_NO_TEXT = "x''"
_ROWS = 100  # that one statement inserts; one statement for each takes half as much time again, measured
_KEEP = "ON CONFLICT (key) DO NOTHING"
_TOUCH = "ON CONFLICT (key) DO UPDATE SET rev = excluded.rev WHERE doc = excluded.doc"
_FEW = 20  # keys that are looked up one by one; more go as one JSON array


@dataclass(slots=True)
class Row:
    """A stored document: `text` is its JSON with `_key` and without `_id` and `_rev`, which other columns tell."""

    id: int
    key: str
    rev: str
    text: bytes | str

    def document(self) -> Document:
        """Decode the stored attributes."""
        document: Document = _decode(self.text)
        return document

    def text_as_str(self) -> str:
        """Give the stored JSON as a string."""
        return self.text if isinstance(self.text, str) else self.text.decode()

    def full(self, collection: str) -> Document:
        """Decode the document as a client sees it."""
        return {"_key": self.key, "_id": f"{collection}/{self.key}", "_rev": self.rev, **self.document()}


def row_from_columns(columns: tuple[int, bytes, bytes, bytes]) -> Row:
    """Make a row of `SELECT id, key, rev, doc`."""
    number, key, rev, text = columns
    return Row(number, key.decode(), rev.decode(), text)


def stored_text(document: Mapping[str, Any]) -> bytes:
    """Encode a document for storing: `_id` and `_rev` are left out."""
    return _encode({name: value for name, value in document.items() if name not in ("_id", "_rev")})


class Batch:
    """Changes to one collection inside a transaction; `flush` writes them."""

    def __init__(self, transaction: Transaction, collection: Collection) -> None:
        self.collection = collection
        self._transaction = transaction
        self._connection = transaction.connection
        self._tables = collection.index_tables
        self._check_key = transaction.check_key
        self._rows: dict[str, Row | None] = {}  # what was looked up or changed, by key
        self._inserted: dict[int, Row] = {}
        self._updated: dict[int, Row] = {}
        self._removed: list[tuple[int]] = []
        self._entries_added: dict[
            str, dict[tuple[bytes, int], None]
        ] = {}  # a dict keeps the order, which the B-tree likes
        self._entries_gone: dict[str, set[tuple[bytes, int]]] = {}
        self._owners: dict[str, dict[bytes, int]] = {}  # of unique entries in `_entries_added`
        self._revisions: deque[str] = deque()
        self._next_id = 0
        self._ids_left = 0

    def prefetch(self, keys: Iterable[str], *, with_text: bool = True) -> None:
        """Look many keys up at once, so that `get` need not go to the table for each.

        Args:
            keys: Which documents.
            with_text: False when only their being there matters; their rows then have no text.
        """
        wanted = dict.fromkeys(keys)
        if len(wanted) <= _FEW:
            return
        self._rows = {**wanted, **self._rows}
        columns = self._connection.execute(
            f"SELECT d.id, d.key, d.rev, {'d.doc' if with_text else _NO_TEXT} FROM json_each(?) AS wanted "
            f"CROSS JOIN {self.collection.table} AS d ON d.key = wanted.value",
            (_encode(list(wanted)).decode(),),
        )
        for row in map(row_from_columns, columns):
            self._rows[row.key] = row

    def get(self, key: str) -> Row | None:
        """Find a document as it is after the changes so far."""
        try:
            return self._rows[key]
        except KeyError:
            columns = self._connection.execute(
                f"SELECT id, key, rev, doc FROM {self.collection.table} WHERE key = ?",
                (key,),
            ).fetchone()
            row = self._rows[key] = None if columns is None else row_from_columns(columns)
            return row

    @property
    def takes_bulk(self) -> bool:
        """Whether nothing but a taken key could refuse a document, so that new ones may go in as one."""
        checked = self._check_key is not None or self.collection.validation is not None
        checked = checked or any(table.unique or table.numeric for table in self._tables)
        return not checked and not self._transaction.is_contested(self.collection)

    def insert_bulk(
        self, keys: Sequence[str], documents: Sequence[Document], texts: Sequence[str], *, touches: bool
    ) -> tuple[set[str], bool]:
        """Add those of many documents whose keys are not there, straight into the tables.

        No key may be there twice. The three sequences belong together, position by position.

        Args:
            keys: The documents' keys.
            documents: What is indexed.
            texts: What is stored.
            touches: Whether a document that is there with just this text gets a new revision.

        Returns:
            The taken keys, and whether all of these documents were touched.
        """
        count, table = len(keys), self.collection.table
        first = self._transaction.take_ids(self.collection, count)
        ids: Sequence[int] = range(first, first + count)
        rows = zip(ids, keys, self._transaction.clock.revisions(count), texts, strict=True)
        before = self._connection.total_changes
        self._insert_rows(f"{table} (id, key, rev, doc)", 4, rows, _TOUCH if touches else _KEEP)
        all_written = self._connection.total_changes - before == count
        taken: set[str] = set()
        if touches or not all_written:
            query = self._connection.execute(f"SELECT id FROM {table} WHERE id >= ?", (first,))
            there = {row_id for (row_id,) in query}
            taken = {key for row_id, key in zip(ids, keys, strict=True) if row_id not in there}
            documents = [document for row_id, document in zip(ids, documents, strict=True) if row_id in there]
            ids = sorted(there)
        self._rows = {
            key: row for key, row in self._rows.items() if row is not None
        }  # what was absent may be there now
        columns: dict[Path, list[bytes]] = {}
        for index in self._tables:
            self._insert_rows(f"{index.name} (k, id)", 2, _entries(index, ids, documents, columns))
        return taken, all_written

    def _insert_rows(self, into: str, width: int, rows: Iterable[tuple[Any, ...]], otherwise: str = "") -> None:
        """Insert rows of so many columns, many with one statement."""
        values = list(chain.from_iterable(rows))
        row = f"({', '.join('?' * width)})"
        for first in range(0, len(values), _ROWS * width):
            part = values[first : first + _ROWS * width]
            places = ", ".join([row] * (len(part) // width))
            self._connection.execute(f"INSERT INTO {into} VALUES {places} {otherwise}", part)

    def insert(self, key: str, document: Document, text: bytes | str) -> Row:
        """Add a document whose key is not there."""
        row = Row(self._take_id(), key, self._take_revision(), text)
        if self.collection.validation is not None:
            self.collection.validation.check_new(document)
        if self._check_key is not None:
            self._check_key(key)
        if self._tables:
            self._index(row, None, document)
        self._rows[key] = self._inserted[row.id] = row
        return row

    def replace(self, old: Row, document: Document, text: bytes | str) -> Row:
        """Give a stored document new content and a new revision."""
        row = Row(old.id, old.key, self._take_revision(), text)
        if self.collection.validation is not None:
            self.collection.validation.check_change(old.document(), document)
        if self._check_key is not None:
            self._check_key(old.key)
        if self._tables:
            self._index(row, old, document)
        pending = self._inserted if old.id in self._inserted else self._updated
        self._rows[old.key] = pending[row.id] = row
        return row

    def touch(self, old: Row) -> Row:
        """Give a stored document a new revision and leave its content."""
        row = Row(old.id, old.key, self._take_revision(), old.text)
        pending = self._inserted if old.id in self._inserted else self._updated
        self._rows[old.key] = pending[row.id] = row
        return row

    def remove(self, old: Row) -> None:
        """Take a stored document away."""
        if self._tables:
            self._index(old, old, None)
        self._rows[old.key] = None
        self._updated.pop(old.id, None)
        if self._inserted.pop(old.id, None) is None:
            self._removed.append((old.id,))

    def flush(self) -> None:
        """Write everything; removals first, so that a key or a unique value can move from one document to another."""
        run, table = self._connection.executemany, self.collection.table
        for name, gone in self._entries_gone.items():
            run(f"DELETE FROM {name} WHERE k = ? AND id = ?", gone)
        if self._removed:
            run(f"DELETE FROM {table} WHERE id = ?", self._removed)
        if self._inserted:
            rows = ((row.id, row.key, row.rev, row.text_as_str()) for row in self._inserted.values())
            self._insert_rows(f"{table} (id, key, rev, doc)", 4, rows)
        if self._updated:
            changes = [(row.id, row.rev, row.text_as_str()) for row in self._updated.values()]
            run(f"UPDATE {table} SET rev = ?2, doc = ?3 WHERE id = ?1", changes)
        for name, added in self._entries_added.items():
            self._insert_rows(f"{name} (k, id)", 2, added)

    def _index(self, row: Row, old: Row | None, document: Document | None) -> None:
        """Move the index entries of a document from its old content to its new one.

        Every unique index is asked before anything is changed, so that a refused document leaves no trace.
        """
        before = old.document() if old is not None else None
        changes = []
        for table in self._tables:
            gone = () if before is None else table.entries(before)
            added = () if document is None else table.entries(document)
            if gone and gone == added:
                continue
            if table.unique:
                for entry in added:
                    self._check_unique(table, entry, row)
            changes.append((table, gone, added))
        for table, gone, added in changes:
            self._drop_entries(table, gone, row.id)
            self._add_entries(table, added, row.id)

    def _drop_entries(self, table: IndexTable, entries: Iterable[bytes], row_id: int) -> None:
        added = self._entries_added.get(table.name, {})
        for entry in entries:
            pair = (entry, row_id)
            if pair in added:
                del added[pair]
            else:
                self._entries_gone.setdefault(table.name, set()).add(pair)
            if table.unique:
                self._owners.get(table.name, {}).pop(entry, None)

    def _add_entries(self, table: IndexTable, entries: Iterable[bytes], row_id: int) -> None:
        added = self._entries_added.setdefault(table.name, {})
        for entry in entries:
            added[entry, row_id] = None
            if table.unique:
                self._owners.setdefault(table.name, {})[entry] = row_id

    def _check_unique(self, table: IndexTable, entry: bytes, row: Row) -> None:
        owner = self._owners.get(table.name, {}).get(entry)
        if owner is None:
            found = self._connection.execute(f"SELECT id FROM {table.name} WHERE k = ?", (entry,)).fetchone()
            if found is not None and (entry, found[0]) not in self._entries_gone.get(table.name, ()):
                owner = found[0]
        if owner is not None and owner != row.id:
            raise unique_violation(self.collection, table, self._key_of(owner))

    def _key_of(self, row_id: int) -> str:
        pending = self._inserted.get(row_id)
        if pending is not None:
            return pending.key
        found: tuple[bytes] = self._connection.execute(
            f"SELECT key FROM {self.collection.table} WHERE id = ?", (row_id,)
        ).fetchone()
        return found[0].decode()

    def _take_revision(self) -> str:
        if not self._revisions:
            self._revisions.extend(self._transaction.clock.revisions(_CHUNK))
        return self._revisions.popleft()

    def _take_id(self) -> int:
        if not self._ids_left:
            self._ids_left = _CHUNK
            self._next_id = self._transaction.take_ids(self.collection, self._ids_left)
        self._ids_left -= 1
        self._next_id += 1
        return self._next_id - 1


def _entries(
    table: IndexTable, ids: Sequence[int], documents: Sequence[Document], columns: dict[Path, list[bytes]]
) -> Iterable[tuple[bytes, int]]:
    """Give what `table.entries` gives for each document, with its id; `columns` keeps what several indexes need."""
    if table.sparse or any(path[-1] == EXPANSION for path in table.paths):
        return (
            (entry, row_id)
            for row_id, document in zip(ids, documents, strict=True)
            for entry in table.entries(document)
        )
    for path in table.paths:
        if path not in columns:
            columns[path] = encode_column(_column(documents, path))
    return zip(map(b"".join, zip(*(columns[path] for path in table.paths), strict=True)), ids, strict=True)


def _column(documents: Sequence[Document], path: Path) -> list[Value]:
    name = path[0]
    if len(path) == 1:
        return [document.get(name) for document in documents]
    return [lookup(document, path) for document in documents]


def unique_violation(collection: Collection, table: IndexTable, key: str) -> ArangoError:
    """Say which unique index refuses a document, and because of which other one."""
    index = collection.index_of_table[table.name]
    fields = "', '".join(".".join(path) for path in index.fields)
    return ArangoError(
        Problem.UNIQUE_CONSTRAINT,
        f"unique constraint violated - in index {index.name} of type {index.type} over '{fields}'; "
        f"conflicting key: {key}",
    )


def primary_violation(key: str) -> ArangoError:
    """Say that a key is taken."""
    return ArangoError(
        Problem.UNIQUE_CONSTRAINT,
        f"unique constraint violated - in index primary of type primary over '_key'; conflicting key: {key}",
    )
