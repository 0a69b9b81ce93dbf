"""Functions that end a query, and those that read and write JSON."""

import msgspec

from arangolite.aql.functions.registry import function
from arangolite.aql.operators import to_string
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, truthy


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
