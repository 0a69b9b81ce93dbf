"""Child processes of the platform: guarded, each the leader of a session of its own, writing to a log file."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamforge_local.guard import guarded
from streamforge_local.logfiles import open_log


class ChildProcess:
    """A running program and whatever it starts in its process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str], log: Path) -> "ChildProcess":
        """Start a program; output of both kinds is appended to the log.

        A session of its own keeps a terminal's Ctrl-C away from it: the platform decides in which order things end.
        """
        with open_log(log) as output:
            process = await asyncio.create_subprocess_exec(
                *guarded(command),
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """Process id, also of the group."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the program ends, and end what it may have left in its group.

        Returns:
            Its exit code; 128 + n where signal n killed it, as shells and Kubernetes tell.
        """
        code = await self._process.wait()
        self.kill()
        return code if code >= 0 else 128 - code

    async def end(self, grace_s: float) -> None:
        """Ask it to end with SIGTERM, kill it after the grace, and wait until it is gone."""
        try:
            self._signal(signal.SIGTERM)
            # Not `asyncio.timeout`: Python 3.11.2 cannot tell its end from the cancelling that is under way here.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        finally:
            self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Kill it and all of its group; who waits for it is told."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signum)
