"""End in order, and with exit code 0, whenever Ctrl-C, SIGTERM or the closing of the terminal comes.

One handler serves all phases, so that there is no moment between two of them: before the event loop runs it leaves at
once; while the platform runs it cancels its task, which then ends everything in order; after that it does nothing more.
It is installed before the slow imports, and so imports next to nothing.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_line_of(signum: int) -> None:
    """Start a new line behind the ^C that a terminal shows."""
    if signum == signal.SIGINT and os.isatty(2):
        os.write(2, b"\n")


class StopSignals:
    """The signals that ask this process to end."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._has_come = False

    def install(self) -> None:
        """Handle the signals from now on.

        A closed terminal is ignored where the starter wants that (`nohup`). SIGINT is not: a shell script ignores it
        for all that it starts in the background, and whoever sends it to such a platform means it.
        """
        for signum in _ENDING:
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._handle)

    def cancel(self, task: asyncio.Task[None] | None) -> None:
        """Cancel this task when a signal comes, in place of leaving at once."""
        self._task = task

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._has_come:
            return
        self._has_come = True
        end_line_of(signum)
        if self._task is None:
            raise SystemExit(0)
        if not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
