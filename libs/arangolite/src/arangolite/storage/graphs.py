"""Named graphs: which edge collections connect which vertex collections, kept in the collection `_graphs`."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.storage import schema
from arangolite.storage.batch import row_from_columns
from arangolite.storage.catalog import EDGE_COLLECTION, Collection, Json
from arangolite.storage.database import Transaction, Work
from arangolite.storage.documents import Documents
from arangolite.storage.names import check_collection_name
from arangolite.values import Value

GRAPHS = "_graphs"


def read_graph(connection: sqlite3.Connection, collections: Mapping[str, Collection], name: Value) -> Json:
    """Find the definition of a graph, or refuse with 1924."""
    found = [graph for graph in list_graphs(connection, collections) if graph["_key"] == name]
    if not found:
        raise ArangoError(Problem.GRAPH_NOT_FOUND, f"graph '{name}' not found")
    return found[0]


def list_graphs(connection: sqlite3.Connection, collections: Mapping[str, Collection]) -> list[Json]:
    """Read all graphs; a document that somebody else has put there and that defines none is left out."""
    store = collections.get(GRAPHS)
    if store is None:
        return []
    rows = connection.execute(f"SELECT id, key, rev, doc FROM {store.table} ORDER BY key")
    documents = [row_from_columns(columns).full(GRAPHS) for columns in rows]
    return [{"edgeDefinitions": [], "orphanCollections": [], **doc} for doc in documents if _is_definition(doc)]


class _EdgeDefinition(msgspec.Struct):
    collection: str
    source: list[str] = msgspec.field(name="from")
    target: list[str] = msgspec.field(name="to")


class _Definition(msgspec.Struct, rename="camel"):
    edge_definitions: list[_EdgeDefinition] = []
    orphan_collections: list[str] = []


def _is_definition(document: Json) -> bool:
    try:
        msgspec.convert(document, _Definition)
    except msgspec.ValidationError:
        return False
    return True


def create_graph(request: Mapping[str, Any]) -> Work[Json]:
    """Create a graph, and those of its collections that are not there."""
    if request.get("name") is None:
        raise ArangoError(Problem.GRAPH_MISSING_NAME)
    name = check_collection_name(request["name"])
    definitions = _check_definitions(request.get("edgeDefinitions") or [])
    if len({definition["collection"] for definition in definitions}) < len(definitions):
        raise ArangoError(Problem.GRAPH_COLLECTION_MULTI_USE)
    connected = {name for definition in definitions for name in (*definition["from"], *definition["to"])}
    orphans = [name for name in _check_orphans(request.get("orphanCollections") or []) if name not in connected]
    options = request.get("options") or {}
    if request.get("isSmart") or request.get("isDisjoint") or (type(options) is dict and options.get("isSmart")):
        raise not_supported("SmartGraphs")

    def work(transaction: Transaction) -> Json:
        store = _store(transaction)
        for definition in definitions:
            _check_same_elsewhere(transaction, name, definition)
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
        graph = read_graph(transaction.connection, transaction.collections, name)
        documents = Documents(transaction, _store(transaction))
        documents.remove(name)
        documents.flush()
        if with_collections:
            _drop_unused(transaction, members(graph))

    return work


def add_edge_definition(name: str, request: Mapping[str, Any]) -> Work[Json]:
    """Let a graph have one more edge collection."""
    definition = _check_definition(request)

    def change(transaction: Transaction, graph: Json) -> Json:
        if definition["collection"] in edge_collections(graph):
            raise ArangoError(Problem.GRAPH_COLLECTION_MULTI_USE)
        _check_same_elsewhere(transaction, name, definition)
        _create_missing(transaction, [definition], [])
        return _with_definitions(graph, [*graph["edgeDefinitions"], definition])

    return _change_graph(name, change)


def replace_edge_definition(name: str, edges: str, request: Mapping[str, Any]) -> Work[Json]:
    """Change what an edge collection of a graph connects; other graphs that use it change with it."""
    definition = _check_definition({**request, "collection": request.get("collection", edges)})

    def changed(graph: Json) -> Json:
        return _with_definitions(
            graph,
            [definition if known["collection"] == edges else known for known in graph["edgeDefinitions"]],
        )

    def change(transaction: Transaction, graph: Json) -> Json:
        if definition["collection"] != edges or edges not in edge_collections(graph):
            raise ArangoError(Problem.GRAPH_EDGE_COLLECTION_NOT_USED)
        _create_missing(transaction, [definition], [])
        documents = Documents(transaction, _store(transaction))
        for other in list_graphs(transaction.connection, transaction.collections):
            if other["_key"] != name and edges in edge_collections(other):
                documents.replace(other["_key"], changed(other))
        documents.flush()
        return changed(graph)

    return _change_graph(name, change)


def remove_edge_definition(name: str, edges: str, *, with_collections: bool) -> Work[Json]:
    """Take an edge collection out of a graph; vertex collections that nothing connects any more become orphans."""

    def change(_: Transaction, graph: Json) -> Json:
        if edges not in edge_collections(graph):
            raise ArangoError(Problem.GRAPH_EDGE_COLLECTION_NOT_USED)
        kept = [definition for definition in graph["edgeDefinitions"] if definition["collection"] != edges]
        return _with_definitions(graph, kept)

    return _change_graph(name, change, dropped=[edges] if with_collections else [])


def add_orphan(name: str, collection: object) -> Work[Json]:
    """Let a graph have one more vertex collection that no edges connect."""
    (checked,) = _check_orphans([collection])

    def change(transaction: Transaction, graph: Json) -> Json:
        if checked in graph["orphanCollections"]:
            raise ArangoError(Problem.GRAPH_COLLECTION_USED_IN_ORPHANS)
        if checked in vertex_collections(graph):
            raise ArangoError(Problem.GRAPH_COLLECTION_USED_IN_EDGE_DEFINITION)
        if checked in transaction.collections and transaction.collection(checked).is_edge:
            raise ArangoError(Problem.GRAPH_WRONG_VERTEX_TYPE)
        _create_missing(transaction, [], [checked])
        return {**graph, "orphanCollections": [*graph["orphanCollections"], checked]}

    return _change_graph(name, change)


def remove_orphan(name: str, collection: str, *, with_collection: bool) -> Work[Json]:
    """Take a vertex collection out of a graph that no edges of it connect, or refuse with 1928."""

    def change(_: Transaction, graph: Json) -> Json:
        orphans = graph["orphanCollections"]
        if collection not in orphans:
            raise ArangoError(Problem.GRAPH_NOT_IN_ORPHANS)
        return {**graph, "orphanCollections": [orphan for orphan in orphans if orphan != collection]}

    return _change_graph(name, change, dropped=[collection] if with_collection else [])


def drop_collection(name: str, *, system: bool) -> Work[Collection]:
    """Remove a collection, or refuse with 1942 as long as a graph has it.

    Source:
        "Dropping graph collections disallowed" in ArangoDB's release notes, incompatible changes in 3.12.
    """
    drop = schema.drop_collection(name, system=system)

    def work(transaction: Transaction) -> Collection:
        dropped = transaction.collection(name).name
        for graph in list_graphs(transaction.connection, transaction.collections):
            if dropped in members(graph):
                message = f"{Problem.GRAPH_MUST_NOT_DROP.text}: collection '{dropped}' is in graph '{graph['_key']}'"
                raise ArangoError(Problem.GRAPH_MUST_NOT_DROP, message)
        return drop(transaction)

    return work


def rename_collection(name: str, new_name: object) -> Work[Collection]:
    """Give a collection another name, in all graphs too.

    Source:
        "Rename a collection" in ArangoDB 3.12's HTTP API, develop/http-api/collections.
    """
    rename = schema.rename_collection(name, new_name)

    def work(transaction: Transaction) -> Collection:
        before = transaction.collection(name).name
        collection = rename(transaction)
        names = {before: collection.name}
        graphs = list_graphs(transaction.connection, transaction.collections)
        if concerned := [graph for graph in graphs if before in members(graph)]:
            documents = Documents(transaction, _store(transaction))
            for graph in concerned:
                documents.replace(graph["_key"], _with_names(graph, names))
            documents.flush()
        return collection

    return work


def _with_names(graph: Json, names: Mapping[str, str]) -> Json:
    """Give collections of a graph other names."""

    def renamed(collections: Iterable[str]) -> list[str]:
        return [names.get(name, name) for name in collections]

    definitions = [
        {
            "collection": names.get(definition["collection"], definition["collection"]),
            "from": renamed(definition["from"]),
            "to": renamed(definition["to"]),
        }
        for definition in graph["edgeDefinitions"]
    ]
    return {**graph, "edgeDefinitions": definitions, "orphanCollections": renamed(graph["orphanCollections"])}


def _change_graph(name: str, change: Callable[[Transaction, Json], Json], *, dropped: Sequence[str] = ()) -> Work[Json]:
    """Store what a change makes of a graph, and drop those collections that no graph uses any more."""

    def work(transaction: Transaction) -> Json:
        graph = read_graph(transaction.connection, transaction.collections, name)
        documents = Documents(transaction, _store(transaction))
        row = documents.replace(name, change(transaction, graph)).new
        documents.flush()
        assert row is not None
        _drop_unused(transaction, dropped)
        return row.full(GRAPHS)

    return work


def _drop_unused(transaction: Transaction, names: Iterable[str]) -> None:
    graphs = list_graphs(transaction.connection, transaction.collections)
    used = {member for graph in graphs for member in members(graph)}
    for name in names:
        if name in transaction.collections and name not in used:
            schema.drop_collection(name, system=False)(transaction)


def _with_definitions(graph: Json, definitions: list[Json]) -> Json:
    """Give a graph other edge definitions; its orphans are then the vertex collections in none of them."""
    connected = {name for definition in definitions for name in (*definition["from"], *definition["to"])}
    orphans = [name for name in vertex_collections(graph) if name not in connected]
    return {**graph, "edgeDefinitions": definitions, "orphanCollections": orphans}


def _check_same_elsewhere(transaction: Transaction, name: str, definition: Json) -> None:
    """Refuse with 1921 an edge collection that connects something else in another graph."""
    for graph in list_graphs(transaction.connection, transaction.collections):
        if graph["_key"] == name:
            continue
        for known in graph["edgeDefinitions"]:
            if known["collection"] == definition["collection"] and _ends(known) != _ends(definition):
                raise ArangoError(Problem.GRAPH_COLLECTION_IN_MULTI_GRAPHS)


def _ends(definition: Json) -> tuple[set[str], set[str]]:
    return set(definition["from"]), set(definition["to"])


def edge_collections(graph: Json) -> list[str]:
    """List the edge collections of a graph."""
    return [definition["collection"] for definition in graph["edgeDefinitions"]]


def vertex_collections(graph: Json) -> list[str]:
    """List the vertex collections of a graph, orphans last."""
    names = [name for edge in graph["edgeDefinitions"] for name in (*edge["from"], *edge["to"])]
    return list(dict.fromkeys([*names, *graph["orphanCollections"]]))


def members(graph: Json) -> list[str]:
    """List the collections of a graph, edges first."""
    return list(dict.fromkeys([*edge_collections(graph), *vertex_collections(graph)]))


def _store(transaction: Transaction) -> Collection:
    if GRAPHS not in transaction.collections:
        schema.create_collection({"name": GRAPHS, "isSystem": True})(transaction)
    return transaction.collection(GRAPHS)


def _create_missing(transaction: Transaction, definitions: Sequence[Json], orphans: Sequence[str]) -> None:
    edges = [definition["collection"] for definition in definitions]
    vertices = [name for definition in definitions for name in (*definition["from"], *definition["to"])]
    for name in edges:
        if name not in transaction.collections:
            schema.create_collection({"name": name, "type": EDGE_COLLECTION})(transaction)
        elif not transaction.collection(name).is_edge:
            raise ArangoError(Problem.GRAPH_EDGE_DEFINITION_IS_DOCUMENT)
    for name in (*vertices, *orphans):
        if name not in transaction.collections:
            schema.create_collection({"name": name})(transaction)


def _check_definitions(given: Value) -> list[Json]:
    if type(given) is not list:
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return [_check_definition(definition) for definition in given]


def _check_definition(given: Value) -> Json:
    if type(given) is not dict or not {"collection", "from", "to"} <= given.keys():
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return {
        "collection": check_collection_name(given["collection"]),
        "from": _check_ends(given["from"]),
        "to": _check_ends(given["to"]),
    }


def _check_ends(given: Value) -> list[str]:
    if type(given) is not list or not given:
        raise ArangoError(Problem.GRAPH_MALFORMED_DEFINITION)
    return [check_collection_name(name) for name in given]


def _check_orphans(given: Value) -> list[str]:
    if type(given) is not list:
        raise ArangoError(Problem.GRAPH_MALFORMED_ORPHANS)
    return [check_collection_name(name) for name in given]
