"""Creating, changing and dropping collections and indexes, inside write transactions."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import (
    DOCUMENT_COLLECTION,
    EDGE_COLLECTION,
    PRIMARY,
    Collection,
    Index,
    IndexTable,
    collection_properties,
)
from arangolite.storage.database import Transaction, Work
from arangolite.storage.index_requests import index_from_request
from arangolite.storage.names import check_collection_name

_decode = msgspec.json.decode
_FILL_ENTRIES = 200_000  # entries of a new index held in memory at a time, about 30 MB


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
        if checked == collection.name:
            return collection
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
    wanted = index_from_request(request)

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
