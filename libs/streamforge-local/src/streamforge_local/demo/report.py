"""The demo's report: what was loaded, from where, whether it is all there, and where to go from here."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamforge_local.client.documents import Dataset, Quality, Workflow
from streamforge_local.commands.ending import CONNECTOR
from streamforge_local.commands.output import count, plain_table, seconds_between
from streamforge_local.commands.verdict import verdict_with_numbers
from streamforge_local.demo.cross_check import CrossCheck
from streamforge_local.demo.proof import Proof
from streamforge_local.exchange import ExchangeKind

LOADER = "loader-producer"
_PRICES = ("open", "high", "low", "close")
_MISSING_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ExchangeUsed:
    """Where the candles came from."""

    asked_for: str
    """As `--exchange` takes it."""
    kind: str
    """What it came to: `live`, `simulated` or `replay`."""
    override: str | None
    """Where the candles really came from, when the person has set `BINANCE_SPOT_REST_URL`."""

    @property
    def described(self) -> str:
        """Say in a line whether the data are real, recorded or invented."""
        if self.override is not None:
            return f"YOUR OWN: {self.override}, which BINANCE_SPOT_REST_URL names"
        if self.kind == ExchangeKind.LIVE:
            return "LIVE: the real Binance, over the internet"
        if self.kind == ExchangeKind.REPLAY:
            recording = Path(self.asked_for.partition(":")[2]).name
            return f"REPLAY: recorded data of {recording}, served on this machine"
        chosen = "Binance does not answer from here; " if self.asked_for == ExchangeKind.AUTO else ""
        return f"SIMULATED: {chosen}invented prices, served on this machine"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A workflow that completed, and its completeness report."""

    workflow: Workflow
    quality: Quality

    @property
    def dataset(self) -> Dataset:
        """The one that it loaded."""
        return self.workflow.datasets[0]


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time went, seconds."""

    setup_s: float
    """Until the platform was healthy."""
    workflows_s: float
    """From the first request until the last workflow was seen to have ended."""
    checks_s: float
    """Asking database and exchange what is there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A query and its answer."""

    question: str
    aql: str
    candles: Sequence[dict[str, Any]]


def print_report(
    console: Console,
    exchange: ExchangeUsed,
    candles: Loaded,
    proof: Proof,
    trades: Loaded | None,
    check: CrossCheck | None,
    sample: Sample,
    times: Times,
) -> None:
    """Show all of it."""
    report = Table.grid(padding=(0, 2, 0, 0))
    report.add_column(style="dim", no_wrap=True)
    report.add_column(overflow="fold")
    report.add_row("exchange", exchange.described)
    served = [] if proof.served is None else [f"{count(proof.served)} served by the exchange"]
    _add_loaded(report, candles, served)
    report.add_row("proof", _verdict(proof))
    report.add_row("ask it", _sample(sample))
    if trades is not None:
        report.add_section()
        _add_loaded(report, trades, [])
    if check is not None:
        report.add_row("cross-check", _cross_checked(check))
    report.add_row("times", _times(times))
    console.rule("report", style="dim")
    console.print(report)
    for number, step in enumerate(_next_steps(candles.dataset, exchange.asked_for)):
        # Commands are to be copied: the terminal may break them, a line end in them would.
        console.print(Text.assemble(("next      " if number == 0 else " " * 10, "dim"), step), soft_wrap=True)


def _add_loaded(report: Table, loaded: Loaded, served: Sequence[str]) -> None:
    workflow, dataset = loaded.workflow, loaded.dataset
    duration_s = seconds_between(workflow.created_at, workflow.finished_at or workflow.updated_at)
    stored = workflow.records_of(CONNECTOR)
    published = f"{count(workflow.records_of(LOADER))} published to Kafka"
    report.add_row("workflow", workflow.queue_id)
    report.add_row("", f"{workflow.status} after {duration_s:.1f} s")
    report.add_row("dataset", f"{dataset.exchange} {dataset.market} {dataset.symbol} {dataset.type}")
    report.add_row("", f"{dataset.time_range} (UTC, end exclusive)")
    report.add_row("records", " → ".join([*served, published, f"{count(stored)} written to the database"]))
    rate = count(round(stored / max(duration_s, 0.001)))
    report.add_row("", f"{rate} records per second, the start of the jobs included")
    report.add_row("quality", verdict_with_numbers(loaded.quality))
    report.add_row("", Text(f"in collection {dataset.collection_name}", style="dim"))


def _cross_checked(check: CrossCheck) -> Text:
    told = (
        f"{count(check.equal)} of {count(check.candles)} candles are what these {count(check.trades)} trades make, "
        "to the last digit"
    )
    return Text(f"yes: {told}", style="green") if check.holds else Text(f"NO: only {told}", style="bold red")


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
    table = plain_table("OPENED (UTC)", *(f">{name.upper()}" for name in _PRICES), ">VOLUME", ">TRADES")
    decimals = max((_decimals(candle[name]) for candle in sample.candles for name in _PRICES), default=0)
    for candle in sample.candles:
        opened = datetime.fromtimestamp(candle["open_time"] / 1000, UTC)
        prices = [f"{candle[name]:,.{decimals}f}" for name in _PRICES]
        table.add_row(f"{opened:%Y-%m-%d %H:%M}", *prices, f"{candle['volume']:,.2f}", count(candle["trades"]))
    return Group(f"{sample.question} In AQL:", Text(sample.aql, style="cyan"), table)


def _decimals(price: float) -> int:
    """Count the decimal places that a price has, as exchanges write it: at most eight."""
    return len(f"{price:.8f}".rstrip("0").partition(".")[2])


def _times(times: Times) -> str:
    total = times.setup_s + times.workflows_s + times.checks_s
    return (
        f"{times.setup_s:.1f} s to start the platform, {times.workflows_s:.1f} s to run the workflows, "
        f"{times.checks_s:.1f} s to check it; {total:.1f} s in all"
    )


def _next_steps(dataset: Dataset, asked_for: str) -> Iterator[Text]:
    option = "" if asked_for == ExchangeKind.AUTO else f" EXCHANGE={shlex.quote(asked_for)}"
    yield Text(f"make up{option}").append("  # a platform that stays; then, in another terminal:", "dim")
    yield Text(f".venv/bin/streamforge run {dataset.symbol} {dataset.type} {dataset.time_range}")
    yield Text(".venv/bin/streamforge --help").append(
        "  # also: ls show watch quality logs stop retry rm doctor …", "dim"
    )
    yield Text("docs/ARCHITECTURE.md").append("  # how it works", "dim")
