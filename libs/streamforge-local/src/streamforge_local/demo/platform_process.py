"""`streamforge up` as a child of the demo: started on a home of its own, watched until it is healthy, ended."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

import msgspec

from streamforge_local.errors import PlatformError
from streamforge_local.guard import guarded
from streamforge_local.home import PlatformInfo

_GRACE_S = 9.5
"""`up` promises to end within 10 s, and so does the demo."""

_LOG_LINE = re.compile(r"\S+ \S+ (?:INFO|WARNING|ERROR) (.*)")
"""What `up` logs on stderr; people need neither its clock nor its level."""


class PlatformProcess:
    """A running `streamforge up`."""

    def __init__(self, home: Path, exchange: str) -> None:
        """Start it; it cannot outlive this process.

        Args:
            home: Its home folder.
            exchange: As `--exchange` takes it.
        """
        command = [sys.executable, "-m", "streamforge_local", "up", "--json"]
        command += ["--home", str(home), "--exchange", exchange]
        # A session of its own keeps a terminal's Ctrl-C away from it: the demo ends it, and says so.
        self._process = subprocess.Popen(
            guarded(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self._is_healthy = False

    def wait_until_healthy(self, on_news: Callable[[str], None]) -> PlatformInfo:
        """Hand on what it says about its start until everything serves.

        Raises:
            PlatformError: It ended instead.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        complaints: list[str] = []
        # For as long as it lives: a pipe that nobody reads would bring it to a standstill.
        listener = threading.Thread(target=self._listen, args=(self._process.stderr, on_news, complaints), daemon=True)
        listener.start()
        announced = self._process.stdout.readline()
        if announced:
            self._is_healthy = True
            return msgspec.json.decode(announced, type=PlatformInfo)
        listener.join()
        self._process.wait()
        raise PlatformError("\n".join(complaints) or f"`streamforge up` ended with {self._process.returncode}")

    def _listen(self, said: IO[str], on_news: Callable[[str], None], complaints: list[str]) -> None:
        for line in said:
            news = _LOG_LINE.fullmatch(line.rstrip())
            if news is None:
                complaints.append(line.rstrip().removeprefix("error: "))
            elif not self._is_healthy:
                on_news(news.group(1))

    def end(self) -> None:
        """End it and everything it started; impatience does not leave anything behind."""
        former = [signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)]
        try:
            self._process.terminate()
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            for signum, handler in zip((signal.SIGINT, signal.SIGTERM), former, strict=True):
                signal.signal(signum, handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
