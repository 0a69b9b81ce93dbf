"""`streamforge up`: start the embedded platform and keep it running until it is told to end."""

import logging
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from streamforge_local.components import Ports, Programs
from streamforge_local.errors import PlatformError
from streamforge_local.exchange import Exchange
from streamforge_local.guard import DIES_WITH_PARENT
from streamforge_local.home import Home, PlatformInfo
from streamforge_local.kafka.broker import prepare_broker
from streamforge_local.kafka.install import install
from streamforge_local.platform import Platform, run_until_stopped
from streamforge_local.ports import PortClaims
from streamforge_local.settings import Settings
from streamforge_local.stop_signals import StopSignals

_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"

logger = logging.getLogger(__name__)


def up(
    context: typer.Context,
    home: Annotated[Path, typer.Option(help="Folder of data, logs and platform.json.")] = Path("~/.streamforge"),
    exchange: Annotated[str, typer.Option(help="auto, live, simulated or replay:PATH.")] = "auto",
    speed: Annotated[float | None, typer.Option(min=0, help="Of a simulation; 0 is as fast as it goes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print platform.json's content once all is healthy.")] = False,
) -> None:
    """Start everything on this machine with real parts, and keep it running until Ctrl-C."""
    signals = context.find_object(StopSignals) or StopSignals()
    try:
        _run(home, Exchange.parse(exchange, speed), signals, as_json=as_json)
    except PlatformError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _run(folder: Path, exchange: Exchange, signals: StopSignals, *, as_json: bool) -> None:
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


def _log_to(path: Path) -> None:
    """Write what the platform has to say to standard error and to its log."""
    logging.basicConfig(
        level=logging.INFO, format=_LOG_FORMAT, handlers=[logging.StreamHandler(), logging.FileHandler(path)]
    )


def _show(info: PlatformInfo, exchange: Exchange, home: Home) -> None:
    because = f" ({exchange.because})" if exchange.because else ""
    replay = f" {exchange.replay}" if exchange.replay else ""
    example = '{"symbol":"BTCUSDT","type":"api_candles_5m","time_range":"2024-08-01:2024-08-02"}'
    lines = [
        f"StreamForge is up. Exchange: {exchange.kind}{replay}{because}",
        f"  REST API   {info.queue_manager_url} (try {info.queue_manager_url}/docs)",
        f"  Kafka      {info.kafka_bootstrap_servers}",
        f"  ArangoDB   {info.arango_url} (database {info.arango_database}, user {info.arango_username})",
        *([f"  Exchange   {info.exchange_sim_url}"] if info.exchange_sim_url else []),
        f"  Password   in {home.folder}/platform.json",
        f"  Logs       {home.logs}",
        "Load a day of candles:",
        f"  curl -H 'Content-Type: application/json' {info.queue_manager_url}/workflows -d '{example}'",
        "End with Ctrl-C.",
    ]
    typer.echo("\n".join(lines))
