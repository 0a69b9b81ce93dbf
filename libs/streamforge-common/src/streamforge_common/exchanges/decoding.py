"""How exchanges' JSON is decoded: decimal strings straight to the nearest doubles, and nothing but numbers."""

import sys
from typing import Annotated

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not what was expected, however deeply they are nested."""
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""Spelt out because "nan" and "inf" are read as numbers otherwise."""
