"""What became of the messages so far, as it is kept beside the group's committed place.

Both move in one commit, so a restart neither forgets a message nor counts one twice.
"""

from collections.abc import Iterable

import msgspec
from loguru import logger


class Tally(msgspec.Struct, frozen=True):
    """Counts of messages."""

    attempt: int
    """The attempt that counts `stored` and `repeated`."""
    stored: int = 0
    """Documents written, repetitions included."""
    repeated: int = 0
    """Those of them that were there already."""
    rejected: int = 0
    """Since the beginning of the topic."""
    out_of_range: int = 0
    """Records whose time is outside of the dataset's range, since the beginning of the topic."""

    def plus(self, *, stored: int, repeated: int, rejected: int, out_of_range: int) -> "Tally":
        """Return the counts with another batch."""
        return Tally(
            self.attempt,
            self.stored + stored,
            self.repeated + repeated,
            self.rejected + rejected,
            self.out_of_range + out_of_range,
        )

    def encode(self) -> str:
        """Return the text to be kept."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def resume(cls, attempt: int, kept: Iterable[str]) -> "Tally":
        """Go on from the latest of what was kept, which is the largest: one text per partition."""
        tallies = [tally for text in kept if (tally := _decode(text)) is not None]
        if not tallies:
            return cls(attempt)
        last = max(tallies, key=lambda tally: (tally.attempt, tally.stored, tally.rejected))
        if last.attempt == attempt:
            return last
        return cls(attempt, rejected=last.rejected, out_of_range=last.out_of_range)


def _decode(text: str) -> Tally | None:
    try:
        return msgspec.json.decode(text, type=Tally)
    except msgspec.MsgspecError as exc:
        # Whoever moves the group's place by hand may leave anything there; counting anew harms no record.
        logger.warning("cannot go on counting from {!r}: {}", text, exc)
        return None
