"""Paths between two vertices: SHORTEST_PATH, ALL_SHORTEST_PATHS, K_SHORTEST_PATHS and K_PATHS."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from arangolite.aql import tree
from arangolite.aql.expressions import Expressions
from arangolite.aql.graph import (
    Edge,
    Graph,
    Weigh,
    find_sources,
    read_depths,
    read_vertex_id,
    read_weights,
)
from arangolite.aql.options import read_options
from arangolite.aql.scope import Frame, Scope, Stage
from arangolite.storage.batch import Document
from arangolite.values import Value


@dataclass(frozen=True)
class _Path:
    """A path: a vertex more than edges."""

    ids: tuple[str, ...]
    edges: tuple[Document, ...] = ()
    weight: float = 0

    @property
    def edge_ids(self) -> tuple[str, ...]:
        """What makes it different from another path: between two vertices there may be several edges."""
        return tuple(edge["_id"] for edge in self.edges)

    def extended(self, edge: Document, vertex_id: str, weight: float) -> "_Path":
        """Go one edge further."""
        return _Path((*self.ids, vertex_id), (*self.edges, edge), self.weight + weight)

    def first(self, edges: int, weigh: Weigh) -> "_Path":
        """Take the beginning of the path."""
        head = self.edges[:edges]
        return _Path(self.ids[: edges + 1], head, sum(weigh(edge) for edge in head))

    def value(self, graph: Graph) -> dict[str, Value]:
        """Give the path as AQL shows it."""
        return {"vertices": [graph.vertex(vertex_id) for vertex_id in self.ids], "edges": list(self.edges)}


Search = Callable[[Graph, str, str], Iterator[_Path]]


def compile_path_search(node: tree.PathSearch, scope: Scope, expressions: Expressions) -> Stage:
    """Compile a FOR over paths; behind it the scope has its variables."""
    run = scope.run
    start, target = expressions.compile(node.start, scope), expressions.compile(node.target, scope)
    given = read_options(node, scope, expressions)
    depths = read_depths(node.depth, scope, expressions)
    sources = find_sources(node.graph, node.direction, scope, expressions)
    search = _search(node.kind, depths, given)
    slots = [scope.declare(name) for name in node.variables]
    rows_of = _ROWS[node.kind]

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        for frame in rows:
            first, last = read_vertex_id(run, start(frame)), read_vertex_id(run, target(frame))
            graph = Graph(run, sources)
            if first is None or last is None or not graph.has(first) or not graph.has(last):
                continue
            for path in search(graph, first, last):
                run.check()
                for values in rows_of(graph, path):
                    for slot, value in zip(slots, values, strict=False):
                        frame[slot] = value
                    yield frame

    return stage


def _search(kind: str, depths: tuple[int, int], given: dict[str, Any]) -> Search:
    weigh = read_weights(given)
    match kind:
        case "SHORTEST_PATH":
            return lambda graph, start, target: _optional(_cheapest(graph, _Path((start,)), target, weigh))
        case "ALL_SHORTEST_PATHS":
            return _all_shortest
        case "K_SHORTEST_PATHS":
            return lambda graph, start, target: _by_weight(graph, start, target, weigh)
        case _:
            return lambda graph, start, target: _within(graph, start, target, *depths)


def _optional(path: _Path | None) -> Iterator[_Path]:
    if path is not None:
        yield path


def _vertex_rows(graph: Graph, path: _Path) -> Iterator[Sequence[Value]]:
    """Give a row for each vertex, with the edge that leads to it."""
    for vertex_id, edge in zip(path.ids, (None, *path.edges), strict=True):
        yield graph.vertex(vertex_id), edge


def _path_rows(graph: Graph, path: _Path) -> Iterator[Sequence[Value]]:
    yield (path.value(graph),)


def _weighted_rows(graph: Graph, path: _Path) -> Iterator[Sequence[Value]]:
    yield ({**path.value(graph), "weight": path.weight},)


_ROWS: dict[str, Callable[[Graph, _Path], Iterator[Sequence[Value]]]] = {
    "SHORTEST_PATH": _vertex_rows,
    "ALL_SHORTEST_PATHS": _path_rows,
    "K_SHORTEST_PATHS": _weighted_rows,
    "K_PATHS": _path_rows,
}


def _cheapest(
    graph: Graph, head: _Path, target: str, weigh: Weigh, banned: frozenset[str] = frozenset()
) -> _Path | None:
    """Find the cheapest way to continue a path to the target, by Dijkstra's algorithm.

    Args:
        graph: Where to walk.
        head: How the path begins; its vertices are not visited again.
        target: Where it ends.
        weigh: What an edge costs.
        banned: Ids of edges that may not follow directly on the head.
    """
    start, closed = head.ids[-1], set(head.ids[:-1])
    came_by: dict[str, Edge] = {}
    turns = count()
    waiting: list[tuple[float, int, str, Edge | None]] = [(0, next(turns), start, None)]
    while waiting:
        cost, _, vertex_id, step = heappop(waiting)
        if vertex_id in closed:
            continue
        closed.add(vertex_id)
        if step is not None:
            came_by[vertex_id] = step
        if vertex_id == target:
            return _rebuilt(head, target, came_by, weigh)
        for edge, other in graph.edges(vertex_id):
            if other not in closed and not (vertex_id == start and edge["_id"] in banned):
                heappush(waiting, (cost + weigh(edge), next(turns), other, (edge, vertex_id)))
    return None


def _rebuilt(head: _Path, target: str, came_by: dict[str, Edge], weigh: Weigh) -> _Path:
    steps: list[tuple[Document, str]] = []
    place = target
    while place != head.ids[-1]:
        edge, before = came_by[place]
        steps.append((edge, place))
        place = before
    path = head
    for edge, vertex_id in reversed(steps):
        path = path.extended(edge, vertex_id, weigh(edge))
    return path


def _by_weight(graph: Graph, start: str, target: str, weigh: Weigh) -> Iterator[_Path]:
    """Give the paths without loops, the cheapest first, by Yen's algorithm."""
    found: list[_Path] = []
    turns = count()
    candidates: list[tuple[float, int, _Path]] = []
    known: set[tuple[str, ...]] = set()
    path = _cheapest(graph, _Path((start,)), target, weigh)
    while path is not None:
        yield path
        found.append(path)
        for place in range(len(path.edges)):
            head = path.first(place, weigh)
            banned = frozenset(
                other.edge_ids[place]
                for other in found
                if len(other.edges) > place and other.edge_ids[:place] == head.edge_ids
            )
            other = _cheapest(graph, head, target, weigh, banned)
            if other is not None and other.edge_ids not in known:
                known.add(other.edge_ids)
                heappush(candidates, (other.weight, next(turns), other))
        path = heappop(candidates)[2] if candidates else None


def _all_shortest(graph: Graph, start: str, target: str) -> Iterator[_Path]:
    """Give every path with the fewest edges."""
    distances = _distances(graph.reversed(), target, until=start)
    if start not in distances:
        return
    waiting = [_Path((start,))]
    while waiting:
        path = waiting.pop()
        if path.ids[-1] == target:
            yield path
            continue
        left = distances[path.ids[-1]] - 1
        for edge, other in graph.edges(path.ids[-1]):
            if distances.get(other) == left:
                waiting.append(path.extended(edge, other, 1))


def _within(graph: Graph, start: str, target: str, low: int, high: int) -> Iterator[_Path]:
    """Give every path without loops that has so many edges."""
    distances = _distances(graph.reversed(), target, most=high)
    waiting = [_Path((start,))]
    while waiting:
        path = waiting.pop()
        if path.ids[-1] == target:
            if len(path.edges) >= low:
                yield path
            continue
        left = high - len(path.edges) - 1
        for edge, other in graph.edges(path.ids[-1]):
            if distances.get(other, high + 1) <= left and other not in path.ids:
                waiting.append(path.extended(edge, other, 1))


def _distances(graph: Graph, start: str, *, until: str | None = None, most: int | None = None) -> dict[str, int]:
    """Count the edges from a vertex to each other one, at most to the distance of one vertex or so far."""
    distances = {start: 0}
    waiting = deque([start])
    while waiting and (until is None or until not in distances):
        vertex_id = waiting.popleft()
        further = distances[vertex_id] + 1
        if most is not None and further > most:
            break
        for _, other in graph.edges(vertex_id):
            if other not in distances:
                distances[other] = further
                waiting.append(other)
    return distances
