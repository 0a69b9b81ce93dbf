"""The log files of components and jobs: opened for appending, kept from growing for ever, shown after a failure."""

from pathlib import Path
from typing import BinaryIO

_ROTATE_BYTES = 20_000_000
"""A component's log is put aside at a (re)start beyond this size; one former log is kept."""

_TAIL_BYTES = 16_000
"""Enough for a traceback; a whole log may be large."""


def open_log(path: Path) -> BinaryIO:
    """Open a component's log for appending, putting a big one aside as `<name>.1`."""
    if path.exists() and path.stat().st_size > _ROTATE_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_lines(path: Path, count: int = 8) -> str:
    """Read the end of a log, for a message about a failure.

    Returns:
        At most `count` lines without an end of line; empty if the log has none.
    """
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])
