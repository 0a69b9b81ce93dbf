"""Traversals and shortest paths over edge collections and named graphs.

Edges are found through the edge index of their collection; vertices are read once per traversal. FILTERs that follow
are applied to what the traversal gives; only PRUNE makes it walk less.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from arangolite.aql import tree
from arangolite.aql.context import Run
from arangolite.aql.expressions import Expressions
from arangolite.aql.operators import to_number
from arangolite.aql.scope import Frame, Scope, Stage
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.storage.batch import Document, row_from_columns
from arangolite.storage.catalog import Collection
from arangolite.storage.graphs import read_graph
from arangolite.storage.names import split_id
from arangolite.values import AFTER_ANY, Value, encode, truthy

Edge = tuple[Document, str]
"""An edge and the id of the vertex at its other end."""
_BOTH = ("OUTBOUND", "INBOUND")
_UNIQUE_CHOICES = ("none", "path", "global")


@dataclass(frozen=True)
class _Options:
    """The OPTIONS of a traversal."""

    breadth_first: bool
    unique_vertices: str
    unique_edges: str


@dataclass
class _Path:
    """A path from the start: its vertices and edges."""

    ids: list[str]
    vertices: list[Value]
    edges: list[Document] = field(default_factory=list)

    def extended(self, edge: Document, vertex_id: str, vertex: Value) -> "_Path":
        """Go one edge further."""
        return _Path([*self.ids, vertex_id], [*self.vertices, vertex], [*self.edges, edge])

    def value(self) -> Value:
        """Give the path as AQL shows it."""
        return {"vertices": self.vertices, "edges": self.edges, "weights": list(range(len(self.vertices)))}


class _Graph:
    """What a traversal walks on: edge collections, each with its direction."""

    def __init__(self, run: Run, sources: Sequence[tuple[Collection, str]]) -> None:
        self._run = run
        self._vertices: dict[str, Value] = {}
        self._statements = [
            (collection.name, direction, _edge_statement(collection, direction))
            for collection, wanted in sources
            for direction in (_BOTH if wanted == "ANY" else (wanted,))
        ]

    def edges(self, vertex_id: str) -> Iterator[Edge]:
        """Find the edges at a vertex, and what is at their other ends."""
        entry = encode(vertex_id)
        for name, direction, statement in self._statements:
            for columns in self._run.connection.execute(statement, (entry, entry + AFTER_ANY)):
                self._run.statistics.scanned(1, with_index=True)
                edge = row_from_columns(columns).full(name)
                yield edge, edge["_to" if direction == "OUTBOUND" else "_from"]

    def vertex(self, vertex_id: str) -> Value:
        """Read a vertex; one that is not there is null."""
        if vertex_id not in self._vertices:
            self._vertices[vertex_id] = self._read(vertex_id)
        return self._vertices[vertex_id]

    def _read(self, vertex_id: str) -> Value:
        name, key = split_id(vertex_id)
        collection = self._run.collections.get(name)
        if collection is None:
            self._run.warn(Problem.COLLECTION_NOT_FOUND)
            return None
        columns = self._run.connection.execute(
            f"SELECT id, key, rev, doc FROM {collection.table} WHERE key = ?", (key,)
        ).fetchone()
        if columns is None:
            self._run.warn(Problem.DOCUMENT_NOT_FOUND)
            return None
        return row_from_columns(columns).full(name)


def _edge_statement(collection: Collection, direction: str) -> str:
    index = next((index for index in collection.indexes if index.type == "edge"), None)
    if index is None:
        raise ArangoError(Problem.COLLECTION_TYPE_INVALID, f"AQL: {collection.name!r} is no edge collection")
    table = index.tables[0 if direction == "OUTBOUND" else 1].name
    return (
        f"SELECT d.id, d.key, d.rev, d.doc FROM {table} AS i CROSS JOIN {collection.table} AS d ON d.id = i.id "
        "WHERE i.k >= ? AND i.k < ? ORDER BY i.k, i.id"
    )


def compile_walk(node: tree.Traversal | tree.PathSearch, scope: Scope, expressions: Expressions) -> Stage:
    """Compile a FOR over a graph; behind it the scope has its variables."""
    if isinstance(node, tree.Traversal):
        return _compile_traversal(node, scope, expressions)
    return _compile_path_search(node, scope, expressions)


def _compile_traversal(node: tree.Traversal, scope: Scope, expressions: Expressions) -> Stage:
    run = scope.run
    start = expressions.compile(node.start, scope)
    low, high = _depths(node.depth, scope, expressions)
    options = _options(node.options, scope, expressions)
    sources = _sources(node.graph, node.direction, scope, expressions)
    slots = [scope.declare(name) for name in node.variables]
    prune = None if node.prune is None else expressions.condition(node.prune, scope)

    def show(frame: Frame, path: _Path) -> None:
        shown = (path.vertices[-1], path.edges[-1] if path.edges else None)
        for slot, value in zip(slots, shown, strict=False):
            frame[slot] = value
        if len(slots) > len(shown):
            frame[slots[-1]] = path.value()

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        for frame in rows:
            first = _vertex_id(run, start(frame))
            if first is None:
                continue
            graph = _Graph(run, sources)

            def ends(path: _Path, frame: Frame = frame) -> bool:
                show(frame, path)
                return prune is not None and prune(frame)

            for path in _walk(graph, first, high, options, ends):
                run.check()
                if len(path.edges) >= low:
                    show(frame, path)
                    yield frame

    return stage


def _walk(graph: _Graph, start: str, depth: int, options: _Options, ends: Callable[[_Path], bool]) -> Iterator[_Path]:
    """Give the paths from a vertex, in the order of the traversal."""
    waiting = deque([_Path([start], [graph.vertex(start)])])
    seen = {start}
    take = waiting.popleft if options.breadth_first else waiting.pop
    while waiting:
        path = take()
        yield path
        if len(path.edges) >= depth or ends(path):
            continue
        further = []
        for edge, vertex_id in graph.edges(path.ids[-1]):
            if not _is_new(path, edge, vertex_id, options, seen):
                continue
            seen.add(vertex_id)
            further.append(path.extended(edge, vertex_id, graph.vertex(vertex_id)))
        waiting.extend(further if options.breadth_first else reversed(further))


def _is_new(path: _Path, edge: Document, vertex_id: str, options: _Options, seen: set[str]) -> bool:
    if options.unique_edges == "path" and any(edge["_id"] == other["_id"] for other in path.edges):
        return False
    match options.unique_vertices:
        case "path":
            return vertex_id not in path.ids
        case "global":
            return vertex_id not in seen
        case _:
            return True


def _compile_path_search(node: tree.PathSearch, scope: Scope, expressions: Expressions) -> Stage:
    if node.kind != "SHORTEST_PATH":
        raise not_supported(f"{node.kind} in AQL")
    run = scope.run
    start, target = expressions.compile(node.start, scope), expressions.compile(node.target, scope)
    sources = _sources(node.graph, node.direction, scope, expressions)
    slots = [scope.declare(name) for name in node.variables]

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        for frame in rows:
            first, last = _vertex_id(run, start(frame)), _vertex_id(run, target(frame))
            if first is None or last is None:
                continue
            graph = _Graph(run, sources)
            for vertex_id, edge in _shortest(run, graph, first, last):
                for slot, value in zip(slots, (graph.vertex(vertex_id), edge), strict=False):
                    frame[slot] = value
                yield frame

    return stage


def _shortest(run: Run, graph: _Graph, start: str, target: str) -> list[tuple[str, Document | None]]:
    """Find a shortest path: each vertex with the edge that leads to it."""
    came_by: dict[str, tuple[str, Document] | None] = {start: None}
    waiting = deque([start])
    while waiting and target not in came_by:
        run.check()
        vertex_id = waiting.popleft()
        for edge, other in graph.edges(vertex_id):
            if other not in came_by:
                came_by[other] = (vertex_id, edge)
                waiting.append(other)
    if target not in came_by:
        return []
    steps: list[tuple[str, Document | None]] = []
    place: str | None = target
    while place is not None:
        step = came_by[place]
        steps.append((place, None if step is None else step[1]))
        place = None if step is None else step[0]
    return steps[::-1]


def _vertex_id(run: Run, value: Value) -> str | None:
    """Read a vertex given by its id or as a document; anything else finds nothing, with a warning."""
    found = value.get("_id") if type(value) is dict else value
    if type(found) is str and found.count("/") == 1:
        return found
    run.warn(Problem.DOCUMENT_HANDLE_BAD)
    return None


def _depths(node: tree.Expr | None, scope: Scope, expressions: Expressions) -> tuple[int, int]:
    if node is None:
        return 1, 1
    low, high = (node.low, node.high) if isinstance(node, tree.Range) else (node, node)
    least, most = (int(to_number(expressions.constant(end, scope))) for end in (low, high))
    if least < 0 or most < least:
        raise ArangoError(Problem.QUERY_PARSE, "AQL: invalid traversal depth (while parsing)")
    return least, most


def _options(node: tree.Expr | None, scope: Scope, expressions: Expressions) -> _Options:
    given: dict[str, Any] = {} if node is None else expressions.constant(node, scope)
    order = given.get("order", "bfs" if truthy(given.get("bfs")) else "dfs")
    vertices, edges = given.get("uniqueVertices", "none"), given.get("uniqueEdges", "path")
    if order == "weighted":
        raise not_supported("weighted traversals")
    if order not in ("bfs", "dfs") or vertices not in _UNIQUE_CHOICES or edges not in ("none", "path"):
        raise ArangoError(Problem.QUERY_PARSE, "AQL: invalid OPTIONS of a traversal (while parsing)")
    if vertices == "global" and order != "bfs":
        raise ArangoError(Problem.BAD_PARAMETER, "uniqueVertices: 'global' is only supported with order: 'bfs'")
    return _Options(order == "bfs", vertices, edges)


def _sources(
    graph: tree.Expr | tuple[tree.EdgeSource, ...], direction: str, scope: Scope, expressions: Expressions
) -> list[tuple[Collection, str]]:
    run = scope.run
    if isinstance(graph, tuple):
        pairs = [(source.target, source.direction or direction) for source in graph]
        return [(run.collection(getattr(target, "name", "")), wanted) for target, wanted in pairs]
    name: Value = graph.name if isinstance(graph, tree.Variable) else expressions.constant(graph, scope)
    definition = read_graph(run.connection, run.collections, name)
    return [(run.collection(edge["collection"]), direction) for edge in definition["edgeDefinitions"]]
