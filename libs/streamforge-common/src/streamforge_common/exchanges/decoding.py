"""How exchanges' JSON is decoded: decimal strings straight to the nearest doubles, and nothing but numbers."""

import sys
from collections.abc import Iterable
from typing import Annotated

import msgspec

from streamforge_common.contract.records import Level

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not what was expected, however deeply they are nested."""
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""Spelt out because "nan" and "inf" are read as numbers otherwise."""
FiniteLevel = tuple[Finite, Finite]
"""Price and quantity as exchanges write them: two decimal strings."""


def bids_of(levels: Iterable[FiniteLevel]) -> list[Level]:
    """Order bids best first; of a price that comes twice the latter counts."""
    return sorted(dict(levels).items(), reverse=True)


def asks_of(levels: Iterable[FiniteLevel]) -> list[Level]:
    """Order asks best first, likewise."""
    return sorted(dict(levels).items())
