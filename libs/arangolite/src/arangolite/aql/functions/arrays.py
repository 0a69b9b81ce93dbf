"""Functions of arrays."""

from collections.abc import Callable

from arangolite.aql import operators
from arangolite.aql.functions.registry import (
    ANY_NUMBER,
    Implementation,
    alias,
    function,
    strict_function,
    wrong_argument,
)
from arangolite.aql.operators import Warn, to_list, to_number, to_string
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
            return wrong_argument(warn)
        return run(values, *rest)

    return checked


def _distinct(values: list[Value]) -> list[Value]:
    seen: dict[bytes, Value] = {}
    for value in values:
        seen.setdefault(encode(value), value)
    return list(seen.values())


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
    return _distinct(joined) if truthy(unique) else joined


def _push(values: list[Value], value: Value, unique: Value = False) -> list[Value]:
    return values if truthy(unique) and operators.contains(value, values) else [*values, value]


def _unshift(values: list[Value], value: Value, unique: Value = False) -> list[Value]:
    return values if truthy(unique) and operators.contains(value, values) else [value, *values]


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


def _sorted_unique(values: list[Value]) -> list[Value]:
    return _sorted(_distinct(values))


for _name, _least, _most, _run in (
    ("FIRST", 1, 1, lambda values: values[0] if values else None),
    ("LAST", 1, 1, lambda values: values[-1] if values else None),
    ("NTH", 2, 2, _nth),
    ("UNIQUE", 1, 1, _distinct),
    ("SORTED", 1, 1, _sorted),
    ("SORTED_UNIQUE", 1, 1, _sorted_unique),
    ("FLATTEN", 1, 2, _flatten),
    ("SLICE", 2, 3, _slice),
    ("PUSH", 2, 3, _push),
    ("UNSHIFT", 2, 3, _unshift),
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
    ("COUNT_DISTINCT", 1, 1, lambda values: len(_distinct(values))),
):
    strict_function(_name, _least, _most)(_needs_list(_run))
alias("COUNT_UNIQUE", "COUNT_DISTINCT")
function("APPEND", 2, 3)(
    lambda values, more, unique=False: None if values is None else _append(to_list(values), more, unique)
)
function("REVERSE", 1)(lambda value: value[::-1] if type(value) in (list, str) else None)


def _all_lists(combine: Callable[[list[list[Value]]], list[Value]]) -> Implementation:
    def run(warn: Warn, *arrays: Value) -> Value:
        if any(type(array) is not list for array in arrays):
            return wrong_argument(warn)
        return combine(list(arrays))

    return run


def _intersection(arrays: list[list[Value]]) -> list[Value]:
    common = set.intersection(*({encode(value) for value in array} for array in arrays))
    return [value for value in _distinct(arrays[0]) if encode(value) in common]


def _minus(arrays: list[list[Value]]) -> list[Value]:
    unwanted = {encode(value) for array in arrays[1:] for value in array}
    return [value for value in _distinct(arrays[0]) if encode(value) not in unwanted]


def _outersection(arrays: list[list[Value]]) -> list[Value]:
    counts: dict[bytes, list[Value]] = {}
    for array in arrays:
        for value in _distinct(array):
            counts.setdefault(encode(value), []).append(value)
    return [found[0] for found in counts.values() if len(found) == 1]


strict_function("UNION", 2, ANY_NUMBER)(_all_lists(lambda arrays: [value for array in arrays for value in array]))
strict_function("UNION_DISTINCT", 2, ANY_NUMBER)(
    _all_lists(lambda arrays: _distinct([value for array in arrays for value in array]))
)
strict_function("INTERSECTION", 2, ANY_NUMBER)(_all_lists(_intersection))
strict_function("MINUS", 2, ANY_NUMBER)(_all_lists(_minus))
strict_function("OUTERSECTION", 2, ANY_NUMBER)(_all_lists(_outersection))
