"""`streamforge logs`: what the jobs of a workflow have written."""

from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.failures import fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import clock, screen, write_json

_STYLES = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red", "DEBUG": "dim"}


@fails_readably
def logs(
    queue_id: options.QueueId,
    target: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Only the jobs of this target, e.g. loader-producer.")
    ] = None,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Show what the jobs of a workflow have logged.

    With --json: the log lines as JSON; what was no JSON (a traceback) becomes {"message": …}.
    """
    with Connection(url, home).open() as manager:
        written = manager.logs(resolve(manager, queue_id), target)
    console = screen()
    for line in written.splitlines():
        entry = _entry(line)
        if as_json:
            write_json(entry)
        else:
            console.print(_told(entry), soft_wrap=True)


def _entry(line: str) -> dict[str, Any]:
    """Read a log line (contract section 11), or take it as a message where it is none."""
    try:
        entry = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {"message": line}
    return entry if isinstance(entry, dict) else {"message": line}


def _told(entry: dict[str, Any]) -> Text:
    match entry:
        case {"time": str(moment), "level": str(level), "service": str(service), "message": message}:
            text = Text(f"{clock(moment)} ")
            text.append(f"{level:<8}", style=_STYLES.get(level, ""))
            return text.append(f"{service}  ", style="dim").append(str(message))
        case {"message": str(message)}:
            return Text(message)
        case _:
            return Text(msgspec.json.encode(entry).decode())
