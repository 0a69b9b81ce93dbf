"""`streamforge ls` and `streamforge show`: which workflows there are, and one of them in full."""

from typing import Annotated

import typer
from rich.console import Console

from streamforge_local.client.documents import Job, Workflow
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.ending import CONNECTOR
from streamforge_local.commands.failures import fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import age, count, plain_table, screen, seconds_between, status_text, write_json


@fails_readably
def ls(
    status: Annotated[str | None, typer.Option(help="Only those that stand so, e.g. loading.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only those of this symbol.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only those of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to list, newest first.")] = 20,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """List workflows, newest first.

    With --json: one workflow document per line.
    """
    with Connection(url, home).open() as manager:
        workflows = list(manager.workflows(limit, status=status, symbol=symbol, type=type_))
    if as_json:
        for workflow in workflows:
            write_json(workflow.raw)
    elif not workflows:
        typer.echo("no workflows", err=True)
    else:
        _print_workflows(screen(), workflows)


@fails_readably
def show(
    queue_id: options.QueueId,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Show a workflow with its tasks and jobs.

    With --json: its document, with the jobs added as `jobs`.
    """
    with Connection(url, home).open() as manager:
        workflow = manager.workflow(resolve(manager, queue_id))
        jobs = manager.jobs(workflow.queue_id)
    if as_json:
        write_json({**workflow.raw, "jobs": [job.raw for job in jobs]})
        return
    console = screen()
    _print_facts(console, workflow)
    _print_tasks(console, workflow)
    _print_jobs(console, jobs)


def _print_workflows(console: Console, workflows: list[Workflow]) -> None:
    table = plain_table("QUEUE_ID", "STATUS", "TIME RANGE", ">STORED", ">AGE")
    for workflow in workflows:
        table.add_row(
            workflow.queue_id,
            status_text(workflow.status),
            ", ".join(dict.fromkeys(dataset.time_range for dataset in workflow.datasets)),
            count(workflow.records_of(CONNECTOR)),
            age(workflow.created_at),
        )
    table.columns[0].no_wrap = True
    console.print(table)


def _print_facts(console: Console, workflow: Workflow) -> None:
    facts = plain_table("", "")
    facts.show_header = False
    facts.columns[0].style = "dim"
    facts.add_row("workflow", workflow.queue_id)
    facts.add_row("status", status_text(workflow.status))
    if workflow.error is not None:
        facts.add_row("error", f"{workflow.error.detail} ({workflow.error.code})")
    for dataset in workflow.datasets:
        facts.add_row(
            "dataset", f"{dataset.exchange} {dataset.market} {dataset.symbol} {dataset.type} {dataset.time_range}"
        )
        if dataset.expected_records is not None:
            facts.add_row("expected", f"{count(dataset.expected_records)} records")
        facts.add_row("topic", dataset.kafka_topic)
        facts.add_row("collection", dataset.collection_name)
    facts.add_row("created", f"{workflow.created_at} ({age(workflow.created_at)} ago)")
    if workflow.finished_at is not None:
        took_s = seconds_between(workflow.created_at, workflow.finished_at)
        facts.add_row("finished", f"{workflow.finished_at} (after {took_s:.1f} s)")
    console.print(facts)


def _print_tasks(console: Console, workflow: Workflow) -> None:
    table = plain_table("TASK", "STATUS", ">ATTEMPT", ">RECORDS", "MESSAGE")
    for task in workflow.tasks:
        table.add_row(
            task.telemetry_id,
            status_text(task.status),
            str(task.attempt),
            count(task.records_written),
            task.message,
        )
    console.print()
    console.print(table)


def _print_jobs(console: Console, jobs: list[Job]) -> None:
    if not jobs:
        return
    table = plain_table("JOB", "STATUS", ">EXIT", ">RESTARTS", "REASON")
    for job in jobs:
        exit_code = "" if job.exit_code is None else str(job.exit_code)
        table.add_row(job.name, status_text(job.status), exit_code, str(job.restarts), job.reason or "")
    console.print()
    console.print(table)
