"""Functions of arrays."""

from collections.abc import Callable

from arangolite.aql import operators
from arangolite.aql.functions.registry import (
    ANY_NUMBER,
    Implementation,
    alias,
    function,
    no_array,
    strict_function,
    wrong_argument,
)
from arangolite.aql.functions.sets import distinct
from arangolite.aql.operators import MAX_RANGE_ITEMS, Warn, to_list, to_number, to_string
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, encode, equal, truthy


@function("LENGTH", 1)
def _length(value: Value) -> Value:
    match value:
        case None:
            return 0
        case bool():
            return int(value)
        case int() | float():
            return len(to_string(value))
        case _:
            return len(value)


alias("COUNT", "LENGTH")


def _needs_list(run: Implementation) -> Implementation:
    """Make a function of an array answer null, with a warning, to anything else."""

    def checked(warn: Warn, values: Value, *rest: Value) -> Value:
        if type(values) is not list:
            return no_array(warn)
        return run(values, *rest)

    return checked


def _sorted(values: list[Value]) -> list[Value]:
    return sorted(values, key=encode)


def _flatten(values: list[Value], depth: Value = 1) -> list[Value]:
    levels = int(to_number(depth))
    flat: list[Value] = []
    for value in values:
        if type(value) is list and levels >= 1:
            flat.extend(_flatten(value, levels - 1) if levels > 1 else value)
        else:
            flat.append(value)
    return flat


def _slice(values: list[Value], start: Value, count: Value = None) -> list[Value]:
    begin = int(to_number(start))
    begin = max(len(values) + begin, 0) if begin < 0 else begin
    if count is None:
        return values[begin:]
    length = int(to_number(count))
    return values[begin : begin + length] if length >= 0 else values[begin:length]


def _append(values: list[Value], more: Value, unique: Value = False) -> list[Value]:
    joined = values + (more if type(more) is list else [] if more is None else [more])
    return distinct(joined) if truthy(unique) else joined


def _adding(add: Callable[[list[Value], Value], list[Value]]) -> Implementation:
    """Make a function that adds a value to an array, which null begins."""

    def run(warn: Warn, array: Value, value: Value, unique: Value = False) -> Value:
        values = [] if array is None else array
        if type(values) is not list:
            return wrong_argument(warn)
        return values if truthy(unique) and operators.contains(value, values) else add(values, value)

    return run


strict_function("PUSH", 2, 3)(_adding(lambda values, value: [*values, value]))
strict_function("UNSHIFT", 2, 3)(_adding(lambda values, value: [value, *values]))


def _nth(values: list[Value], place: Value) -> Value:
    position = int(to_number(place))
    return values[position] if 0 <= position < len(values) else None


def _position(values: list[Value], wanted: Value, as_index: Value = False) -> Value:
    place = next((position for position, value in enumerate(values) if equal(value, wanted)), -1)
    return place if truthy(as_index) else place >= 0


def _remove_value(values: list[Value], unwanted: Value, limit: Value = None) -> list[Value]:
    left = -1 if limit is None else int(to_number(limit))
    kept = []
    for value in values:
        if left != 0 and equal(value, unwanted):
            left -= 1
        else:
            kept.append(value)
    return kept


def _remove_nth(values: list[Value], place: Value) -> list[Value]:
    position = int(to_number(place))
    position += len(values) if position < 0 else 0
    return [value for index, value in enumerate(values) if index != position]


def _replace_nth(warn: Warn, values: Value, place: Value, value: Value, *padding: Value) -> Value:
    if type(values) is not list:
        return no_array(warn)
    if place is None:
        raise _bad_place()
    position = int(to_number(place))
    if position < 0:
        position = max(position + len(values), 0)
    missing = position - len(values)
    if missing > 0 and not padding:
        raise _bad_place()
    if missing > MAX_RANGE_ITEMS:
        raise ArangoError(Problem.RESOURCE_LIMIT, f"REPLACE_NTH() would make an array of {position:,} items")
    return [*values[:position], *(padding[:1] * max(missing, 0)), value, *values[position + 1 :]]


def _bad_place() -> ArangoError:
    return ArangoError(
        Problem.QUERY_ARGUMENT_TYPE, "AQL: invalid argument type in call to function 'REPLACE_NTH()' (while executing)"
    )


strict_function("REPLACE_NTH", 3, 4)(_replace_nth)


@strict_function("INTERLEAVE", 2, ANY_NUMBER)
def _interleave(warn: Warn, *arrays: Value) -> Value:
    if any(type(array) is not list for array in arrays):
        return no_array(warn)
    return [array[place] for place in range(max(map(len, arrays))) for array in arrays if place < len(array)]


def _sorted_unique(values: list[Value]) -> list[Value]:
    return _sorted(distinct(values))


for _name, _least, _most, _run in (
    ("FIRST", 1, 1, lambda values: values[0] if values else None),
    ("LAST", 1, 1, lambda values: values[-1] if values else None),
    ("NTH", 2, 2, _nth),
    ("UNIQUE", 1, 1, distinct),
    ("SORTED", 1, 1, _sorted),
    ("SORTED_UNIQUE", 1, 1, _sorted_unique),
    ("FLATTEN", 1, 2, _flatten),
    ("SLICE", 2, 3, _slice),
    ("POP", 1, 1, lambda values: values[:-1]),
    ("SHIFT", 1, 1, lambda values: values[1:]),
    ("POSITION", 2, 3, _position),
    ("REMOVE_VALUE", 2, 3, _remove_value),
    (
        "REMOVE_VALUES",
        2,
        2,
        lambda values, unwanted: [value for value in values if not operators.contains(value, unwanted)],
    ),
    ("REMOVE_NTH", 2, 2, _remove_nth),
    ("COUNT_DISTINCT", 1, 1, lambda values: len(distinct(values))),
):
    strict_function(_name, _least, _most)(_needs_list(_run))
alias("COUNT_UNIQUE", "COUNT_DISTINCT")
alias("CONTAINS_ARRAY", "POSITION")
function("APPEND", 2, 3)(
    lambda values, more, unique=False: None if values is None else _append(to_list(values), more, unique)
)
strict_function("REVERSE", 1)(lambda warn, value: value[::-1] if type(value) in (list, str) else no_array(warn))
