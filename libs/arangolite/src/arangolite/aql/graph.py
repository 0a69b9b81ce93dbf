"""The graph that traversals and path searches walk on: edge collections, or those of a named graph.

Edges are found through the edge index of their collection; vertices and edges are read once per walk.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from arangolite.aql import tree
from arangolite.aql.context import Run
from arangolite.aql.expressions import Expressions
from arangolite.aql.operators import to_number
from arangolite.aql.scope import Scope
from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Document, row_from_columns
from arangolite.storage.catalog import Collection
from arangolite.storage.graphs import read_graph
from arangolite.storage.names import split_id
from arangolite.values import AFTER_ANY, Value, encode

Edge = tuple[Document, str]
"""An edge and the id of the vertex at its other end."""
Sources = Sequence[tuple[Collection, str]]
"""Edge collections, each with its direction."""
Weigh = Callable[[Document], float]
"""How much an edge costs."""
_BOTH = ("OUTBOUND", "INBOUND")
_OPPOSITE = {"OUTBOUND": "INBOUND", "INBOUND": "OUTBOUND", "ANY": "ANY"}


class Graph:
    """What one walk reads."""

    def __init__(self, run: Run, sources: Sources) -> None:
        self._run = run
        self._sources = sources
        self._vertices: dict[str, Value] = {}
        self._edges: dict[str, list[Edge]] = {}
        self._statements = [
            (collection.name, direction, _edge_statement(collection, direction))
            for collection, wanted in sources
            for direction in (_BOTH if wanted == "ANY" else (wanted,))
        ]

    def reversed(self) -> "Graph":
        """Give the same graph with all edges the other way round."""
        return Graph(self._run, [(collection, _OPPOSITE[wanted]) for collection, wanted in self._sources])

    def edges(self, vertex_id: str) -> list[Edge]:
        """Find the edges at a vertex, and what is at their other ends."""
        found = self._edges.get(vertex_id)
        if found is None:
            self._run.check()
            found = self._edges[vertex_id] = list(self._read_edges(vertex_id))
        return found

    def _read_edges(self, vertex_id: str) -> Iterator[Edge]:
        entry = encode(vertex_id)
        for name, direction, statement in self._statements:
            for columns in self._run.connection.execute(statement, (entry, entry + AFTER_ANY)):
                self._run.statistics.scanned(1, with_index=True)
                edge = row_from_columns(columns).full(name)
                yield edge, edge["_to" if direction == "OUTBOUND" else "_from"]

    def vertex(self, vertex_id: str) -> Value:
        """Read a vertex; one that is not there is null, with a warning."""
        if vertex_id not in self._vertices:
            self._vertices[vertex_id] = self._read(vertex_id)
            if self._vertices[vertex_id] is None:
                self._run.warn(Problem.DOCUMENT_NOT_FOUND, f"document not found: {vertex_id}")
        return self._vertices[vertex_id]

    def has(self, vertex_id: str) -> bool:
        """Whether a vertex is there."""
        if self._vertices.get(vertex_id) is None:
            self._vertices[vertex_id] = self._read(vertex_id)
        return self._vertices[vertex_id] is not None

    def _read(self, vertex_id: str) -> Value:
        name, key = split_id(vertex_id)
        collection = self._run.collections.get(name)
        if collection is None:
            return None
        columns = self._run.connection.execute(
            f"SELECT id, key, rev, doc FROM {collection.table} WHERE key = ?", (key,)
        ).fetchone()
        return None if columns is None else row_from_columns(columns).full(name)


def _edge_statement(collection: Collection, direction: str) -> str:
    index = next((index for index in collection.indexes if index.type == "edge"), None)
    if index is None:
        raise ArangoError(Problem.COLLECTION_TYPE_INVALID, f"AQL: {collection.name!r} is no edge collection")
    table = index.tables[0 if direction == "OUTBOUND" else 1].name
    return (
        f"SELECT d.id, d.key, d.rev, d.doc FROM {table} AS i CROSS JOIN {collection.table} AS d ON d.id = i.id "
        "WHERE i.k >= ? AND i.k < ? ORDER BY i.k, i.id"
    )


def find_sources(
    graph: tree.Expr | tuple[tree.EdgeSource, ...], direction: str, scope: Scope, expressions: Expressions
) -> Sources:
    """Find the edge collections that a walk goes through."""
    run = scope.run
    if isinstance(graph, tuple):
        pairs = [(source.target, source.direction or direction) for source in graph]
        return [(run.collection(getattr(target, "name", "")), wanted) for target, wanted in pairs]
    name: Value = graph.name if isinstance(graph, tree.Variable) else expressions.constant(graph, scope)
    definition = read_graph(run.connection, run.collections, name)
    return [(run.collection(edge["collection"]), direction) for edge in definition["edgeDefinitions"]]


def read_vertex_id(run: Run, value: Value) -> str | None:
    """Read a vertex given by its id or as a document; anything else finds nothing, with a warning."""
    found = value.get("_id") if type(value) is dict else value
    if type(found) is str and found.count("/") == 1:
        return found
    run.warn(Problem.BAD_PARAMETER, "only ids and documents with an _id are vertices")
    return None


def read_depths(node: tree.Expr | None, scope: Scope, expressions: Expressions) -> tuple[int, int]:
    """Compute the least and the greatest depth of a walk."""
    if node is None:
        return 1, 1
    low, high = (node.low, node.high) if isinstance(node, tree.Range) else (node, node)
    least, most = (int(to_number(expressions.constant(end, scope))) for end in (low, high))
    if least < 0 or most < least:
        raise ArangoError(Problem.QUERY_PARSE, "AQL: invalid traversal depth (while parsing)")
    return least, most


def read_weights(given: dict[str, Any]) -> Weigh:
    """Read from OPTIONS how much an edge costs; a weight below 0 ends the query with 1948."""
    attribute, default = given.get("weightAttribute"), given.get("defaultWeight", 1)
    if type(default) not in (int, float) or (attribute is not None and type(attribute) is not str):
        raise ArangoError(
            Problem.QUERY_PARSE, "AQL: weightAttribute is a name and defaultWeight a number (while parsing)"
        )

    def weigh(edge: Document) -> float:
        found: Any = edge.get(attribute) if attribute else default
        weight: float = found if type(found) in (int, float) else default
        if weight < 0:
            raise ArangoError(Problem.GRAPH_NEGATIVE_EDGE_WEIGHT)
        return weight

    return weigh
