"""Where the loader stands, as it is kept in the checkpoint."""

import msgspec

from streamforge_common.errors import FatalError


class Place(msgspec.Struct, frozen=True):
    """Everything before `next_id` is on the topic."""

    next_id: int | None
    """None where nothing is yet."""
    attempt: int
    """The attempt that counted `records_written`."""
    records_written: int
    records_rejected: int = 0
    last_id: int | None = None
    """The last id on the topic, of records that lie on no grid: what follows must not be too far behind it."""
    banned_until_s: float = 0.0
    """Unix seconds: the exchange asked to be left alone until then, which holds for the next process too."""

    def encode(self) -> str:
        """Return the checkpoint's text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> "Place":
        """Read a checkpoint's text.

        Raises:
            FatalError: Somebody else wrote it (`bad_checkpoint`); to begin again would hide that.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as exc:
            raise FatalError(f"the checkpoint {text!r} is not this loader's: {exc}", code="bad_checkpoint") from exc
