"""`streamforge up` as a child of the demo: started on a home of its own, watched until it is healthy, ended."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
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
    """A `streamforge up`, ended with the block that it is started in."""

    def __init__(self, home: Path, exchange: str) -> None:
        """Start nothing yet.

        Args:
            home: Its home folder.
            exchange: As `--exchange` takes it.
        """
        self._command = [sys.executable, "-m", "streamforge_local", "up", "--json"]
        self._command += ["--home", str(home), "--exchange", exchange]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; it cannot outlive this process. A signal that comes meanwhile counts once there is what to end."""
        came: list[int] = []
        with _signals_to(lambda signum, _: came.append(signum)):
            # A session of its own keeps a terminal's Ctrl-C away from it: the demo ends it, and says so.
            self._process = subprocess.Popen(
                guarded(self._command),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        if came:
            signal.raise_signal(came[0])

    def wait_until_healthy(self, on_news: Callable[[str], None]) -> PlatformInfo:
        """Hand on what it says about its start until everything serves.

        Raises:
            PlatformError: It ended instead.
        """
        process = self._process
        assert process is not None
        output = process.stdout
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
        process.wait()
        raise PlatformError("\n".join(complaints) or f"`streamforge up` ended with {process.returncode}")

    def end(self) -> None:
        """End it and everything it started; impatience does not leave anything behind."""
        if self._process is None:
            return
        with _signals_to(signal.SIG_IGN):
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@contextmanager
def _signals_to(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    """Handle what asks the demo to end in another way for the time of a block."""
    former = [(signum, signal.signal(signum, handler)) for signum in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for signum, before in former:
            signal.signal(signum, before)


def _announcement(line: str) -> PlatformInfo | None:
    """Read the one line that says where everything is; a failure may quote lines of JSON too."""
    try:
        return msgspec.json.decode(line, type=PlatformInfo)
    except msgspec.DecodeError:
        return None
