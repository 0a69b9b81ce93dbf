"""`streamforge rm`: forget a workflow that has ended."""

from typing import Annotated

import typer

from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.failures import fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import screen, write_json


@fails_readably
def rm(
    queue_id: options.QueueId,
    with_data: Annotated[bool, typer.Option("--data", help="Also delete the records that it has stored.")] = False,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Remove a workflow that has ended, with its topics and its audit trail.

    With --json: {"queue_id", "removed": true}.
    """
    with Connection(url, home).open() as manager:
        meant = resolve(manager, queue_id)
        manager.delete(meant, with_data=with_data)
    if as_json:
        write_json({"queue_id": meant, "removed": True})
    else:
        screen().print(f"{meant} is removed{' with its data' if with_data else '; what it has stored is still there'}")
