"""Show a workflow on its way: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from streamforge_local.client.documents import Task, Workflow
from streamforge_local.commands.output import count

_LINE_EVERY_S = 2.0
"""Of a log that a person reads later; a change of status is told at once."""


def show_progress(console: Console, workflows: Iterable[Workflow]) -> Workflow | None:
    """Show every state that is handed in, and return the last one.

    Args:
        console: Where to show it; on a terminal the bars move, elsewhere lines are added.
        workflows: The states of one workflow, as they come.
    """
    return _bars(console, workflows) if console.is_terminal else _lines(console, workflows)


class _Pace:
    """How fast the records of every attempt come, since it was first seen at work."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, int], tuple[float, int]] = {}
        self._final: dict[tuple[str, int], str] = {}

    def of(self, task: Task) -> str:
        """Say the records per second; of an attempt that has ended, as it was when that was first seen."""
        attempt = (task.telemetry_id, task.attempt)
        if task.status == "pending":
            return ""
        if attempt in self._final:
            return self._final[attempt]
        now_s = time.monotonic()
        began_s, before = self._began.setdefault(attempt, (now_s, task.records_written))
        records = task.records_written - before
        pace = f"{count(round(records / (now_s - began_s)))}/s" if records else ""
        if task.has_ended:
            self._final[attempt] = pace
        return pace


def _amount(task: Task, expected: int | None) -> str:
    return count(task.records_written) + (f" of {count(expected)}" if expected is not None else "")


def _expected(workflow: Workflow, task: Task) -> int | None:
    """Say how many records an attempt will write; a later one writes what is left, which nobody knows."""
    dataset = workflow.dataset_of(task)
    return None if dataset is None or task.attempt > 1 else dataset.expected_records


def _bars(console: Console, workflows: Iterable[Workflow]) -> Workflow | None:
    last, bars, pace = None, dict[str, TaskID](), _Pace()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[amount]}", justify="right"),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", style="dim", table_column=Column(no_wrap=True, ratio=1)),
        console=console,
        expand=True,
    ) as progress:
        for last in workflows:
            for task in last.tasks:
                bar = bars.get(task.telemetry_id)
                expected = _expected(last, task)
                if bar is None:
                    bar = progress.add_task(task.target, start=False, amount="", rate="", message="")
                    bars[task.telemetry_id] = bar
                if task.status != "pending" and not progress.tasks[bar].started:
                    progress.start_task(bar)
                progress.update(
                    bar,
                    # Without a total the bar swings; it has to come to rest.
                    total=task.records_written if expected is None and task.has_ended else expected,
                    completed=task.records_written,
                    amount=_amount(task, expected),
                    rate=pace.of(task),
                    message=task.message or task.status,
                )
                if task.has_ended:
                    progress.stop_task(bar)
    return last


def _lines(console: Console, workflows: Iterable[Workflow]) -> Workflow | None:
    last, pace, told, told_s = None, _Pace(), None, 0.0
    for last in workflows:
        parts = [last.status]
        for task in last.tasks:
            remarks = "; ".join(remark for remark in (pace.of(task), task.message) if remark)
            parts.append(f"{task.target} {_amount(task, _expected(last, task))}" + (f" ({remarks})" if remarks else ""))
        line = ", ".join(parts)
        is_due = time.monotonic() - told_s >= _LINE_EVERY_S
        if line != told and (is_due or told is None or told.split(",")[0] != last.status):
            console.print(line, soft_wrap=True)
            told, told_s = line, time.monotonic()
    return last
