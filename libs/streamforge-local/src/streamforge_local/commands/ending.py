"""Say how a workflow ended, and with what exit code the command that waited for it does."""

import typer

from streamforge_local.client.documents import Workflow
from streamforge_local.commands.failures import FAILED
from streamforge_local.commands.output import count, screen, seconds_between

CONNECTOR = "arango-connector"
"""The target that stores records; its count is what has reached the database."""


def conclude(workflow: Workflow) -> None:
    """Tell a person how the workflow ended.

    Raises:
        typer.Exit: With 1, unless it is `completed`.
    """
    if workflow.status != "completed":
        typer.echo(f"error: {_what_went_wrong(workflow)}", err=True)
        raise typer.Exit(FAILED)
    stored = count(workflow.records_of(CONNECTOR))
    collections = ", ".join(dataset.collection_name for dataset in workflow.datasets)
    screen().print(f"completed{_duration(workflow)}: {stored} records stored in {collections}", style="green")


def fail_unless_completed(workflow: Workflow) -> None:
    """Give the exit code only, where a program has read everything else.

    Raises:
        typer.Exit: With 1, unless the workflow is `completed`.
    """
    if workflow.status != "completed":
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
