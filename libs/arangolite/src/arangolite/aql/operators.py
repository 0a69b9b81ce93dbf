"""What AQL's operators do with values: conversions, arithmetic, patterns."""

import math
import re
import sys
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.values import Value, equal, less, type_rank

_INT64 = range(-(2**63), 2**63)
_MOST_ROWS = sys.maxsize // 2  # more than there can be, and the sum of two is still a length for Python
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_CACHED_PATTERNS = 512
_COMPILING = threading.Lock()  # what warnings do is the whole process's

Warn = Callable[[Problem], None]
"""Where a query notes that a value was not what an operator or a function wants; the result is then null."""


def number(value: float) -> Value:
    """Make AQL's number of a result: not finite is null, whole doubles are integers, large integers doubles."""
    if type(value) is int:
        return value if value in _INT64 else float(value)
    if not math.isfinite(value):
        return None
    if value.is_integer() and -(2**53) <= value <= 2**53:
        return int(value)
    return value


def row_count(value: Value) -> int:
    """Read how many rows a LIMIT is about, or refuse what is no number of rows with 1504."""
    if type(value) not in (int, float, type(None)) or (value or 0) < 0:
        raise ArangoError(
            Problem.QUERY_NUMBER_OUT_OF_RANGE, "AQL: LIMIT takes numbers that are not negative (while parsing)"
        )
    return int(min(value or 0, _MOST_ROWS))


def to_number(value: Value) -> int | float:
    """Convert as arithmetic and TO_NUMBER do: what is no number is 0."""
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return int(value)
    if kind is str and _NUMBER.fullmatch(value):
        text = float(value)
        whole = number(text)
        return whole if whole is not None else 0
    if kind is list and len(value) == 1:
        return to_number(value[0])
    return 0


def to_string(value: Value) -> str:
    """Convert as CONCAT and TO_STRING do."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return format_number(value)
    if kind is int:
        return str(value)
    return msgspec.json.encode(value).decode()


def format_number(value: float) -> str:
    """Write a double as ArangoDB does: the shortest text that reads back the same."""
    whole = number(value)
    return str(whole) if type(whole) is int else msgspec.json.encode(value).decode()


def to_list(value: Value) -> list[Value]:
    """Convert as TO_ARRAY does."""
    match value:
        case None:
            return []
        case list():
            return value
        case dict():
            return list(value.values())
        case _:
            return [value]


def negate(value: Value) -> Value:
    """Do `-a`."""
    return number(-to_number(value))


def _add(left: Value, right: Value, _: Warn) -> Value:
    return number(to_number(left) + to_number(right))


def _subtract(left: Value, right: Value, _: Warn) -> Value:
    return number(to_number(left) - to_number(right))


def _multiply(left: Value, right: Value, _: Warn) -> Value:
    return number(to_number(left) * to_number(right))


def _divide(left: Value, right: Value, warn: Warn) -> Value:
    divisor = to_number(right)
    if divisor == 0:
        warn(Problem.QUERY_DIVISION_BY_ZERO)
        return None
    return number(to_number(left) / divisor)


def _modulus(left: Value, right: Value, warn: Warn) -> Value:
    divisor = to_number(right)
    if divisor == 0:
        warn(Problem.QUERY_DIVISION_BY_ZERO)
        return None
    return number(math.fmod(to_number(left), divisor))  # the sign is the dividend's, as in C


ARITHMETIC: dict[str, Callable[[Value, Value, Warn], Value]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulus,
}


def contains(needle: Value, haystack: Value) -> bool:
    """Do `needle IN haystack`."""
    return type(haystack) is list and any(equal(needle, item) for item in haystack)


def matches_pattern(value: Value, pattern: Value, *, ignore_case: bool = False) -> bool:
    """Do `value LIKE pattern`: `%` stands for any text, `_` for one character, a backslash takes away their meaning."""
    return _like(to_string(pattern), ignore_case).fullmatch(to_string(value)) is not None


@lru_cache(_CACHED_PATTERNS)
def _like(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts, position = [], 0
    while position < len(pattern):
        letter = pattern[position]
        following = pattern[position + 1 : position + 2]
        if letter == "\\" and following and following in "%_\\":
            parts.append(re.escape(following))
            position += 1
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
        position += 1
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches_regex(value: Value, pattern: Value, warn: Warn, *, ignore_case: bool = False) -> bool | None:
    """Do `value =~ pattern`; a pattern that is none gives null and a warning."""
    try:
        return compile_regex(to_string(pattern), ignore_case).search(to_string(value)) is not None
    except re.error:
        warn(Problem.QUERY_INVALID_REGEX)
        return None


@lru_cache(_CACHED_PATTERNS)
def compile_regex(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """Compile a regular expression; ArangoDB's dialect is ICU's, of which this is what Python shares.

    Raises:
        re.error: It is none.
        ArangoError: 501 where ICU would see an operation of sets and Python only letters.
    """
    try:
        with _COMPILING, warnings.catch_warnings(action="error", category=FutureWarning):
            return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except FutureWarning as exc:
        raise not_supported("operations of sets in regular expressions, as in '[[a]--[b]]'") from exc
    except (OverflowError, RecursionError) as exc:
        raise re.error(str(exc)) from exc


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    "<=": lambda left, right: not less(right, left),
    ">": lambda left, right: less(right, left),
    ">=": lambda left, right: not less(left, right),
    "IN": contains,
    "NOT_IN": lambda left, right: not contains(left, right),
    "LIKE": matches_pattern,
    "NOT_LIKE": lambda left, right: not matches_pattern(left, right),
}


def quantified(quantifier: str, operator: str, left: Value, right: Value) -> bool:
    """Do `left ALL|ANY|NONE operator right` on the elements of the left array."""
    if type(left) is not list:
        return False
    compare = COMPARISONS[operator]
    outcomes = (compare(item, right) for item in left)
    match quantifier:
        case "ALL":
            return all(outcomes)
        case "ANY":
            return any(outcomes)
        case _:
            return not any(outcomes)


def check_range(low: Value, high: Value) -> range:
    """Do `low..high`, downwards when low is the higher one."""
    first, last = int(to_number(low)), int(to_number(high))
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)


MAX_RANGE_ITEMS = 10_000_000


def materialise(numbers: range) -> list[Value]:
    """Make an array of a range, as far as ArangoDB does."""
    items = abs(numbers.stop - numbers.start)  # it may be too long for len()
    if items > MAX_RANGE_ITEMS:
        raise ArangoError(
            Problem.RESOURCE_LIMIT, f"a range may have at most {MAX_RANGE_ITEMS} items here, this one has {items}"
        )
    return list(numbers)


def is_type(rank: int) -> Callable[[Value], bool]:
    """Make a test for one of the types of AQL's order."""
    return lambda value: type_rank(value) == rank


def flatten(values: list[Value], levels: int) -> list[Value]:
    """Unpack arrays inside an array, `levels` deep."""
    for _ in range(levels):
        values = [inner for value in values for inner in (value if type(value) is list else (value,))]
    return values
