"""Functions that compute one value of an array of numbers."""

import math
from collections.abc import Callable, Sequence

from arangolite.aql.functions.registry import Implementation, alias, no_array, strict_function, wrong_argument
from arangolite.aql.operators import Warn, number, to_number
from arangolite.errors import Problem
from arangolite.values import Value, encode


def _numbers(warn: Warn, values: Value) -> list[int | float] | None:
    """Give the numbers of an array without its nulls, or None and a warning."""
    if type(values) is not list:
        no_array(warn)
        return None
    kept = [value for value in values if value is not None]
    if any(type(value) not in (int, float) for value in kept):
        warn(Problem.QUERY_INVALID_ARITHMETIC)
        return None
    return kept


@strict_function("SUM", 1)
def _sum(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return None if numbers is None else number(sum(numbers))


@strict_function("PRODUCT", 1)
def _product(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return None if numbers is None else number(math.prod(map(float, numbers)))


@strict_function("AVERAGE", 1)
def _average(warn: Warn, values: Value) -> Value:
    numbers = _numbers(warn, values)
    return number(sum(numbers) / len(numbers)) if numbers else None


alias("AVG", "AVERAGE")


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
    if not 0 < share <= 100 or method not in ("rank", "interpolation"):
        wrong_argument(warn)
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


def _squares(numbers: Sequence[int | float]) -> float:
    """Sum the squared distances from the mean by Welford's method, as ArangoDB does, to the same last digit."""
    mean = total = 0.0
    for count, value in enumerate(numbers, 1):
        distance = float(value) - mean
        mean += distance / count
        total += distance * (float(value) - mean)
    return total


def _variance(least: int, divisor: Callable[[int], int], *, root: bool) -> Implementation:
    def run(warn: Warn, values: Value) -> Value:
        numbers = _numbers(warn, values)
        if numbers is None or len(numbers) < least:
            return None
        spread = _squares(numbers) / divisor(len(numbers))
        return number(math.sqrt(spread) if root and spread >= 0 else spread)

    return run


strict_function("VARIANCE_POPULATION", 1)(_variance(1, lambda count: count, root=False))
strict_function("VARIANCE_SAMPLE", 1)(_variance(2, lambda count: count - 1, root=False))
strict_function("STDDEV_POPULATION", 1)(_variance(1, lambda count: count, root=True))
strict_function("STDDEV_SAMPLE", 1)(_variance(2, lambda count: count - 1, root=True))
for _name, _other in {"VARIANCE": "VARIANCE_POPULATION", "STDDEV": "STDDEV_POPULATION"}.items():
    alias(_name, _other)


@strict_function("MIN", 1)
def _min(warn: Warn, values: Value) -> Value:
    if type(values) is not list:
        return no_array(warn)
    return min((value for value in values if value is not None), key=encode, default=None)


@strict_function("MAX", 1)
def _max(warn: Warn, values: Value) -> Value:
    if type(values) is not list:
        return no_array(warn)
    return max((value for value in values if value is not None), key=encode, default=None)
