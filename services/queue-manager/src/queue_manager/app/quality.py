"""The completeness report (contract section 8): which ids are expected, which are stored, each gap with its cause.

The ids of a kind lie on a grid: the open times of candles on that of their interval, those of trades one behind the
other. Which part of the grid is a dataset's is told by its time range or, for trades, by the exchange's answer to the
question for the first and the last id, which the loader passes on. Funding lies on no grid: there no two neighbours may
be further apart than the interval that the exchange names, which the loader passes on too.

What is live has no time range: there the ids are those between the first and the last that the loader has received.

The loader's word is not the proof: what is stored is counted in the database, and only for the cause of a gap is the
loader believed, which asked the exchange for it a second time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.anomalies import Anomaly
from queue_manager.app.cross_checks import CrossCheck
from queue_manager.app.workflow import Dataset, Span, Task, Workflow
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind, record_kind
from streamforge_common.contract.records import Depth
from streamforge_common.contract.spacing import find_silences
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import STREAM_MARKETS

_LEAF = 5_000
"""Ids in a part of the grid that is read one by one; larger parts are only counted."""
_GAPS_LISTED = 1_000
_TIME_OF_DEPTH = record_kind("depth").time_field


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
    """Inclusive, Unix milliseconds or an id."""
    end: int = Field(alias="to")
    """Exclusive."""
    missing: int | None
    """None where nobody can know."""
    cause: Cause


class DatasetQuality(BaseModel):
    """One dataset's part of the report."""

    n: int
    verdict: Verdict
    expected: int | None
    """None while it is not known which ids there are."""
    stored: int
    missing: int
    repeated: int
    out_of_range: int
    rejected: int
    gaps: list[Gap]
    gaps_total: int
    anomalies: list[Anomaly] | None = None
    """The first price jumps; None until the workflow has ended and was examined."""
    anomalies_total: int | None = None


class QualityReport(BaseModel):
    """The report of a workflow."""

    queue_id: str
    verdict: Verdict
    datasets: list[DatasetQuality]
    cross_checks: list[CrossCheck] | None = None
    """With the datasets that it can be compared with; None until the workflow has ended and was examined."""


class Evidence(Protocol):
    """What the database says of a dataset; ranges are [start, end)."""

    async def count(self, dataset: Dataset, field: str, start: int, end: int) -> int:
        """Count the dataset's documents by a field."""

    async def count_all(self, dataset: Dataset) -> int:
        """Count the documents of the dataset's instrument and kind, whatever their time."""

    async def ids(self, dataset: Dataset, field: str, start: int, end: int) -> Sequence[int]:
        """List the values of a field, sorted."""

    async def breaks(self, dataset: Dataset, start: int, end: int) -> Sequence[tuple[int, int]]:
        """List where differences of an order book do not follow each other: event times of the last before, the next.

        Looked at are those behind the one at `start`, up to and with those at `end`, Unix milliseconds.
        """

    async def rejected(self, queue_id: str, dataset: Dataset) -> int:
        """Count what was rejected from the dataset's topic."""


async def report_quality(workflow: Workflow, evidence: Evidence) -> QualityReport:
    """Count, compare, and judge."""
    datasets = [await _judge(workflow, dataset, evidence) for dataset in workflow.datasets]
    verdicts = [dataset.verdict for dataset in datasets]
    worst = next(verdict for verdict in _WORST_FIRST if verdict in verdicts)
    return QualityReport(queue_id=workflow.queue_id, verdict=worst, datasets=datasets)


async def find_gaps(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> Sequence[Gap] | None:
    """Return all that is missing of a dataset, in order; None while it is not known which ids there are."""
    findings = await _look(workflow, dataset, record_kind(DataType.parse(dataset.type).kind), evidence)
    return None if findings.expected is None else findings.gaps


_WORST_FIRST = (Verdict.RUNNING, Verdict.INCOMPLETE, Verdict.UNPROVEN, Verdict.COMPLETE)


async def _judge(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> DatasetQuality:
    kind = record_kind(DataType.parse(dataset.type).kind)
    findings = await _look(workflow, dataset, kind, evidence)
    stored, gaps = findings.stored, findings.gaps
    rejected = await evidence.rejected(workflow.queue_id, dataset)
    published = _published(workflow, dataset)
    out_of_range = sum(task.out_of_range for task in workflow.tasks if task.n == dataset.n)
    is_explained = all(gap.cause is Cause.EXCHANGE for gap in gaps)
    is_whole = findings.expected is not None and not rejected and is_explained
    if not workflow.status.is_terminal:
        verdict = Verdict.RUNNING
    elif not findings.is_provable and not rejected:
        verdict = Verdict.UNPROVEN
    else:
        verdict = Verdict.COMPLETE if is_whole else Verdict.INCOMPLETE
    return DatasetQuality(
        n=dataset.n,
        verdict=verdict,
        expected=findings.expected,
        stored=stored,
        missing=_sum(gaps),
        repeated=max(0, published - rejected - out_of_range - stored),
        out_of_range=out_of_range,
        rejected=rejected,
        gaps=list(gaps[:_GAPS_LISTED]),
        gaps_total=max(len(gaps), findings.gaps_total),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the grid that begins at an id."""

    start: int
    ids: int


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is there of a dataset, and what is not."""

    expected: int | None
    stored: int
    gaps: Sequence[Gap]
    is_provable: bool = True
    """Whether there is any means to say that nothing is missing."""
    gaps_total: int = 0
    """Where there were more than these."""


async def _look(workflow: Workflow, dataset: Dataset, kind: RecordKind, evidence: Evidence) -> _Findings:
    known = [span for span in workflow.control.exchange_gaps if span.n == dataset.n]
    if DataType.parse(dataset.type).source.is_live:
        return await _look_live(workflow, dataset, kind, known, evidence)
    if kind.is_momentary:
        return _Findings(None, await evidence.count_all(dataset), (), is_provable=False)
    part = _expected_part(workflow, dataset, kind)
    if part is not None and kind.is_spaced and part.ids:
        return await _look_for_silences(workflow, dataset, kind, part, known, evidence)
    if part is None:
        time_range = TimeRange.parse(dataset.time_range)
        stored = await evidence.count(dataset, kind.time_field, time_range.start_ms, time_range.end_ms)
        return _Findings(None, stored, ())
    return await _look_for_gaps(dataset, kind, part, known, evidence)


async def _look_for_gaps(
    dataset: Dataset, kind: RecordKind, part: _Part, known: Sequence[Span], evidence: Evidence
) -> _Findings:
    runs = await _missing_runs(dataset, kind, part, evidence)
    gaps = [gap for run in runs for gap in _explain(run, known, kind.grid)]
    return _Findings(part.ids, part.ids - _sum(gaps), gaps)


async def _look_live(
    workflow: Workflow, dataset: Dataset, kind: RecordKind, known: Sequence[Span], evidence: Evidence
) -> _Findings:
    """Look from the first to the last record that came: what is live has no other bounds.

    Of records that nothing numbers only the times are known at which the loader was not connected.
    """
    loader = _loader_of(workflow, dataset)
    # What is polled is no stream.
    stream = STREAM_MARKETS[dataset.exchange, dataset.market].streams.get(kind.name)
    if stream is not None and loader is not None and loader.first_id is not None and loader.last_id is not None:
        if kind.record is Depth and stream.book is not None and stream.book.is_linked:
            return await _look_for_breaks(dataset, loader.first_id, loader.last_id, evidence)
        if stream.grid is not None:
            part = _Part(loader.first_id, stream.grid.count(loader.first_id, loader.last_id + 1))
            return await _look_for_gaps(dataset, kind, part, known, evidence)
    gaps = [
        Gap(start=span.start, end=span.end, missing=None, cause=Cause.UNEXPLAINED)
        for span in workflow.control.stream_gaps
        if span.n == dataset.n
    ]
    stored = await evidence.count_all(dataset)
    return _Findings(None, stored, gaps, is_provable=False, gaps_total=workflow.control.stream_gaps_total)


async def _look_for_breaks(dataset: Dataset, start: int, end: int, evidence: Evidence) -> _Findings:
    """Look whether each difference of an order book follows the one before: how many are missing nobody can know."""
    breaks = await evidence.breaks(dataset, start, end)
    gaps = [Gap(start=before, end=behind, missing=None, cause=Cause.UNEXPLAINED) for before, behind in breaks]
    stored = await evidence.count(dataset, _TIME_OF_DEPTH, start, end + 1)
    return _Findings(None if gaps else stored, stored, gaps)


def _sum(gaps: Sequence[Gap]) -> int:
    return sum(gap.missing or 0 for gap in gaps)


async def _look_for_silences(
    workflow: Workflow, dataset: Dataset, kind: RecordKind, part: _Part, known: Sequence[Span], evidence: Evidence
) -> _Findings:
    """Find neighbours that are too far apart; a silence is the exchange's where it was found in its answers too."""
    end = kind.grid.advance(part.start, part.ids - 1) + 1
    ids = await evidence.ids(dataset, kind.id_field, part.start, end)
    loader = _loader_of(workflow, dataset)
    if loader is None or loader.spacing_ms is None:
        return _Findings(None, len(ids), ())
    gaps = []
    for silence in find_silences(part.start, ids, end, loader.spacing_ms):
        was_seen = any(span.start <= silence.start and silence.end <= span.end for span in known)
        cause = Cause.EXCHANGE if was_seen else Cause.UNEXPLAINED
        gaps.append(Gap(start=silence.start, end=silence.end, missing=silence.missing, cause=cause))
    return _Findings(len(ids) + _sum(gaps), len(ids), gaps)


def _loader_of(workflow: Workflow, dataset: Dataset) -> Task | None:
    return next((task for task in workflow.tasks if task.n == dataset.n and task.is_loader), None)


def _expected_part(workflow: Workflow, dataset: Dataset, kind: RecordKind) -> _Part | None:
    """Return the ids that belong to a dataset, None where that is not known yet."""
    loader = _loader_of(workflow, dataset)
    first_id, last_id = (loader.first_id, loader.last_id) if loader else (None, None)
    is_empty = last_id is None and loader is not None and loader.end_offsets is not None
    if is_empty:
        return _Part(0, 0)
    if kind.id_field != kind.time_field:
        return None if first_id is None or last_id is None else _Part(first_id, last_id + 1 - first_id)
    time_range = TimeRange.parse(dataset.time_range)
    first = kind.grid.ceil(time_range.start_ms)
    # What was still open when the loader looked was never part of the dataset.
    end = time_range.end_ms if last_id is None else min(time_range.end_ms, last_id + 1)
    return _Part(first, kind.grid.count(first, end))


def _published(workflow: Workflow, dataset: Dataset) -> int:
    """Count the messages of a topic whose loader has ended: offsets start at 0, and nothing but records uses them."""
    ends = [task.end_offsets for task in workflow.tasks if task.n == dataset.n and task.end_offsets is not None]
    return sum((ends[0] if ends else workflow.control.drain_offsets or {}).values())


async def _missing_runs(dataset: Dataset, kind: RecordKind, whole: _Part, evidence: Evidence) -> list[tuple[int, int]]:
    """Find the runs of missing ids, [start, end), in order.

    Parts of the grid are counted, and only those in which something is missing are looked into: a complete dataset
    costs one count, however long it is.
    """
    grid = kind.grid
    parts = [whole] if whole.ids else []
    runs: list[tuple[int, int]] = []
    while parts:
        part = parts.pop()
        end = grid.advance(part.start, part.ids)
        stored = await evidence.count(dataset, kind.id_field, part.start, end)
        if stored == part.ids:
            continue
        if stored == 0:
            _append_run(runs, part.start, end)
        elif part.ids <= _LEAF:
            there = set(await evidence.ids(dataset, kind.id_field, part.start, end))
            for wanted in (grid.advance(part.start, index) for index in range(part.ids)):
                if wanted not in there:
                    _append_run(runs, wanted, grid.advance(wanted))
        else:
            half = part.ids // 2
            parts.append(_Part(grid.advance(part.start, half), part.ids - half))
            parts.append(_Part(part.start, half))
    return runs


def _append_run(runs: list[tuple[int, int]], start: int, end: int) -> None:
    """Append a run, joined to the last one where they touch; runs come in order."""
    if runs and runs[-1][1] == start:
        start = runs.pop()[0]
    runs.append((start, end))


def _explain(run: tuple[int, int], known: Sequence[Span], grid: Grid) -> Iterator[Gap]:
    """Cut a run of missing ids by cause; `known` is sorted and without overlaps."""
    start, end = run
    for span in known:
        if span.end <= start or span.start >= end:
            continue
        if span.start > start:
            yield _gap(start, span.start, grid, Cause.UNEXPLAINED)
        start, stop = max(start, span.start), min(end, span.end)
        yield _gap(start, stop, grid, Cause.EXCHANGE)
        start = stop
    if start < end:
        yield _gap(start, end, grid, Cause.UNEXPLAINED)


def _gap(start: int, end: int, grid: Grid, cause: Cause) -> Gap:
    return Gap(start=start, end=end, missing=grid.count(start, end), cause=cause)
