"""Random documents and queries against a model of AQL's order, comparison and grouping in plain Python.

Every query is run on a collection without indexes and on one with them: an index may make it faster, never different.
"""

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

import pytest
from arango.database import StandardDatabase
from hypothesis import given, settings
from hypothesis import strategies as st

RANKS = {type(None): 0, bool: 1, int: 2, float: 2, str: 3, list: 4, dict: 5}


def compare(left: Any, right: Any) -> int:
    """Order two values as AQL's page on type and value order says."""
    ranks = RANKS[type(left)], RANKS[type(right)]
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if type(left) is list:
        longest = max(len(left), len(right))
        return first_difference((item(left, n), item(right, n)) for n in range(longest))
    if type(left) is dict:
        return first_difference((left.get(name), right.get(name)) for name in sorted({*left, *right}))
    if left is None or left == right:
        return 0
    return -1 if left < right else 1


def item(values: list, place: int) -> Any:
    return values[place] if place < len(values) else None


def first_difference(pairs: Any) -> int:
    return next((order for left, right in pairs if (order := compare(left, right))), 0)


in_order = cmp_to_key(compare)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "B", "ä", "a\x00", "aa", "😀"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2),
    max_leaves=4,
)
documents = st.lists(
    st.fixed_dictionaries({}, optional={"x": values, "y": values, "tags": st.lists(scalars, max_size=3) | scalars}),
    max_size=12,
)
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: compare(left, right) == 0,
    "!=": lambda left, right: compare(left, right) != 0,
    "<": lambda left, right: compare(left, right) < 0,
    "<=": lambda left, right: compare(left, right) <= 0,
    ">": lambda left, right: compare(left, right) > 0,
    ">=": lambda left, right: compare(left, right) >= 0,
}


def has(array: Any, value: Any) -> bool:
    return type(array) is list and any(compare(value, other) == 0 for other in array)


@pytest.fixture(scope="session")
def twins(system: StandardDatabase) -> StandardDatabase:
    system.create_collection("model_bare")
    indexed = system.create_collection("model_indexed")
    for fields, sparse in ((["x", "y"], False), (["y"], True), (["tags[*]"], False), (["tags[*]", "x"], True)):
        indexed.add_index({"type": "persistent", "fields": fields, "sparse": sparse})
    return system


def fill(db: StandardDatabase, documents: list[dict]) -> list[dict]:
    """Store the documents in both collections; `n` tells them apart and is the order they were stored in."""
    stored = [{**document, "n": n} for n, document in enumerate(documents)]
    for name in ("model_bare", "model_indexed"):
        db.collection(name).truncate()
        db.collection(name).import_bulk(stored)
    return stored


def both(db: StandardDatabase, query: str, **bind: object) -> list:
    """Run a query on both collections and check that the results are the same."""
    bare, indexed = (
        list(db.aql.execute(query, bind_vars={**bind, "@c": name})) for name in ("model_bare", "model_indexed")
    )
    assert bare == indexed, query
    return bare


@settings(max_examples=60, deadline=None)
@given(documents=documents, value=values, operator=st.sampled_from(sorted(OPERATORS)))
def test_filters_keep_what_the_order_says(
    twins: StandardDatabase, documents: list[dict], value: Any, operator: str
) -> None:
    stored = fill(twins, documents)
    holds = OPERATORS[operator]
    query = f"FOR d IN @@c FILTER d.x {operator} @value SORT d.n RETURN d.n"
    assert both(twins, query, value=value) == [d["n"] for d in stored if holds(d.get("x"), value)]
    query = f"FOR d IN @@c FILTER @value {operator} d.y AND d.x != null SORT d.n RETURN d.n"
    expected = [d["n"] for d in stored if holds(value, d.get("y")) and d.get("x") is not None]
    assert both(twins, query, value=value) == expected
    query = "FOR d IN @@c FILTER @value IN d.tags[*] SORT d.n RETURN d.n"
    assert both(twins, query, value=value) == [d["n"] for d in stored if has(d.get("tags"), value)]
    query = f"FOR d IN @@c FILTER @value IN d.tags[*] AND d.x {operator} @value SORT d.n RETURN d.n"
    expected = [d["n"] for d in stored if has(d.get("tags"), value) and holds(d.get("x"), value)]
    assert both(twins, query, value=value) == expected
    query = "FOR d IN @@c FILTER d.x IN @wanted SORT d.n RETURN d.n"
    assert both(twins, query, wanted=[value, 1]) == [d["n"] for d in stored if has([value, 1], d.get("x"))]


@settings(max_examples=60, deadline=None)
@given(documents=documents, ways=st.tuples(st.booleans(), st.booleans()), limit=st.integers(0, 5))
def test_sorting_follows_the_order(
    twins: StandardDatabase, documents: list[dict], ways: tuple[bool, bool], limit: int
) -> None:
    stored = fill(twins, documents)
    expected = sorted(stored, key=lambda d: d["n"])
    for field, descending in (("y", ways[1]), ("x", ways[0])):
        expected.sort(key=lambda d, field=field: in_order(d.get(field)), reverse=descending)
    words = [" DESC" if descending else "" for descending in ways]
    query = f"FOR d IN @@c SORT d.x{words[0]}, d.y{words[1]}, d.n RETURN d.n"
    assert both(twins, query) == [d["n"] for d in expected]
    query = f"FOR d IN @@c SORT d.x{words[0]}, d.y{words[1]}, d.n LIMIT 1, {limit} RETURN d.n"
    assert both(twins, query) == [d["n"] for d in expected][1 : 1 + limit]


@settings(max_examples=60, deadline=None)
@given(documents=documents)
def test_grouping_puts_equal_values_together(twins: StandardDatabase, documents: list[dict]) -> None:
    stored = fill(twins, documents)
    groups: list[list[dict]] = []
    for document in sorted(stored, key=lambda d: in_order(d.get("x"))):
        if groups and compare(groups[-1][0].get("x"), document.get("x")) == 0:
            groups[-1].append(document)
        else:
            groups.append([document])
    members = [sorted(d["n"] for d in group) for group in groups]
    query = "FOR d IN @@c COLLECT x = d.x INTO g = d.n RETURN SORTED(g)"
    assert both(twins, query) == members
    query = "FOR d IN @@c COLLECT x = d.x WITH COUNT INTO c RETURN c"
    assert both(twins, query) == [len(group) for group in groups]
    query = """FOR d IN @@c COLLECT x = d.x
               AGGREGATE least = MIN(d.y), most = MAX(d.y), s = SUM(d.n), u = COUNT_UNIQUE(d.y)
               RETURN [least, most, s, u]"""
    found = both(twins, query)
    assert len(found) == len(groups)
    for group, (least, most, total, different) in zip(groups, found, strict=True):
        ys = [d["y"] for d in group if d.get("y") is not None]
        assert compare(least, min(ys, key=in_order, default=None)) == 0
        assert compare(most, max(ys, key=in_order, default=None)) == 0
        assert total == sum(d["n"] for d in group)
        assert different == len({in_order_key(d.get("y")) for d in group})
    query = "FOR d IN @@c SORT d.n RETURN DISTINCT d.x"
    distinct: list = []
    for document in stored:
        if not has(distinct, document.get("x")):
            distinct.append(document.get("x"))
    assert [compare(a, b) for a, b in zip(both(twins, query), distinct, strict=True)] == [0] * len(distinct)


def in_order_key(value: Any) -> Any:
    """Give equal values one key: numbers as numbers, what is absent or null left out."""
    match value:
        case bool():
            return ("bool", value)
        case list():
            while value and value[-1] is None:
                value = value[:-1]
            return ("list", tuple(in_order_key(part) for part in value))
        case dict():
            present = {name: part for name, part in value.items() if part is not None}
            return ("dict", tuple(sorted((name, in_order_key(part)) for name, part in present.items())))
        case _:
            return (RANKS[type(value)], value)
