"""Bind parameters: puts their values into the tree of a query."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

import msgspec

from arangolite.aql import tree
from arangolite.errors import ArangoError, Problem


def bind(query: tree.Query, values: Mapping[str, Any]) -> tree.Query:
    """Put the values of the bind parameters into the tree.

    Raises:
        ArangoError: 1551 a value is missing, 1552 a value is not used, 1553 a value cannot stand where its parameter
        does.
    """
    names: set[str] = set()
    bound = cast("tree.Query", _bind(query, values, names))
    for name in values:
        if name not in names:
            raise ArangoError(
                Problem.QUERY_BIND_UNDECLARED,
                f"AQL: bind parameter '{name}' was not declared in the query (while parsing)",
            )
    return bound


def _bind(node: Any, values: Mapping[str, Any], names: set[str]) -> Any:
    if isinstance(node, tuple):
        return tuple([_bind(item, values, names) for item in node])
    if not hasattr(node, "__dataclass_fields__"):
        return node
    if isinstance(node, tree.Bind):
        return tree.Literal(_value_of(node.name, values, names))
    if isinstance(node, tree.CollectionBind):
        name = _value_of("@" + node.name, values, names)
        if type(name) is not str:
            raise ArangoError(
                Problem.QUERY_BIND_TYPE,
                f"AQL: bind parameter '@{node.name}' has an invalid value or type (while parsing)",
            )
        return tree.CollectionName(name)
    if isinstance(node, tree.Attribute) and isinstance(node.name, tree.Bind):
        return _bind_attribute(node, node.name, values, names)
    if isinstance(node, tree.Literal):
        return node
    return _bind_parts(node, values, names)


def _bind_parts(node: Any, values: Mapping[str, Any], names: set[str]) -> Any:
    changes = {}
    for part in fields(node):
        before = getattr(node, part.name)
        after = _bind(before, values, names)
        if after is not before:
            changes[part.name] = after
    if not changes:
        return node
    bound = replace(node, **changes)
    return tree.element(bound.base, bound.index) if isinstance(bound, tree.Index) else bound


def _bind_attribute(
    node: tree.Attribute, parameter: tree.Bind, values: Mapping[str, Any], names: set[str]
) -> tree.Expr:
    """Bind `base.@name`: a string is one attribute name, an array of strings a path."""
    value = _value_of(parameter.name, values, names)
    path = [value] if type(value) is str else value
    if type(path) is not list or not path or not all(type(name) is str for name in path):
        raise ArangoError(
            Problem.QUERY_BIND_TYPE,
            f"AQL: bind parameter '{parameter.name}' has an invalid value or type (while parsing)",
        )
    bound: tree.Expr = _bind(node.base, values, names)
    for name in path:
        bound = tree.Attribute(bound, name)
    return bound


def _value_of(name: str, values: Mapping[str, Any], names: set[str]) -> Any:
    names.add(name)
    try:
        return values[name]
    except KeyError:
        raise ArangoError(
            Problem.QUERY_BIND_MISSING, f"AQL: no value specified for declared bind parameter '{name}' (while parsing)"
        ) from None


def check_bind_values(values: Any) -> dict[str, Any]:
    """Return the bind parameters of a request, or refuse them with 1550."""
    if values is None:
        return {}
    if type(values) is not dict:
        raise ArangoError(
            Problem.QUERY_BIND_INVALID,
            f"expecting an object for 'bindVars', not {msgspec.json.encode(values)[:40].decode()}",
        )
    return values
