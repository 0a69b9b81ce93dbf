"""`streamforge run`: start a workflow and see it through."""

from typing import Annotated

import typer

from streamforge_local.client.api import QueueManager
from streamforge_local.client.documents import Workflow
from streamforge_local.client.following import changes, follow
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.ending import conclude, conclude_in_silence
from streamforge_local.commands.failures import INTERRUPTED, fails_readably
from streamforge_local.commands.output import screen, write_json
from streamforge_local.commands.progress import show_progress


@fails_readably
def run(
    symbol: Annotated[
        str,
        typer.Argument(metavar="SYMBOL", help="As the exchange names it, e.g. BTCUSDT; or several: BTCUSDT,ETHUSDT."),
    ],
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="What to load and how, e.g. api_candles_5m.")],
    time_range: Annotated[
        str,
        typer.Argument(
            metavar="TIME_RANGE", help="e.g. 2024-08-01:2024-08-02; UTC, the end is exclusive. None for live types."
        ),
    ] = "",
    exchange: Annotated[str, typer.Option(help="Where to load from.")] = "binance",
    market: Annotated[str, typer.Option(help="Which market of the exchange.")] = "spot",
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="NAME", help="Where to store; else named after the dataset.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Of a live type: how long; else until it is stopped.")
    ] = None,
    backfill: Annotated[
        str | None,
        typer.Option(
            metavar="START", help="Of a live type: history first, from an instant on or so many seconds back."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Of an api type: rest, dump (archives) or auto; else auto.")
    ] = None,
    is_followed: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Show the progress until it has ended, or only start it.")
    ] = True,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Start a workflow and follow it to its end.

    Exit code 0 only when it has completed and nothing is known to be missing. With --json: the workflow document, one
    line each time it has changed.
    """
    request: dict[str, object] = {
        **({"symbols": symbol.split(",")} if "," in symbol else {"symbol": symbol}),
        "type": type_,
        "time_range": time_range,
        "exchange": exchange,
        "market": market,
    }
    if collection is not None:
        request["collection_name"] = collection
    choices = {
        "duration": duration,
        "source": source,
        "backfill": float(backfill) if backfill is not None and backfill.isdecimal() else backfill,
    }
    if chosen := {option: choice for option, choice in choices.items() if choice is not None}:
        request["options"] = chosen
    connection = Connection(url, home)
    with connection.open() as manager:
        workflow = manager.submit(request)
        if as_json:
            _run_for_a_program(manager, workflow, is_followed)
        elif is_followed:
            _run_for_a_person(manager, workflow, connection)
        else:
            screen().print(workflow.queue_id)


def _run_for_a_program(manager: QueueManager, workflow: Workflow, is_followed: bool) -> None:
    if not is_followed:
        write_json(workflow.raw)
        return
    for state in changes(follow(manager, workflow.queue_id)):
        workflow = state
        write_json(workflow.raw)
    conclude_in_silence(manager, workflow)


def _run_for_a_person(manager: QueueManager, workflow: Workflow, connection: Connection) -> None:
    screen().print(workflow.queue_id, style="bold")
    see_through(manager, workflow, connection)


def see_through(manager: QueueManager, workflow: Workflow, connection: Connection) -> None:
    """Show a workflow's progress to a person until it has ended, and say how.

    Raises:
        typer.Exit: It did not complete, something is missing, or the person has seen enough.
    """
    try:
        last = show_progress(screen(), follow(manager, workflow.queue_id))
    except KeyboardInterrupt:
        typer.echo(
            f"{workflow.queue_id} goes on without you\n"
            f"  watch it: {connection.command('watch', workflow.queue_id)}\n"
            f"  stop it:  {connection.command('stop', workflow.queue_id)}",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    conclude(manager, last or workflow)
