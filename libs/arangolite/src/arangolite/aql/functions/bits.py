"""Functions of bits: numbers from 0 to 2^32 - 1 as sets of 32 flags; anything else gives null and a warning."""

from collections.abc import Callable, Iterable
from functools import reduce
from operator import and_, or_, xor

from arangolite.aql.functions.registry import Implementation, strict_function, wrong_argument
from arangolite.aql.operators import Warn
from arangolite.values import Value

BITS = 32


class _NotBitsError(ValueError):
    """A value is no set of flags."""


def _whole(value: Value, most: int) -> int:
    """Read a number from 0 to `most`; a fraction is cut off."""
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise _NotBitsError
    return int(value)


def _flags(value: Value) -> int:
    return _whole(value, (1 << BITS) - 1)


def _checked(name: str, least: int, most: int, run: Implementation) -> None:
    def checked(warn: Warn, *arguments: Value) -> Value:
        try:
            return run(*arguments)
        except _NotBitsError:
            return wrong_argument(warn)

    strict_function(name, least, most)(checked)


def combine_bits(combine: Callable[[int, int], int], values: Iterable[Value]) -> int | None:
    """Combine numbers bit by bit; nulls do not take part, and of nothing the result is null."""
    numbers = [_flags(value) for value in values if value is not None]
    return reduce(combine, numbers) if numbers else None


def _combining(combine: Callable[[int, int], int]) -> Implementation:
    def run(first: Value, *second: Value) -> Value:
        if second:
            return combine(_flags(first), _flags(second[0]))
        if type(first) is not list:
            raise _NotBitsError
        return combine_bits(combine, first)

    return run


def _construct(places: Value) -> Value:
    if type(places) is not list:
        raise _NotBitsError
    return reduce(or_, (1 << _whole(place, BITS - 1) for place in places), 0)


def _deconstruct(value: Value) -> Value:
    flags = _flags(value)
    return [place for place in range(BITS) if flags >> place & 1]


def _from_string(text: Value) -> Value:
    if type(text) is not str or len(text) > BITS or not text or text.strip("01"):
        raise _NotBitsError
    return int(text, 2)


def _kept(bits: Value) -> int:
    """Make the mask of the bits that are kept."""
    return (1 << _whole(bits, BITS)) - 1


for _name, _least, _most, _run in (
    ("BIT_AND", 1, 2, _combining(and_)),
    ("BIT_OR", 1, 2, _combining(or_)),
    ("BIT_XOR", 1, 2, _combining(xor)),
    ("BIT_CONSTRUCT", 1, 1, _construct),
    ("BIT_DECONSTRUCT", 1, 1, _deconstruct),
    ("BIT_FROM_STRING", 1, 1, _from_string),
    ("BIT_TO_STRING", 2, 2, lambda value, bits: f"{_flags(value):0{_whole(bits, BITS)}b}"),
    ("BIT_NEGATE", 2, 2, lambda value, bits: ~_flags(value) & _kept(bits)),
    ("BIT_POPCOUNT", 1, 1, lambda value: _flags(value).bit_count()),
    ("BIT_SHIFT_LEFT", 3, 3, lambda value, by, bits: _flags(value) << _whole(by, BITS) & _kept(bits)),
    ("BIT_SHIFT_RIGHT", 3, 3, lambda value, by, bits: _flags(value) >> _whole(by, BITS) & _kept(bits)),
    ("BIT_TEST", 2, 2, lambda value, place: bool(_flags(value) >> _whole(place, BITS - 1) & 1)),
):
    _checked(_name, _least, _most, _run)
