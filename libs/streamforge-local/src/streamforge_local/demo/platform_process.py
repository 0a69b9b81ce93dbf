"""`streamforge up` as a child of the demo: started on a home of its own, watched until it is healthy, ended."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

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
            guarded(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def wait_until_healthy(self, on_news: Callable[[str], None]) -> PlatformInfo:
        """Hand on what it says about its start until everything serves.

        Raises:
            PlatformError: It ended instead.
        """
        output = self._process.stdout
        assert output is not None
        complaints = []
        for line in output:
            info = _announcement(line)
            if info is not None:
                # What it says from now on is in its log; unread, it would fill the pipe and bring it to a standstill.
                threading.Thread(target=output.read, daemon=True).start()
                return info
            news = _LOG_LINE.fullmatch(line.rstrip())
            if news is None:
                complaints.append(line.rstrip().removeprefix("error: "))
            else:
                on_news(news.group(1))
        self._process.wait()
        raise PlatformError("\n".join(complaints) or f"`streamforge up` ended with {self._process.returncode}")

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


def _announcement(line: str) -> PlatformInfo | None:
    """Read the one line that says where everything is; a failure may quote lines of JSON too."""
    try:
        return msgspec.json.decode(line, type=PlatformInfo)
    except msgspec.DecodeError:
        return None
