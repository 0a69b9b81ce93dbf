"""`streamforge up` for trials: the same platform, with gates before its components, a database with faults and a
queue-manager that dies where it is told to.

Usage: `python -m tests.chaos.up --home DIR --exchange E [--job "TARGET=MODULE ARGUMENT…"]…`; `--job` has another
program run in place of a service's. A component whose file `HOME/gates/<component>` exists is not started again until
that is gone.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from streamforge_local.components import Ports, Programs
from streamforge_local.exchange import Exchange
from streamforge_local.home import Home
from streamforge_local.kafka.broker import prepare_broker
from streamforge_local.kafka.install import install
from streamforge_local.platform import Platform, run_until_stopped
from streamforge_local.ports import PortClaims
from streamforge_local.settings import Settings
from streamforge_local.stop_signals import StopSignals

_GATE = str(Path(__file__).with_name("gate.py"))


def gate_of(home: Path, component: str) -> Path:
    """Name the file that keeps a component from being started again."""
    return home / "gates" / component


def deaths_of(home: Path) -> Path:
    """Name the folder that says where queue-manager dies."""
    return home / "deaths"


def main() -> None:
    """Run a platform until a signal ends it."""
    signals = StopSignals()
    signals.install()
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--job", action="append", default=[])
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    with Home.occupied(arguments.home) as home, PortClaims() as claims:
        ports = Ports.claim(claims)
        kafka = prepare_broker(home.kafka, install(settings), ports.kafka, ports.kafka_controller)
        programs = _programs(home.folder, kafka, dict(text.split("=", 1) for text in arguments.job))
        platform = Platform(home, settings, Exchange.parse(arguments.exchange, None), ports, programs)
        run_until_stopped(platform, signals, lambda *_: None)


def _programs(home: Path, kafka: Sequence[str], replaced_jobs: dict[str, str]) -> Programs:
    gate_of(home, "any").parent.mkdir(exist_ok=True)
    usual = Programs(kafka=kafka)
    return Programs(
        kafka=_gated(home, "kafka", kafka),
        arangolite=_gated(home, "arangolite", [sys.executable, "-m", "tests.chaos.faulty_arangolite"]),
        exchange_sim=usual.exchange_sim,
        queue_manager=_gated(
            home, "queue-manager", [sys.executable, "-m", "tests.chaos.mortal_queue_manager", str(deaths_of(home))]
        ),
        jobs={
            **usual.jobs,
            **{target: [sys.executable, "-m", *shlex.split(what)] for target, what in replaced_jobs.items()},
        },
    )


def _gated(home: Path, component: str, command: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", "-S", _GATE, str(gate_of(home, component)), *command]


if __name__ == "__main__":
    main()
