"""What tasks tell queue-manager (contract section 3)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class TaskStatus(StrEnum):
    """How a task stands."""

    PENDING = "pending"
    STARTING = "starting"
    LOADING = "loading"
    PAUSED = "paused"
    COMPLETED = "completed"
    ERROR = "error"
    STOPPED = "stopped"


class TaskError(BaseModel):
    """Why a task failed."""

    model_config = ConfigDict(frozen=True)

    code: str
    """A word for programs."""
    detail: str
    """A sentence for people."""
    retryable: bool
    """Whether the same work may succeed later, unchanged."""


class ExchangeGap(BaseModel):
    """Neighbouring records that the exchange was asked for again and did not give."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    start: int = Field(alias="from")
    """Inclusive, Unix milliseconds or an id."""
    end: int = Field(alias="to")
    """Exclusive."""
    missing: int
    symbol: str | None = None
    """Of a live basket: whose."""


class StreamGap(BaseModel):
    """What a live loader did not receive."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    start: int = Field(alias="from")
    """Inclusive: an id where ids lie one behind the other, else Unix milliseconds."""
    end: int = Field(alias="to")
    """Exclusive."""
    missing: int | None = None
    """None where nobody can know."""
    symbol: str | None = None
    """Of a basket: whose."""


class ArchiveFileNote(BaseModel):
    """A file of an archive, as it was loaded: exchanges replace files later."""

    model_config = ConfigDict(frozen=True)

    path: str
    """As in the archive."""
    sha256: str
    """Of the packed file, equal to its published checksum; lower-case hexadecimal."""


class SymbolReport(BaseModel):
    """What the loader of a basket has to tell of one symbol; what is absent is not known yet, or was told before."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    first_id: int | None = None
    """As in an event on one symbol."""
    last_id: int | None = None
    spacing_ms: int | None = None
    exchange_gaps: list[ExchangeGap] | None = None
    is_loaded: bool = False
    """Whether all of it is on the topic. Without a `last_id` there is nothing of it in the range."""
    error: TaskError | None = None
    """Why it cannot be loaded; the others are."""


class Event(BaseModel):
    """One message on `queue-events`."""

    model_config = ConfigDict(frozen=True)

    queue_id: str
    producer: str
    """The task's telemetry_id."""
    instance: str | None = None
    """Which of the pods, where several do one task side by side."""
    attempt: int
    symbol: str = ""
    type: str = ""
    status: TaskStatus
    message: str = ""
    records_written: int = 0
    """Published or stored by this attempt so far, repeats included: progress, not proof. Of one of several instances:
    by it, since it started."""
    finished: bool = False
    """Whether this is the attempt's last event."""
    timestamp: float
    """Unix seconds."""
    error: TaskError | None = None
    end_offsets: dict[str, int] | None = None
    """With a loader's `completed`: partition (as a string) to the broker's end offset after the last flush."""
    first_id: int | None = None
    """With a loader's `completed`: the first id (candles: open time) that belongs to the dataset. Of a live
    loader, with every event, the first received; Unix milliseconds where ids do not lie one behind the other."""
    last_id: int | None = None
    """With a loader's `completed`: the last one."""
    spacing_ms: int | None = None
    """Of a loader of records that lie on no grid: how far apart two neighbours may be, as the exchange names it."""
    exchange_gaps: list[ExchangeGap] | None = None
    """Of a loader: what is new since its last event; with `completed`, all that this process has found."""
    symbols: list[SymbolReport] | None = None
    """Of the loader of a basket: what is new of single symbols since its last event."""
    gaps: list[StreamGap] | None = None
    """Of a live loader: what is new since its last event, and was not filled."""
    reconnects: int | None = None
    """Of a live loader: connections that were opened because one was lost, in all attempts."""
    filled: int | None = None
    """Of a live loader: records that were missed and brought afterwards, in all attempts."""
    out_of_range: int | None = None
    """Of a connector: records so far whose time is outside of the dataset's range."""
    banned_until: float | None = None
    """Of a loader: Unix seconds until which the exchange wants nothing from this address."""
    spent: dict[str, int] | None = None
    """With a loader's last event: what it has sent within the last window of each limit whose use the exchange does not
    tell, by the limit's name."""
    archive_file: ArchiveFileNote | None = None
    """Of a loader: the file that the records from here on are from, proven before the first of them."""
    metrics_port: int | None = None
    """With `starting`: where this process answers `/health` and `/metrics`."""

    def encode(self) -> bytes:
        """Return the message's value."""
        return self.model_dump_json(exclude_none=True, by_alias=True).encode()
