"""AQL's order of values, once for everything: comparisons, sorting, grouping and indexes.

The order is null < bool < number < string < array < object. It is expressed as bytes: `encode(a) < encode(b)` exactly
when AQL says a < b, and the bytes are equal exactly when AQL says a == b. That makes an SQLite B-tree over such bytes
an index in AQL's order, gives SORT and COLLECT a plain key, and leaves one definition to test. Strings are ordered by
code point: ArangoDB 3.12's default language is en_US_POSIX, which orders ASCII so (accented letters are ordered after
all ASCII here, beside their base letter there).
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = Any
"""A JSON value as msgspec decodes it: None, bool, int, float, str, list, dict."""

# Tags leave 0x00 as "end", below every tag, so that a prefix sorts first; 0xFF after 0x00 marks a NUL inside a string.
NULL = b"\x10"
FALSE = b"\x20"
TRUE = b"\x21"
_NEGATIVE = 0x30
_POSITIVE = 0x31
_STRING = b"\x40"
_ARRAY = b"\x50"
_OBJECT = b"\x60"
_END = b"\x00"
AFTER_ANY = b"\xff"
"""Sorts after every encoded value."""

_EXACT = 2**53  # integers below are doubles; from here on, a residual keeps the order of 64-bit integers
_INT64_LOW, _UINT64_HIGH = -(2**63), 2**64 - 1
_pack = struct.Struct(">Bd").pack
_pack_residual = struct.Struct(">H").pack
_INVERT = bytes(255 - i for i in range(256))


def type_rank(value: Value) -> int:
    """Place a value's type in AQL's order: 0 null, 1 bool, 2 number, 3 string, 4 array, 5 object."""
    return _RANKS[type(value)]


_RANKS: dict[type, int] = {type(None): 0, bool: 1, int: 2, float: 2, str: 3, list: 4, dict: 5}


def encode(value: Value) -> bytes:
    """Give the bytes whose order is the value's place in AQL's order."""
    return _ENCODERS[type(value)](value)


def encode_many(values: Sequence[Value]) -> bytes:
    """Give the bytes of a compound index entry: the values one after the other."""
    return b"".join([_ENCODERS[type(value)](value) for value in values])


def encode_column(values: Sequence[Value]) -> list[bytes]:
    """Encode many values of one attribute; a string that many documents have is encoded once."""
    kinds = set(map(type, values))
    if kinds == {str}:
        encoded = {value: _encode_str(value) for value in set(values)}
        return [encoded[value] for value in values]
    return list(map(_ENCODERS[kinds.pop()] if len(kinds) == 1 else encode, values))


def _encode_bool(value: bool) -> bytes:
    return TRUE if value else FALSE


def _encode_float(value: float) -> bytes:
    if value >= 0:
        head = _pack(_POSITIVE, value or 0.0)  # -0.0 is 0
    else:
        head = bytes((_NEGATIVE,)) + _pack(0, value)[1:].translate(_INVERT)
    return head if -_EXACT < value < _EXACT else head + _pack_residual(0x8000)


def _encode_int(value: int) -> bytes:
    if 0 <= value < _EXACT:
        return _pack(_POSITIVE, value)
    if -_EXACT < value < 0 or not _INT64_LOW <= value <= _UINT64_HIGH:
        return _encode_float(_to_float(value))
    nearest = float(value)
    return _encode_float(nearest)[:9] + _pack_residual(0x8000 + value - int(nearest))


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _encode_str(value: str) -> bytes:
    text = value.encode()
    if b"\x00" in text:
        text = text.replace(b"\x00", b"\x00\xff")
    return b"\x40" + text + b"\x00"


def _encode_list(value: list[Value]) -> bytes:
    # AQL fills the shorter array up with nulls, so nulls at the end say nothing.
    end = len(value)
    while end and value[end - 1] is None:
        end -= 1
    return _ARRAY + encode_many(value[:end]) + _END


def _encode_dict(value: Mapping[str, Value]) -> bytes:
    # Attributes are looked up name by name; an absent one is null, hence less than any other value. So at the first
    # name that only one object has, that object is the greater one: names are inverted, and the end sorts below every
    # name.
    parts = [_OBJECT]
    for name in sorted(name for name, item in value.items() if item is not None):
        text = name.encode().replace(b"\x00", b"\x00\xff") + b"\x00"
        item = encode(value[name])
        # An attribute that is an object without content or an array of nulls differs from null by its type, so it
        # stays.
        parts += [text.translate(_INVERT), item]
    parts.append(_END)
    return b"".join(parts)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: NULL,
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    list: _encode_list,
    dict: _encode_dict,
}

_SCALARS = frozenset((int, float))


def equal(left: Value, right: Value) -> bool:
    """Tell whether AQL's `==` holds."""
    kind = type(left)
    if kind is type(right) and kind is not list and kind is not dict:
        return bool(left == right)
    if kind in _SCALARS and type(right) in _SCALARS:
        return bool(left == right)
    if type_rank(left) != type_rank(right):
        return False
    return encode(left) == encode(right)


def less(left: Value, right: Value) -> bool:
    """Tell whether AQL's `<` holds."""
    kind = type(left)
    if kind is type(right) and kind is not list and kind is not dict and left is not None:
        return bool(left < right)
    if kind in _SCALARS and type(right) in _SCALARS:
        return bool(left < right)
    ranks = type_rank(left), type_rank(right)
    if ranks[0] != ranks[1]:
        return ranks[0] < ranks[1]
    return encode(left) < encode(right)


def truthy(value: Value) -> bool:
    """Tell what a value counts as in a condition: null, false, 0 and "" are false, everything else is true."""
    return value is True or (value is not False and (type(value) in (list, dict) or bool(value)))
