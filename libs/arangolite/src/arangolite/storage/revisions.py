"""Revisions and generated keys: numbers that only grow, even when the clock of the machine steps back."""

import threading
import time

_ALPHABET = "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LOW_BITS = 12
_LOW_MASK = (1 << _LOW_BITS) - 1
_LOW = [_ALPHABET[number >> 6] + _ALPHABET[number & 63] for number in range(1 << _LOW_BITS)]
COUNTER_BITS = 20
"""A million numbers a millisecond before the clock runs ahead of the time of day."""


class Clock:
    """Hands out increasing 64-bit numbers: milliseconds since 1970 in the high bits, a counter in the low ones."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def reserve(self, count: int = 1) -> int:
        """Take `count` consecutive numbers and return the first."""
        with self._lock:
            first = max(self._last + 1, (time.time_ns() // 1_000_000) << COUNTER_BITS)
            self._last = first + count - 1
            return first

    def revisions(self, count: int) -> list[str]:
        """Take `count` numbers, written as ArangoDB writes `_rev`."""
        first = self.reserve(count)
        end = first + count
        written: list[str] = []
        while first < end:
            block = first >> _LOW_BITS  # numbers of one block differ only in their last two letters
            last = min(end, (block + 1) << _LOW_BITS)
            head = format_revision(first)[:-2]
            start = first & _LOW_MASK
            written += [head + low for low in _LOW[start : start + last - first]]
            first = last
        return written


def format_revision(number: int) -> str:
    """Write a number as ArangoDB writes `_rev`: base 64, most significant digit first."""
    digits = [_LOW[number & _LOW_MASK]]
    number >>= _LOW_BITS
    while number:
        digits.append(_ALPHABET[number & 63])
        number >>= 6
    return "".join(reversed(digits[1:])) + digits[0]


def revision_number(revision: str) -> int:
    """Read a `_rev` back, to compare which one is later."""
    number = 0
    for letter in revision:
        number = number << 6 | _ALPHABET.index(letter)
    return number
