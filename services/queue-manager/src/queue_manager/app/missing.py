"""What is there of a dataset, or of one symbol of a basket, and what is missing, each gap with its cause.

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

from queue_manager.app.workflow import Dataset, Span
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import TaskError
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind, record_kind
from streamforge_common.contract.records import Depth
from streamforge_common.contract.spacing import find_silences
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import STREAM_MARKETS

_LEAF = 5_000
"""Ids in a part of the grid that is read one by one; larger parts are only counted."""
_TIME_OF_DEPTH = record_kind("depth").time_field


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


class Documents(Protocol):
    """What the database says of the documents of one symbol; ranges are [start, end)."""

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


@dataclass(frozen=True, slots=True)
class Told:
    """What the loader has told of a subject."""

    first_id: int | None
    last_id: int | None
    spacing_ms: int | None
    is_loaded: bool
    error: TaskError | None = None
    """Of a symbol of a basket: why it cannot be loaded."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged as one: a dataset, or one symbol of a basket."""

    dataset: Dataset
    """Of a symbol of a basket: as if it were a dataset of its own."""
    kind: RecordKind
    told: Told | None
    known: Sequence[Span]
    """What the exchange does not have."""
    stream_gaps: Sequence[Span]
    """Of records that nothing numbers: when some may have been missed."""
    stream_gaps_total: int
    """How many there were."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the grid that begins at an id."""

    start: int
    ids: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What is there of a dataset, and what is not."""

    expected: int | None
    stored: int
    gaps: Sequence[Gap]
    is_provable: bool = True
    """Whether there is any means to say that nothing is missing."""
    gaps_total: int = 0
    """Where there were more than these."""


async def look(subject: Subject, documents: Documents) -> Findings:
    """Count what is there of a subject, and find what is missing."""
    if DataType.parse(subject.dataset.type).source.is_live:
        return await _look_live(subject, documents)
    if subject.kind.is_momentary:
        return Findings(None, await documents.count_all(subject.dataset), (), is_provable=False)
    part = expected_part(subject)
    if part is not None and subject.kind.is_spaced and part.ids:
        return await _look_for_silences(subject, part, documents)
    if part is None:
        return Findings(None, await documents.count(subject.dataset, *bounds(subject, None)), ())
    return await _look_for_gaps(subject, part, documents)


async def _look_for_gaps(subject: Subject, part: Part, documents: Documents) -> Findings:
    runs = await _missing_runs(subject.dataset, subject.kind, part, documents)
    gaps = [gap for run in runs for gap in _explain(run, subject.known, subject.kind.grid)]
    return Findings(part.ids, part.ids - count_missing(gaps), gaps)


async def _look_live(subject: Subject, documents: Documents) -> Findings:
    """Look from the first to the last record that came: what is live has no other bounds.

    Of records that nothing numbers only the times are known at which the loader was not connected.
    """
    dataset, kind, told = subject.dataset, subject.kind, subject.told
    # What is polled is no stream.
    stream = STREAM_MARKETS[dataset.exchange, dataset.market].streams.get(kind.name)
    if stream is not None and told is not None and told.first_id is not None and told.last_id is not None:
        if kind.record is Depth and stream.book is not None and stream.book.is_linked:
            return await _look_for_breaks(dataset, told.first_id, told.last_id, documents)
        if stream.grid is not None:
            part = Part(told.first_id, stream.grid.count(told.first_id, told.last_id + 1))
            return await _look_for_gaps(subject, part, documents)
    return unnumbered(subject, await documents.count_all(dataset))


def unnumbered(subject: Subject, stored: int) -> Findings:
    """Return what can be said of records that nothing numbers: how many there are, and when some may be missing."""
    gaps = [Gap(start=span.start, end=span.end, missing=None, cause=Cause.UNEXPLAINED) for span in subject.stream_gaps]
    return Findings(None, stored, gaps, is_provable=False, gaps_total=subject.stream_gaps_total)


async def _look_for_breaks(dataset: Dataset, start: int, end: int, documents: Documents) -> Findings:
    """Look whether each difference of an order book follows the one before: how many are missing nobody can know."""
    breaks = await documents.breaks(dataset, start, end)
    gaps = [Gap(start=before, end=behind, missing=None, cause=Cause.UNEXPLAINED) for before, behind in breaks]
    stored = await documents.count(dataset, _TIME_OF_DEPTH, start, end + 1)
    return Findings(None if gaps else stored, stored, gaps)


def count_missing(gaps: Sequence[Gap]) -> int:
    """Return how many records are missing, as far as that is known."""
    return sum(gap.missing or 0 for gap in gaps)


async def _look_for_silences(subject: Subject, part: Part, documents: Documents) -> Findings:
    """Find neighbours that are too far apart; a silence is the exchange's where it was found in its answers too."""
    kind, told = subject.kind, subject.told
    end = kind.grid.advance(part.start, part.ids - 1) + 1
    ids = await documents.ids(subject.dataset, kind.id_field, part.start, end)
    if told is None or told.spacing_ms is None:
        return Findings(None, len(ids), ())
    gaps = []
    for silence in find_silences(part.start, ids, end, told.spacing_ms):
        was_seen = any(span.start <= silence.start and silence.end <= span.end for span in subject.known)
        cause = Cause.EXCHANGE if was_seen else Cause.UNEXPLAINED
        gaps.append(Gap(start=silence.start, end=silence.end, missing=silence.missing, cause=cause))
    return Findings(len(ids) + count_missing(gaps), len(ids), gaps)


def expected_part(subject: Subject) -> Part | None:
    """Return the ids that belong to a subject, None where that is not known (yet)."""
    kind, told = subject.kind, subject.told
    first_id, last_id = (told.first_id, told.last_id) if told else (None, None)
    if told is not None and last_id is None:
        if told.is_loaded:
            return Part(0, 0)
        if told.error is not None:
            return None
    if kind.id_field != kind.time_field:
        return None if first_id is None or last_id is None else Part(first_id, last_id + 1 - first_id)
    time_range = TimeRange.parse(subject.dataset.time_range)
    first = kind.grid.ceil(time_range.start_ms)
    # What was still open when the loader looked was never part of the dataset.
    end = time_range.end_ms if last_id is None else min(time_range.end_ms, last_id + 1)
    return Part(first, kind.grid.count(first, end))


def bounds(subject: Subject, part: Part | None) -> tuple[str, int, int]:
    """Return the field by which a subject's documents are counted, and from where to where; by time without a part."""
    kind = subject.kind
    if part is not None:
        return kind.id_field, part.start, kind.grid.advance(part.start, part.ids)
    time_range = TimeRange.parse(subject.dataset.time_range)
    return kind.time_field, time_range.start_ms, time_range.end_ms


async def _missing_runs(dataset: Dataset, kind: RecordKind, whole: Part, documents: Documents) -> list[tuple[int, int]]:
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
        stored = await documents.count(dataset, kind.id_field, part.start, end)
        if stored == part.ids:
            continue
        if stored == 0:
            _append_run(runs, part.start, end)
        elif part.ids <= _LEAF:
            there = set(await documents.ids(dataset, kind.id_field, part.start, end))
            for wanted in (grid.advance(part.start, index) for index in range(part.ids)):
                if wanted not in there:
                    _append_run(runs, wanted, grid.advance(wanted))
        else:
            half = part.ids // 2
            parts.append(Part(grid.advance(part.start, half), part.ids - half))
            parts.append(Part(part.start, half))
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
