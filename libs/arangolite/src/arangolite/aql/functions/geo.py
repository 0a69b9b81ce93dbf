"""Geo functions: GeoJSON and coordinate pairs, on a sphere with the earth's mean radius."""

import math
from typing import Any

from arangolite.aql.functions import sphere
from arangolite.aql.functions.registry import Implementation, strict_function, wrong_argument
from arangolite.aql.functions.sphere import Geometry, Point
from arangolite.aql.operators import Warn, number, to_string
from arangolite.errors import not_supported
from arangolite.values import Value, truthy

_EARTH_RADIUS_M = 6_371_000.0
_NUMERIC = (int, float)


class NotGeoError(ValueError):
    """A value is no geometry that a function can use."""


def _checked(run: Implementation) -> Implementation:
    def checked(warn: Warn, *arguments: Value) -> Value:
        try:
            return run(*arguments)
        except NotGeoError:
            return wrong_argument(warn)

    return checked


def _point(longitude: Value, latitude: Value) -> Point:
    if type(longitude) not in _NUMERIC or type(latitude) not in _NUMERIC:
        raise NotGeoError
    if not -180 <= longitude <= 180 or not -90 <= latitude <= 90:
        raise NotGeoError
    return sphere.from_degrees(longitude, latitude)


def _position(pair: Value) -> Point:
    if type(pair) is not list or len(pair) < 2:
        raise NotGeoError
    return _point(pair[0], pair[1])


def _parts(value: Value, least: int) -> list[Value]:
    if type(value) is not list or len(value) < least:
        raise NotGeoError
    return value


def _line(pairs: Value) -> list[Point]:
    return [_position(pair) for pair in _parts(pairs, 2)]


def _ring(pairs: Value) -> list[Point]:
    points = [_position(pair) for pair in _parts(pairs, 4)]
    if pairs[0][:2] != pairs[-1][:2]:
        raise NotGeoError
    return points[:-1]


def _rings(rings: Value) -> list[list[Point]]:
    outer, *holes = [_ring(ring) for ring in _parts(rings, 1)]
    # Of a hole the smaller side is meant, whichever way it runs.
    return [outer, *(hole if sphere.signed_area(hole) >= 0 else hole[::-1] for hole in holes)]


_READERS: dict[str, Any] = {
    "Point": lambda given: Geometry(points=[_position(given)]),
    "MultiPoint": lambda given: Geometry(points=[_position(pair) for pair in _parts(given, 1)]),
    "LineString": lambda given: Geometry(lines=[_line(given)]),
    "MultiLineString": lambda given: Geometry(lines=[_line(line) for line in _parts(given, 1)]),
    "Polygon": lambda given: Geometry(polygons=[_rings(given)]),
    "MultiPolygon": lambda given: Geometry(polygons=[_rings(rings) for rings in _parts(given, 1)]),
}


def geometry_of(value: Value) -> Geometry:
    """Read a GeoJSON object, or `[longitude, latitude]` as a point; anything else is refused with NotGeoError."""
    if type(value) is list:
        return Geometry(points=[_position(value)])
    kind = value.get("type") if type(value) is dict else None
    if kind not in _READERS:
        raise NotGeoError
    geometry: Geometry = _READERS[kind](value.get("coordinates"))
    return geometry


def _polygons(value: Value) -> Geometry:
    geometry = geometry_of(value)
    if not geometry.polygons:
        raise NotGeoError
    return geometry


def _check_ellipsoid(name: Value) -> None:
    if name != "sphere":
        raise not_supported(f"the ellipsoid {to_string(name)!r} in geo functions; 'sphere' is")


def metres(left: Value, right: Value) -> float:
    """Measure between the middles of two geometries, or refuse a value that is none with NotGeoError."""
    start, end = (sphere.centroid(geometry_of(value)) for value in (left, right))
    if start is None or end is None:
        raise NotGeoError
    return sphere.angle(start, end) * _EARTH_RADIUS_M


def _distance(left: Value, right: Value, ellipsoid: Value = "sphere") -> Value:
    _check_ellipsoid(ellipsoid)
    return number(metres(left, right))


def _area(value: Value, ellipsoid: Value = "sphere") -> Value:
    _check_ellipsoid(ellipsoid)
    return number(sphere.area(geometry_of(value)) * _EARTH_RADIUS_M**2)


def _in_range(left: Value, right: Value, low: Value, high: Value, *ends: Value) -> Value:
    if type(low) not in _NUMERIC or type(high) not in _NUMERIC:
        raise NotGeoError
    with_low, with_high = (*(truthy(end) for end in ends), True, True)[:2]
    found = metres(left, right)
    return (low < found < high) or (with_low and found == low <= high) or (with_high and low <= found == high)


def _haversine(*degrees: Value) -> Value:
    if any(type(degree) not in _NUMERIC for degree in degrees):
        raise NotGeoError
    up1, across1, up2, across2 = (math.radians(degree) for degree in degrees)
    square = math.sin((up2 - up1) / 2) ** 2 + math.cos(up1) * math.cos(up2) * math.sin((across2 - across1) / 2) ** 2
    return number(2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(square))))


def _equal(left: Value, right: Value) -> Value:
    """Compare geometries of one type place by place; a ring may begin at any of its corners."""
    first, second = geometry_of(left), geometry_of(right)
    return (
        sorted(first.points) == sorted(second.points)
        and first.lines == second.lines
        and _from_least_corner(first) == _from_least_corner(second)
    )


def _from_least_corner(geometry: Geometry) -> list[list[list[Point]]]:
    turned = []
    for rings in geometry.polygons:
        starts = [(list(ring), ring.index(min(ring))) for ring in rings]
        turned.append([ring[start:] + ring[:start] for ring, start in starts])
    return sorted(turned)


for _name, _least, _most, _run in (
    ("DISTANCE", 4, 4, _haversine),
    ("GEO_DISTANCE", 2, 3, _distance),
    ("GEO_IN_RANGE", 4, 6, _in_range),
    ("GEO_AREA", 1, 2, _area),
    ("GEO_CONTAINS", 2, 2, lambda outer, inner: sphere.contains(_polygons(outer), geometry_of(inner))),
    ("GEO_INTERSECTS", 2, 2, lambda left, right: sphere.intersect(geometry_of(left), geometry_of(right))),
    ("GEO_EQUALS", 2, 2, _equal),
):
    strict_function(_name, _least, _most)(_checked(_run))


def _constructor(kind: str, least: int) -> Implementation:
    def construct(coordinates: Value) -> Value:
        _READERS[kind](_parts(coordinates, least))
        return {"type": kind, "coordinates": coordinates}

    return _checked(construct)


strict_function("GEO_LINESTRING", 1)(_constructor("LineString", 2))
strict_function("GEO_MULTILINESTRING", 1)(_constructor("MultiLineString", 1))
strict_function("GEO_MULTIPOINT", 1)(_constructor("MultiPoint", 2))
strict_function("GEO_MULTIPOLYGON", 1)(_constructor("MultiPolygon", 2))


def _make_point(longitude: Value, latitude: Value) -> Value:
    _point(longitude, latitude)
    return {"type": "Point", "coordinates": [longitude, latitude]}


def _make_polygon(points: Value) -> Value:
    """Make a polygon of its rings, or of its only one."""
    first = _parts(_parts(points, 1)[0], 1)
    rings = points if type(first[0]) is list else [points]
    _rings(rings)
    return {"type": "Polygon", "coordinates": rings}


strict_function("GEO_POINT", 2)(_checked(_make_point))
strict_function("GEO_POLYGON", 1)(_checked(_make_polygon))


def _is_in_polygon(polygon: Value, first: Value, second: Value = False) -> Value:
    """Do the old test in the plane, by the crossings of a ray; `[latitude, longitude]` unless told otherwise."""
    place, turned = (first, truthy(second)) if type(first) is list else ([first, second], False)
    corners = _parts(polygon, 3)
    if not all(_is_pair(pair) for pair in (*corners, place)):
        raise NotGeoError
    if turned:
        corners, place = [pair[::-1] for pair in corners], place[::-1]
    up, across = place
    inside = False
    for (up1, across1), (up2, across2) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        if (across1 > across) != (across2 > across):
            inside ^= up < (up2 - up1) * (across - across1) / (across2 - across1) + up1
    return inside


def _is_pair(value: Value) -> bool:
    return type(value) is list and len(value) == 2 and all(type(item) in _NUMERIC for item in value)


strict_function("IS_IN_POLYGON", 2, 3)(_checked(_is_in_polygon))
