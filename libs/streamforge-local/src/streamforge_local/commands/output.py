"""What the commands write: JSON for programs, text and tables for people."""

import sys
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "completed": "green",
    "succeeded": "green",
    "error": "bold red",
    "failed": "bold red",
    "paused": "yellow",
    "stopped": "yellow",
    "stopping": "yellow",
    "loading": "cyan",
    "running": "cyan",
}
_PIPED_WIDTH = 240
"""A pipe has no width; nothing that a table shows is as wide as this."""


def write_json(value: object) -> None:
    """Write one JSON document and a newline, at once: the reader may be waiting for the line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def screen(*, stderr: bool = False, piped_width: int = _PIPED_WIDTH) -> Console:
    """Make the console to write to; nothing in a text is taken for mark-up or guessed to be a number."""
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = piped_width
    return console


def plain_table(*headings: str) -> Table:
    """Make a table without lines; a heading that starts with `>` is of a column of numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        is_number = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if is_number else "left", overflow="fold")
    return table


def status_text(status: str) -> Text:
    """Write a status in its colour."""
    return Text(status, style=_STYLES.get(status, ""))


def count(records: int) -> str:
    """Write a number of records, e.g. `9,792`."""
    return f"{records:,}"


def age(moment: str, now: datetime | None = None) -> str:
    """Write how long ago an RFC 3339 moment was, e.g. `3 min`."""
    passed = (now or datetime.now(UTC)) - datetime.fromisoformat(moment)
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if passed >= unit:
            return f"{passed // unit} {name}"
    return f"{max(0, int(passed.total_seconds()))} s"


def seconds_between(start: str, end: str) -> float:
    """Return the seconds between two RFC 3339 moments."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def clock(moment: str) -> str:
    """Write the time of day of an RFC 3339 moment, in the person's own time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
