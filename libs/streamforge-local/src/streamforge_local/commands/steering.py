"""`streamforge stop`, `pause`, `resume`, `retry` and `repair`: change what is wanted of a workflow."""

from collections.abc import Callable
from typing import Annotated

import typer

from streamforge_local.client.api import QueueManager, Steering
from streamforge_local.client.documents import Workflow
from streamforge_local.client.following import follow
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.failures import FAILED, fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import screen, status_text, write_json
from streamforge_local.commands.running import see_through

HELP: dict[Steering, str] = {
    "stop": "End a workflow; what was published is still stored.",
    "pause": "Let a workflow take no new work and keep its place.",
    "resume": "Let a paused workflow go on.",
    "retry": "Let a stopped or failed workflow go on from where it stopped.",
    "repair": "Load what an ended workflow lacks, and nothing else.",
}

_FULFILLED: dict[Steering, frozenset[str]] = {
    "stop": frozenset({"stopped"}),
    "pause": frozenset({"paused"}),
    "resume": frozenset({"pending", "starting", "loading", "completed"}),
    "retry": frozenset({"completed"}),
    "repair": frozenset({"completed"}),
}
"""The statuses in which the wish has come true."""

Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is so; exit code 1 where it comes otherwise.")]


def steering_command(wish: Steering) -> Callable[..., None]:
    """Make the command of one wish: all take the same options."""

    @fails_readably
    def steer(
        queue_id: options.QueueId,
        wait: Wait = False,
        url: options.Url = None,
        home: options.Home = options.DEFAULT_HOME,
        as_json: options.AsJson = False,
    ) -> None:
        connection = Connection(url, home)
        with connection.open() as manager:
            workflow = manager.steer(resolve(manager, queue_id), wish)
            if wait and wish in ("retry", "repair") and not as_json:
                see_through(manager, workflow, connection)
                return
            if wait:
                workflow = _wait(manager, workflow, wish)
        if as_json:
            write_json(workflow.raw)
        else:
            screen().print(f"{workflow.queue_id}:", status_text(workflow.status))
        if wait and workflow.status not in _FULFILLED[wish]:
            raise typer.Exit(FAILED)

    return steer


def _wait(manager: QueueManager, workflow: Workflow, wish: Steering) -> Workflow:
    """Return the workflow once the wish has come true, or has become impossible."""
    with screen(stderr=True).status(f"waiting for {workflow.queue_id} to {wish}"):
        for state in follow(manager, workflow.queue_id):
            workflow = state
            if workflow.status in _FULFILLED[wish]:
                break
    return workflow
