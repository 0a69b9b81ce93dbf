"""Functions of numbers."""

import math
import random
from collections.abc import Callable

from arangolite.aql import operators
from arangolite.aql.functions.registry import function
from arangolite.aql.operators import number, to_number
from arangolite.values import Value


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
_math("POW", math.pow, 2)
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
