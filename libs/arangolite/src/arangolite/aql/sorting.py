"""SORT: rows by their encoded keys, all of them or only the first."""

from collections.abc import Callable, Iterator

from arangolite.aql.context import Memory
from arangolite.aql.scope import Code, Frame, Stage
from arangolite.values import encode

_INVERT = bytes(255 - byte for byte in range(256))
_SPARE_ROWS = 1000  # how many rows beyond the limit a SORT with LIMIT lets pile up before it sorts them away


def sort_key(keys: list[tuple[Code, bool]]) -> Callable[[Frame], bytes]:
    """Make one sort key of several: encoded values end where they end, so inverting one turns its order around."""
    if len(keys) == 1 and not keys[0][1]:
        only = keys[0][0]
        return lambda frame: encode(only(frame))

    def key(frame: Frame) -> bytes:
        return b"".join(
            [encode(code(frame)).translate(_INVERT) if descending else encode(code(frame)) for code, descending in keys]
        )

    return key


def sorted_rows(
    rows: Iterator[Frame], key: Callable[[Frame], bytes], wanted: int | None, memory: Memory
) -> Iterator[Frame]:
    """Sort all rows; when only the first ones are wanted, keep only those."""
    kept: list[tuple[bytes, int, Frame]] = []
    with memory.share() as share:
        for position, frame in enumerate(rows):
            kept.append((key(frame), position, frame.copy()))  # the position keeps equal rows in their order
            if wanted is None:
                share.hold(frame)
            elif len(kept) > 2 * wanted + _SPARE_ROWS:
                kept.sort()
                del kept[wanted:]
        kept.sort()
        for _, _, frame in kept:
            yield frame


def sort_groups(group: Callable[[Frame], bytes], key: Callable[[Frame], bytes], memory: Memory) -> Stage:
    """Sort rows that an index brings in the order of the first keys: only those equal there are sorted."""

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        kept: list[Frame] = []
        current: bytes | None = None
        for frame in rows:
            place = group(frame)
            if place != current:
                yield from sorted_rows(iter(kept), key, None, memory)
                kept, current = [], place
            kept.append(frame.copy())
        yield from sorted_rows(iter(kept), key, None, memory)

    return stage
