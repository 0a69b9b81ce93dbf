"""`streamforge watch`: the audit trail of a workflow as it grows."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from streamforge_local.client.documents import AuditItem
from streamforge_local.client.following import follow_audit_trail
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.ending import conclude, conclude_in_silence
from streamforge_local.commands.failures import fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import clock, count, screen, status_text, write_json


@fails_readably
def watch(
    queue_id: options.QueueId,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Show everything that happens to a workflow until it has ended.

    That is its audit trail: every command, event and change of status, from the first on. Exit code 0 only when it has
    completed and nothing is known to be missing. With --json: one item per line.
    """
    with Connection(url, home).open() as manager:
        meant = resolve(manager, queue_id)
        console = screen()
        for item in follow_audit_trail(manager, meant):
            if as_json:
                write_json(item.raw)
            else:
                _print_item(console, item)
        workflow = manager.workflow(meant)
        if as_json:
            conclude_in_silence(manager, workflow)
        else:
            conclude(manager, workflow)


def _print_item(console: Console, item: AuditItem) -> None:
    line = Text(f"{clock(item.at)}  {item.kind:<8}")
    line.append_text(_told(item.kind, item.data))
    console.print(line, no_wrap=True, overflow="ellipsis")


def _told(kind: str, data: Mapping[str, Any]) -> Text:
    """Say one item in a few words; what this version does not know is shown as it came."""
    match kind, data:
        case "status", {"status": str(status)}:
            return status_text(status)
        case "command", {"command": str(command), "telemetry_id": str(telemetry_id)}:
            return Text(f"{command} → {telemetry_id}")
        case "event", {"producer": str(producer), "status": str(status), **more}:
            told = Text(f"{producer}  ").append_text(status_text(status))
            told.append(f"  {count(int(more.get('records_written', 0)))} records", style="dim")
            if message := more.get("message"):
                told.append(f"  {message}")
            return told
        case _:
            return Text(", ".join(f"{name} {value}" for name, value in data.items()))
