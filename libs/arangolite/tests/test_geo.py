"""Geo functions where the answer is known without them."""

import math

import pytest
from arango.database import StandardDatabase

RADIUS_M = 6_371_000
OCTANT = [[[0, 0], [90, 0], [0, 90], [0, 0]]]
SQUARE = "GEO_POLYGON([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]])"
HOLED = "GEO_POLYGON([[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]])"
REST_OF_THE_WORLD = "GEO_POLYGON([[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]])"


def value(db: StandardDatabase, expression: str, **bind: object) -> object:
    (found,) = db.aql.execute(f"RETURN {expression}", bind_vars=bind)
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("GEO_DISTANCE([0, 0], [0, 90])", math.pi / 2 * RADIUS_M),
        ("GEO_DISTANCE([179, 0], GEO_POINT(-179, 0))", math.radians(2) * RADIUS_M),
        ("GEO_DISTANCE(GEO_LINESTRING([[0, 0], [0, 20]]), [0, 10])", 0),
        ("GEO_DISTANCE(GEO_MULTIPOINT([[0, 0], [0, 20]]), [0, 10])", 0),
        (f"GEO_DISTANCE({HOLED}, {SQUARE}) < 3000", True),
        ("GEO_AREA({type: 'Polygon', coordinates: @octant})", math.pi / 2 * RADIUS_M**2),
        (f"GEO_AREA({SQUARE}) + GEO_AREA({REST_OF_THE_WORLD})", 4 * math.pi * RADIUS_M**2),
        ("DISTANCE(0, 0, 0, 90)", math.pi / 2 * RADIUS_M),
    ],
)
def test_lengths_and_areas_are_those_of_the_sphere(system: StandardDatabase, expression: str, expected: float) -> None:
    bind = {"octant": OCTANT} if "@octant" in expression else {}
    assert value(system, expression, **bind) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"GEO_CONTAINS({SQUARE}, [5, 5])", True),
        (f"GEO_CONTAINS({SQUARE}, [15, 5])", False),
        (f"GEO_CONTAINS({SQUARE}, [-175, -5])", False),
        (f"GEO_CONTAINS({HOLED}, [5, 5])", False),
        (f"GEO_CONTAINS({HOLED}, [3, 5])", True),
        (f"GEO_CONTAINS({REST_OF_THE_WORLD}, [5, 5])", False),
        (f"GEO_CONTAINS({REST_OF_THE_WORLD}, [-175, -5])", True),
        (f"GEO_CONTAINS({SQUARE}, GEO_LINESTRING([[1, 1], [9, 9]]))", True),
        (f"GEO_CONTAINS({SQUARE}, GEO_LINESTRING([[1, 1], [11, 9]]))", False),
        (f"GEO_CONTAINS({SQUARE}, GEO_POLYGON([[1, 1], [9, 1], [9, 9], [1, 1]]))", True),
        (f"GEO_CONTAINS({HOLED}, GEO_POLYGON([[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]))", False),
        (f"GEO_INTERSECTS({SQUARE}, GEO_LINESTRING([[-5, 5], [15, 5]]))", True),
        (f"GEO_INTERSECTS({SQUARE}, GEO_LINESTRING([[-5, 15], [15, 15]]))", False),
        ("GEO_INTERSECTS([1, 2], GEO_MULTIPOINT([[3, 4], [1, 2]]))", True),
        ("GEO_IN_RANGE([0, 0], [0, 1], 111194, 111195)", True),
        ("GEO_IN_RANGE([0, 0], [0, 0], 0, 1, false)", False),
        ("GEO_EQUALS([1, 2], GEO_POINT(1, 2))", True),
        ("GEO_EQUALS(GEO_POLYGON([[0,0],[1,0],[1,1],[0,0]]), GEO_POLYGON([[1,0],[1,1],[0,0],[1,0]]))", True),
        ("IS_IN_POLYGON([[0, 0], [0, 10], [10, 10], [10, 0]], 40, 70)", False),
        ("GEO_POINT(190, 0)", None),
        ("GEO_POLYGON([[0, 0], [1, 0], [0, 0]])", None),
        ("GEO_DISTANCE('here', [0, 0])", None),
    ],
)
def test_geometries_contain_and_meet_each_other(system: StandardDatabase, expression: str, expected: object) -> None:
    assert value(system, expression) == expected


def test_what_is_no_geometry_is_warned_about(system: StandardDatabase) -> None:
    cursor = system.aql.execute("RETURN GEO_CONTAINS([0, 0], [0, 0])")
    message = "invalid argument type in call to function 'GEO_CONTAINS()'"
    assert cursor.warnings() == [{"code": 1542, "message": message}]
