"""The home folder of a platform: what is where, whose it is now, its secrets, and `platform.json`."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streamforge_local.errors import PlatformError

DEFAULT_HOME = Path("~/.streamforge")
"""Where `streamforge up` keeps its data unless it is told otherwise."""


class Secrets(msgspec.Struct, frozen=True):
    """What protects the database of one home; made once and kept in it."""

    arango_password: str
    arango_jwt_secret: str


class PlatformInfo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The content of `platform.json` (contract section 9): how to reach a running platform."""

    queue_manager_url: str
    kafka_bootstrap_servers: str
    arango_url: str
    arango_database: str
    arango_username: str
    arango_password: str

    exchange: str
    """`live`, `simulated` or `replay`."""

    exchange_sim_url: str | None = None
    """Absent when live."""

    exchange_overrides: dict[str, str] = {}
    """Variables by which the person who started it sends jobs to an exchange of their own, whatever `exchange` says."""

    @property
    def spot_override(self) -> str | None:
        """Where jobs ask for Binance's spot market in place of the chosen exchange."""
        return self.exchange_overrides.get("BINANCE_SPOT_REST_URL")

    @property
    def asked_sim_url(self) -> str | None:
        """exchange-sim, where it is what jobs ask for Binance's spot market."""
        return None if self.spot_override else self.exchange_sim_url


class Home:
    """A home folder that is ours for now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kafka = folder / "kafka"
        self.arango = folder / "arango"
        self.jobs = folder / "jobs"
        self.logs = folder / "logs"
        self.job_logs = self.logs / "jobs"
        self.pids = folder / "run"
        self._info = folder / "platform.json"

    @classmethod
    @contextmanager
    def occupied(cls, folder: Path) -> Iterator["Home"]:
        """Take a home, making it if need be, until the end of the block or of this process.

        Raises:
            PlatformError: Another platform has it, or the folder cannot be made.
        """
        home = cls(folder.expanduser().absolute())
        try:
            for each in (home.folder, home.kafka, home.arango, home.jobs, home.logs, home.job_logs, home.pids):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(f"{error.filename} cannot be made ({error.strerror}): choose another --home") from error
        with (home.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlatformError(f"{home.folder} is in use by another `streamforge up`") from None
            home._info.unlink(missing_ok=True)  # of a platform that was killed
            yield home

    def log(self, component: str) -> Path:
        """Name the log of a component."""
        return self.logs / f"{component}.log"

    def pid_file(self, component: str) -> Path:
        """Name the file that holds the process id of a component."""
        return self.pids / f"{component}.pid"

    def secrets(self) -> Secrets:
        """Read the secrets, which are made at the first call."""
        path = self.folder / "secrets.json"
        if not path.exists():
            made = Secrets(arango_password=secrets.token_urlsafe(24), arango_jwt_secret=secrets.token_urlsafe(48))
            _write_private(path, msgspec.json.encode(made))
        try:
            return msgspec.json.decode(path.read_bytes(), type=Secrets)
        except msgspec.DecodeError as error:
            raise PlatformError(f"{path} is damaged ({error}): restore it, or start with another --home") from error

    @contextmanager
    def announced(self, info: PlatformInfo) -> Iterator[None]:
        """Have `platform.json` in the home for the time of the block."""
        _write_private(self._info, msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")
        try:
            yield
        finally:
            self._info.unlink(missing_ok=True)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file as a whole, readable for its owner only from the first moment on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
