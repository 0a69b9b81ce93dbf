"""A platform in the foreground of a terminal: what `streamforge up` does, and what it says meanwhile."""

import logging
import shlex
import sys
from pathlib import Path

import msgspec
import typer

from streamforge_local.components import Ports, Programs
from streamforge_local.exchange import Exchange
from streamforge_local.guard import DIES_WITH_PARENT
from streamforge_local.home import DEFAULT_HOME, Home, PlatformInfo
from streamforge_local.kafka.broker import prepare_broker
from streamforge_local.kafka.install import install
from streamforge_local.platform import Platform, run_until_stopped
from streamforge_local.ports import PortClaims
from streamforge_local.settings import Settings
from streamforge_local.stop_signals import StopSignals

_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"

logger = logging.getLogger(__name__)


def run_in_foreground(folder: Path, exchange: Exchange, signals: StopSignals, *, as_json: bool) -> None:
    """Start a platform on a home folder, say where everything is, and stay until a signal asks for the end.

    Raises:
        PlatformError: It cannot start.
    """
    settings = Settings.from_environment()
    with Home.occupied(folder) as home, PortClaims() as claims:
        _log_to(home.log("platform"))
        if not DIES_WITH_PARENT:
            logger.warning("on this system a kill -9 of this process leaves its components running: end it with Ctrl-C")
        ports = Ports.claim(claims)
        installation = install(settings)
        kafka = prepare_broker(home.kafka, installation, ports.kafka, ports.kafka_controller)
        platform = Platform(home, settings, exchange, ports, Programs(kafka=kafka))

        def tell(info: PlatformInfo, chosen: Exchange) -> None:
            if as_json:
                typer.echo(msgspec.json.encode(info).decode())
            else:
                _show(info, chosen, home)

        run_until_stopped(platform, signals, tell)


class _ForPeople(logging.Formatter):
    """Only what is said; on a terminal one sees when, and what is no warning needs no level."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return message if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {message}"


def _log_to(path: Path) -> None:
    """Write what the platform has to say to standard error and to its log."""
    told, kept = logging.StreamHandler(), logging.FileHandler(path)
    formatter = logging.Formatter(_LOG_FORMAT)
    kept.setFormatter(formatter)
    told.setFormatter(_ForPeople() if sys.stderr.isatty() else formatter)
    logging.basicConfig(level=logging.INFO, handlers=[told, kept])


def _show(info: PlatformInfo, exchange: Exchange, home: Home) -> None:
    because = f" ({exchange.because})" if exchange.because else ""
    replay = f" {exchange.replay}" if exchange.replay else ""
    example = "streamforge run BTCUSDT api_candles_5m 2024-08-01:2024-08-02"
    lines = [
        f"StreamForge is up. Exchange: {exchange.kind}{replay}{because}",
        *(f"  But        {name} is set: jobs ask {url}" for name, url in info.exchange_overrides.items()),
        f"  REST API   {info.queue_manager_url} (try {info.queue_manager_url}/docs)",
        f"  Kafka      {info.kafka_bootstrap_servers}",
        f"  ArangoDB   {info.arango_url} (database {info.arango_database}, user {info.arango_username})",
        *([f"  Simulator  {info.exchange_sim_url}"] if info.exchange_sim_url else []),
        f"  Password   in {home.folder}/platform.json",
        f"  Logs       {home.logs}",
        "Load a day of candles, from another terminal:",
        f"  {example}{_home_option(home.folder)}",
        "End with Ctrl-C.",
    ]
    typer.echo("\n".join(lines))


def _home_option(folder: Path) -> str:
    """Write what other commands need to find a platform that is not where they look."""
    return "" if folder == DEFAULT_HOME.expanduser() else f" --home {shlex.quote(str(folder))}"
