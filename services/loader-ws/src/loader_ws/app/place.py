"""Where the loader stands, as it is kept in the checkpoint."""

import msgspec

from loader_ws.app.holes import Hole
from loader_ws.app.sequence import Mark
from streamforge_common.errors import FatalError

_LONGEST = 4_096
"""Bytes that the checkpoint's store allows."""


class Place(msgspec.Struct, frozen=True):
    """What is on the topic, and who counts it."""

    attempt: int
    """The attempt that counts, and whose duration runs."""
    began_s: float
    """When it began to listen, Unix seconds."""
    records_written: int = 0
    records_rejected: int = 0
    first: int | None = None
    """As in `Mark`."""
    last: int | None = None
    holes: tuple[tuple[int, int], ...] = ()
    """As in `Hole`: what is not on the topic and may still come."""
    symbols: tuple[Mark, ...] = ()
    """As in `Mark`, of a basket."""
    reconnects: int = 0
    filled: int = 0
    banned_until_s: float = 0.0
    """Unix seconds: the exchange asked to be left alone until then, which holds for the next process too."""

    @property
    def mark(self) -> Mark:
        """From where to where records are on the topic."""
        holes = self.holes or (hole for mark in self.symbols for hole in mark.holes)
        return Mark(self.first, self.last, tuple(Hole(*hole) for hole in holes), self.symbols)

    def encode(self) -> str:
        """Return the checkpoint's text.

        Where the symbols of a basket have too many holes each has one, from its first to its last: what lies between
        is brought a second time, which costs a repetition on the topic and no record.
        """
        text = msgspec.json.encode(self).decode()
        if len(text) <= _LONGEST or not self.symbols:
            return text
        joined = tuple(
            mark._replace(holes=(Hole(mark.holes[0].start, mark.holes[-1].end),)) if mark.holes else mark
            for mark in self.symbols
        )
        return msgspec.json.encode(msgspec.structs.replace(self, symbols=joined)).decode()

    @classmethod
    def decode(cls, text: str) -> "Place":
        """Read a checkpoint's text.

        Raises:
            FatalError: Somebody else wrote it (`bad_checkpoint`); to begin again would hide a hole.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as exc:
            raise FatalError(f"the checkpoint {text!r} is not this loader's: {exc}", code="bad_checkpoint") from exc
