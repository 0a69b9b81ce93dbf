"""The completeness report (contract section 8): which ids are expected, which are stored, each gap with its cause.

The ids of a kind lie on a grid: the open times of candles on that of their interval, those of trades one behind the
other. Which part of the grid is a dataset's is told by its time range or, for trades, by the exchange's answer to the
question for the first and the last id, which the loader passes on. Funding lies on no grid: there no two neighbours may
be further apart than the interval that the exchange names, which the loader passes on too.

What is live has no time range: there the ids are those between the first and the last that the loader has received.

The loader's word is not the proof: what is stored is counted in the database, and only for the cause of a gap is the
loader believed, which asked the exchange for it a second time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.anomalies import Anomaly
from queue_manager.app.cross_checks import CrossCheck
from queue_manager.app.workflow import Dataset, Span, Workflow
from streamforge_common.contract.baskets import EVERY_SYMBOL
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
    gaps: Sequence[Gap]
    gaps_total: int
    reconnects: int | None = None
    """Of live types: connections that were opened because one was lost."""
    filled: int | None = None
    """Of live types: records that were missed and brought afterwards."""
    anomalies: list[Anomaly] | None = None
    """The first price jumps; None until the workflow has ended and was examined."""
    anomalies_total: int | None = None


class SymbolGap(Gap):
    """A gap of one symbol of a basket."""

    symbol: str


class SymbolQuality(BaseModel):
    """One symbol's part of a basket's."""

    symbol: str
    verdict: Verdict
    expected: int | None
    stored: int
    missing: int
    repeated: int | None
    """None where the topic has some and nobody knows whose."""
    out_of_range: int | None
    """None where the topic has some and nobody knows whose."""
    rejected: int
    gaps: list[Gap]
    gaps_total: int
    error: TaskError | None
    """Why it could not be loaded."""


class BasketQuality(DatasetQuality):
    """A basket's part: its figures are the sums of its symbols' as far as those are known, its verdict is the worst."""

    gaps: Sequence[SymbolGap]
    """Those that the symbols list, too."""
    symbols: list[SymbolQuality]


class QualityReport(BaseModel):
    """The report of a workflow."""

    queue_id: str
    verdict: Verdict
    datasets: list[BasketQuality | DatasetQuality]
    cross_checks: list[CrossCheck] | None = None
    """With the datasets that it can be compared with; None until the workflow has ended and was examined."""


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


class Evidence(Documents, Protocol):
    """What the database says of a dataset."""

    async def rejected(self, queue_id: str, dataset: Dataset) -> int:
        """Count what was rejected from the dataset's topic."""

    async def count_each(self, dataset: Dataset, field: str, parts: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """Count the documents of symbols of a basket by a field, each symbol's in a range of its own."""

    async def count_every_symbol(self, dataset: Dataset) -> dict[str, int]:
        """Count the documents of each symbol that has some of the dataset's kind, whatever their time."""

    async def rejected_each(self, queue_id: str, dataset: Dataset) -> dict[str, int]:
        """Count what was rejected from a basket's topic by symbol, as far as it is known whose it is."""


async def report_quality(workflow: Workflow, evidence: Evidence) -> QualityReport:
    """Count, compare, and judge."""
    datasets = [await _judge(workflow, dataset, evidence) for dataset in workflow.datasets]
    return QualityReport(
        queue_id=workflow.queue_id, verdict=_worst(dataset.verdict for dataset in datasets), datasets=datasets
    )


async def find_gaps(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> Sequence[Gap] | None:
    """Return all that is missing of a dataset, in order; None while it is not known which ids there are."""
    findings = await _look(_subject_of_dataset(workflow, dataset), evidence)
    return None if findings.expected is None else findings.gaps


async def find_gaps_of_basket(
    workflow: Workflow, dataset: Dataset, evidence: Evidence
) -> Mapping[str, Sequence[Gap]] | None:
    """Return all that is missing of each symbol that lacks something and can be loaded.

    None while it is not known which ids there are of one of them.
    """
    subjects = _subjects_of_basket(workflow, dataset)
    counted = await _count_ahead(dataset, subjects, evidence)
    gaps: dict[str, Sequence[Gap]] = {}
    for subject in subjects:
        error = subject.told.error if subject.told else None
        findings = await _look(subject, counted)
        if findings.expected is None and error is None:
            return None
        # Of a symbol that the exchange does not know there is nothing to be had.
        if findings.gaps and (error is None or error.code != "exchange_refused"):
            gaps[subject.dataset.symbol] = findings.gaps
    return gaps


_WORST_FIRST = (Verdict.RUNNING, Verdict.INCOMPLETE, Verdict.UNPROVEN, Verdict.COMPLETE)


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return min(verdicts, key=_WORST_FIRST.index)


async def _judge(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> DatasetQuality:
    if dataset.symbols:
        return await _judge_basket(workflow, dataset, evidence)
    if dataset.symbol == EVERY_SYMBOL:
        return await _judge_every_symbol(workflow, dataset, evidence)
    subject = _subject_of_dataset(workflow, dataset)
    findings = await _look(subject, evidence)
    rejected = await evidence.rejected(workflow.queue_id, dataset)
    return DatasetQuality(
        n=dataset.n,
        **_counts_of_topic(workflow, dataset, findings.stored + rejected),
        **_figures(workflow, subject, findings, rejected, _GAPS_LISTED),
    )


async def _judge_basket(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> BasketQuality:
    """Judge each symbol as if it were alone, but for what only the topic as a whole tells."""
    subjects = _subjects_of_basket(workflow, dataset)
    counted = await _count_ahead(dataset, subjects, evidence)
    rejected = await evidence.rejected(workflow.queue_id, dataset)
    rejected_each = await evidence.rejected_each(workflow.queue_id, dataset)
    found = [(subject, await _look(subject, counted)) for subject in subjects]
    stored = sum(findings.stored for _, findings in found)
    of_topic = _counts_of_topic(workflow, dataset, stored + rejected)
    symbols: list[SymbolQuality] = []
    for subject, findings in found:
        symbol = subject.dataset.symbol
        room = _GAPS_LISTED - sum(len(judged.gaps) for judged in symbols)
        judged = SymbolQuality(
            symbol=symbol,
            repeated=None if of_topic["repeated"] else 0,
            out_of_range=None if of_topic["out_of_range"] else 0,
            error=subject.told.error if subject.told else None,
            **_figures(workflow, subject, findings, rejected_each.get(symbol, 0), room),
        )
        symbols.append(judged)
    expected = [judged.expected for judged in symbols if judged.expected is not None]
    worst = _worst(judged.verdict for judged in symbols)
    return BasketQuality(
        n=dataset.n,
        # What was rejected may be of no symbol that anybody knows.
        verdict=_worst([worst, Verdict.INCOMPLETE]) if rejected else worst,
        expected=sum(expected) if expected else None,
        stored=stored,
        missing=sum(judged.missing for judged in symbols),
        rejected=rejected,
        gaps=[SymbolGap(symbol=judged.symbol, **dict(gap)) for judged in symbols for gap in judged.gaps],
        gaps_total=sum(judged.gaps_total for judged in symbols),
        symbols=symbols,
        **of_topic,
    )


async def _judge_every_symbol(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> BasketQuality:
    """Count what there is: which symbols there should be nobody knows, and no all-market stream numbers its records."""
    stored = await evidence.count_every_symbol(dataset)
    rejected = await evidence.rejected(workflow.queue_id, dataset)
    subject = _subject_of_dataset(workflow, dataset)
    whole = _figures(workflow, subject, _unnumbered(subject, sum(stored.values())), rejected, _GAPS_LISTED)
    of_topic = _counts_of_topic(workflow, dataset, whole["stored"] + rejected)
    symbols = [
        SymbolQuality(
            symbol=symbol,
            repeated=None if of_topic["repeated"] else 0,
            out_of_range=0,
            error=None,
            **_figures(workflow, subject, _Findings(None, number, (), is_provable=False), 0, 0),
        )
        for symbol, number in stored.items()
    ]
    return BasketQuality(
        n=dataset.n,
        verdict=whole["verdict"],
        expected=whole["expected"],
        stored=whole["stored"],
        missing=whole["missing"],
        rejected=rejected,
        gaps=[SymbolGap(symbol=dataset.symbol, **dict(gap)) for gap in whole["gaps"]],
        gaps_total=whole["gaps_total"],
        symbols=symbols,
        **of_topic,
    )


class _CountedAhead:
    """Documents of which the first count of each symbol was asked for at once; what is complete needs no other."""

    def __init__(self, documents: Documents, counts: Mapping[tuple[str, str, int, int], int]) -> None:
        self._documents = documents
        self._counts = counts

    async def count(self, dataset: Dataset, field: str, start: int, end: int) -> int:
        """Count the symbol's documents by a field."""
        known = self._counts.get((dataset.symbol, field, start, end))
        return await self._documents.count(dataset, field, start, end) if known is None else known

    async def count_all(self, dataset: Dataset) -> int:
        """Count the symbol's documents, whatever their time."""
        return await self._documents.count_all(dataset)

    async def ids(self, dataset: Dataset, field: str, start: int, end: int) -> Sequence[int]:
        """List the values of a field, sorted."""
        return await self._documents.ids(dataset, field, start, end)

    async def breaks(self, dataset: Dataset, start: int, end: int) -> Sequence[tuple[int, int]]:
        """List where the symbol's differences do not follow each other."""
        return await self._documents.breaks(dataset, start, end)


async def _count_ahead(dataset: Dataset, subjects: Sequence["_Subject"], evidence: Evidence) -> Documents:
    if DataType.parse(dataset.type).source.is_live:
        # There are few, and no time range bounds them.
        return evidence
    wanted: dict[str, dict[str, tuple[int, int]]] = {}
    for subject in subjects:
        if subject.kind.is_momentary:
            continue
        field, start, end = _bounds(subject, _expected_part(subject))
        wanted.setdefault(field, {})[subject.dataset.symbol] = start, end
    counts = {}
    for field, parts in wanted.items():
        for symbol, number in (await evidence.count_each(dataset, field, parts)).items():
            counts[symbol, field, *parts[symbol]] = number
    return _CountedAhead(evidence, counts)


class _Figures(TypedDict):
    """What is said of a dataset and of a symbol alike."""

    verdict: Verdict
    expected: int | None
    stored: int
    missing: int
    rejected: int
    gaps: Sequence[Gap]
    gaps_total: int


def _figures(workflow: Workflow, subject: "_Subject", findings: "_Findings", rejected: int, room: int) -> _Figures:
    """Judge what was found; `room` is how many gaps may be listed."""
    is_explained = all(gap.cause is Cause.EXCHANGE for gap in findings.gaps)
    is_whole = findings.expected is not None and not rejected and is_explained
    has_failed = subject.told is not None and subject.told.error is not None
    if not workflow.status.is_terminal:
        verdict = Verdict.RUNNING
    elif not findings.is_provable and not rejected and not has_failed:
        verdict = Verdict.UNPROVEN
    else:
        verdict = Verdict.COMPLETE if is_whole else Verdict.INCOMPLETE
    return _Figures(
        verdict=verdict,
        expected=findings.expected,
        stored=findings.stored,
        missing=_sum(findings.gaps),
        rejected=rejected,
        gaps=list(findings.gaps[:room]),
        gaps_total=max(len(findings.gaps), findings.gaps_total),
    )


class _OfTopic(TypedDict):
    """What only the topic as a whole tells."""

    repeated: int
    out_of_range: int
    reconnects: int | None
    filled: int | None


def _counts_of_topic(workflow: Workflow, dataset: Dataset, accounted_for: int) -> _OfTopic:
    out_of_range = sum(task.out_of_range for task in workflow.tasks if task.n == dataset.n)
    repeated = max(0, _published(workflow, dataset) - out_of_range - accounted_for)
    loader = workflow.loader_of(dataset)
    return _OfTopic(
        repeated=repeated,
        out_of_range=out_of_range,
        reconnects=loader.reconnects if loader else None,
        filled=loader.filled if loader else None,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the loader has told of a subject."""

    first_id: int | None
    last_id: int | None
    spacing_ms: int | None
    is_loaded: bool
    error: TaskError | None = None
    """Of a symbol of a basket: why it cannot be loaded."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is judged as one: a dataset, or one symbol of a basket."""

    dataset: Dataset
    """Of a symbol of a basket: as if it were a dataset of its own."""
    kind: RecordKind
    told: _Told | None
    known: Sequence[Span]
    """What the exchange does not have."""
    stream_gaps: Sequence[Span]
    """Of records that nothing numbers: when some may have been missed."""
    stream_gaps_total: int
    """How many there were."""


def _subject_of_dataset(workflow: Workflow, dataset: Dataset) -> _Subject:
    loader = workflow.loader_of(dataset)
    told = None
    if loader is not None:
        told = _Told(loader.first_id, loader.last_id, loader.spacing_ms, loader.end_offsets is not None)
    known = [span for span in workflow.control.exchange_gaps if span.n == dataset.n]
    gaps = [span for span in workflow.control.stream_gaps if span.n == dataset.n]
    kind = record_kind(DataType.parse(dataset.type).kind)
    return _Subject(dataset, kind, told, known, gaps, workflow.control.stream_gaps_total)


def _subjects_of_basket(workflow: Workflow, dataset: Dataset) -> list[_Subject]:
    kind = record_kind(DataType.parse(dataset.type).kind)
    told = {
        it.symbol: _Told(it.first_id, it.last_id, it.spacing_ms, it.is_loaded, it.error)
        for it in workflow.control.symbols
        if it.n == dataset.n
    }
    known = _by_symbol(workflow.control.exchange_gaps, dataset)
    gaps = _by_symbol(workflow.control.stream_gaps, dataset)
    return [
        _Subject(dataset.of_symbol(symbol), kind, told.get(symbol), known[symbol], gaps[symbol], len(gaps[symbol]))
        for symbol in dataset.symbols
    ]


def _by_symbol(spans: Sequence[Span], dataset: Dataset) -> dict[str, list[Span]]:
    by_symbol: dict[str, list[Span]] = {symbol: [] for symbol in dataset.symbols}
    for span in spans:
        if span.n == dataset.n:
            by_symbol[span.symbol].append(span)
    return by_symbol


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


async def _look(subject: _Subject, documents: Documents) -> _Findings:
    if DataType.parse(subject.dataset.type).source.is_live:
        return await _look_live(subject, documents)
    if subject.kind.is_momentary:
        return _Findings(None, await documents.count_all(subject.dataset), (), is_provable=False)
    part = _expected_part(subject)
    if part is not None and subject.kind.is_spaced and part.ids:
        return await _look_for_silences(subject, part, documents)
    if part is None:
        return _Findings(None, await documents.count(subject.dataset, *_bounds(subject, None)), ())
    return await _look_for_gaps(subject, part, documents)


async def _look_for_gaps(subject: _Subject, part: _Part, documents: Documents) -> _Findings:
    runs = await _missing_runs(subject.dataset, subject.kind, part, documents)
    gaps = [gap for run in runs for gap in _explain(run, subject.known, subject.kind.grid)]
    return _Findings(part.ids, part.ids - _sum(gaps), gaps)


async def _look_live(subject: _Subject, documents: Documents) -> _Findings:
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
            part = _Part(told.first_id, stream.grid.count(told.first_id, told.last_id + 1))
            return await _look_for_gaps(subject, part, documents)
    return _unnumbered(subject, await documents.count_all(dataset))


def _unnumbered(subject: _Subject, stored: int) -> _Findings:
    gaps = [Gap(start=span.start, end=span.end, missing=None, cause=Cause.UNEXPLAINED) for span in subject.stream_gaps]
    return _Findings(None, stored, gaps, is_provable=False, gaps_total=subject.stream_gaps_total)


async def _look_for_breaks(dataset: Dataset, start: int, end: int, documents: Documents) -> _Findings:
    """Look whether each difference of an order book follows the one before: how many are missing nobody can know."""
    breaks = await documents.breaks(dataset, start, end)
    gaps = [Gap(start=before, end=behind, missing=None, cause=Cause.UNEXPLAINED) for before, behind in breaks]
    stored = await documents.count(dataset, _TIME_OF_DEPTH, start, end + 1)
    return _Findings(None if gaps else stored, stored, gaps)


def _sum(gaps: Sequence[Gap]) -> int:
    return sum(gap.missing or 0 for gap in gaps)


async def _look_for_silences(subject: _Subject, part: _Part, documents: Documents) -> _Findings:
    """Find neighbours that are too far apart; a silence is the exchange's where it was found in its answers too."""
    kind, told = subject.kind, subject.told
    end = kind.grid.advance(part.start, part.ids - 1) + 1
    ids = await documents.ids(subject.dataset, kind.id_field, part.start, end)
    if told is None or told.spacing_ms is None:
        return _Findings(None, len(ids), ())
    gaps = []
    for silence in find_silences(part.start, ids, end, told.spacing_ms):
        was_seen = any(span.start <= silence.start and silence.end <= span.end for span in subject.known)
        cause = Cause.EXCHANGE if was_seen else Cause.UNEXPLAINED
        gaps.append(Gap(start=silence.start, end=silence.end, missing=silence.missing, cause=cause))
    return _Findings(len(ids) + _sum(gaps), len(ids), gaps)


def _expected_part(subject: _Subject) -> _Part | None:
    """Return the ids that belong to a subject, None where that is not known (yet)."""
    kind, told = subject.kind, subject.told
    first_id, last_id = (told.first_id, told.last_id) if told else (None, None)
    if told is not None and last_id is None:
        if told.is_loaded:
            return _Part(0, 0)
        if told.error is not None:
            return None
    if kind.id_field != kind.time_field:
        return None if first_id is None or last_id is None else _Part(first_id, last_id + 1 - first_id)
    time_range = TimeRange.parse(subject.dataset.time_range)
    first = kind.grid.ceil(time_range.start_ms)
    # What was still open when the loader looked was never part of the dataset.
    end = time_range.end_ms if last_id is None else min(time_range.end_ms, last_id + 1)
    return _Part(first, kind.grid.count(first, end))


def _bounds(subject: _Subject, part: _Part | None) -> tuple[str, int, int]:
    """Return the field by which a subject's documents are counted, and from where to where; by time without a part."""
    kind = subject.kind
    if part is not None:
        return kind.id_field, part.start, kind.grid.advance(part.start, part.ids)
    time_range = TimeRange.parse(subject.dataset.time_range)
    return kind.time_field, time_range.start_ms, time_range.end_ms


def _published(workflow: Workflow, dataset: Dataset) -> int:
    """Count the messages of a topic whose loader has ended: offsets start at 0, and nothing but records uses them."""
    ends = [task.end_offsets for task in workflow.tasks if task.n == dataset.n and task.end_offsets is not None]
    return sum((ends[0] if ends else workflow.control.drain_offsets or {}).values())


async def _missing_runs(
    dataset: Dataset, kind: RecordKind, whole: _Part, documents: Documents
) -> list[tuple[int, int]]:
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
