"""Vertices and edges of named graphs: documents whose references are kept whole."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import Collection, Json
from arangolite.storage.database import Transaction
from arangolite.storage.documents import Documents, WriteOptions, Written
from arangolite.storage.graphs import edge_collections, vertex_collections
from arangolite.storage.names import split_id
from arangolite.values import Value, encode

_ENDS = ("_from", "_to")


def check_edge(transaction: Transaction, graph: Json, edge: Mapping[str, Value], *, whole: bool) -> None:
    """Refuse an edge between vertices that are not there or not of the graph.

    Args:
        transaction: Where the edge is going to be written.
        graph: Whose edge it is.
        edge: What the client sent.
        whole: Whether both ends must be given; a partial update may leave them out.

    Raises:
        ArangoError: 1233 for an end that is missing or no id, 1947 for one of another collection, 1202 for a vertex
            that is not there.
    """
    members = {*vertex_collections(graph), *edge_collections(graph)}
    for end in _ENDS:
        if end not in edge and not whole:
            continue
        try:
            name, key = split_id(edge.get(end))
        except ArangoError as exc:
            raise ArangoError(Problem.INVALID_EDGE_ATTRIBUTE) from exc
        if name not in members:
            raise ArangoError(
                Problem.GRAPH_VERTEX_COLLECTION_NOT_USED,
                f"referenced {end} collection '{name}' is not part of the graph",
            )
        if Documents(transaction, transaction.collection(name)).batch.get(key) is None:
            raise ArangoError(Problem.DOCUMENT_NOT_FOUND)


def remove_element(
    transaction: Transaction,
    collection: Collection,
    key: str,
    edges: Iterable[str],
    options: WriteOptions,
    expected: str | None,
) -> Written:
    """Remove a vertex or an edge, and every edge of these collections that begins or ends at it."""
    documents = Documents(transaction, collection)
    written = documents.remove(key, None, options, expected=expected)
    documents.flush()
    for name in edges:
        connected = edge_keys(transaction.connection, transaction.collection(name), f"{collection.name}/{key}", _ENDS)
        connecting = Documents(transaction, transaction.collection(name))
        for edge in connected:
            connecting.remove(edge)
        connecting.flush()
    return written


def edge_keys(connection: sqlite3.Connection, edges: Collection, vertex: str, ends: Iterable[str]) -> list[str]:
    """Find the keys of the edges that have a vertex at one of these ends, each once."""
    keys: dict[str, Any] = {}
    for index in edges.indexes:
        if index.type != "edge":
            continue
        for path, table in zip(index.fields, index.tables, strict=True):
            if path[0] in ends:
                found = connection.execute(
                    f"SELECT d.key FROM {table.name} AS i CROSS JOIN {edges.table} AS d ON d.id = i.id WHERE i.k = ?",
                    (encode(vertex),),
                )
                keys.update((key.decode(), None) for (key,) in found)
    return list(keys)
