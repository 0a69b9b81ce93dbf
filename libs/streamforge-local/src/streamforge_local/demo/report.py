"""The demo's report: what was loaded, from where, whether it is all there, and where to go from here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamforge_local.client.documents import Workflow
from streamforge_local.commands.ending import CONNECTOR
from streamforge_local.commands.output import count, plain_table, seconds_between
from streamforge_local.demo.proof import Proof

LOADER = "loader-producer"
_MISSING_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time went, seconds."""

    setup_s: float
    """Until the platform was healthy."""
    workflow_s: float
    """From the request until the workflow was seen to have ended."""
    checks_s: float
    """Asking database and exchange what is there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A query and its answer."""

    question: str
    aql: str
    candles: Sequence[dict[str, Any]]


def print_report(
    console: Console, exchange: str, workflow: Workflow, proof: Proof, sample: Sample, times: Times
) -> None:
    """Show all of it."""
    dataset = workflow.datasets[0]
    report = Table.grid(padding=(0, 2, 0, 0))
    report.add_column(style="dim", no_wrap=True)
    report.add_column(overflow="fold")
    report.add_row("exchange", exchange)
    report.add_row("workflow", f"{workflow.queue_id} {workflow.status}{_duration(workflow)}")
    report.add_row("dataset", f"{dataset.exchange} {dataset.market} {dataset.symbol} {dataset.type}")
    report.add_row("", f"{dataset.time_range} (UTC, end exclusive)")
    report.add_row("records", _records(workflow, proof))
    report.add_row("complete", _verdict(proof))
    report.add_row("", Text(f"in collection {dataset.collection_name}", style="dim"))
    report.add_row("ask it", _sample(sample))
    report.add_row("times", _times(times))
    report.add_row("next", _next_steps(workflow))
    console.rule("report", style="dim")
    console.print(report)


def _duration(workflow: Workflow) -> str:
    if workflow.finished_at is None:
        return ""
    return f" after {seconds_between(workflow.created_at, workflow.finished_at):.1f} s"


def _records(workflow: Workflow, proof: Proof) -> str:
    published, written = workflow.records_of(LOADER), workflow.records_of(CONNECTOR)
    served = "" if proof.served is None else f"{count(proof.served)} served by the exchange, "
    rate = ""
    if workflow.finished_at is not None:
        took_s = seconds_between(workflow.created_at, workflow.finished_at)
        rate = f" ({count(round(proof.stored / took_s))} candles per second, start of the jobs included)"
    return f"{served}{count(published)} published to Kafka, {count(written)} written to the database{rate}"


def _verdict(proof: Proof) -> Text:
    stored = f"{count(proof.stored)} stored of {count(proof.expected)} expected"
    if proof.is_complete:
        return Text(f"yes: {stored}, every candle of the range is there", style="green")
    faults = []
    if proof.missing:
        shown = ", ".join(proof.missing[:_MISSING_SHOWN])
        more = " …" if len(proof.missing) > _MISSING_SHOWN else ""
        faults.append(f"{count(len(proof.missing))} missing: {shown}{more}")
    if proof.foreign:
        faults.append(f"{count(proof.foreign)} that do not belong there")
    return Text(f"NO: {stored}; {'; '.join(faults)}", style="bold red")


def _sample(sample: Sample) -> RenderableType:
    table = plain_table("OPENED (UTC)", ">OPEN", ">HIGH", ">LOW", ">CLOSE", ">VOLUME", ">TRADES")
    for candle in sample.candles:
        opened = datetime.fromtimestamp(candle["open_time"] / 1000, UTC)
        prices = [f"{candle[name]:,.8g}" for name in ("open", "high", "low", "close")]
        table.add_row(f"{opened:%Y-%m-%d %H:%M}", *prices, f"{candle['volume']:,.2f}", count(candle["trades"]))
    return Group(f"{sample.question} In AQL:", Text(sample.aql, style="cyan"), table)


def _times(times: Times) -> str:
    total = times.setup_s + times.workflow_s + times.checks_s
    return (
        f"{times.setup_s:.1f} s to start the platform, {times.workflow_s:.1f} s to run the workflow, "
        f"{times.checks_s:.1f} s to check it; {total:.1f} s in all"
    )


def _next_steps(workflow: Workflow) -> RenderableType:
    dataset = workflow.datasets[0]
    steps = Table.grid(padding=(0, 2, 0, 0))
    steps.add_row("make up", Text("keeps a platform running; then, in another terminal:", style="dim"))
    steps.add_row(
        f".venv/bin/streamforge run {dataset.symbol} {dataset.type} {dataset.time_range}",
        Text("loads this", style="dim"),
    )
    steps.add_row(
        ".venv/bin/streamforge --help", Text("what else there is: ls show watch stop logs doctor …", style="dim")
    )
    steps.add_row("README.md", Text("how it works, and how to go on", style="dim"))
    return steps
