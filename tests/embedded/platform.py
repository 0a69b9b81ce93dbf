"""`streamforge up` as a child process, on a home of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from streamforge_local.guard import guarded
from tests.embedded.processes import MARK, Process, is_running, jobs_of, kill, processes_of, wait_until
from tests.embedded.workflows import Workflows

ROOT = Path(__file__).parents[2]
UP = (sys.executable, "-m", "streamforge_local", "up")
_UP_WITHIN_S = 90.0
_DOWN_WITHIN_S = 10.0
"""Contract section 9 and A1: SIGTERM ends all of it within this time."""


class EmbeddedPlatform:
    """A platform that can be started, stopped and started again on the same home."""

    def __init__(
        self, home: Path, exchange: str, *, command: Sequence[str] = UP, environment: Mapping[str, str] | None = None
    ) -> None:
        """Prepare a platform.

        Args:
            home: Its home folder.
            exchange: As `--exchange` takes it.
            command: What starts it.
            environment: Variables beside those of this process.
        """
        self.home = home
        self.info: dict[str, Any] = {}
        self._command = [*command, "--home", str(home), "--exchange", exchange]
        self._environment = {**os.environ, **(environment or {}), MARK: str(home)}  # noqa: TID251  # of a child
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of queue-manager."""
        return str(self.info["queue_manager_url"])

    @property
    def exchange_url(self) -> str:
        """Of the simulated exchange."""
        return str(self.info["exchange_sim_url"])

    def workflows(self) -> Workflows:
        """Return the REST API, which is open."""
        return Workflows(self.url)

    def jobs_alive(self, queue_id: str) -> Sequence[str]:
        """Name the processes that run for a workflow."""
        return [process.command for process in self.processes() if process.is_job_of == queue_id]

    def kill_job(self, target: str, queue_id: str) -> None:
        """Kill the one job of a target that runs for a workflow, as `kill -9` does."""
        (job,) = jobs_of(self.home, target, queue_id)
        kill(job.pid)

    def launch(self) -> None:
        """Start it without waiting for anything."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "up.log").open("ab") as output:
            # A session of its own: a Ctrl-C at the terminal is for the tests, which then end it.
            self._process = subprocess.Popen(
                guarded(self._command),
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Start it and return when all of it is healthy."""
        (self.home / "platform.json").unlink(missing_ok=True)
        self.launch()
        wait_until(self._has_answered, _UP_WITHIN_S, f"{self.home} to be up")
        self.info = json.loads((self.home / "platform.json").read_text())
        return self

    def _has_answered(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"`up` ended with {self._process.returncode}: {self.said()}")
        return (self.home / "platform.json").exists()

    def said(self) -> str:
        """Return what `up` has written so far."""
        return (self.home / "up.log").read_text()

    def end(self, signum: int = signal.SIGTERM) -> tuple[int, float]:
        """End it with a signal; return its exit code and the seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signum)
        code = self._process.wait(_DOWN_WITHIN_S + 5)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """Kill `up` alone, as `kill -9` does, and wait until nothing is left of the platform."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            wait_until(lambda: not self.processes(), 10, f"the processes of {self.home} to be gone")

    def processes(self) -> list[Process]:
        """List what runs of it."""
        return processes_of(self.home)

    def pid_of(self, component: str) -> int:
        """Return the process id of a running component, waiting while it is being started again."""
        file = self.home / "run" / f"{component}.pid"

        def is_there() -> bool:
            return file.exists() and bool(text := file.read_text()) and is_running(int(text))

        wait_until(is_there, 30, f"{component} to run")
        return int(file.read_text())

    def log(self, component: str) -> str:
        """Return what a component has written."""
        return (self.home / "logs" / f"{component}.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end()
        self.kill()
