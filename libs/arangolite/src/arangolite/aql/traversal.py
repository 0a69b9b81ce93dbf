"""Traversals over edge collections and named graphs.

FILTERs that follow are applied to what the traversal gives; only PRUNE and the OPTIONS make it walk less.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from arangolite.aql import tree
from arangolite.aql.expressions import Expressions
from arangolite.aql.graph import Graph, Sources, Weigh, find_sources, read_depths, read_vertex_id, read_weights
from arangolite.aql.options import read_options
from arangolite.aql.scope import Frame, Scope, Stage
from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Document
from arangolite.values import Value, truthy

_UNIQUE_CHOICES = ("none", "path", "global")
_ORDERS = ("bfs", "dfs", "weighted")


@dataclass(frozen=True)
class _Options:
    """The OPTIONS of a traversal."""

    order: str
    unique_vertices: str
    unique_edges: str
    vertex_collections: frozenset[str]
    """Which vertices may be visited; empty for all."""
    weigh: Weigh


@dataclass
class _Path:
    """A path from the start: its vertices and edges, and what it has cost at each vertex."""

    ids: list[str]
    vertices: list[Value]
    edges: list[Document] = field(default_factory=list)
    costs: list[float] = field(default_factory=lambda: [0])

    def extended(self, edge: Document, vertex_id: str, vertex: Value, weight: float) -> "_Path":
        """Go one edge further."""
        return _Path(
            [*self.ids, vertex_id],
            [*self.vertices, vertex],
            [*self.edges, edge],
            [*self.costs, self.costs[-1] + weight],
        )

    def value(self) -> Value:
        """Give the path as AQL shows it."""
        return {"vertices": self.vertices, "edges": self.edges, "weights": self.costs}


Ends = Callable[[_Path], bool]
"""Whether the traversal goes no further on a path."""


def compile_traversal(node: tree.Traversal, scope: Scope, expressions: Expressions) -> Stage:
    """Compile a FOR over a graph; behind it the scope has its variables."""
    run = scope.run
    start = expressions.compile(node.start, scope)
    low, high = read_depths(node.depth, scope, expressions)
    given = read_options(node, scope, expressions)
    options = _read_options(given)
    sources = _restricted(find_sources(node.graph, node.direction, scope, expressions), given)
    show = _compile_show(node, scope, expressions)
    prunes = node.prune is not None

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        for frame in rows:
            first = read_vertex_id(run, start(frame))
            graph = Graph(run, sources)
            if first is None or not graph.has(first):
                continue

            def ends(path: _Path, frame: Frame = frame) -> bool:
                return prunes and show(frame, path)

            for path in _walk(graph, first, high, options, ends):
                run.check()
                if len(path.edges) >= low:
                    show(frame, path)
                    yield frame

    return stage


def _compile_show(node: tree.Traversal, scope: Scope, expressions: Expressions) -> Callable[[Frame, _Path], bool]:
    """Compile what puts a path into the frame, and tells whether it is pruned."""
    slots = [scope.declare(name) for name in node.variables]
    prune = None if node.prune is None else expressions.compile(node.prune, scope)
    prune_slot = None if node.prune_variable is None else scope.declare(node.prune_variable)

    def show(frame: Frame, path: _Path) -> bool:
        shown = (path.vertices[-1], path.edges[-1] if path.edges else None)
        for slot, value in zip(slots, shown, strict=False):
            frame[slot] = value
        if len(slots) > len(shown):
            frame[slots[-1]] = path.value()
        pruned = False if prune is None else prune(frame)
        if prune_slot is not None:
            frame[prune_slot] = pruned
        return truthy(pruned)

    return show


def _walk(graph: Graph, start: str, depth: int, options: _Options, ends: Ends) -> Iterator[_Path]:
    first = _Path([start], [graph.vertex(start)])
    if options.order == "weighted":
        return _walk_by_cost(graph, first, depth, options, ends)
    return _walk_by_depth(graph, first, depth, options, ends)


def _walk_by_depth(graph: Graph, first: _Path, depth: int, options: _Options, ends: Ends) -> Iterator[_Path]:
    """Give the paths depth first or breadth first."""
    waiting = deque([first])
    seen = set(first.ids)
    breadth_first = options.order == "bfs"
    take = waiting.popleft if breadth_first else waiting.pop
    while waiting:
        path = take()
        yield path
        if len(path.edges) >= depth or ends(path):
            continue
        further = list(_extensions(graph, path, options, seen))
        waiting.extend(further if breadth_first else reversed(further))


def _walk_by_cost(graph: Graph, first: _Path, depth: int, options: _Options, ends: Ends) -> Iterator[_Path]:
    """Give the paths by what they cost, the cheapest first; globally unique vertices by their cheapest path."""
    turns = count()
    waiting: list[tuple[float, int, _Path]] = [(0, next(turns), first)]
    visited: set[str] = set()
    while waiting:
        _, _, path = heappop(waiting)
        if options.unique_vertices == "global":
            if path.ids[-1] in visited:
                continue
            visited.add(path.ids[-1])
        yield path
        if len(path.edges) < depth and not ends(path):
            for further in _extensions(graph, path, options, set(visited)):
                heappush(waiting, (further.costs[-1], next(turns), further))


def _extensions(graph: Graph, path: _Path, options: _Options, seen: set[str]) -> Iterator[_Path]:
    for edge, vertex_id in graph.edges(path.ids[-1]):
        if _may_go(path, edge, vertex_id, options, seen):
            if options.order != "weighted":
                seen.add(vertex_id)
            yield path.extended(edge, vertex_id, graph.vertex(vertex_id), options.weigh(edge))


def _may_go(path: _Path, edge: Document, vertex_id: str, options: _Options, seen: set[str]) -> bool:
    if options.vertex_collections and vertex_id.partition("/")[0] not in options.vertex_collections:
        return False
    if options.unique_edges == "path" and any(edge["_id"] == other["_id"] for other in path.edges):
        return False
    match options.unique_vertices:
        case "path":
            return vertex_id not in path.ids
        case "global":
            return vertex_id not in seen
        case _:
            return True


def _read_options(given: dict[str, Any]) -> _Options:
    order = given.get("order", "bfs" if truthy(given.get("bfs")) else "dfs")
    vertices, edges = given.get("uniqueVertices", "none"), given.get("uniqueEdges", "path")
    if edges == "global":
        raise ArangoError(Problem.BAD_PARAMETER, "uniqueEdges: 'global' is not supported, use 'path' or 'none'")
    if order not in _ORDERS or vertices not in _UNIQUE_CHOICES or edges not in ("none", "path"):
        raise ArangoError(Problem.QUERY_PARSE, "AQL: invalid OPTIONS of a traversal (while parsing)")
    if vertices == "global" and order == "dfs":
        message = "uniqueVertices: 'global' is only supported with order: 'bfs' or order: 'weighted'"
        raise ArangoError(Problem.BAD_PARAMETER, message)
    weigh = read_weights(given) if order == "weighted" else lambda _: 1
    return _Options(order, vertices, edges, frozenset(_names(given, "vertexCollections")), weigh)


def _restricted(sources: Sources, given: dict[str, Any]) -> Sources:
    """Leave only the edge collections that the OPTIONS allow."""
    allowed = _names(given, "edgeCollections")
    return [source for source in sources if source[0].name in allowed] if allowed else sources


def _names(given: dict[str, Any], option: str) -> list[str]:
    names = given.get(option) or []
    names = [names] if type(names) is str else names
    if type(names) is not list or not all(type(name) is str for name in names):
        raise ArangoError(Problem.QUERY_PARSE, f"AQL: {option} takes the names of collections (while parsing)")
    return names
