"""Geometry on the unit sphere: edges are pieces of great circles, the inside of a ring is what lies to its left.

Everything is a short exact formula on unit vectors. What lies exactly on an edge is on either side, as in ArangoDB.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

Point = tuple[float, float, float]
"""A place as a unit vector."""
Edge = tuple[Point, Point]
Ring = Sequence[Point]
"""The corners, each once."""

_ON_EDGE = 0.414213562  # where an edge is aimed at; an odd fraction, so that the arc to it meets no corner


@dataclass(frozen=True)
class Geometry:
    """Points, lines and polygons; a polygon is its rings, the outer one first."""

    points: Sequence[Point] = ()
    lines: Sequence[Sequence[Point]] = ()
    polygons: Sequence[Sequence[Ring]] = ()

    @property
    def edges(self) -> Iterator[Edge]:
        """All edges."""
        for line in self.lines:
            yield from pairwise(line)
        for rings in self.polygons:
            for ring in rings:
                yield from ring_edges(ring)

    @property
    def corners(self) -> Iterator[Point]:
        """All points, and where lines and rings begin, bend and end."""
        yield from self.points
        for line in self.lines:
            yield from line
        for rings in self.polygons:
            for ring in rings:
                yield from ring

    def encloses(self, point: Point) -> bool:
        """Whether a point lies in a polygon: inside of an odd number of rings."""
        return sum(is_left_of(ring, point) for rings in self.polygons for ring in rings) % 2 == 1


def from_degrees(longitude: float, latitude: float) -> Point:
    """Make the unit vector of a place."""
    across, up = math.radians(longitude), math.radians(latitude)
    return math.cos(up) * math.cos(across), math.cos(up) * math.sin(across), math.sin(up)


def dot(a: Point, b: Point) -> float:
    """Multiply two vectors to a number."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Point, b: Point) -> Point:
    """Multiply two vectors to one that is upright on both."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def angle(a: Point, b: Point) -> float:
    """Measure the arc between two points, in radians."""
    upright = cross(a, b)
    return math.atan2(math.sqrt(dot(upright, upright)), dot(a, b))


def ring_edges(ring: Ring) -> Iterator[Edge]:
    """Go once around."""
    return zip(ring, [*ring[1:], ring[0]], strict=True)


def cross_each_other(first: Edge, second: Edge) -> bool:
    """Whether two edges cross in a point that is an end of neither."""
    (a, b), (c, d) = first, second
    plane = cross(a, b)
    side_c, side_d = -dot(plane, c), dot(plane, d)
    if side_c * side_d <= 0:
        return False
    plane = cross(c, d)
    return side_c * -dot(plane, b) > 0 and side_c * dot(plane, a) > 0


def is_left_of(ring: Ring, point: Point) -> bool:
    """Whether a point lies on the side to the left of a ring.

    The arc from the point to a place on an edge stays on one side of that edge's great circle until it arrives; each
    other edge that it crosses changes the side.
    """
    edges = list(ring_edges(ring))
    start, end = aimed = max(edges, key=lambda edge: abs(dot(cross(*edge), point)))
    target = _sum((_scaled(start, 1 - _ON_EDGE), _scaled(end, _ON_EDGE)))
    arrives_left = dot(cross(start, end), point) > 0
    crossings = sum(edge is not aimed and cross_each_other((point, target), edge) for edge in edges)
    return arrives_left != (crossings % 2 == 1)


def signed_area(ring: Ring) -> float:
    """Compute a ring's area in steradians, by triangles from its first corner; clockwise it is less than 0."""
    first, total = ring[0], 0.0
    for a, b in pairwise(ring[1:]):
        total += 2 * math.atan2(dot(first, cross(a, b)), 1 + dot(first, a) + dot(a, b) + dot(b, first))
    return total


def area(geometry: Geometry) -> float:
    """Compute the area of polygons in steradians, without their holes."""
    total = 0.0
    for outer, *holes in geometry.polygons:
        total += signed_area(outer) % (4 * math.pi) - sum(abs(signed_area(hole)) for hole in holes)
    return total


def centroid(geometry: Geometry) -> Point | None:
    """Find the middle: of the surface of polygons, of the length of lines, of points; None where it is anywhere.

    The integral of the position along an arc, and over a surface, is a sum over edges.
    """
    if geometry.polygons:
        return _surface_middle(geometry.edges)
    if geometry.lines:
        return _unit(_sum(_scaled(_sum((a, b)), math.tan(angle(a, b) / 2)) for a, b in geometry.edges))
    return _unit(_sum(geometry.points))


def _surface_middle(edges: Iterable[Edge]) -> Point | None:
    parts = []
    for a, b in edges:
        normal = _unit(cross(a, b))
        if normal is not None:
            parts.append(_scaled(normal, angle(a, b)))
    return _unit(_sum(parts))


def _sum(points: Iterable[Point]) -> Point:
    listed = list(points)
    return sum(p[0] for p in listed), sum(p[1] for p in listed), sum(p[2] for p in listed)


def _scaled(point: Point, by: float) -> Point:
    return point[0] * by, point[1] * by, point[2] * by


def _unit(vector: Sequence[float]) -> Point | None:
    x, y, z = vector
    length = math.sqrt(x * x + y * y + z * z)
    return None if length == 0 else (x / length, y / length, z / length)


def intersect(left: Geometry, right: Geometry) -> bool:
    """Whether two geometries have a point in common."""
    if any(left.encloses(corner) for corner in right.corners):
        return True
    if any(right.encloses(corner) for corner in left.corners):
        return True
    if not set(left.corners).isdisjoint(right.corners):
        return True
    return any(cross_each_other(a, b) for a, b in product(left.edges, right.edges))


def contains(outer: Geometry, inner: Geometry) -> bool:
    """Whether polygons contain another geometry as a whole."""
    if not all(outer.encloses(corner) for corner in inner.corners):
        return False
    if any(cross_each_other(a, b) for a, b in product(outer.edges, inner.edges)):
        return False
    return not any(inner.encloses(corner) for corner in outer.corners)  # a hole, or the end of the outer one
