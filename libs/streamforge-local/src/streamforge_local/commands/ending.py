"""Say how a workflow ended, and with what exit code the command that waited for it does."""

import typer
from rich.text import Text

from streamforge_local.client.api import QueueManager
from streamforge_local.client.documents import Workflow
from streamforge_local.commands.failures import FAILED
from streamforge_local.commands.output import count, screen, seconds_between
from streamforge_local.commands.verdict import INCOMPLETE, verdict_with_numbers

CONNECTOR = "arango-connector"
"""The target that stores records; its count is what has reached the database."""


def conclude(manager: QueueManager, workflow: Workflow) -> None:
    """Tell a person how the workflow ended, and whether all is there.

    Raises:
        typer.Exit: With 1, unless it is `completed` and nothing is known to be missing.
    """
    if workflow.status != "completed":
        typer.echo(f"error: {_what_went_wrong(workflow)}", err=True)
        raise typer.Exit(FAILED)
    stored = count(workflow.records_of(CONNECTOR))
    collections = ", ".join(dataset.collection_name for dataset in workflow.datasets)
    quality = manager.quality(workflow.queue_id)
    screen().print(f"completed{_duration(workflow)}: {stored} records stored in {collections}", style="green")
    screen().print(Text("verdict: ").append_text(verdict_with_numbers(quality)), soft_wrap=True)
    if quality.verdict == INCOMPLETE:
        raise typer.Exit(FAILED)


def conclude_in_silence(manager: QueueManager, workflow: Workflow) -> None:
    """Give the exit code only, where a program has read everything else.

    Raises:
        typer.Exit: With 1, unless it is `completed` and nothing is known to be missing.
    """
    if workflow.status != "completed" or manager.quality(workflow.queue_id).verdict == INCOMPLETE:
        raise typer.Exit(FAILED)


def _what_went_wrong(workflow: Workflow) -> str:
    if workflow.error is None:
        return f"{workflow.queue_id} is {workflow.status}"
    detail = " ".join(workflow.error.detail.split())
    return f"{workflow.queue_id} failed: {detail} ({workflow.error.code})"


def _duration(workflow: Workflow) -> str:
    if workflow.finished_at is None:
        return ""
    return f" after {seconds_between(workflow.created_at, workflow.finished_at):.1f} s"
