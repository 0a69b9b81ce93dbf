"""Which processes belong to a platform: told by /proc alone, so that nothing has to be believed.

Every process of a platform inherits one environment variable that names its home (`MARK`), and a job also those that
say who it is.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "STREAMFORGE_UNDER_TEST"
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A process that ran when it was looked at."""

    pid: int
    command: str
    environment: dict[str, str]

    @property
    def is_job_of(self) -> str | None:
        """The workflow that it works for, None for a component."""
        return self.environment.get("QUEUE_ID")

    @property
    def target(self) -> str | None:
        """Of a job."""
        return self.environment.get("TARGET")


def processes_of(home: Path) -> list[Process]:
    """List the live processes of the platform with this home, `up` itself included."""
    return [process for process in _all() if process.environment.get(MARK) == str(home)]


def jobs_of(home: Path, target: str, queue_id: str | None = None) -> list[Process]:
    """List the live processes of jobs, of all workflows or one."""
    return [
        process
        for process in processes_of(home)
        if process.target == target and queue_id in (None, process.is_job_of) and _is_python(process)
    ]


def is_running(pid: int) -> bool:
    """Say whether a process lives; one that is dead and not yet waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """Kill as `kill -9` does, and return when it is gone.

    Raises:
        ProcessLookupError: There was nothing to kill.
    """
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid), 10, f"the end of process {pid}")


def wait_until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for something.

    Raises:
        TimeoutError: It did not come.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(_LOOK_EVERY_S)


def _all() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = _pairs((folder / "environ").read_bytes())
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        # A zombie has neither.
        if command:
            yield Process(int(folder.name), command, environment)


def _pairs(raw: bytes) -> dict[str, str]:
    entries = (entry.partition("=") for entry in raw.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in entries}


def _is_python(process: Process) -> bool:
    """Leave out the guard, which becomes the job a moment later."""
    return " -m " in process.command
