"""Randomness without state: the same question always has the same answer, on every machine.

The generator is counter-based: what is drawn depends on (seed, symbol, purpose, number) and on nothing that was drawn
before, which is what makes any minute of any year equally near.
"""

from functools import lru_cache
from hashlib import shake_128
from typing import Final

_REMEMBERED_CORNERS: Final = 256
"""Neighbouring hours share most corners of their noises."""


class Dice:
    """The dice of one symbol."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._key = shake_128(f"exchange-sim/{seed}/{symbol}/".encode())
        self._corner = lru_cache(_REMEMBERED_CORNERS)(self._draw_corner)

    def draw(self, purpose: str, number: int, size: int) -> bytes:
        """So many random bytes."""
        key = self._key.copy()
        key.update(b"%b/%d" % (purpose.encode(), number))
        return key.digest(size)

    def number(self, purpose: str, below: int) -> int:
        """One random number in [0, below)."""
        return int.from_bytes(self.draw(purpose, 0, 8)) % below

    def noise(self, purpose: str, at: int, period: int) -> float:
        """A smooth random curve within [-1, 1] that turns about once in a period; `at` in the same unit."""
        cell, rest = divmod(at, period)
        left = self._corner(purpose, cell)
        if not rest:
            return left
        part = rest / period
        return left + (self._corner(purpose, cell + 1) - left) * (part * part * (3 - 2 * part))

    def _draw_corner(self, purpose: str, cell: int) -> float:
        return int.from_bytes(self.draw(purpose, cell, 4)) / 0x7FFF_FFFF - 1
