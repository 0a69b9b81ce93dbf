"""Where the loader stands, as it is kept in the checkpoint."""

from typing import TypeVar

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


class ArchivePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Everything before `offset` of a file is on the topic, and so are all files before it."""

    start_ms: int
    """What comes next is in the file that covers this time, or in one behind it."""
    attempt: int
    """The attempt that counted `records_written`."""
    path: str = ""
    """The file that was read last, or what stood in for it; empty where none was."""
    sha256: str = ""
    """Of that file: exchanges replace files, and in another one the offset means nothing. Empty for REST."""
    offset: int = 0
    """Bytes of what is packed in it; over REST the id that comes next."""
    next_id: int | None = None
    """The id that should come next."""
    first_id: int | None = None
    """The first id that was seen, where nobody but the files tells which one should be."""
    records_written: int = 0
    records_rejected: int = 0
    banned_until_s: float = 0.0
    """As of a `Place`."""

    def encode(self) -> str:
        """Return the checkpoint's text."""
        return msgspec.json.encode(self).decode()


class BasketPlace(msgspec.Struct, frozen=True, kw_only=True):
    """All symbols of a basket before `next` are on the topic, and told of, but those that are under way."""

    next: int
    """Position in the basket, from 0."""
    under_way: dict[int, msgspec.Raw]
    """Position of a symbol to its own place, `null` where it has none yet."""
    attempt: int
    """The attempt that counted `records_written`."""
    records_written: int
    """Those of the symbols that are not under way; the others count in their own places."""
    refused: int = 0
    """Symbols that cannot be loaded."""

    def encode(self) -> str:
        """Return the checkpoint's text."""
        return msgspec.json.encode(self).decode()


class _AnyPlace(msgspec.Struct, frozen=True):
    """What tells the places of files from those of pages."""

    start_ms: int | None = None


def is_of_files(text: str) -> bool:
    """Say whether a checkpoint is that of a loading from files; raises as `decode_place` does."""
    return decode_place(text, _AnyPlace).start_ms is not None


AnyPlace = TypeVar("AnyPlace", Place, ArchivePlace, BasketPlace, _AnyPlace)


def decode_place(text: str, kind: type[AnyPlace]) -> AnyPlace:
    """Read a checkpoint's text.

    Raises:
        FatalError: Somebody else wrote it (`bad_checkpoint`); to begin again would hide that.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as exc:
        raise FatalError(f"the checkpoint {text!r} is not this loader's: {exc}", code="bad_checkpoint") from exc
