"""Functions that steer a query, call other functions, and read and write JSON."""

import time

import msgspec

from arangolite.aql.context import Run
from arangolite.aql.functions.registry import (
    ANY_NUMBER,
    FUNCTIONS,
    Needs,
    alias,
    function,
    strict_function,
    unknown_function,
    wrong_argument,
)
from arangolite.aql.operators import Warn, to_number, to_string
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, less, truthy

_SLEEP_STEP_S = 0.02  # how long a query that sleeps does not look whether it must stop


@function("FAIL", 0, 1, deterministic=False)
def _fail(reason: Value = None) -> Value:
    text = f"FAIL({reason}) called" if type(reason) is str else Problem.QUERY_FAIL_CALLED.text
    raise ArangoError(Problem.QUERY_FAIL_CALLED, text)


@function("ASSERT", 2, deterministic=False)
def _assert(condition: Value, message: Value) -> Value:
    if not truthy(condition):
        raise ArangoError(Problem.QUERY_USER_ASSERT, to_string(message))
    return True


@function("WARN", 2, needs=Needs.RUN, deterministic=False)
def _warn(run: Run, condition: Value, message: Value) -> Value:
    if not truthy(condition):
        run.warn(Problem.QUERY_USER_WARN, to_string(message))
        return False
    return True


@function("SLEEP", 1, needs=Needs.RUN, deterministic=False)
def _sleep(run: Run, seconds: Value) -> Value:
    end = time.monotonic() + max(to_number(seconds), 0)
    while (left := end - time.monotonic()) > 0:
        run.check()
        time.sleep(min(left, _SLEEP_STEP_S))


@function("CALL", 1, ANY_NUMBER, needs=Needs.RUN, deterministic=False)
def _call(run: Run, name: Value, *arguments: Value) -> Value:
    """Call a function by its name."""
    called = to_string(name).upper()
    found = FUNCTIONS.get(called)
    if found is None:
        raise unknown_function(called)
    if not found.takes(len(arguments)):
        raise ArangoError(
            Problem.QUERY_ARGUMENT_COUNT,
            f"AQL: invalid number of arguments for function '{called}()' (while executing)",
        )
    return found.bound(run)(*arguments)


@function("APPLY", 1, 2, needs=Needs.RUN, deterministic=False)
def _apply(run: Run, name: Value, arguments: Value = None) -> Value:
    return _call(run, name, *(arguments if type(arguments) is list else []))


@strict_function("MIN_MATCH", 2, ANY_NUMBER)
def _min_match(warn: Warn, *values: Value) -> Value:
    *conditions, least = values
    if type(least) not in (int, float):
        return wrong_argument(warn)
    return sum(map(truthy, conditions)) >= least


@function("IN_RANGE", 5)
def _in_range(value: Value, low: Value, high: Value, with_low: Value, with_high: Value) -> Value:
    above = not less(value, low) if truthy(with_low) else less(low, value)
    return above and (not less(high, value) if truthy(with_high) else less(value, high))


@function("JSON_PARSE", 1)
def _json_parse(text: Value) -> Value:
    try:
        return msgspec.json.decode(text) if type(text) is str else None
    except (msgspec.DecodeError, RecursionError):
        return None


function("JSON_STRINGIFY", 1)(lambda value: msgspec.json.encode(value).decode())
function("NOOPT", 1, deterministic=False)(lambda value: value)
function("NOEVAL", 1)(lambda value: value)
alias("PASSTHRU", "NOEVAL")
alias("V8", "NOEVAL")
