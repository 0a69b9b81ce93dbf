"""Which loopback ports a platform uses: the usual ones, or free ones where those are taken.

A port is claimed with a locked file for as long as the platform lives, so that two platforms that start at the same
moment, or a component that is down for a restart, cannot lose it to one another. Replacements are taken below the range
from which the system gives outgoing connections their port: a client that keeps knocking at a dead component on a port
of that range can end up connected to itself and hold the port.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import Self, TextIO

from streamforge_local.errors import PlatformError

LOOPBACK = "127.0.0.1"
_REPLACEMENTS = range(20_000, 30_000)


class PortClaims:
    """The ports of one platform; closing it gives them back."""

    def __init__(self) -> None:
        # Not where TMPDIR says: platforms must meet, wherever each keeps its own things.
        self._folder = Path("/tmp") / f"streamforge-ports-{os.getuid()}"  # noqa: S108  # a folder of mode 0700
        self._locks: list[TextIO] = []

    def claim(self, usual: int | None = None) -> int:
        """Claim the usual port if it is free, else another one.

        Args:
            usual: The port that people expect; None if nobody expects any.

        Raises:
            PlatformError: Not one port of ten thousand is free.
        """
        # Every process starts its search elsewhere, so that neighbours seldom try the same ports.
        start = os.getpid() * 7 % len(_REPLACEMENTS)
        candidates: list[int] = [*_REPLACEMENTS[start:], *_REPLACEMENTS[:start]]
        for port in candidates if usual is None else [usual, *candidates]:
            if is_free(port) and self._lock(port):
                return port
        raise PlatformError(f"no free port between {_REPLACEMENTS.start} and {_REPLACEMENTS.stop} on {LOOPBACK}")

    def close(self) -> None:
        """Give all ports back."""
        while self._locks:
            self._locks.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self, port: int) -> bool:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lock = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._locks.append(lock)
        return True


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts_connections(host: str, port: int) -> bool:
    """Tell whether somebody listens there now; on loopback the answer comes at once."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
