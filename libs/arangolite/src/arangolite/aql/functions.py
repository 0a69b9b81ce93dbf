"""AQL's functions: a table from name to Python function. What a function cannot use makes null and a warning, as in ArangoDB."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import msgspec

from arangolite.aql import operators
from arangolite.aql.operators import Warn, number, to_list, to_number, to_string
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, encode, equal, truthy, type_rank

Implementation = Callable[..., Value]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes and what it does. `warns` ones get a `Warn` as their first argument."""

    least: int
    most: int
    run: Implementation
    warns: bool
    deterministic: bool


FUNCTIONS: dict[str, Function] = {}
_ANY_NUMBER = 1000


def function(
    name: str, least: int, most: int | None = None, *, deterministic: bool = True
) -> Callable[[Implementation], Implementation]:
    """Enter a function into the table; it gets its arguments."""
    return _enter(name, least, most, warns=False, deterministic=deterministic)


def strict_function(name: str, least: int, most: int | None = None) -> Callable[[Implementation], Implementation]:
    """Enter a function that warns about arguments it cannot use; it gets a `Warn` before its arguments."""
    return _enter(name, least, most, warns=True, deterministic=True)


def _enter(
    name: str, least: int, most: int | None, *, warns: bool, deterministic: bool
) -> Callable[[Implementation], Implementation]:
    def enter(run: Implementation) -> Implementation:
        FUNCTIONS[name] = Function(least, least if most is None else most, run, warns, deterministic)
        return run

    return enter


def _alias(name: str, other: str) -> None:
    FUNCTIONS[name] = FUNCTIONS[other]


def _argument_type(warn: Warn) -> None:
    warn(Problem.QUERY_ARGUMENT_TYPE)


# --- types ---------------------------------------------------------------------------------------------------------------------------------

_TYPE_NAMES = ("null", "bool", "number", "string", "array", "object")
for _rank, _name in enumerate(("NULL", "BOOL", "NUMBER", "STRING", "ARRAY", "OBJECT")):
    function(f"IS_{_name}", 1)(operators.is_type(_rank))
_alias("IS_LIST", "IS_ARRAY")
_alias("IS_DOCUMENT", "IS_OBJECT")
function("TYPENAME", 1)(lambda value: _TYPE_NAMES[type_rank(value)])
function("TO_BOOL", 1)(truthy)
function("TO_NUMBER", 1)(to_number)
function("TO_STRING", 1)(to_string)
function("TO_ARRAY", 1)(to_list)
_alias("TO_LIST", "TO_ARRAY")
function("NOT_NULL", 1, _ANY_NUMBER)(lambda *values: next((value for value in values if value is not None), None))
function("FIRST_LIST", 1, _ANY_NUMBER)(lambda *values: next((value for value in values if type(value) is list), None))
function("FIRST_DOCUMENT", 1, _ANY_NUMBER)(
    lambda *values: next((value for value in values if type(value) is dict), None)
)
function("NOOPT", 1)(lambda value: value)
_alias("PASSTHRU", "NOOPT")


@function("IS_KEY", 1)
def _is_key(value: Value) -> Value:
    from arangolite.storage.names import is_key

    return type(value) is str and is_key(value) is not None


# --- numbers -------------------------------------------------------------------------------------------------------------------------------


def _math(name: str, compute: Callable[..., float], arguments: int = 1) -> None:
    def run(*values: Value) -> Value:
        try:
            return number(compute(*[to_number(value) for value in values]))
        except (ValueError, OverflowError):
            return None

    function(name, arguments)(run)


for _name, _compute in {
    "ABS": abs,
    "ACOS": math.acos,
    "ASIN": math.asin,
    "ATAN": math.atan,
    "CEIL": math.ceil,
    "COS": math.cos,
    "DEGREES": math.degrees,
    "EXP": math.exp,
    "EXP2": lambda value: 2.0**value,
    "FLOOR": math.floor,
    "LOG": math.log,
    "LOG2": math.log2,
    "LOG10": math.log10,
    "RADIANS": math.radians,
    "ROUND": lambda value: math.floor(value + 0.5),
    "SIN": math.sin,
    "SQRT": math.sqrt,
    "TAN": math.tan,
}.items():
    _math(_name, _compute)  # type: ignore[arg-type]
_math("ATAN2", math.atan2, 2)
_math("POW", lambda base, exponent: float(base) ** exponent if isinstance(exponent, float) else base**exponent, 2)
function("PI", 0)(lambda: math.pi)
function("RAND", 0, deterministic=False)(random.random)


@function("RANGE", 2, 3)
def _range(low: Value, high: Value, step: Value = None) -> Value:
    if step is None:
        return operators.materialise(operators.check_range(low, high))
    first, last, by = to_number(low), to_number(high), to_number(step)
    if by == 0 or (last - first) * by < 0:
        return None if by == 0 else []
    count = math.floor((last - first) / by) + 1
    return [number(first + position * by) for position in operators.materialise(range(count))]


# --- aggregation over an array -------------------------------------------------------------------------------------------------------------


def _numbers(warn: Warn, values: Value) -> list[int | float] | None:
    """Give the numbers of an array without its nulls, or None and a warning."""
    if type(values) is not list:
        _argument_type(warn)
        return None
    kept = [value for value in values if value is not None]
    if any(type(value) not in (int, float) for value in kept):
        _argument_type(warn)
        return None
    return kept


@strict_function("SUM", 1)
def _sum(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return None if numbers is None else number(sum(numbers))


@strict_function("PRODUCT", 1)
def _product(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return None if numbers is None else number(math.prod(numbers))


@strict_function("AVERAGE", 1)
def _average(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return number(sum(numbers) / len(numbers)) if numbers else None


_alias("AVG", "AVERAGE")


@strict_function("MEDIAN", 1)
def _median(warn: Warn, values: Value) -> Value:
    numbers = sorted(_numbers(warn, values) or ())
    if not numbers:
        return None
    middle = len(numbers) // 2
    return number(numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2)


@strict_function("PERCENTILE", 2, 3)
def _percentile(warn: Warn, values: Value, percent: Value, method: Value = "rank") -> Value:
    numbers = sorted(_numbers(warn, values) or ())
    share = to_number(percent)
    if not 0 < share <= 100 or method not in ("rank", "interpolation"):  # noqa: PLR2004 - per cent
        _argument_type(warn)
        return None
    if not numbers:
        return None
    if method == "rank":
        return number(numbers[min(math.ceil(share / 100 * len(numbers)), len(numbers)) - 1])
    place = share / 100 * (len(numbers) + 1)
    below = math.floor(place)
    if below < 1 or below >= len(numbers):
        return None if below < 1 else number(numbers[-1])
    return number(numbers[below - 1] + (place - below) * (numbers[below] - numbers[below - 1]))


def _variance(least: int, divisor: Callable[[int], int], *, root: bool) -> Implementation:
    def run(warn: Warn, values: Value) -> Value:
        numbers = _numbers(warn, values)
        if numbers is None or len(numbers) < least:
            return None
        mean = math.fsum(numbers) / len(numbers)
        spread = math.fsum((value - mean) ** 2 for value in numbers) / divisor(len(numbers))
        return number(math.sqrt(spread) if root else spread)

    return run


strict_function("VARIANCE_POPULATION", 1)(_variance(1, lambda count: count, root=False))
strict_function("VARIANCE_SAMPLE", 1)(_variance(2, lambda count: count - 1, root=False))
strict_function("STDDEV_POPULATION", 1)(_variance(1, lambda count: count, root=True))
strict_function("STDDEV_SAMPLE", 1)(_variance(2, lambda count: count - 1, root=True))
for _name, _other in {"VARIANCE": "VARIANCE_POPULATION", "STDDEV": "STDDEV_POPULATION"}.items():
    _alias(_name, _other)


@strict_function("MIN", 1)
def _min(warn: Warn, values: Value) -> Value:
    if type(values) is not list:
        return _argument_type(warn)
    return min((value for value in values if value is not None), key=encode, default=None)


@strict_function("MAX", 1)
def _max(warn: Warn, values: Value) -> Value:
    if type(values) is not list:
        return _argument_type(warn)
    return max((value for value in values if value is not None), key=encode, default=None)


# --- arrays --------------------------------------------------------------------------------------------------------------------------------


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


for _name in ("COUNT", "COUNT_DOCUMENTS"):
    if _name == "COUNT":
        _alias(_name, "LENGTH")


def _needs_list(run: Implementation) -> Implementation:
    """Make a function of an array answer null, with a warning, to anything else."""

    def checked(warn: Warn, values: Value, *rest: Value) -> Value:
        if type(values) is not list:
            return _argument_type(warn)
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
    ("REVERSE_ARRAY", 1, 1, lambda values: values[::-1]),
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
    strict_function(_name, _least, _most)(_needs_list(_run))  # type: ignore[arg-type]
del FUNCTIONS["REVERSE_ARRAY"]
_alias("COUNT_UNIQUE", "COUNT_DISTINCT")
function("APPEND", 2, 3)(
    lambda values, more, unique=False: None if values is None else _append(to_list(values), more, unique)
)
function("REVERSE", 1)(lambda value: value[::-1] if type(value) in (list, str) else None)


def _all_lists(combine: Callable[[list[list[Value]]], list[Value]]) -> Implementation:
    def run(warn: Warn, *arrays: Value) -> Value:
        if any(type(array) is not list for array in arrays):
            return _argument_type(warn)
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


strict_function("UNION", 2, _ANY_NUMBER)(_all_lists(lambda arrays: [value for array in arrays for value in array]))
strict_function("UNION_DISTINCT", 2, _ANY_NUMBER)(
    _all_lists(lambda arrays: _distinct([value for array in arrays for value in array]))
)
strict_function("INTERSECTION", 2, _ANY_NUMBER)(_all_lists(_intersection))
strict_function("MINUS", 2, _ANY_NUMBER)(_all_lists(_minus))
strict_function("OUTERSECTION", 2, _ANY_NUMBER)(_all_lists(_outersection))


# --- objects -------------------------------------------------------------------------------------------------------------------------------


def _names(arguments: tuple[Value, ...]) -> list[str]:
    """Read attribute names that come as arguments or as one array."""
    given = arguments[0] if len(arguments) == 1 and type(arguments[0]) is list else arguments
    return [name for name in given if type(name) is str]


def _needs_object(run: Implementation) -> Implementation:
    def checked(warn: Warn, value: Value, *rest: Value) -> Value:
        if type(value) is not dict:
            return _argument_type(warn)
        return run(value, *rest)

    return checked


def _keep(value: dict[str, Value], *names: Value) -> Value:
    wanted = set(_names(names))
    return {name: item for name, item in value.items() if name in wanted}


def _unset(value: dict[str, Value], *names: Value) -> Value:
    unwanted = set(_names(names))
    return {name: item for name, item in value.items() if name not in unwanted}


def _unset_recursive(value: Value, *names: Value) -> Value:
    if type(value) is list:
        return [_unset_recursive(item, *names) for item in value]
    if type(value) is dict:
        return {name: _unset_recursive(item, *names) for name, item in _unset(value, *names).items()}
    return value


def _keep_recursive(value: Value, *names: Value) -> Value:
    if type(value) is list:
        return [_keep_recursive(item, *names) for item in value]
    if type(value) is dict:
        return {name: _keep_recursive(item, *names) for name, item in _keep(value, *names).items()}
    return value


def _attributes(value: dict[str, Value], remove_internal: Value = False, sort: Value = False) -> Value:
    names = [name for name in value if not (truthy(remove_internal) and name.startswith("_"))]
    return sorted(names) if truthy(sort) else names


def _values(value: dict[str, Value], remove_internal: Value = False) -> Value:
    return [item for name, item in value.items() if not (truthy(remove_internal) and name.startswith("_"))]


for _name, _least, _most, _run in (
    ("KEEP", 2, _ANY_NUMBER, _keep),
    ("KEEP_RECURSIVE", 2, _ANY_NUMBER, _keep_recursive),
    ("UNSET", 2, _ANY_NUMBER, _unset),
    ("UNSET_RECURSIVE", 2, _ANY_NUMBER, _unset_recursive),
    ("ATTRIBUTES", 1, 3, _attributes),
    ("VALUES", 1, 2, _values),
    ("ENTRIES", 1, 1, lambda value: [[name, item] for name, item in value.items()]),
):
    strict_function(_name, _least, _most)(_needs_object(_run))
_alias("KEYS", "ATTRIBUTES")
function("HAS", 2)(lambda value, name: type(value) is dict and to_string(name) in value)


def _merge_deep(left: dict[str, Value], right: dict[str, Value]) -> dict[str, Value]:
    merged = dict(left)
    for name, value in right.items():
        before = merged.get(name)
        merged[name] = _merge_deep(before, value) if type(before) is dict and type(value) is dict else value
    return merged


def _merging(combine: Callable[[dict[str, Value], dict[str, Value]], dict[str, Value]]) -> Implementation:
    def run(warn: Warn, *objects: Value) -> Value:
        given = objects[0] if len(objects) == 1 and type(objects[0]) is list else objects
        merged: dict[str, Value] = {}
        for value in given:
            if type(value) is not dict:
                return _argument_type(warn)
            merged = combine(merged, value)
        return merged

    return run


strict_function("MERGE", 0, _ANY_NUMBER)(_merging(lambda left, right: {**left, **right}))
strict_function("MERGE_RECURSIVE", 0, _ANY_NUMBER)(_merging(_merge_deep))


@strict_function("ZIP", 2)
def _zip(warn: Warn, names: Value, values: Value) -> Value:
    if type(names) is not list or type(values) is not list or len(names) != len(values):
        return _argument_type(warn)
    return {to_string(name): value for name, value in zip(names, values, strict=True)}


@strict_function("TRANSLATE", 2, 3)
def _translate(warn: Warn, value: Value, table: Value, *default: Value) -> Value:
    if type(table) is not dict:
        return _argument_type(warn)
    return table.get(to_string(value), default[0] if default else value)


@strict_function("VALUE", 2)
def _value(warn: Warn, value: Value, path: Value) -> Value:
    if type(value) is not dict or type(path) is not list:
        return _argument_type(warn)
    for step in path:
        if type(value) is dict:
            value = value.get(to_string(step))
        elif type(value) is list and type(step) is int and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


@strict_function("MATCHES", 2, 3)
def _matches(warn: Warn, value: Value, examples: Value, as_index: Value = False) -> Value:
    if type(value) is not dict:
        return _argument_type(warn)
    for position, example in enumerate(to_list([examples] if type(examples) is dict else examples)):
        if type(example) is dict and all(equal(value.get(name), item) for name, item in example.items()):
            return position if truthy(as_index) else True
    return -1 if truthy(as_index) else False


@strict_function("PARSE_IDENTIFIER", 1)
def _parse_identifier(warn: Warn, value: Value) -> Value:
    text = value.get("_id") if type(value) is dict else value
    collection, slash, key = text.partition("/") if type(text) is str else ("", "", "")
    return {"collection": collection, "key": key} if slash else _argument_type(warn)


function("PARSE_KEY", 1)(lambda value: (_parse_identifier(lambda _: None, value) or {}).get("key"))
function("PARSE_COLLECTION", 1)(lambda value: (_parse_identifier(lambda _: None, value) or {}).get("collection"))


# --- control -------------------------------------------------------------------------------------------------------------------------------


@function("FAIL", 0, 1, deterministic=False)
def _fail(reason: Value = None) -> Value:
    text = f"FAIL({reason}) called" if type(reason) is str else Problem.QUERY_FAIL_CALLED.text
    raise ArangoError(Problem.QUERY_FAIL_CALLED, text)


@function("ASSERT", 2, deterministic=False)
def _assert(condition: Value, message: Value) -> Value:
    if not truthy(condition):
        raise ArangoError(Problem.QUERY_FAIL_CALLED, to_string(message))
    return True


@function("JSON_PARSE", 1)
def _json_parse(text: Value) -> Value:
    try:
        return msgspec.json.decode(text) if type(text) is str else None
    except (msgspec.DecodeError, RecursionError):
        return None


function("JSON_STRINGIFY", 1)(lambda value: msgspec.json.encode(value).decode())


def compare_values(left: Any, right: Any) -> int:
    """Compare for sorting, where a key function cannot be used."""
    first, second = encode(left), encode(right)
    return (first > second) - (first < second)


by_value = cmp_to_key(compare_values)
