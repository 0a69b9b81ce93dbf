"""Functions that take arrays as sets."""

from collections.abc import Callable

from arangolite.aql.functions.registry import (
    ANY_NUMBER,
    Implementation,
    strict_function,
    wrong_argument,
)
from arangolite.aql.operators import Warn, number
from arangolite.values import Value, encode


def distinct(values: list[Value]) -> list[Value]:
    """Keep of equal values the first."""
    seen: dict[bytes, Value] = {}
    for value in values:
        seen.setdefault(encode(value), value)
    return list(seen.values())


def _all_lists(combine: Callable[[list[list[Value]]], Value]) -> Implementation:
    def run(warn: Warn, *arrays: Value) -> Value:
        if any(type(array) is not list for array in arrays):
            return wrong_argument(warn)
        return combine(list(arrays))

    return run


def _intersection(arrays: list[list[Value]]) -> list[Value]:
    common = set.intersection(*({encode(value) for value in array} for array in arrays))
    return [value for value in distinct(arrays[0]) if encode(value) in common]


def _minus(arrays: list[list[Value]]) -> list[Value]:
    unwanted = {encode(value) for array in arrays[1:] for value in array}
    return [value for value in distinct(arrays[0]) if encode(value) not in unwanted]


def _outersection(arrays: list[list[Value]]) -> list[Value]:
    counts: dict[bytes, list[Value]] = {}
    for array in arrays:
        for value in distinct(array):
            counts.setdefault(encode(value), []).append(value)
    return [found[0] for found in counts.values() if len(found) == 1]


strict_function("UNION", 2, ANY_NUMBER)(_all_lists(lambda arrays: [value for array in arrays for value in array]))
strict_function("UNION_DISTINCT", 2, ANY_NUMBER)(
    _all_lists(lambda arrays: distinct([value for array in arrays for value in array]))
)
strict_function("INTERSECTION", 2, ANY_NUMBER)(_all_lists(_intersection))
strict_function("MINUS", 2, ANY_NUMBER)(_all_lists(_minus))
strict_function("OUTERSECTION", 2, ANY_NUMBER)(_all_lists(_outersection))


def _jaccard(arrays: list[list[Value]]) -> Value:
    first, second = ({encode(value) for value in array} for array in arrays)
    return number(len(first & second) / len(first | second)) if first or second else 1


strict_function("JACCARD", 2)(_all_lists(_jaccard))
