"""Functions of vectors, and scores that decay with the distance from a point."""

import math
from collections.abc import Callable, Sequence

from arangolite.aql.functions.registry import Implementation, strict_function, wrong_argument
from arangolite.aql.operators import Warn, number
from arangolite.values import Value

_NUMERIC = (int, float)
Vector = Sequence[int | float]


def _is_vector(value: Value) -> bool:
    return type(value) is list and all(type(item) in _NUMERIC for item in value)


def _comparing(compare: Callable[[Vector, Vector], float]) -> Implementation:
    """Compare two vectors of one length; one of them may be an array of vectors, and then an array is the result."""

    def run(warn: Warn, left: Value, right: Value) -> Value:
        for many, one in ((left, right), (right, left)):
            if _is_vector(one) and type(many) is list and many and all(_is_vector(row) for row in many):
                results = [_result(warn, row, one) for row in many]
                return None if None in results else results
        return _result(warn, left, right)

    def _result(warn: Warn, left: Value, right: Value) -> Value:
        if not _is_vector(left) or not _is_vector(right) or len(left) != len(right):
            return wrong_argument(warn)
        try:
            return number(compare(left, right))
        except (ZeroDivisionError, OverflowError):
            return wrong_argument(warn)

    return run


def _cosine(left: Vector, right: Vector) -> float:
    lengths = math.sqrt(sum(a * a for a in left)) * math.sqrt(sum(b * b for b in right))
    return max(-1.0, min(1.0, sum(a * b for a, b in zip(left, right, strict=True)) / lengths))


strict_function("COSINE_SIMILARITY", 2)(_comparing(_cosine))
strict_function("L1_DISTANCE", 2)(_comparing(lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True))))
strict_function("L2_DISTANCE", 2)(
    _comparing(lambda a, b: math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))))
)

Decay = Callable[[float, float, float], float]
"""From how far beyond the offset a value is, the scale, and the score at the scale, to the value's score."""


def _gauss(distance: float, scale: float, decay: float) -> float:
    sigma_square = -(scale**2) / (2 * math.log(decay))
    return math.exp(-(distance**2) / (2 * sigma_square))


def _exponential(distance: float, scale: float, decay: float) -> float:
    return math.exp(math.log(decay) / scale * distance)


def _linear(distance: float, scale: float, decay: float) -> float:
    reach = scale / (1 - decay)
    return max((reach - distance) / reach, 0.0)


def _decaying(score: Decay) -> Implementation:
    def run(warn: Warn, value: Value, origin: Value, scale: Value, offset: Value, decay: Value) -> Value:
        values = value if type(value) is list else [value]
        if any(type(item) not in _NUMERIC for item in (*values, origin, scale, offset, decay)):
            return wrong_argument(warn)
        if scale <= 0 or offset < 0 or not 0 < decay < 1:
            return wrong_argument(warn)
        scores = [number(score(max(0.0, abs(item - origin) - offset), scale, decay)) for item in values]
        return scores if type(value) is list else scores[0]

    return run


strict_function("DECAY_GAUSS", 5)(_decaying(_gauss))
strict_function("DECAY_EXP", 5)(_decaying(_exponential))
strict_function("DECAY_LINEAR", 5)(_decaying(_linear))
