"""Creating, changing and dropping collections and indexes, inside write transactions."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.storage.catalog import (
    DOCUMENT_COLLECTION,
    EDGE_COLLECTION,
    EXPANSION,
    PRIMARY,
    Collection,
    Index,
    IndexTable,
    Json,
    Path,
    collection_properties,
    format_path,
    parse_path,
)
from arangolite.storage.database import Transaction, Work
from arangolite.storage.names import check_collection_name

_decode = msgspec.json.decode
_FILL_ENTRIES = 200_000  # entries of a new index held in memory at a time, about 30 MB
_MAX_STORED_VALUES = 32
_MAX_GEO_FIELDS = 2
_SYSTEM_FIELDS = ("_id", "_rev")


def create_collection(request: Mapping[str, Any]) -> Work[Collection]:
    """Create a collection as `POST /_api/collection` asks for it."""
    properties = collection_properties(request)
    name = check_collection_name(request.get("name"), system=properties["isSystem"])
    kind = request.get("type", DOCUMENT_COLLECTION)
    if kind not in (DOCUMENT_COLLECTION, EDGE_COLLECTION):
        raise ArangoError(Problem.COLLECTION_TYPE_INVALID)

    def work(transaction: Transaction) -> Collection:
        if name in transaction.collections:
            raise ArangoError(Problem.DUPLICATE_NAME, f"duplicate name: {name}")
        number = transaction.clock.reserve()
        connection = transaction.connection
        connection.execute(
            "INSERT INTO collections VALUES (?, ?, ?, ?)",
            (number, name, kind, msgspec.json.encode(properties).decode()),
        )
        connection.execute(
            f"CREATE TABLE docs_{number} "
            "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, rev TEXT NOT NULL, doc TEXT NOT NULL)"
        )
        collection = Collection(number, name, kind, properties)
        _store_index(transaction, collection, PRIMARY)
        indexes = [PRIMARY]
        if kind == EDGE_COLLECTION:
            edge = Index(transaction.clock.reserve(), "edge", "edge", (("_from",), ("_to",)))
            _store_index(transaction, collection, edge)
            for table in edge.tables:
                _create_table(transaction, table)
            indexes.append(edge)
        collection = transaction.collections[name] = replace(collection, indexes=tuple(indexes))
        return collection

    return work


def change_properties(name: str, request: Mapping[str, Any]) -> Work[Collection]:
    """Change what may be changed of a collection: `waitForSync`, `cacheEnabled`, `schema`."""

    def work(transaction: Transaction) -> Collection:
        collection = transaction.collection(name)
        wanted = {
            key: request[key] for key in ("waitForSync", "cacheEnabled", "schema", "computedValues") if key in request
        }
        properties = {
            **collection_properties({**collection.properties, **wanted}),
            "keyOptions": collection.properties["keyOptions"],
        }
        text = msgspec.json.encode(properties).decode()
        transaction.connection.execute("UPDATE collections SET properties = ? WHERE id = ?", (text, collection.id))
        changed = transaction.collections[collection.name] = replace(collection, properties=properties)
        return changed

    return work


def rename_collection(name: str, new_name: object) -> Work[Collection]:
    """Give a collection another name."""
    checked = check_collection_name(new_name)

    def work(transaction: Transaction) -> Collection:
        collection = transaction.collection(name)
        if collection.properties["isSystem"]:
            raise ArangoError(Problem.FORBIDDEN)
        if checked in transaction.collections:
            raise ArangoError(Problem.DUPLICATE_NAME, f"duplicate name: {checked}")
        transaction.connection.execute("UPDATE collections SET name = ? WHERE id = ?", (checked, collection.id))
        del transaction.collections[collection.name]
        renamed = transaction.collections[checked] = replace(collection, name=checked)
        return renamed

    return work


def truncate_collection(name: str) -> Work[Collection]:
    """Remove every document."""

    def work(transaction: Transaction) -> Collection:
        collection = transaction.collection(name)
        for table in (collection.table, *(table.name for table in collection.index_tables)):
            transaction.connection.execute(f"DELETE FROM {table}")
        return collection

    return work


def drop_collection(name: str, *, system: bool) -> Work[Collection]:
    """Remove a collection and everything in it."""

    def work(transaction: Transaction) -> Collection:
        collection = transaction.collection(name)
        if collection.properties["isSystem"] and not system:
            raise ArangoError(Problem.FORBIDDEN, "system collections are dropped only with isSystem=true")
        connection = transaction.connection
        for table in (collection.table, *(table.name for table in collection.index_tables)):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM indexes WHERE collection = ?", (collection.id,))
        connection.execute("DELETE FROM collections WHERE id = ?", (collection.id,))
        connection.execute("DELETE FROM meta WHERE name = ?", (f"autoincrement {collection.id}",))
        del transaction.collections[collection.name]
        return collection

    return work


def create_index(name: str, request: Mapping[str, Any]) -> Work[tuple[Index, bool]]:
    """Create an index as `POST /_api/index` asks for it; returns it and whether it is new."""
    wanted = _index_from_request(request)

    def work(transaction: Transaction) -> tuple[Index, bool]:
        collection = transaction.collection(name)
        for index in collection.indexes:
            if _same_index(index, wanted):
                return index, False
            if wanted.name and index.name == wanted.name:
                raise ArangoError(
                    Problem.DUPLICATE_NAME, f"duplicate value for 'name': there is already an index {wanted.name!r}"
                )
        if wanted.type == "ttl" and any(index.type == "ttl" for index in collection.indexes):
            raise ArangoError(Problem.BAD_PARAMETER, "there can only be one ttl index per collection")
        number = transaction.clock.reserve()
        index = replace(wanted, id=number, name=wanted.name or f"idx_{number}")
        _store_index(transaction, collection, index)
        for table in index.tables:
            _create_table(transaction, table)
            _fill_table(transaction, collection, index, table)
        transaction.collections[collection.name] = replace(collection, indexes=(*collection.indexes, index))
        return index, True

    return work


def drop_index(name: str, index_id: str) -> Work[Index]:
    """Remove an index by its id or name."""

    def work(transaction: Transaction) -> Index:
        collection = transaction.collection(name)
        index = find_index(collection, index_id)
        if index.type in ("primary", "edge"):
            raise ArangoError(Problem.FORBIDDEN)
        for table in index.tables:
            transaction.connection.execute(f"DROP TABLE {table.name}")
        transaction.connection.execute(
            "DELETE FROM indexes WHERE collection = ? AND number = ?", (collection.id, index.id)
        )
        left = tuple(other for other in collection.indexes if other is not index)
        transaction.collections[collection.name] = replace(collection, indexes=left)
        return index

    return work


def find_index(collection: Collection, index_id: str) -> Index:
    """Find an index by its id or name, or refuse with 1212."""
    for index in collection.indexes:
        if index_id in (str(index.id), index.name):
            return index
    raise ArangoError(Problem.INDEX_NOT_FOUND)


def _store_index(transaction: Transaction, collection: Collection, index: Index) -> None:
    definition = index.to_json().decode()
    transaction.connection.execute("INSERT INTO indexes VALUES (?, ?, ?)", (collection.id, index.id, definition))


def _create_table(transaction: Transaction, table: IndexTable) -> None:
    # The document's id is part of the order, so that equal entries stand side by side, oldest document first.
    key = "k" if table.unique else "k, id"
    transaction.connection.execute(
        f"CREATE TABLE {table.name} (k BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"
    )


def _fill_table(transaction: Transaction, collection: Collection, index: Index, table: IndexTable) -> None:
    connection = transaction.connection
    documents = connection.execute(f"SELECT id, doc FROM {collection.table}")
    entries = ((entry, row_id) for row_id, text in documents for entry in table.entries(_decode(text)))
    try:
        # Sorted first, the entries fill the B-tree from left to right.
        while part := sorted(islice(entries, _FILL_ENTRIES)):
            connection.executemany(f"INSERT INTO {table.name} (k, id) VALUES (?, ?)", part)
    except sqlite3.IntegrityError as exc:
        where = f"in index {index.name} of type {index.type}"
        message = f"unique constraint violated - {where}: two of the stored documents have the same values"
        raise ArangoError(Problem.UNIQUE_CONSTRAINT, message) from exc


def _same_index(index: Index, wanted: Index) -> bool:
    same = (index.type, index.fields, index.unique, index.sparse) == (
        wanted.type,
        wanted.fields,
        wanted.unique,
        wanted.sparse,
    )
    return same and (index.type not in ("geo", "inverted") or index.extra == wanted.extra)


def _index_from_request(request: Mapping[str, Any]) -> Index:
    kind = request.get("type")
    if not isinstance(kind, str):
        raise ArangoError(Problem.BAD_PARAMETER, "an index needs a 'type', e.g. \"persistent\"")
    build = _INDEX_TYPES.get(kind)
    if build is None:
        raise not_supported(f"indexes of type {kind!r}")
    name = request.get("name")
    if name is not None:
        check_collection_name(name)  # index names follow the same rules
    return replace(build(request), name=name or "")


def _fields(request: Mapping[str, Any]) -> tuple[Path, ...]:
    fields = request.get("fields")
    if not isinstance(fields, list) or not fields:
        raise ArangoError(Problem.BAD_PARAMETER, "an index needs 'fields', a list of attribute names")
    paths = tuple(parse_path(name) for name in fields)
    if len(set(paths)) != len(paths):
        raise ArangoError(Problem.BAD_PARAMETER, "duplicate attribute name in index fields list")
    for path in paths:
        if path[0] in _SYSTEM_FIELDS:
            raise ArangoError(Problem.BAD_PARAMETER, f"cannot create an index on {format_path(path)!r}")
    return paths


def _flag(request: Mapping[str, Any], name: str, default: bool) -> bool:
    value = request.get(name, default)
    if not isinstance(value, bool):
        raise ArangoError(Problem.BAD_PARAMETER, f"'{name}' must be a boolean")
    return value


def _persistent(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    if sum(path[-1] == EXPANSION for path in fields) > 1:
        raise ArangoError(Problem.BAD_PARAMETER, "an index may expand one array attribute only")
    extra: Json = {
        "deduplicate": _flag(request, "deduplicate", True),
        "estimates": _flag(request, "estimates", True),
        "cacheEnabled": _flag(request, "cacheEnabled", False),
    }
    if stored := request.get("storedValues"):
        extra["storedValues"] = _stored_values(stored)
    return Index(0, "persistent", "", fields, _flag(request, "unique", False), _flag(request, "sparse", False), extra)


def _ttl(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    seconds = request.get("expireAfter")
    if len(fields) != 1 or fields[0][-1] == EXPANSION:
        raise ArangoError(Problem.BAD_PARAMETER, "a ttl index has one field")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ArangoError(Problem.BAD_PARAMETER, "'expireAfter' must be a number of seconds that is not negative")
    return Index(0, "ttl", "", fields, sparse=True, extra={"expireAfter": seconds, "estimates": False})


def _stored_values(given: object) -> list[str]:
    """Check the attributes that an index keeps for projections; here the document itself is at hand for them."""
    if not isinstance(given, list) or len(given) > _MAX_STORED_VALUES or not all(isinstance(n, str) for n in given):
        raise ArangoError(Problem.BAD_PARAMETER, "'storedValues' must be a list of at most 32 attribute names")
    for name in given:
        if parse_path(name)[-1] == EXPANSION:
            raise ArangoError(Problem.BAD_PARAMETER, "'storedValues' cannot expand arrays")
    return list(given)


def _geo(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    if len(fields) > _MAX_GEO_FIELDS or any(path[-1] == EXPANSION for path in fields):
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index has one field, or one for the latitude and one more")
    geo_json = _flag(request, "geoJson", False)
    if geo_json and len(fields) > 1:
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index with 'geoJson' has one field")
    if _flag(request, "unique", False):
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index cannot be unique")
    extra: Json = {
        "geoJson": geo_json,
        "legacyPolygons": _flag(request, "legacyPolygons", False),
        "bestIndexedLevel": 17,
        "worstIndexedLevel": 4,
        "maxNumCoverCells": 8,
        "estimates": True,
    }
    return Index(0, "geo", "", fields, sparse=True, extra=extra)


_INVERTED_DEFAULTS: Mapping[str, Any] = {
    "analyzer": "identity",
    "cleanupIntervalStep": 2,
    "commitIntervalMsec": 1000,
    "consolidationIntervalMsec": 1000,
    "consolidationPolicy": {"type": "tier", "segmentsBytesFloor": 25165824, "segmentsBytesMax": 8589934592},
    "features": ["frequency", "norm"],
    "includeAllFields": False,
    "optimizeTopK": [],
    "primaryKeyCache": False,
    "primarySort": {"fields": [], "compression": "lz4", "cache": False},
    "searchField": False,
    "storedValues": [],
    "trackListPositions": False,
    "writebufferActive": 0,
    "writebufferIdle": 64,
    "writebufferSizeMax": 33554432,
}


def _inverted(request: Mapping[str, Any]) -> Index:
    given = request.get("fields")
    everything = _flag(request, "includeAllFields", False)
    if not isinstance(given, list) or not (given or everything):
        raise ArangoError(Problem.BAD_PARAMETER, "an inverted index needs 'fields', or 'includeAllFields'")
    if _flag(request, "unique", False):
        raise ArangoError(Problem.BAD_PARAMETER, "an inverted index cannot be unique")
    fields = [_inverted_field(field) for field in given]
    extra: Json = {}
    for name, default in _INVERTED_DEFAULTS.items():
        value = request.get(name, default)
        if type(value) is not type(default):
            raise ArangoError(Problem.BAD_PARAMETER, f"invalid value for '{name}' of an inverted index")
        extra[name] = {**default, **value} if isinstance(default, dict) else value
    paths = tuple(parse_path(field["name"]) for field in fields)
    return Index(0, "inverted", "", paths, sparse=True, extra={"fields": fields, "version": 1, **extra})


def _inverted_field(given: object) -> Json:
    """Check one field of an inverted index: a name, or an object with a name and options."""
    field = {"name": given} if isinstance(given, str) else given
    if not isinstance(field, dict) or not isinstance(field.get("name"), str):
        raise ArangoError(Problem.BAD_PARAMETER, "a field of an inverted index is a name, or an object with one")
    parse_path(field["name"])
    return field


# Deprecated names, which ArangoDB 3.12 turns into persistent indexes, too.
_INDEX_TYPES: dict[str, Callable[[Mapping[str, Any]], Index]] = {
    "persistent": _persistent,
    "hash": _persistent,
    "skiplist": _persistent,
    "ttl": _ttl,
    "geo": _geo,
    "inverted": _inverted,
}
