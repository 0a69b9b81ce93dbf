"""`streamforge quality`: what was expected, what is stored, and where the holes are."""

from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.text import Text

from streamforge_local.client.documents import Anomaly, Dataset, Gap, Quality, SymbolQuality, Workflow
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.failures import FAILED, fails_readably
from streamforge_local.commands.naming import resolve
from streamforge_local.commands.output import count, plain_table, screen, write_json
from streamforge_local.commands.verdict import COMPLETE, verdict_text, verdict_with_numbers

_GAPS_SHOWN = 10
_SYMBOLS_SHOWN = 20
_ANOMALIES_SHOWN = 5
_CAUSES = {"exchange": "the exchange does not have them", "unexplained": "unexplained"}


@fails_readably
def quality(
    queue_id: options.QueueId,
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Show whether everything that a workflow was to load is stored.

    Exit code 0 only when it is complete. With --json: the completeness report, with up to 1,000 gaps of each dataset.
    """
    with Connection(url, home).open() as manager:
        workflow = manager.workflow(resolve(manager, queue_id))
        report = manager.quality(workflow.queue_id)
    if as_json:
        write_json(report.raw)
    else:
        _print_report(screen(), workflow, report)
    if report.verdict != COMPLETE:
        raise typer.Exit(FAILED)


def _print_report(console: Console, workflow: Workflow, report: Quality) -> None:
    datasets = {dataset.n: dataset for dataset in workflow.datasets}
    console.print(report.queue_id, style="bold")
    console.print(Text("verdict: ").append_text(verdict_with_numbers(report)), soft_wrap=True)
    table = plain_table(
        "DATASET", ">EXPECTED", ">STORED", ">MISSING", ">REPEATED", ">OUT OF RANGE", ">REJECTED", "VERDICT"
    )
    for each in report.datasets:
        counts = (each.stored, each.missing, each.repeated, each.out_of_range, each.rejected)
        name = f"{datasets[each.n].symbol} {datasets[each.n].type}"
        table.add_row(name, _expected(each.expected), *map(count, counts), verdict_text(each.verdict))
    console.print()
    console.print(table)
    for each in report.datasets:
        if each.symbols:
            _print_symbols(console, each.symbols)
        if each.gaps:
            _print_gaps(console, datasets[each.n], each.gaps, each.gaps_total)
        if each.anomalies:
            _print_anomalies(console, each.anomalies, each.anomalies_total or 0)
    for check in report.cross_checks or ():
        told = (
            f"{count(check.differing)} of {count(check.compared)} candles differ from the stored trades of their range"
        )
        console.print(told, style="bold red" if check.differing else "")


def _print_symbols(console: Console, symbols: list[SymbolQuality]) -> None:
    """Show those of a basket of which there is something to say."""
    told = [symbol for symbol in symbols if symbol.verdict != COMPLETE or symbol.error is not None]
    if not told:
        return
    table = plain_table("SYMBOL", ">EXPECTED", ">STORED", ">MISSING", ">REJECTED", "VERDICT", "WHY")
    for each in told[:_SYMBOLS_SHOWN]:
        counts = map(count, (each.stored, each.missing, each.rejected))
        why = each.error.detail if each.error else ""
        table.add_row(each.symbol, _expected(each.expected), *counts, verdict_text(each.verdict), why)
    console.print()
    console.print(table)
    if len(told) > _SYMBOLS_SHOWN:
        console.print(f"and {count(len(told) - _SYMBOLS_SHOWN)} more symbols; --json lists all", style="dim")


def _expected(number: int | None) -> str:
    return "unknown" if number is None else count(number)


def _print_gaps(console: Console, dataset: Dataset, gaps: list[Gap], total: int) -> None:
    # Where nobody can know how many are missing, nothing is numbered.
    has_ids = dataset.has_ids and gaps[0].missing is not None
    of_basket = ["SYMBOL"] if gaps[0].symbol else []
    table = plain_table(*of_basket, f"GAP FROM ({'ID' if has_ids else 'UTC'})", "TO (EXCLUSIVE)", ">MISSING", "CAUSE")
    for gap in gaps[:_GAPS_SHOWN]:
        edges = (str(edge) if has_ids else _moment(edge) for edge in (gap.start, gap.end))
        missing = "unknown" if gap.missing is None else count(gap.missing)
        table.add_row(*[gap.symbol for _ in of_basket], *edges, missing, _CAUSES.get(gap.cause, gap.cause))
    console.print()
    console.print(table)
    if total > _GAPS_SHOWN:
        console.print(f"and {count(total - _GAPS_SHOWN)} more gaps; --json lists up to 1,000", style="dim")


def _print_anomalies(console: Console, anomalies: list[Anomaly], total: int) -> None:
    table = plain_table("PRICE JUMP AT (UTC)", ">FROM", ">TO")
    for jump in anomalies[:_ANOMALIES_SHOWN]:
        table.add_row(_moment(jump.at), f"{jump.previous:g}", f"{jump.price:g}")
    console.print()
    console.print(table)
    if total > _ANOMALIES_SHOWN:
        console.print(f"and {count(total - _ANOMALIES_SHOWN)} more price jumps", style="dim")


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")
