"""How the documents of a FOR are read: the whole collection, by key, or the ranges of an index."""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from arangolite.aql.context import Run
from arangolite.aql.scope import DocumentVariable, Frame
from arangolite.storage.catalog import Collection, Index

KeyRange = tuple[bytes, bytes]
"""Encoded index entries from (inclusive) and to (exclusive)."""
_SYSTEM = ("_key", "_id", "_rev")
"""Attributes that are columns of their own."""
_CHECK_EVERY = 1024  # rows between two looks at whether the query must stop


Rows = Iterable[tuple[Any, ...]]


@dataclass(frozen=True)
class FullScan:
    """Every document, oldest first, or in the order of the keys."""

    collection: Collection
    by_key: bool = False
    descending: bool = False
    uses_index = False

    def parts(self, run: Run, columns: str, _: Frame) -> Iterator[Rows]:
        """Read the documents."""
        order = f"key{' DESC' if self.descending else ''}" if self.by_key else "id"
        yield run.connection.execute(f"SELECT {columns} FROM {self.collection.table} AS d ORDER BY d.{order}")

    def count(self, run: Run, _: Frame) -> int:
        """Count the documents."""
        row: tuple[int] = run.connection.execute(f"SELECT count(*) FROM {self.collection.table}").fetchone()
        return row[0]


@dataclass(frozen=True)
class KeyLookup:
    """The documents with some keys."""

    collection: Collection
    keys: Callable[[Frame], list[str]]
    uses_index = True

    def parts(self, run: Run, columns: str, frame: Frame) -> Iterator[Rows]:
        """Read the documents."""
        statement = f"SELECT {columns} FROM {self.collection.table} AS d WHERE d.key = ?"
        for key in self.keys(frame):
            yield run.connection.execute(statement, (key,))

    def count(self, run: Run, frame: Frame) -> int:
        """Count the documents."""
        return sum(1 for part in self.parts(run, "1", frame) for _ in part)


@dataclass(frozen=True)
class IndexScan:
    """The documents in some ranges of an index, in its order."""

    collection: Collection
    index: Index
    table: str
    ranges: Callable[[Frame], list[KeyRange]]
    descending: bool = False
    uses_index = True

    def parts(self, run: Run, columns: str, frame: Frame) -> Iterator[Rows]:
        """Read the documents, range by range."""
        # CROSS JOIN fixes the order for SQLite: walk the index, then fetch each document.
        join = f" CROSS JOIN {self.collection.table} AS d ON d.id = i.id" if "d." in columns else ""
        order = "i.k DESC" if self.descending else "i.k"
        statement = f"SELECT {columns} FROM {self.table} AS i{join} WHERE i.k >= ? AND i.k < ? ORDER BY {order}"
        ranges = self.ranges(frame)
        for bounds in reversed(ranges) if self.descending else ranges:
            yield run.connection.execute(statement, bounds)

    def count(self, run: Run, frame: Frame) -> int:
        """Count the documents without reading them."""
        statement = f"SELECT count(*) FROM {self.table} WHERE k >= ? AND k < ?"
        return sum(int(run.connection.execute(statement, bounds).fetchone()[0]) for bounds in self.ranges(frame))


Access = FullScan | KeyLookup | IndexScan


def scan(run: Run, access: Access, variable: DocumentVariable, rows: Iterator[Frame]) -> Iterator[Frame]:
    """Run a FOR over a collection: decode of each document what the query uses, into the frame."""
    columns, load = _loader(variable)
    seen = 0
    try:
        for frame in rows:
            for part in access.parts(run, columns, frame):
                for row in part:
                    seen += 1
                    load(frame, row)
                    yield frame
                    if seen % _CHECK_EVERY == 0:
                        run.check()
    finally:
        run.statistics.scanned(seen, with_index=access.uses_index)


def raw_documents(run: Run, access: Access, frame: Frame) -> Iterator[msgspec.Raw]:
    """Give the documents of a FOR as JSON, where nothing else is asked of them."""
    shape = _raw_shape(access.collection.name)
    seen = 0
    try:
        for part in access.parts(run, "d.key, d.rev, d.doc", frame):
            rows = iter(part)
            while found := [msgspec.Raw(shape % (key, rev, text[1:])) for key, rev, text in islice(rows, _CHECK_EVERY)]:
                seen += len(found)
                yield from found
                run.check()
    finally:
        run.statistics.scanned(seen, with_index=access.uses_index)


def _raw_shape(collection: str) -> bytes:
    """Make the form of a document as JSON: what is stored, with the system attributes put in front."""
    name = collection.replace("%", "%%").encode()
    return b'{"_id":"' + name + b'/%b","_rev":"%b",%b'


def count(run: Run, access: Access, frame: Frame) -> int:
    """Run a FOR that only counts."""
    total = access.count(run, frame)
    run.statistics.scanned(total, with_index=access.uses_index)
    return total


def _loader(variable: DocumentVariable) -> tuple[str, Callable[[Frame, tuple[Any, ...]], None]]:
    """Decide which columns are read and how they get into the frame."""
    if variable.whole is not None or variable.raw is not None:
        return "d.key, d.rev, d.doc", _load_document(variable)
    attributes = dict(variable.attributes)
    system = [(name, attributes.pop(name)) for name in _SYSTEM if name in attributes]
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
    if variable.whole is not None:
        return _load_whole(variable, variable.whole)
    assert variable.raw is not None
    load_raw = _load_raw(variable.collection, variable.raw)
    if not variable.attributes:
        return load_raw
    # Columns are the same for both, so the attributes are loaded as they would be without the raw document.
    stored = {name: slot for name, slot in variable.attributes.items() if name not in _SYSTEM}
    system = [(name, slot) for name, slot in variable.attributes.items() if name in _SYSTEM]
    load_stored = _load_attributes(stored) if stored else None
    load_system = _load_system(variable.collection, system)

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        load_raw(frame, row)
        load_system(frame, row)
        if load_stored is not None:
            load_stored(frame, row[2])

    return load


def _load_raw(collection: str, slot: int) -> Callable[[Frame, tuple[Any, ...]], None]:
    """Give the document as JSON."""
    shape = _raw_shape(collection)

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        key, rev, text = row
        frame[slot] = msgspec.Raw(shape % (key, rev, text[1:]))

    return load


def _load_whole(variable: DocumentVariable, slot: int) -> Callable[[Frame, tuple[Any, ...]], None]:
    """Give the decoded document; attributes, and the document as JSON where that is wanted, too."""
    collection, attributes, decode = variable.collection, list(variable.attributes.items()), msgspec.json.decode
    load_raw = None if variable.raw is None else _load_raw(collection, variable.raw)

    def load(frame: Frame, row: tuple[Any, ...]) -> None:
        key = row[0].decode()
        document = {"_key": key, "_id": f"{collection}/{key}", "_rev": row[1].decode(), **decode(row[2])}
        frame[slot] = document
        for name, attribute_slot in attributes:
            frame[attribute_slot] = document.get(name)
        if load_raw is not None:
            load_raw(frame, row)

    return load
