"""What a database holds: collections and indexes, as values that readers keep while the writer makes new ones."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import msgspec

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.storage.validation import Validation, check_schema
from arangolite.values import NULL, Value, encode

Json = dict[str, Any]
Path = tuple[str, ...]
"""An attribute path; the last element `*` stands for every element of the array there (`tags[*]`)."""

DOCUMENT_COLLECTION = 2
EDGE_COLLECTION = 3
EXPANSION = "*"
SORTED = ("persistent", "hash", "skiplist")
"""Types of indexes that keep their fields in AQL's order; `hash` and `skiplist` are old names for the same."""
MULTI_DIMENSIONAL = ("mdi", "zkd")
"""Types of indexes whose fields are numbers; `zkd` is the old name."""


def parse_path(text: object) -> Path:
    """Take `a.b` or `tags[*]` apart, or refuse it with 1220."""
    if not isinstance(text, str) or not text:
        raise ArangoError(Problem.ATTRIBUTE_PARSER_FAILED)
    expanded = text.endswith("[*]")
    path = tuple(text.removesuffix("[*]").split("."))
    if not all(path) or any("[" in name or "]" in name for name in path):
        raise ArangoError(Problem.ATTRIBUTE_PARSER_FAILED)
    return (*path, EXPANSION) if expanded else path


def format_path(path: Path) -> str:
    """Write a path as it was given."""
    return ".".join(path[:-1]) + "[*]" if path[-1] == EXPANSION else ".".join(path)


def lookup(document: Mapping[str, Value], path: Path) -> Value:
    """Follow a path; what is not there is null."""
    value: Value = document
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


@dataclass(frozen=True)
class IndexTable:
    """One SQLite table that holds index entries: (`k` the encoded values, `id` of the document)."""

    name: str
    paths: tuple[Path, ...]
    unique: bool
    sparse: bool
    numeric: bool = False
    """Whether it refuses a document with anything but numbers there."""

    @cached_property
    def entries(self) -> Callable[[Mapping[str, Value]], Iterable[bytes]]:
        """The function that tells which entries a document has: one, none when sparse, several for `tags[*]`."""
        if any(path[-1] == EXPANSION for path in self.paths):
            return self._expanded_entries
        if self.numeric:
            return self._numeric_entries
        if self.sparse:
            return self._sparse_entries
        if all(len(path) == 1 for path in self.paths):
            names = [path[0] for path in self.paths]
            return lambda document: (b"".join([encode(document.get(name)) for name in names]),)
        return lambda document: (b"".join([encode(lookup(document, path)) for path in self.paths]),)

    def _sparse_entries(self, document: Mapping[str, Value]) -> Iterable[bytes]:
        parts = [encode(lookup(document, path)) for path in self.paths]
        return () if NULL in parts else (b"".join(parts),)

    def _numeric_entries(self, document: Mapping[str, Value]) -> Iterable[bytes]:
        values = [lookup(document, path) for path in self.paths]
        if self.sparse and None in values:
            return ()
        if not all(type(value) in (int, float) for value in values):
            raise ArangoError(Problem.QUERY_INVALID_ARITHMETIC)
        return (b"".join([encode(value) for value in values]),)

    def _expanded_entries(self, document: Mapping[str, Value]) -> Iterable[bytes]:
        entries = {b""}
        for path in self.paths:
            if path[-1] == EXPANSION:
                array = lookup(document, path[:-1])
                parts = {encode(item) for item in array} if type(array) is list else set()
            else:
                parts = {encode(lookup(document, path))}
            if self.sparse:
                parts.discard(NULL)
            entries = {entry + part for entry in entries for part in parts}
        return entries


@dataclass(frozen=True)
class Index:
    """An index as ArangoDB describes it; `extra` holds what only its type knows (`expireAfter`, `geoJson`, …)."""

    id: int
    type: str
    name: str
    fields: tuple[Path, ...]
    unique: bool = False
    sparse: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def tables(self) -> tuple[IndexTable, ...]:
        """The tables that hold its entries; none for `primary`, which is the documents' own table."""
        if self.type == "edge":
            return tuple(IndexTable(f"ix_{self.id}{path[0]}", (path,), False, False) for path in self.fields)
        if self.type in (*SORTED, "ttl", *MULTI_DIMENSIONAL):
            numeric = self.type in MULTI_DIMENSIONAL
            return (IndexTable(f"ix_{self.id}", self.fields, self.unique, self.sparse, numeric),)
        # The others are kept as a definition only: queries give the same results without them.
        return ()

    def describe(self, collection: str) -> Json:
        """Give the description that the API sends."""
        return {
            "id": f"{collection}/{self.id}",
            "type": self.type,
            "name": self.name,
            "fields": [format_path(path) for path in self.fields],
            "unique": self.unique,
            "sparse": self.sparse,
            **({"selectivityEstimate": 1} if self.unique else {}),
            **self.extra,
        }

    def to_json(self) -> bytes:
        """Give what is stored in the catalog."""
        return msgspec.json.encode({**self.describe(""), "id": self.id, "extra": self.extra})

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read what is stored in the catalog."""
        raw = msgspec.json.decode(text)
        fields = tuple(parse_path(field if isinstance(field, str) else field["name"]) for field in raw["fields"])
        return cls(raw["id"], raw["type"], raw["name"], fields, raw["unique"], raw["sparse"], raw["extra"])


PRIMARY = Index(0, "primary", "primary", (("_key",),), unique=True)


@dataclass(frozen=True)
class Collection:
    """A collection: its table `docs_<id>`, its properties as ArangoDB shows them, its indexes."""

    id: int
    name: str
    type: int
    properties: Mapping[str, Any]
    indexes: tuple[Index, ...] = (PRIMARY,)

    @property
    def table(self) -> str:
        """The table of its documents."""
        return f"docs_{self.id}"

    @property
    def is_edge(self) -> bool:
        """Whether its documents must have `_from` and `_to`."""
        return self.type == EDGE_COLLECTION

    @property
    def wait_for_sync(self) -> bool:
        """Whether every write waits for the disk."""
        return bool(self.properties["waitForSync"])

    @cached_property
    def validation(self) -> Validation | None:
        """What its schema asks of documents."""
        schema = self.properties.get("schema")
        return None if schema is None else Validation(schema)

    @cached_property
    def index_tables(self) -> tuple[IndexTable, ...]:
        """The tables that every write keeps in step."""
        return tuple(table for index in self.indexes for table in index.tables)

    @cached_property
    def index_of_table(self) -> Mapping[str, Index]:
        """Which index a table belongs to."""
        return {table.name: index for index in self.indexes for table in index.tables}


_KEY_GENERATORS = ("traditional", "padded", "uuid", "autoincrement")
_REFUSED = ("isSmart", "isDisjoint")


def collection_properties(request: Mapping[str, Any]) -> Json:
    """Check what a request wants of a new collection and fill in ArangoDB's defaults.

    Raises:
        ArangoError: 1232 for an unknown key generator, 10 for a value of the wrong type, 1621 for a schema that is
        none, 501 for what arangolite cannot do.
    """
    for name in _REFUSED:
        if request.get(name):
            raise not_supported(f"the collection property {name!r}")
    if request.get("computedValues"):
        raise not_supported("computed values")
    wait_for_sync = request.get("waitForSync") or False
    if not isinstance(wait_for_sync, bool):
        raise ArangoError(Problem.BAD_PARAMETER, "waitForSync must be a boolean")
    return {
        "waitForSync": wait_for_sync,
        "keyOptions": _key_options(request.get("keyOptions")),
        "cacheEnabled": bool(request.get("cacheEnabled") or False),
        "schema": check_schema(request.get("schema")),
        "computedValues": None,
        "isSystem": bool(request.get("isSystem") or False),
        "writeConcern": 1,
        "syncByRevision": True,
        "usesRevisionsAsDocumentIds": True,
        "isSmartChild": False,
    }


def _key_options(request: object) -> Json:
    if request is None:
        request = {}
    if not isinstance(request, dict):
        raise ArangoError(Problem.BAD_PARAMETER, "keyOptions must be an object")
    kind = request.get("type", "traditional")
    if kind not in _KEY_GENERATORS:
        raise ArangoError(Problem.INVALID_KEY_GENERATOR, f"invalid key generator type {kind!r}")
    options: Json = {"allowUserKeys": bool(request.get("allowUserKeys", True)), "type": kind}
    if kind == "autoincrement":
        for name, low, default in (("increment", 1, 1), ("offset", 0, 0)):
            number = request.get(name, default)
            if type(number) is not int or number < low:
                raise ArangoError(Problem.INVALID_KEY_GENERATOR, f"{name} must be an integer of at least {low}")
            options[name] = number
    return options
