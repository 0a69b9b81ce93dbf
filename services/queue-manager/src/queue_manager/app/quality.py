"""The completeness report (contract section 8): what the grid expects against what is stored, each gap with its cause.

The loader's word is not the proof: what is stored is counted in the database, and only for the cause of a gap is the
loader believed, which asked the exchange for it a second time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.workflow import Dataset, Span, Workflow
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.time_range import TimeRange

_LEAF = 5_000
"""Candles in a part of the grid whose open times are read one by one; larger parts are only counted."""
_GAPS_LISTED = 1_000


class Verdict(StrEnum):
    """What the report comes to."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNPROVEN = "unproven"


class Cause(StrEnum):
    """Why something is missing."""

    EXCHANGE = "exchange"
    """Asked for twice, the exchange did not give it."""
    UNEXPLAINED = "unexplained"


class Gap(BaseModel):
    """Missing records that are neighbours on the grid and miss for the same cause."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    start: int = Field(alias="from")
    """Inclusive, Unix milliseconds."""
    end: int = Field(alias="to")
    """Exclusive, Unix milliseconds."""
    missing: int
    cause: Cause


class DatasetQuality(BaseModel):
    """One dataset's part of the report."""

    n: int
    verdict: Verdict
    expected: int | None
    stored: int
    missing: int
    repeated: int
    out_of_range: int
    rejected: int
    gaps: list[Gap]
    gaps_total: int


class QualityReport(BaseModel):
    """The report of a workflow."""

    queue_id: str
    verdict: Verdict
    datasets: list[DatasetQuality]


class Evidence(Protocol):
    """What the database says of a dataset; times in Unix milliseconds, [start, end)."""

    async def count(self, dataset: Dataset, start_ms: int, end_ms: int) -> int:
        """Count the dataset's documents by open time."""

    async def open_times(self, dataset: Dataset, start_ms: int, end_ms: int) -> Sequence[int]:
        """List their open times, sorted."""

    async def rejected(self, queue_id: str, dataset: Dataset) -> int:
        """Count what was rejected from the dataset's topic."""


async def report_quality(workflow: Workflow, evidence: Evidence) -> QualityReport:
    """Count, compare, and judge."""
    datasets = [await _judge(workflow, dataset, evidence) for dataset in workflow.datasets]
    verdicts = [dataset.verdict for dataset in datasets]
    worst = next(verdict for verdict in _WORST_FIRST if verdict in verdicts)
    return QualityReport(queue_id=workflow.queue_id, verdict=worst, datasets=datasets)


_WORST_FIRST = (Verdict.RUNNING, Verdict.INCOMPLETE, Verdict.UNPROVEN, Verdict.COMPLETE)


async def _judge(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> DatasetQuality:
    interval = DataType.parse(dataset.type).interval
    time_range = TimeRange.parse(dataset.time_range)
    end_ms = _closed_end(workflow, dataset, interval, time_range)
    expected = interval.count(time_range.start_ms, end_ms)
    runs = await _missing_runs(dataset, interval, time_range.start_ms, end_ms, evidence)
    known = [span for span in workflow.control.exchange_gaps if span.n == dataset.n]
    gaps = [gap for run in runs for gap in _explain(run, known, interval)]
    missing = sum(gap.missing for gap in gaps)
    stored = expected - missing
    rejected = await evidence.rejected(workflow.queue_id, dataset)
    published = _published(workflow, dataset)
    out_of_range = sum(task.out_of_range for task in workflow.tasks if task.n == dataset.n)
    unexplained = any(gap.cause is Cause.UNEXPLAINED for gap in gaps)
    if not workflow.status.is_terminal:
        verdict = Verdict.RUNNING
    else:
        verdict = Verdict.INCOMPLETE if unexplained or rejected else Verdict.COMPLETE
    return DatasetQuality(
        n=dataset.n,
        verdict=verdict,
        expected=expected,
        stored=stored,
        missing=missing,
        repeated=max(0, published - rejected - out_of_range - stored),
        out_of_range=out_of_range,
        rejected=rejected,
        gaps=gaps[:_GAPS_LISTED],
        gaps_total=len(gaps),
    )


def _closed_end(workflow: Workflow, dataset: Dataset, interval: Interval, time_range: TimeRange) -> int:
    """Leave out what was still open when the loader looked: it was never part of the dataset."""
    for task in workflow.tasks:
        if task.n == dataset.n and task.end_offsets is not None:
            closed_ms = time_range.start_ms if task.last_id is None else interval.advance(task.last_id)
            return min(time_range.end_ms, closed_ms)
    return time_range.end_ms


def _published(workflow: Workflow, dataset: Dataset) -> int:
    """Count the messages of a topic whose loader has ended: offsets start at 0, and nothing but records uses them."""
    ends = [task.end_offsets for task in workflow.tasks if task.n == dataset.n and task.end_offsets is not None]
    return sum((ends[0] if ends else workflow.control.drain_offsets or {}).values())


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the grid that begins at an open time."""

    start_ms: int
    candles: int


async def _missing_runs(
    dataset: Dataset, interval: Interval, start_ms: int, end_ms: int, evidence: Evidence
) -> list[tuple[int, int]]:
    """Find the runs of missing open times, [start, end), in order.

    Parts of the grid are counted, and only those in which something is missing are looked into: a complete dataset
    costs one count, however long it is.
    """
    first = interval.ceil(start_ms)
    parts = [_Part(first, interval.count(start_ms, end_ms))]
    runs: list[tuple[int, int]] = []
    while parts:
        part = parts.pop()
        part_end_ms = interval.advance(part.start_ms, part.candles)
        stored = await evidence.count(dataset, part.start_ms, part_end_ms) if part.candles else 0
        if stored == part.candles:
            continue
        if stored == 0:
            _append_run(runs, part.start_ms, part_end_ms)
        elif part.candles <= _LEAF:
            there = set(await evidence.open_times(dataset, part.start_ms, part_end_ms))
            for open_time in _grid(interval, part):
                if open_time not in there:
                    _append_run(runs, open_time, interval.advance(open_time))
        else:
            half = part.candles // 2
            parts.append(_Part(interval.advance(part.start_ms, half), part.candles - half))
            parts.append(_Part(part.start_ms, half))
    return runs


def _grid(interval: Interval, part: _Part) -> Iterator[int]:
    return (interval.advance(part.start_ms, index) for index in range(part.candles))


def _append_run(runs: list[tuple[int, int]], start_ms: int, end_ms: int) -> None:
    """Append a run, joined to the last one where they touch; runs come in order."""
    if runs and runs[-1][1] == start_ms:
        start_ms = runs.pop()[0]
    runs.append((start_ms, end_ms))


def _explain(run: tuple[int, int], known: Sequence[Span], interval: Interval) -> Iterator[Gap]:
    """Cut a run of missing candles by cause; `known` is sorted and without overlaps."""
    start_ms, end_ms = run
    for span in known:
        if span.end <= start_ms or span.start >= end_ms:
            continue
        if span.start > start_ms:
            yield _gap(start_ms, span.start, interval, Cause.UNEXPLAINED)
        start_ms, stop_ms = max(start_ms, span.start), min(end_ms, span.end)
        yield _gap(start_ms, stop_ms, interval, Cause.EXCHANGE)
        start_ms = stop_ms
    if start_ms < end_ms:
        yield _gap(start_ms, end_ms, interval, Cause.UNEXPLAINED)


def _gap(start_ms: int, end_ms: int, interval: Interval, cause: Cause) -> Gap:
    return Gap(start=start_ms, end=end_ms, missing=interval.count(start_ms, end_ms), cause=cause)
