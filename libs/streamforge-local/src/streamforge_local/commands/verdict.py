"""Say what the completeness report of a workflow comes to."""

from rich.text import Text

from streamforge_local.client.documents import DatasetQuality, Quality
from streamforge_local.commands.output import count

COMPLETE = "complete"
INCOMPLETE = "incomplete"
_STYLES = {COMPLETE: "green", INCOMPLETE: "bold red", "unproven": "yellow", "running": "cyan"}


def verdict_text(verdict: str) -> Text:
    """Write a verdict in its colour."""
    return Text(verdict, style=_STYLES.get(verdict, ""))


def verdict_with_numbers(quality: Quality) -> Text:
    """Write the verdict with the numbers that it rests on, in one line."""
    numbers = "; ".join(_told(dataset) for dataset in quality.datasets)
    return Text.assemble(verdict_text(quality.verdict), f", {numbers}")


def _told(dataset: DatasetQuality) -> str:
    if dataset.expected is None:
        told = [f"{count(dataset.stored)} records stored, and no way to know how many there should be"]
    else:
        told = [f"{count(dataset.stored)} of {count(dataset.expected)} expected records stored"]
    for number, what in (
        (dataset.missing, "missing" if dataset.verdict != COMPLETE else "that the exchange does not have"),
        (dataset.rejected, "rejected"),
        (sum(symbol.error is not None for symbol in dataset.symbols), "symbols that could not be loaded"),
    ):
        if number:
            told.append(f"{count(number)} {what}")
    return ", ".join(told)
