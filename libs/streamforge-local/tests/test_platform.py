"""The life of a platform whose components are stand-ins: small servers that start in a tenth of a second."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from streamforge_local.guard import DIES_WITH_PARENT

SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Fine(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

port = sys.argv[sys.argv.index("--port") + 1] if "--port" in sys.argv else os.environ["API_PORT"]
print(sorted(set(os.environ) & {"API_HOST", "ARANGO_PASSWORD", "JOB_RUNNER_TOKEN", "KAFKA_SASL_USERNAME"}), flush=True)
HTTPServer(("127.0.0.1", int(port)), Fine).serve_forever()
"""
NEVER_HEALTHY = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
BROKEN = "raise SystemExit('the disk is made of cheese')"

UP = """
import sys
from pathlib import Path
from streamforge_local.stop_signals import StopSignals
signals = StopSignals()
signals.install()
print("handled", flush=True)
from streamforge_local.components import Ports, Programs
from streamforge_local.errors import PlatformError
from streamforge_local.exchange import Exchange
from streamforge_local.home import Home
from streamforge_local.platform import Platform, run_until_stopped
from streamforge_local.ports import PortClaims
from streamforge_local.settings import Settings

home, server, queue_manager = sys.argv[1:]
def program(source):
    return [sys.executable, "-c", source]
try:
    with Home.occupied(Path(home)) as home, PortClaims() as claims:
        ports = Ports.claim(claims)
        programs = Programs(
            kafka=[*program(server), "--port", str(ports.kafka)],
            arangolite=program(server),
            exchange_sim=program(server),
            queue_manager=program(queue_manager),
            jobs={},
        )
        platform = Platform(home, Settings.from_environment(), Exchange.parse("simulated", None), ports, programs)
        run_until_stopped(platform, signals, lambda info, exchange: print("ready", flush=True))
except PlatformError as error:
    sys.exit(f"error: {error}")
"""


class RunningUp:
    def __init__(self, home: Path, queue_manager: str = SERVER) -> None:
        self.home = home
        environment = {**os.environ, "KAFKA_SASL_USERNAME": "left over"}  # noqa: TID251  # of a child
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, str(home), SERVER, queue_manager],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.expect("handled")

    def expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{line}\n"

    def pid(self, component: str) -> int:
        file = self.home / "run" / f"{component}.pid"
        while True:
            # It is gone while the component is, and empty for a moment.
            with suppress(FileNotFoundError, ValueError):
                return int(file.read_text())
            time.sleep(0.01)

    def pids(self) -> list[int]:
        return [int(file.read_text()) for file in (self.home / "run").glob("*.pid")]

    def info(self) -> dict[str, str]:
        return json.loads((self.home / "platform.json").read_text())

    def end(self, signum: int) -> tuple[int, str]:
        self.process.send_signal(signum)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def up(home: Path) -> Iterator[RunningUp]:
    with_all = RunningUp(home)
    with_all.expect("ready")
    yield with_all
    with_all.end(signal.SIGKILL)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int]) -> None:
    while any(is_running(pid) for pid in pids):
        time.sleep(0.01)


def test_a_running_platform_says_where_everything_is_to_its_owner_only(up: RunningUp, home: Path) -> None:
    info = up.info()
    assert stat.S_IMODE((home / "platform.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert set(info) == {
        "queue_manager_url",
        "kafka_bootstrap_servers",
        "arango_url",
        "arango_database",
        "arango_username",
        "arango_password",
        "exchange",
        "exchange_sim_url",
    }
    assert httpx.get(info["queue_manager_url"]).status_code == 200
    assert httpx.get(info["exchange_sim_url"]).status_code == 200
    assert sorted(file.stem for file in (home / "run").glob("*.pid")) == [
        "arangolite",
        "exchange-sim",
        "kafka",
        "queue-manager",
    ]


def test_each_component_gets_its_own_part_of_the_environment(up: RunningUp, home: Path) -> None:
    assert (
        (home / "logs" / "queue-manager.log")
        .read_text()
        .startswith("['API_HOST', 'ARANGO_PASSWORD', 'JOB_RUNNER_TOKEN']\n")
    )
    assert (home / "logs" / "kafka.log").read_text().startswith("[]\n")


_HANG_UP = pytest.param(
    signal.SIGHUP,
    marks=pytest.mark.skipif(
        signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="these tests run under nohup, which `up` heeds"
    ),
)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, _HANG_UP])
def test_a_signal_ends_everything_in_order(up: RunningUp, home: Path, signum: int) -> None:
    pids = up.pids()
    assert up.end(signum) == (0, "")
    assert not any(is_running(pid) for pid in pids)
    assert not (home / "platform.json").exists()
    assert not list((home / "run").iterdir())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_imports_is_an_orderly_end(home: Path, signum: int) -> None:
    assert RunningUp(home).end(signum) == (0, "")


@pytest.mark.parametrize("queue_manager", [NEVER_HEALTHY, STUBBORN])
def test_a_signal_during_the_start_ends_what_was_started(home: Path, queue_manager: str) -> None:
    up = RunningUp(home, queue_manager)
    up.pid("queue-manager")
    pids = up.pids()
    assert len(pids) == 4
    assert up.end(signal.SIGTERM) == (0, "")
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.skipif(not DIES_WITH_PARENT, reason="only Linux ends children with their parent")
def test_nothing_survives_a_kill_and_the_home_can_be_used_again(up: RunningUp, home: Path) -> None:
    pids = up.pids()
    password = up.info()["arango_password"]
    up.end(signal.SIGKILL)
    wait_until_gone(pids)

    again = RunningUp(home)
    again.expect("ready")
    assert again.info()["arango_password"] == password
    assert again.end(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize("component", ["kafka", "arangolite", "exchange-sim", "queue-manager"])
def test_a_component_that_is_killed_comes_back_at_the_same_address(up: RunningUp, component: str) -> None:
    killed = up.pid(component)
    os.kill(killed, signal.SIGKILL)
    wait_until_gone([killed])
    while up.pid(component) == killed:
        time.sleep(0.01)
    info = up.info()
    url = {
        "kafka": f"http://{info['kafka_bootstrap_servers']}",
        "arangolite": info["arango_url"],
        "exchange-sim": info["exchange_sim_url"],
        "queue-manager": info["queue_manager_url"],
    }[component]
    assert httpx.Client(transport=httpx.HTTPTransport(retries=6)).get(url).status_code == 200


def test_a_component_that_cannot_start_is_named_with_the_end_of_its_log(home: Path) -> None:
    up = RunningUp(home, BROKEN)
    _, errors = up.process.communicate(timeout=60)
    assert up.process.returncode == 1
    log = home / "logs" / "queue-manager.log"
    assert errors == f"error: queue-manager ended while starting, see {log}:\nthe disk is made of cheese\n"
    assert not list((home / "run").iterdir())


def test_a_home_in_use_is_refused_in_one_line(up: RunningUp, home: Path) -> None:
    second = RunningUp(home)
    _, errors = second.process.communicate(timeout=60)
    assert (second.process.returncode, errors) == (1, f"error: {home} is in use by another `streamforge up`\n")
    assert (home / "platform.json").exists()


def test_two_platforms_run_side_by_side(up: RunningUp, tmp_path: Path) -> None:
    other = RunningUp(tmp_path / "other")
    other.expect("ready")
    mine, theirs = up.info(), other.info()
    for name in ("queue_manager_url", "kafka_bootstrap_servers", "arango_url", "exchange_sim_url", "arango_password"):
        assert mine[name] != theirs[name]
    assert other.end(signal.SIGTERM) == (0, "")
    assert httpx.get(mine["queue_manager_url"]).status_code == 200
