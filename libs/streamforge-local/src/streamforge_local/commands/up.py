"""`streamforge up`: start the embedded platform and keep it running until it is told to end."""

from typing import Annotated

import typer

from streamforge_local.commands import options
from streamforge_local.errors import PlatformError
from streamforge_local.stop_signals import StopSignals


def up(
    context: typer.Context,
    home: options.OwnHome = options.DEFAULT_HOME,
    exchange: Annotated[str, typer.Option(help="auto, live, simulated or replay:PATH.")] = "auto",
    speed: Annotated[float | None, typer.Option(min=0, help="Of a simulation; 0 is as fast as it goes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print platform.json's content once all is healthy.")] = False,
) -> None:
    """Start everything on this machine with real parts, and keep it running until Ctrl-C."""
    # Here: the other commands do not need the platform's many parts.
    from streamforge_local.exchange import Exchange
    from streamforge_local.foreground import run_in_foreground

    signals = context.find_object(StopSignals) or StopSignals()
    try:
        run_in_foreground(home, Exchange.parse(exchange, speed), signals, as_json=as_json)
    except PlatformError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
