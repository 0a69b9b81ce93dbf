import math

from hypothesis import given
from hypothesis import strategies as st

from arangolite.values import encode, encode_column, encode_many, equal, less, type_rank

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, float(2**53), -(2**53), -(2**53) - 1, 0, -0.0, 1, 1.0])
    | st.text(max_size=6)
    | st.sampled_from(["", "a", "a\x00", "a\x00b", "ab", "A", "é"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


def compare(left: object, right: object) -> int:
    """AQL's order as its documentation words it, in the plainest Python."""
    ranks = type_rank(left), type_rank(right)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if isinstance(left, list) and isinstance(right, list):
        for place in range(max(len(left), len(right))):
            found = compare(left[place] if place < len(left) else None, right[place] if place < len(right) else None)
            if found:
                return found
        return 0
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted({*left, *right}):
            found = compare(left.get(name), right.get(name))
            if found:
                return found
        return 0
    if left is None:
        return 0
    return (left > right) - (left < right)  # type: ignore[operator]


@given(values, values)
def test_encoded_values_are_in_the_documented_order(left: object, right: object) -> None:
    expected = compare(left, right)
    first, second = encode(left), encode(right)
    assert (first > second) - (first < second) == expected
    assert equal(left, right) is (expected == 0)
    assert less(left, right) is (expected < 0)


@given(st.lists(values, max_size=8) | st.lists(st.text("ab\x00é", max_size=2), max_size=8))
def test_many_values_of_one_attribute_are_encoded_as_each_of_them(column: list[object]) -> None:
    assert encode_column(column) == [encode(value) for value in column]


@given(st.lists(values, min_size=2, max_size=2), st.lists(values, min_size=2, max_size=2))
def test_compound_entries_are_ordered_field_by_field(left: list[object], right: list[object]) -> None:
    expected = next((found for a, b in zip(left, right, strict=True) if (found := compare(a, b))), 0)
    first, second = encode_many(left), encode_many(right)
    assert (first > second) - (first < second) == expected


@given(values, values)
def test_no_encoded_value_is_the_beginning_of_another_one_that_an_index_range_would_take_for_it(
    left: object, right: object
) -> None:
    entry, prefix = encode(left), encode(right)
    assert (prefix <= entry < prefix + b"\xff") is equal(left, right)


def test_the_documented_examples_hold() -> None:
    ascending = [
        None,
        False,
        True,
        -math.inf,
        -1,
        0,
        0.5,
        2,
        "",
        " ",
        "0",
        "abc",
        [],
        [0],
        [1, 2],
        [2],
        {},
        {"b": 1},
        {"a": 0},
        {"a": 1},
    ]
    assert sorted(reversed(ascending), key=encode) == ascending
    assert equal({}, {"a": None})
    assert equal({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert less({"a": {"c": True, "a": 0}}, {"a": {"c": False, "a": 1}})
