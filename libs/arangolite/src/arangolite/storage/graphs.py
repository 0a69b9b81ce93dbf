"""Named graphs: which edge collections connect which vertex collections, kept in the collection `_graphs`."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import row_from_columns
from arangolite.storage.catalog import EDGE_COLLECTION, Collection, Json
from arangolite.storage.database import Transaction, Work
from arangolite.storage.documents import Documents
from arangolite.storage.names import check_collection_name
from arangolite.storage.schema import create_collection, drop_collection
from arangolite.values import Value

GRAPHS = "_graphs"


def read_graph(connection: sqlite3.Connection, collections: Mapping[str, Collection], name: Value) -> Json:
    """Find the definition of a graph, or refuse with 1924."""
    found = [graph for graph in list_graphs(connection, collections) if graph["_key"] == name]
    if not found:
        raise ArangoError(Problem.GRAPH_NOT_FOUND, f"graph '{name}' not found")
    return found[0]


def list_graphs(connection: sqlite3.Connection, collections: Mapping[str, Collection]) -> list[Json]:
    """Read all graphs."""
    store = collections.get(GRAPHS)
    if store is None:
        return []
    rows = connection.execute(f"SELECT id, key, rev, doc FROM {store.table} ORDER BY key")
    return [row_from_columns(columns).full(GRAPHS) for columns in rows]


def create_graph(request: Mapping[str, Any]) -> Work[Json]:
    """Create a graph, and those of its collections that are not there."""
    name = check_collection_name(request.get("name"))
    definitions = _check_definitions(request.get("edgeDefinitions") or [])
    orphans = _check_names(request.get("orphanCollections") or [])

    def work(transaction: Transaction) -> Json:
        store = _store(transaction)
        _create_missing(transaction, definitions, orphans)
        documents = Documents(transaction, store)
        if documents.batch.get(name) is not None:
            raise ArangoError(Problem.GRAPH_DUPLICATE)
        graph = {"_key": name, "edgeDefinitions": definitions, "orphanCollections": orphans}
        row = documents.insert(graph).new
        documents.flush()
        assert row is not None
        return row.full(GRAPHS)

    return work


def drop_graph(name: str, *, with_collections: bool) -> Work[None]:
    """Remove a graph, and when asked those of its collections that no other graph uses."""

    def work(transaction: Transaction) -> None:
        graphs = list_graphs(transaction.connection, transaction.collections)
        graph = read_graph(transaction.connection, transaction.collections, name)
        documents = Documents(transaction, _store(transaction))
        documents.remove(name)
        documents.flush()
        if with_collections:
            used = {member for other in graphs if other["_key"] != name for member in members(other)}
            for member in members(graph):
                if member in transaction.collections and member not in used:
                    drop_collection(member, system=False)(transaction)

    return work


def members(graph: Json) -> list[str]:
    """List the collections of a graph, edges first."""
    names = [edge["collection"] for edge in graph["edgeDefinitions"]]
    for edge in graph["edgeDefinitions"]:
        names += [*edge["from"], *edge["to"]]
    return list(dict.fromkeys([*names, *graph["orphanCollections"]]))


def _store(transaction: Transaction) -> Collection:
    if GRAPHS not in transaction.collections:
        create_collection({"name": GRAPHS, "isSystem": True})(transaction)
    return transaction.collection(GRAPHS)


def _create_missing(transaction: Transaction, definitions: Sequence[Json], orphans: Sequence[str]) -> None:
    edges = [definition["collection"] for definition in definitions]
    vertices = [name for definition in definitions for name in (*definition["from"], *definition["to"])]
    for name in edges:
        if name not in transaction.collections:
            create_collection({"name": name, "type": EDGE_COLLECTION})(transaction)
        elif not transaction.collection(name).is_edge:
            raise ArangoError(Problem.GRAPH_EDGE_DEFINITION_IS_DOCUMENT)
    for name in (*vertices, *orphans):
        if name not in transaction.collections:
            create_collection({"name": name})(transaction)


def _check_definitions(given: Value) -> list[Json]:
    if type(given) is not list:
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return [_check_definition(definition) for definition in given]


def _check_definition(given: Value) -> Json:
    if type(given) is not dict or not {"collection", "from", "to"} <= given.keys():
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return {
        "collection": check_collection_name(given["collection"]),
        "from": _check_names(given["from"]),
        "to": _check_names(given["to"]),
    }


def _check_names(given: Value) -> list[str]:
    if type(given) is not list:
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return [check_collection_name(name) for name in given]
