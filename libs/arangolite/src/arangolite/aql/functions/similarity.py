"""Functions that tell how alike two strings are, and the size of MinHash signatures."""

import math
import struct
from collections.abc import Callable

from arangolite.aql.functions.registry import Implementation, function, strict_function, wrong_argument
from arangolite.aql.operators import Warn, number, to_number, to_string
from arangolite.values import Value


@function("LEVENSHTEIN_DISTANCE", 2)
def _levenshtein(left: Value, right: Value) -> Value:
    """Count the edits between two strings; two swapped neighbours are one edit, as in ArangoDB."""
    first, second = to_string(left), to_string(right)
    rows = [list(range(len(second) + 1))]
    for i, letter in enumerate(first, 1):
        row = [i]
        for j, other in enumerate(second, 1):
            cost = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _grams(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(len(text) - size + 1)]


def _longest_sequence(first: list[str], second: list[str], match: Callable[[str, str], float]) -> float:
    """Find the longest common subsequence, where a pair may count in part."""
    before = [0.0] * (len(second) + 1)
    for gram in first:
        row = [0.0]
        for place, other in enumerate(second):
            row.append(max(before[place + 1], row[place], before[place] + match(gram, other)))
        before = row
    return before[-1]


def _whole_match(gram: str, other: str) -> float:
    return float(gram == other)


def _partial_match(gram: str, other: str) -> float:
    return sum(a == b for a, b in zip(gram, other, strict=True)) / len(gram)


def _single(value: float) -> float:
    """Round to single precision, which ArangoDB computes similarities in."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _similarity(match: Callable[[str, str], float], divisor: Callable[[int, int], int]) -> Implementation:
    def run(warn: Warn, text: Value, target: Value, size: Value) -> Value:
        if type(text) is not str or type(target) is not str or type(size) not in (int, float) or size < 1:
            return wrong_argument(warn)
        length = int(size)
        if min(len(text), len(target)) < length:
            return number(float(text == target))
        first, second = _grams(text, length), _grams(target, length)
        return number(_single(_longest_sequence(first, second, match) / divisor(len(first), len(second))))

    return run


strict_function("NGRAM_SIMILARITY", 3)(_similarity(_whole_match, lambda _, target: target))
strict_function("NGRAM_POSITIONAL_SIMILARITY", 3)(_similarity(_partial_match, max))


@strict_function("MINHASH_COUNT", 1)
def _minhash_count(warn: Warn, error: Value) -> Value:
    """Tell how many hashes keep the error of an estimate below a bound."""
    bound = to_number(error)
    return math.ceil(1 / bound**2) if 0 < bound < 1 else wrong_argument(warn)


@strict_function("MINHASH_ERROR", 1)
def _minhash_error(warn: Warn, count: Value) -> Value:
    """Tell the error of an estimate by so many hashes."""
    hashes = int(to_number(count))
    return number(1 / math.sqrt(hashes)) if hashes > 0 else wrong_argument(warn)
