"""The completeness report (contract section 8): what was found of each dataset, counted and judged."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypedDict

from pydantic import BaseModel

from queue_manager.app.anomalies import Anomaly
from queue_manager.app.cross_checks import CrossCheck
from queue_manager.app.missing import (
    Cause,
    Documents,
    Findings,
    Gap,
    Subject,
    Told,
    bounds,
    count_missing,
    expected_part,
    look,
    unnumbered,
)
from queue_manager.app.workflow import Dataset, Span, Workflow
from streamforge_common.contract.baskets import EVERY_SYMBOL
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import TaskError
from streamforge_common.contract.kinds import record_kind

_GAPS_LISTED = 1_000


class Verdict(StrEnum):
    """What the report comes to."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNPROVEN = "unproven"


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
    findings = await look(_subject_of_dataset(workflow, dataset), evidence)
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
        findings = await look(subject, counted)
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
    findings = await look(subject, evidence)
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
    found = [(subject, await look(subject, counted)) for subject in subjects]
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
    whole = _figures(workflow, subject, unnumbered(subject, sum(stored.values())), rejected, _GAPS_LISTED)
    of_topic = _counts_of_topic(workflow, dataset, whole["stored"] + rejected)
    symbols = [
        SymbolQuality(
            symbol=symbol,
            repeated=None if of_topic["repeated"] else 0,
            out_of_range=0,
            error=None,
            **_figures(workflow, subject, Findings(None, number, (), is_provable=False), 0, 0),
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


async def _count_ahead(dataset: Dataset, subjects: Sequence[Subject], evidence: Evidence) -> Documents:
    if DataType.parse(dataset.type).source.is_live:
        # There are few, and no time range bounds them.
        return evidence
    wanted: dict[str, dict[str, tuple[int, int]]] = {}
    for subject in subjects:
        if subject.kind.is_momentary:
            continue
        field, start, end = bounds(subject, expected_part(subject))
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


def _figures(workflow: Workflow, subject: Subject, findings: Findings, rejected: int, room: int) -> _Figures:
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
        missing=count_missing(findings.gaps),
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


def _published(workflow: Workflow, dataset: Dataset) -> int:
    """Count the messages of a topic whose loader has ended: offsets start at 0, and nothing but records uses them."""
    ends = [task.end_offsets for task in workflow.tasks if task.n == dataset.n and task.end_offsets is not None]
    return sum((ends[0] if ends else workflow.control.drain_offsets or {}).values())


def _subject_of_dataset(workflow: Workflow, dataset: Dataset) -> Subject:
    loader = workflow.loader_of(dataset)
    told = None
    if loader is not None:
        told = Told(loader.first_id, loader.last_id, loader.spacing_ms, loader.end_offsets is not None)
    known = [span for span in workflow.control.exchange_gaps if span.n == dataset.n]
    gaps = [span for span in workflow.control.stream_gaps if span.n == dataset.n]
    kind = record_kind(DataType.parse(dataset.type).kind)
    return Subject(dataset, kind, told, known, gaps, workflow.control.stream_gaps_total)


def _subjects_of_basket(workflow: Workflow, dataset: Dataset) -> list[Subject]:
    kind = record_kind(DataType.parse(dataset.type).kind)
    told = {
        it.symbol: Told(it.first_id, it.last_id, it.spacing_ms, it.is_loaded, it.error)
        for it in workflow.control.symbols
        if it.n == dataset.n
    }
    known = _by_symbol(workflow.control.exchange_gaps, dataset)
    gaps = _by_symbol(workflow.control.stream_gaps, dataset)
    return [
        Subject(dataset.of_symbol(symbol), kind, told.get(symbol), known[symbol], gaps[symbol], len(gaps[symbol]))
        for symbol in dataset.symbols
    ]


def _by_symbol(spans: Sequence[Span], dataset: Dataset) -> dict[str, list[Span]]:
    by_symbol: dict[str, list[Span]] = {symbol: [] for symbol in dataset.symbols}
    for span in spans:
        if span.n == dataset.n:
            by_symbol[span.symbol].append(span)
    return by_symbol
