"""The workflow document (contract section 4): what is stored in `workflows`, with what steering it needs besides."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from queue_manager.app.catalog import LOADERS, targets_of
from queue_manager.app.requests import CheckedRequest
from streamforge_common.contract.baskets import basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import SymbolReport, TaskError, TaskStatus
from streamforge_common.contract.repair import Repair
from streamforge_common.ids import (
    QueueId,
    TelemetryId,
    make_collection_name,
    make_data_topic,
    make_job_name,
    make_queue_id,
    make_telemetry_id,
)

_STREAM_GAPS_KEPT = 1_000
"""As many as the report lists."""


class WorkflowStatus(StrEnum):
    """How a workflow stands."""

    PENDING = "pending"
    STARTING = "starting"
    LOADING = "loading"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMPLETED = "completed"
    ERROR = "error"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but `retry` and `repair` leads out of it."""
        return self in (WorkflowStatus.STOPPED, WorkflowStatus.COMPLETED, WorkflowStatus.ERROR)


class Wish(StrEnum):
    """Where the workflow is to be brought."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"
    FAIL = "fail"
    """A task has failed for good: wind the others down."""

    @property
    def winds_down(self) -> bool:
        """Whether nothing new is started."""
        return self in (Wish.STOP, Wish.FAIL)


class Dataset(BaseModel):
    """One (exchange, market, symbol, type, time range), with its topic and collection."""

    n: int
    exchange: str
    market: str
    symbol: str
    type: str
    time_range: str
    kafka_topic: str
    collection_name: str
    options: dict[str, Any] = Field(default_factory=dict)
    """As requested; of a basket also its symbols."""

    @property
    def symbols(self) -> list[str]:
        """Those of a basket; none where `symbol` is the only one, or stands for every one."""
        return basket_symbols(self.symbol, self.options)

    def of_symbol(self, symbol: str) -> "Dataset":
        """Return what a basket would be if it had this symbol alone."""
        return self.model_copy(update={"symbol": symbol})


class Instance(BaseModel):
    """One of several processes that share a task, as its last event tells of it."""

    status: TaskStatus
    records_written: int
    """Since it started."""
    heard_at_s: float
    """When it spoke last, Unix seconds by its own clock."""


class Task(BaseModel):
    """One target's work on one dataset; everything but the identity is of the current attempt."""

    target: str
    telemetry_id: TelemetryId
    n: int
    attempt: int = 1
    status: TaskStatus = TaskStatus.PENDING
    records_written: int = 0
    """Of several instances: of all that there ever were."""
    message: str = ""
    instances: dict[str, Instance] = Field(default_factory=dict)
    """By name, where several share the task."""
    finished: bool = False
    """Its last event has been read, or it was judged by its job's end."""
    error: TaskError | None = None
    end_offsets: dict[str, int] | None = None
    """Of a loader that completed."""
    first_id: int | None = None
    """Of a loader that completed: the first id (candles: open time) that belongs to the dataset. Of a live loader: the
    first that it has received."""
    last_id: int | None = None
    """Of a loader that completed: the last one; what is still open is not part of it. Of a live loader: the last that
    it has published."""
    spacing_ms: int | None = None
    """Of a loader of records that lie on no grid: how far apart two neighbours may be, as the exchange names it."""
    out_of_range: int = 0
    """Records on the topic whose time is outside of the dataset's range, as its connector counts them."""
    reconnects: int | None = None
    """Of a live loader: connections that were opened because one was lost."""
    filled: int | None = None
    """Of a live loader: records that were missed and brought afterwards."""
    metrics_port: int | None = None
    started_since_ms: int | None = None
    """Append time of its `start` command; None until that is on `queue-control`."""
    told_ban_until_s: float = 0.0
    """Until when (Unix seconds) its exchange wants nothing, as the latest `start` told it."""
    told_share: float | None = None
    """Its share of limits whose use the exchange does not tell, as the latest `start` told it."""
    told_pause: bool = False
    told_stop: bool = False
    told_drain: bool = False
    launched: bool = False
    """Its job was created."""
    replaced_jobs: int = 0
    """Jobs that ended without a last event and were launched anew."""
    repair: Repair | None = None
    """What the attempt loads in place of the whole dataset."""

    @property
    def job_name(self) -> str:
        """The name of the attempt's job."""
        return make_job_name(self.telemetry_id, self.attempt)

    @property
    def is_loader(self) -> bool:
        """Whether it publishes on the data topic."""
        return self.target in LOADERS

    def next_attempt(self) -> "Task":
        """Return the task as it is before another launch; what was a repair stays one."""
        if self.repair is not None:
            return self.next_repair(self.repair)
        return Task(target=self.target, telemetry_id=self.telemetry_id, n=self.n, attempt=self.attempt + 1)

    def next_repair(self, repair: Repair) -> "Task":
        """Return the task as it is before the launch of a repair, which does not ask again what is known."""
        return Task(
            target=self.target,
            telemetry_id=self.telemetry_id,
            n=self.n,
            attempt=self.attempt + 1,
            repair=repair,
            first_id=self.first_id,
            last_id=self.last_id,
            spacing_ms=self.spacing_ms,
        )


class Deletion(StrEnum):
    """What is removed with an ended workflow."""

    WITHOUT_DATA = "without_data"
    WITH_DATA = "with_data"
    """Its collections too."""


class Span(BaseModel):
    """A part of a dataset that its exchange does not have: asked for twice, it was not given."""

    n: int
    start: int
    """Inclusive, Unix milliseconds or an id."""
    end: int
    """Exclusive."""
    symbol: str = ""
    """Of a basket: whose."""


class SymbolState(BaseModel):
    """What the loader of a basket has told of one symbol, in whatever attempt: what was loaded stays loaded."""

    n: int
    symbol: str
    first_id: int | None = None
    """As in `Task`."""
    last_id: int | None = None
    spacing_ms: int | None = None
    is_loaded: bool = False
    """All of it is on the topic; without a `last_id` there is nothing of it in the range."""
    error: TaskError | None = None
    """Why it cannot be loaded."""


class AuditItem(BaseModel):
    """One line of the audit trail."""

    seq: int
    kind: str
    """`command`, `event` or `status`."""
    at: str
    data: dict[str, Any]


class Control(BaseModel):
    """What steering needs and the contract does not show."""

    suffix: str
    symbol: str
    """Of the first dataset, where an index finds it."""
    type: str
    """Of the first dataset, where an index finds it."""
    wish: Wish = Wish.RUN
    wish_at: str
    settled: bool = False
    """Whether nothing is left to do: the workflow has ended, and what was to be done after that is done."""
    delete: Deletion | None = None
    """Set once a person wants the ended workflow removed."""
    topic_asked_for: bool = False
    """Whether the data topic may be there; stored before it is made, so that none is left behind."""
    topic_created: bool = False
    topic_expires: bool = False
    """Whether the data topic forgets after a while, as it does once the workflow has ended."""
    drain_offsets: dict[str, int] | None = None
    """Ends of the data topic, read after a loader that did not complete was gone."""
    exchange_gaps: list[Span] = Field(default_factory=list)
    """Sorted, without overlaps in one dataset, of a basket in one symbol of it."""
    symbols: list[SymbolState] = Field(default_factory=list)
    """Of baskets, in the order in which they were told of."""
    stream_gaps: list[Span] = Field(default_factory=list)
    """Of records that nothing numbers: the latest times, in ms, at which a live loader may have missed some."""
    stream_gaps_total: int = 0
    """How many there were."""
    events_read: dict[str, int] = Field(default_factory=dict)
    """Partition of `queue-events` to the offset behind the last event taken in: reading again adds nothing."""
    next_seq: int = 1
    untold: list[Command] = Field(default_factory=list)
    """Commands that are decided, and in the audit trail, and may not be on `queue-control` yet: all of them are before
    anything else is decided."""
    outbox: list[AuditItem] = Field(default_factory=list)
    """Audit items written with this document, on their way to `workflow_events`."""


class Workflow(BaseModel):
    """The document; changed only by `lifecycle`."""

    queue_id: QueueId
    status: WorkflowStatus = WorkflowStatus.PENDING
    request: dict[str, Any]
    datasets: list[Dataset]
    tasks: list[Task]
    created_at: str
    updated_at: str
    finished_at: str | None = None
    error: TaskError | None = None
    control: Control

    def shown(self) -> dict[str, Any]:
        """Return the document as the REST API shows it."""
        return self.model_dump(mode="json", exclude={"control": True})

    def task_of(self, telemetry_id: str) -> Task | None:
        """Find a task by its identity."""
        return next((task for task in self.tasks if task.telemetry_id == telemetry_id), None)

    def loader_of(self, dataset: Dataset) -> Task | None:
        """Return the task that loads a dataset."""
        return next((task for task in self.tasks if task.n == dataset.n and task.is_loader), None)

    def launched_jobs(self) -> set[str]:
        """Name the jobs of the current attempts that were created."""
        return {task.job_name for task in self.tasks if task.launched}

    def dataset_of(self, task: Task) -> Dataset:
        """Find the dataset that a task works on."""
        return next(dataset for dataset in self.datasets if dataset.n == task.n)

    def note_exchange_gap(self, gap: Span) -> None:
        """Remember what the exchange does not have, joined to what it touches."""
        apart: list[Span] = []
        for span in self.control.exchange_gaps:
            is_same = (span.n, span.symbol) == (gap.n, gap.symbol)
            if is_same and span.start <= gap.end and gap.start <= span.end:
                joined = {"start": min(span.start, gap.start), "end": max(span.end, gap.end)}
                gap = gap.model_copy(update=joined)
            else:
                apart.append(span)
        self.control.exchange_gaps = sorted([*apart, gap], key=lambda span: (span.n, span.symbol, span.start))

    def note_symbol(self, n: int, report: SymbolReport) -> None:
        """Remember what the loader of a basket has told of one symbol."""
        states = self.control.symbols
        state = next((it for it in states if (it.n, it.symbol) == (n, report.symbol)), None)
        if state is None:
            state = SymbolState(n=n, symbol=report.symbol)
            states.append(state)
        for field in ("first_id", "last_id", "spacing_ms"):
            if (told := getattr(report, field)) is not None:
                setattr(state, field, told)
        if report.is_loaded or report.error is not None:
            state.is_loaded, state.error = report.is_loaded, report.error
        for gap in report.exchange_gaps or ():
            self.note_exchange_gap(Span(n=n, start=gap.start, end=gap.end, symbol=report.symbol))

    def note_stream_gap(self, gap: Span) -> None:
        """Remember when a live loader may have missed something that nobody can count."""
        self.control.stream_gaps = [*self.control.stream_gaps, gap][-_STREAM_GAPS_KEPT:]
        self.control.stream_gaps_total += 1

    def set_wish(self, wish: Wish, now: datetime) -> None:
        """Decide where the workflow is to be brought."""
        self.control.wish = wish
        self.control.wish_at = rfc3339(now)

    def set_status(self, status: WorkflowStatus, now: datetime) -> None:
        """Change how the workflow stands; a change is part of the audit trail."""
        if self.status is not status:
            self.audit("status", {"from": self.status, "status": status}, now)
            self.status = status

    def audit(self, kind: str, data: dict[str, Any], now: datetime) -> None:
        """Add a line to the audit trail."""
        item = AuditItem(seq=self.control.next_seq, kind=kind, at=rfc3339(now), data=data)
        self.control.outbox.append(item)
        self.control.next_seq += 1


def rfc3339(moment: datetime) -> str:
    """Write a time as the API does: UTC, milliseconds, so that equal widths sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_workflow(
    as_given: dict[str, Any], checked: CheckedRequest, suffix: str, now: datetime, by: str | None = None
) -> Workflow:
    """Lay out a workflow for one dataset; `by` is the API key that asks for it."""
    day = checked.start.date()
    queue_id = make_queue_id(f"{checked.symbol}-{checked.type}", day, suffix)
    dataset = Dataset(
        n=1,
        exchange=checked.exchange,
        market=checked.market,
        symbol=checked.symbol,
        type=checked.type,
        time_range=checked.time_range,
        kafka_topic=make_data_topic(queue_id),
        options=checked.options,
        collection_name=checked.collection_name
        or make_collection_name(checked.exchange, checked.market, checked.symbol, checked.type, day),
    )
    workflow = Workflow(
        queue_id=queue_id,
        request=as_given,
        datasets=[dataset],
        tasks=[
            Task(target=target, telemetry_id=make_telemetry_id(target, suffix), n=1)
            for target in targets_of(DataType.parse(checked.type).source)
        ],
        created_at=rfc3339(now),
        updated_at=rfc3339(now),
        control=Control(suffix=suffix, symbol=checked.symbol, type=checked.type, wish_at=rfc3339(now)),
    )
    workflow.audit("status", {"status": workflow.status} | ({} if by is None else {"by": by}), now)
    return workflow
