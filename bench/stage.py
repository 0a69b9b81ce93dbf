"""The servers that are measured against, each in a process of its own, gone when the block ends."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from streamforge_common.settings import ArangoSettings
from streamforge_local.guard import guarded
from streamforge_local.home import PlatformInfo
from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.logfiles import last_lines
from streamforge_local.ports import LOOPBACK, PortClaims
from streamforge_local.settings import Settings

_UP_WITHIN_S = 90.0
_PASSWORD = "bench"
NO_LIMIT = 1_000_000_000
"""A weight per minute that nothing reaches."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    pid: int


@contextmanager
def scratch() -> Iterator[Path]:
    """Have an empty folder for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        yield Path(folder)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run a Kafka broker and give its bootstrap servers."""
    with Broker(folder / "kafka", install(Settings.from_environment())) as running:
        yield running.bootstrap_servers


@contextmanager
def exchange(folder: Path, weight_limit: int = NO_LIMIT, options: Sequence[str] = ()) -> Iterator[Server]:
    """Run the simulated exchange."""
    options = ["serve", "--port", "0", "--weight-limit", str(weight_limit), *options]
    with _running("exchange_sim", options, folder / "exchange-sim.log") as process:
        assert process.stdout is not None
        yield Server(process.stdout.readline().decode().strip(), process.pid)


@contextmanager
def counting_server(folder: Path) -> Iterator[Server]:
    """Run a server that answers imports and only counts their lines."""
    with _running("bench.counting_server", [], folder / "counting-server.log") as process:
        assert process.stdout is not None
        yield Server(process.stdout.readline().decode().strip(), process.pid)


@contextmanager
def arangolite(folder: Path) -> Iterator[Server]:
    """Run the embedded database."""
    with PortClaims() as claims:
        port = claims.claim()
        options = ["serve", "--host", LOOPBACK, "--port", str(port), "--data-dir", str(folder / "arango")]
        options += ["--root-password", _PASSWORD, "--jwt-secret", _PASSWORD]
        with _running("arangolite", options, folder / "arangolite.log") as process:
            server = Server(f"http://{LOOPBACK}:{port}", process.pid)
            with httpx.Client(auth=("root", _PASSWORD), trust_env=False) as http:
                _wait_for(process, folder / "arangolite.log", lambda: _answers(http, f"{server.url}/_api/version"))
            yield server


def arango_settings(url: str) -> ArangoSettings:
    """Return how to reach a database server of this stage."""
    return ArangoSettings.model_validate({"arango_url": url, "arango_password": _PASSWORD})


@contextmanager
def platform(folder: Path, exchange_url: str) -> Iterator[tuple[PlatformInfo, int]]:
    """Run the embedded platform on an exchange; give how to reach it and its process id."""
    home = folder / "home"
    environment = {**Settings.from_environment().inherited, "BINANCE_SPOT_REST_URL": exchange_url}
    options = ["up", "--home", str(home), "--exchange", "live"]
    log = folder / "platform.log"
    with _running("streamforge_local", options, log, environment) as process:
        announced = home / "platform.json"
        _wait_for(process, log, announced.exists)
        yield msgspec.json.decode(announced.read_bytes(), type=PlatformInfo), process.pid


@contextmanager
def _running(
    module: str, options: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as complaints:
        process = subprocess.Popen(
            guarded([sys.executable, "-m", module, *options]),
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).is_success
    except httpx.TransportError:
        return False


def _wait_for(process: "subprocess.Popen[bytes]", log: Path, is_there: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _UP_WITHIN_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{process.args!r} did not start:\n{last_lines(log)}")
        time.sleep(0.05)
