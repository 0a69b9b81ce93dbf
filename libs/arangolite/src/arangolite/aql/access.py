"""How the documents of a FOR are read: the whole collection, by key, or the ranges of an index."""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from arangolite.aql.context import Run
from arangolite.aql.scope import DocumentVariable, Frame
from arangolite.storage.catalog import Collection, Index

KeyRange = tuple[bytes, bytes]
"""Encoded index entries from (inclusive) and to (exclusive)."""
_CHECK_EVERY = 1024  # rows between two looks at whether the query must stop


@dataclass(frozen=True)
class FullScan:
    """Every document, oldest first, or in the order of the keys."""

    collection: Collection
    by_key: bool = False
    descending: bool = False

    def rows(self, run: Run, columns: str, _: Frame) -> Iterator[tuple[Any, ...]]:
        """Read the documents."""
        order = f"key{' DESC' if self.descending else ''}" if self.by_key else "id"
        for row in run.connection.execute(f"SELECT {columns} FROM {self.collection.table} AS d ORDER BY d.{order}"):
            run.statistics.scanned_full += 1
            yield row

    def count(self, run: Run, _: Frame) -> int:
        """Count the documents."""
        row: tuple[int] = run.connection.execute(f"SELECT count(*) FROM {self.collection.table}").fetchone()
        run.statistics.scanned_full += row[0]
        return row[0]


@dataclass(frozen=True)
class KeyLookup:
    """The documents with some keys."""

    collection: Collection
    keys: Callable[[Frame], list[str]]

    def rows(self, run: Run, columns: str, frame: Frame) -> Iterator[tuple[Any, ...]]:
        """Read the documents."""
        statement = f"SELECT {columns} FROM {self.collection.table} AS d WHERE d.key = ?"
        for key in self.keys(frame):
            row = run.connection.execute(statement, (key,)).fetchone()
            if row is not None:
                run.statistics.scanned_index += 1
                yield row

    def count(self, run: Run, frame: Frame) -> int:
        """Count the documents."""
        return sum(1 for _ in self.rows(run, "1", frame))


@dataclass(frozen=True)
class IndexScan:
    """The documents in some ranges of an index, in its order."""

    collection: Collection
    index: Index
    table: str
    ranges: Callable[[Frame], list[KeyRange]]
    descending: bool = False

    def rows(self, run: Run, columns: str, frame: Frame) -> Iterator[tuple[Any, ...]]:
        """Read the documents."""
        # CROSS JOIN fixes the order for SQLite: walk the index, then fetch each document.
        join = f" CROSS JOIN {self.collection.table} AS d ON d.id = i.id" if "d." in columns else ""
        order = "i.k DESC" if self.descending else "i.k"
        statement = f"SELECT {columns} FROM {self.table} AS i{join} WHERE i.k >= ? AND i.k < ? ORDER BY {order}"
        ranges = self.ranges(frame)
        for bounds in reversed(ranges) if self.descending else ranges:
            for row in run.connection.execute(statement, bounds):
                run.statistics.scanned_index += 1
                yield row

    def count(self, run: Run, frame: Frame) -> int:
        """Count the documents without reading them."""
        statement = f"SELECT count(*) FROM {self.table} WHERE k >= ? AND k < ?"
        total = sum(run.connection.execute(statement, bounds).fetchone()[0] for bounds in self.ranges(frame))
        run.statistics.scanned_index += total
        return int(total)


Access = FullScan | KeyLookup | IndexScan


def scan(run: Run, access: Access, variable: DocumentVariable, rows: Iterator[Frame]) -> Iterator[Frame]:
    """Run a FOR over a collection: decode of each document what the query uses, into the frame."""
    columns, load = _loader(variable)
    for frame in rows:
        countdown = _CHECK_EVERY
        for row in access.rows(run, columns, frame):
            load(frame, row)
            yield frame
            countdown -= 1
            if not countdown:
                run.check()
                countdown = _CHECK_EVERY


def _loader(variable: DocumentVariable) -> tuple[str, Callable[[Frame, tuple[Any, ...]], None]]:
    """Decide which columns are read and how they get into the frame."""
    if variable.whole is not None or variable.raw is not None:
        return "d.key, d.rev, d.doc", _load_document(variable)
    attributes = dict(variable.attributes)
    system = [(name, attributes.pop(name)) for name in ("_key", "_id", "_rev") if name in attributes]
    if not attributes:
        if not system:
            return "1", _load_nothing
        return "d.key, d.rev", _load_system(variable.collection, system)
    load_stored = _load_attributes(attributes)
    if not system:
        return "d.doc", lambda frame, row: load_stored(frame, row[0])
    load_system = _load_system(variable.collection, system)

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        load_system(frame, row)
        load_stored(frame, row[2])

    return "d.key, d.rev, d.doc", load


def _load_nothing(_frame: Frame, _row: tuple[Any, ...]) -> None:
    """Load nothing: only that there is a document matters."""


def _load_system(collection: str, wanted: Iterable[tuple[str, int]]) -> Callable[[Frame, tuple[Any, ...]], None]:
    slots = dict(wanted)
    key_slot, id_slot, rev_slot = slots.get("_key"), slots.get("_id"), slots.get("_rev")

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        key = row[0].decode()
        if key_slot is not None:
            frame[key_slot] = key
        if id_slot is not None:
            frame[id_slot] = f"{collection}/{key}"
        if rev_slot is not None:
            frame[rev_slot] = row[1].decode()

    return load


def _load_attributes(attributes: dict[str, int]) -> Callable[[Frame, bytes], None]:
    """Decode only some attributes: msgspec skips over the others without making objects of them."""
    names = {f"f{position}": name for position, name in enumerate(attributes)}
    shape = msgspec.defstruct("Projection", [(field, Any, None) for field in names], rename=names)
    decode = msgspec.json.Decoder(shape).decode
    if len(attributes) == 1:
        (only,) = attributes.values()

        def load_one(frame: Frame, text: bytes) -> None:
            frame[only] = decode(text).f0  # type: ignore[attr-defined]

        return load_one
    values, slots = operator.attrgetter(*names), list(attributes.values())

    def load(frame: Frame, text: bytes) -> None:
        for slot, value in zip(slots, values(decode(text)), strict=True):
            frame[slot] = value

    return load


def _load_document(variable: DocumentVariable) -> Callable[[Frame, tuple[Any, ...]], None]:
    collection, head = variable.collection, variable.collection.encode()
    whole, raw = variable.whole, variable.raw
    attributes = list(variable.attributes.items())
    decode = msgspec.json.decode

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        key, rev, text = row
        if raw is not None:
            frame[raw] = msgspec.Raw(b'{"_id":"%b/%b","_rev":"%b",%b' % (head, key, rev, text[1:]))
        name = key.decode()
        document = {"_key": name, "_id": f"{collection}/{name}", "_rev": rev.decode(), **decode(text)}
        if whole is not None:
            frame[whole] = document
        for attribute, slot in attributes:
            frame[slot] = document.get(attribute)

    if whole is not None:
        return load
    stored = {name: slot for name, slot in attributes if name not in ("_key", "_id", "_rev")}
    system = [(name, slot) for name, slot in attributes if name in ("_key", "_id", "_rev")]
    load_stored = _load_attributes(stored) if stored else None
    load_system = _load_system(collection, system) if system else None
    assert raw is not None

    def load_raw(frame: Frame, row: tuple[Any, ...]) -> None:
        key, rev, text = row
        frame[raw] = msgspec.Raw(b'{"_id":"%b/%b","_rev":"%b",%b' % (head, key, rev, text[1:]))
        if load_system is not None:
            load_system(frame, row)
        if load_stored is not None:
            load_stored(frame, text)

    return load_raw
