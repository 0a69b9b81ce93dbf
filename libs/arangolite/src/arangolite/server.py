"""Running a server: in the foreground for the command line, or beside a test."""

import asyncio
import contextlib
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from arangolite.errors import StartupError
from arangolite.http.auth import Authenticator
from arangolite.http.faults import FaultSwitch
from arangolite.http.server import Server
from arangolite.storage.engine import Engine
from arangolite.storage.names import SYSTEM_DATABASE
from arangolite.storage.users import ROOT, UserStore

_CLOSE_SECONDS = 3.0  # how long a request in progress may take to finish when the server ends

_READ_BYTES = 1 << 20  # an import is a megabyte; smaller pieces only cost turns of the event loop


@dataclass(frozen=True)
class Settings:
    """What a server is started with."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    """0 = a free one."""
    root_password: str = ""
    """Holds until it is changed through the API; empty = what it was before, in a new folder no password."""
    jwt_secret: str = ""
    """Empty = a random one: tokens then end with the process."""
    faults: bool = False
    """Whether `/_lite/faults` may make the server misbehave."""


async def serve(settings: Settings, started: Callable[[str], None], stopped: asyncio.Event) -> None:
    """Serve until `stopped` is set.

    Args:
        settings: What to serve and where.
        started: Called with the URL once requests are answered.
        stopped: Ends the server; requests in progress are finished first.

    Raises:
        StartupError: The data folder is in use, or the address is.
    """
    faults = FaultSwitch() if settings.faults else None
    check_key = None if faults is None else faults.check_key
    engine = await asyncio.to_thread(Engine, settings.data_dir, check_key)
    try:
        system = engine.database(SYSTEM_DATABASE)
        users = await asyncio.to_thread(UserStore, system, root_password_given=bool(settings.root_password))
        secret = settings.jwt_secret or secrets.token_hex(32)
        authenticator = Authenticator(users, settings.root_password, secret, engine.threads)
        await _serve(Server(engine, users, authenticator, faults), settings, started, stopped)
    finally:
        await asyncio.to_thread(engine.close)


async def _serve(server: Server, settings: Settings, started: Callable[[str], None], stopped: asyncio.Event) -> None:
    runner = web.AppRunner(
        server.application(), access_log=None, shutdown_timeout=_CLOSE_SECONDS, read_bufsize=_READ_BYTES
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as exc:
            raise StartupError(f"cannot listen on {settings.host}:{settings.port}: {exc.strerror}") from exc
        host, port = runner.addresses[0][:2]
        async with asyncio.TaskGroup() as group:
            server.jobs.group = group
            server.stop = stopped.set
            housekeeping = group.create_task(server.keep_house(), name="housekeeping")
            started(f"http://{host}:{port}")
            await stopped.wait()
            housekeeping.cancel()
            server.jobs.stop()
    finally:
        await runner.cleanup()
        await server.close()


async def serve_until_signal(settings: Settings, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    await serve(settings, started, stopped)


class RunningServer:
    """A server beside a test: in a thread, so that it starts in milliseconds and cannot outlive the test.

    A test that wants to kill the server runs `python -m arangolite serve` instead.
    """

    username = ROOT

    def __init__(self, settings: Settings) -> None:
        self.password = settings.root_password
        self.jwt_secret = settings.jwt_secret
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        url: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(settings, url), name="arangolite", daemon=True)
        self._thread.start()
        self.url = url.result()

    def stop(self) -> None:
        """End the server and wait for its end; a second call does nothing."""
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended between the two lines
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, settings: Settings, url: Future[str]) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await serve(settings, url.set_result, self._stopped)

        try:
            asyncio.run(main())
        except Exception as exc:
            if url.done():
                raise
            url.set_exception(exc)


@contextlib.contextmanager
def _owned_folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="arangolite-") as made:
        yield Path(made)


@contextlib.contextmanager
def start(
    data_dir: Path | None = None,
    *,
    root_password: str = "arangolite",  # noqa: S107 - of a database that lives as long as a test
    jwt_secret: str | None = None,
    faults: bool = False,
) -> Iterator[RunningServer]:
    """Run a server on a free port for the length of a `with` block.

    Args:
        data_dir: Where the data is kept; without it, a folder that is removed at the end.
        root_password: The password of `root`.
        jwt_secret: What tokens are signed with; without it, a random one.
        faults: Whether `/_lite/faults` may make it misbehave.
    """
    with _owned_folder(data_dir) as folder:
        settings = Settings(
            folder, root_password=root_password, jwt_secret=jwt_secret or secrets.token_hex(32), faults=faults
        )
        with RunningServer(settings) as server:
            yield server
