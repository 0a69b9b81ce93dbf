"""Functions of objects."""

from collections.abc import Callable, Sequence

from arangolite.aql.functions.registry import (
    ANY_NUMBER,
    Implementation,
    alias,
    function,
    strict_function,
    wrong_argument,
)
from arangolite.aql.operators import Warn, to_list, to_string
from arangolite.values import Value, equal, truthy


def _names(arguments: tuple[Value, ...]) -> list[str]:
    """Read attribute names that come as arguments or as one array."""
    given = arguments[0] if len(arguments) == 1 and type(arguments[0]) is list else arguments
    return [name for name in given if type(name) is str]


def _needs_object(run: Implementation) -> Implementation:
    def checked(warn: Warn, value: Value, *rest: Value) -> Value:
        if type(value) is not dict:
            return wrong_argument(warn)
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
    ("KEEP", 2, ANY_NUMBER, _keep),
    ("KEEP_RECURSIVE", 2, ANY_NUMBER, _keep_recursive),
    ("UNSET", 2, ANY_NUMBER, _unset),
    ("UNSET_RECURSIVE", 2, ANY_NUMBER, _unset_recursive),
    ("ATTRIBUTES", 1, 3, _attributes),
    ("VALUES", 1, 2, _values),
    ("ENTRIES", 1, 1, lambda value: [[name, item] for name, item in value.items()]),
):
    strict_function(_name, _least, _most)(_needs_object(_run))
alias("KEYS", "ATTRIBUTES")
function("HAS", 2)(lambda value, name: type(value) is dict and to_string(name) in value)


def _merge_deep(left: dict[str, Value], right: dict[str, Value]) -> dict[str, Value]:
    merged = dict(left)
    for name, value in right.items():
        before = merged.get(name)
        merged[name] = _merge_deep(before, value) if type(before) is dict and type(value) is dict else value
    return merged


def _merging(combine: Callable[[dict[str, Value], dict[str, Value]], dict[str, Value]]) -> Implementation:
    def run(warn: Warn, *objects: Value) -> Value:
        given: Sequence[Value] = objects[0] if len(objects) == 1 and isinstance(objects[0], list) else objects
        merged: dict[str, Value] = {}
        for value in given:
            if type(value) is not dict:
                return wrong_argument(warn)
            merged = combine(merged, value)
        return merged

    return run


strict_function("MERGE", 0, ANY_NUMBER)(_merging(lambda left, right: {**left, **right}))
strict_function("MERGE_RECURSIVE", 0, ANY_NUMBER)(_merging(_merge_deep))


@strict_function("ZIP", 2)
def _zip(warn: Warn, names: Value, values: Value) -> Value:
    if type(names) is not list or type(values) is not list or len(names) != len(values):
        return wrong_argument(warn)
    return {to_string(name): value for name, value in zip(names, values, strict=True)}


@strict_function("TRANSLATE", 2, 3)
def _translate(warn: Warn, value: Value, table: Value, *default: Value) -> Value:
    if type(table) is not dict:
        return wrong_argument(warn)
    return table.get(to_string(value), default[0] if default else value)


@strict_function("VALUE", 2)
def _value(warn: Warn, value: Value, path: Value) -> Value:
    if type(value) is not dict or type(path) is not list:
        return wrong_argument(warn)
    for step in path:
        if type(value) is dict:
            value = value.get(to_string(step))
        elif isinstance(value, list) and type(step) is int and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


@strict_function("MATCHES", 2, 3)
def _matches(warn: Warn, value: Value, examples: Value, as_index: Value = False) -> Value:
    if type(value) is not dict:
        return wrong_argument(warn)
    for position, example in enumerate(to_list([examples] if type(examples) is dict else examples)):
        if type(example) is dict and all(equal(value.get(name), item) for name, item in example.items()):
            return position if truthy(as_index) else True
    return -1 if truthy(as_index) else False


@strict_function("PARSE_IDENTIFIER", 1)
def _parse_identifier(warn: Warn, value: Value) -> Value:
    text = value.get("_id") if type(value) is dict else value
    collection, slash, key = text.partition("/") if type(text) is str else ("", "", "")
    return {"collection": collection, "key": key} if slash else wrong_argument(warn)


function("PARSE_KEY", 1)(lambda value: (_parse_identifier(lambda _: None, value) or {}).get("key"))
function("PARSE_COLLECTION", 1)(lambda value: (_parse_identifier(lambda _: None, value) or {}).get("collection"))
