"""Answers of queue-manager as types: the fields that the command line reads (contract sections 4 and 5).

A document keeps its whole answer as `raw`, so that `--json` shows fields that this version does not know.
"""

from typing import Any, TypeVar

import msgspec

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.time_range import TimeRange

_TERMINAL = frozenset({"completed", "stopped", "error"})

Raw = dict[str, Any]
"""A JSON object as it was answered."""

Document = TypeVar("Document", bound="AnyDocument")


class Dataset(msgspec.Struct, frozen=True):
    """One (exchange, market, symbol, type, time range)."""

    n: int
    exchange: str
    market: str
    symbol: str
    type: str
    time_range: str
    kafka_topic: str
    collection_name: str
    options: Raw = {}

    @property
    def has_ids(self) -> bool:
        """Whether its records are numbered by the exchange; gaps are then told by ids, else by times."""
        return self.type.endswith("trades")

    @property
    def expected_records(self) -> int | None:
        """How many records the range has, from the grid of a candle interval; None where no grid tells."""
        try:
            interval = DataType.parse(self.type).interval
            time_range = TimeRange.parse(self.time_range)
        except ValueError:
            return None
        symbols = len(self.options.get("symbols", ())) or 1
        return symbols * interval.count(time_range.start_ms, time_range.end_ms)


class Task(msgspec.Struct, frozen=True):
    """One target's work."""

    target: str
    telemetry_id: str
    attempt: int
    status: str
    records_written: int
    message: str
    n: int = 1

    @property
    def has_ended(self) -> bool:
        """Whether this attempt does nothing more."""
        return self.status in _TERMINAL


class TaskError(msgspec.Struct, frozen=True):
    """Why a workflow failed."""

    code: str
    detail: str


class AnyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps its whole answer."""

    raw: Raw


class Workflow(AnyDocument, frozen=True):
    """A workflow document."""

    queue_id: str
    status: str
    datasets: list[Dataset]
    tasks: list[Task]
    created_at: str
    updated_at: str
    finished_at: str | None = None
    error: TaskError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing but `retry` changes it any more."""
        return self.status in _TERMINAL

    def dataset_of(self, task: Task) -> Dataset | None:
        """Find the dataset that a task works on; None for a task on the whole workflow."""
        return next((dataset for dataset in self.datasets if dataset.n == task.n), None)

    def records_of(self, target: str) -> int:
        """Sum up what the tasks of one target have written."""
        return sum(task.records_written for task in self.tasks if task.target == target)


class Job(AnyDocument, frozen=True):
    """What executes an attempt of a task."""

    name: str
    target: str
    status: str
    started_at: str | None = None
    finished_at: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    restarts: int = 0


class AuditItem(AnyDocument, frozen=True):
    """One line of the audit trail."""

    seq: int
    kind: str
    at: str
    data: Raw


class Gap(msgspec.Struct, frozen=True):
    """Missing records that are neighbours."""

    start: int = msgspec.field(name="from")
    """Inclusive; Unix milliseconds, or an id where records have ids without holes."""
    end: int = msgspec.field(name="to")
    """Exclusive."""
    missing: int | None
    """None where nobody can know."""
    cause: str
    """`exchange` (asked twice, it did not give them) or `unexplained`."""
    symbol: str = ""
    """Of a basket: whose."""


class SymbolQuality(msgspec.Struct, frozen=True):
    """One symbol's part of a basket's."""

    symbol: str
    verdict: str
    expected: int | None
    stored: int
    missing: int
    rejected: int
    error: TaskError | None = None
    """Why it could not be loaded."""


class Anomaly(msgspec.Struct, frozen=True):
    """A price jump."""

    at: int
    """Event time of the record behind it, Unix milliseconds."""
    previous: float
    price: float


class CrossCheck(msgspec.Struct, frozen=True):
    """Candles beside those that stored trades make."""

    compared: int
    differing: int


class DatasetQuality(msgspec.Struct, frozen=True):
    """One dataset's part of the completeness report."""

    n: int
    verdict: str
    expected: int | None
    """None where nobody can know."""
    stored: int
    missing: int
    repeated: int
    out_of_range: int
    rejected: int
    gaps: list[Gap]
    gaps_total: int
    symbols: list[SymbolQuality] = []
    """Of a basket."""
    anomalies: list[Anomaly] | None = None
    """The first price jumps; None until the workflow has ended and was examined."""
    anomalies_total: int | None = None


class Quality(AnyDocument, frozen=True):
    """The completeness report of a workflow (contract section 8)."""

    queue_id: str
    verdict: str
    datasets: list[DatasetQuality]
    cross_checks: list[CrossCheck] | None = None
    """None until the workflow has ended and was examined."""


class ApiKey(AnyDocument, frozen=True):
    """An API key, without what makes it one."""

    id: str
    role: str
    created_at: str
    name: str = ""
    last_used_at: str | None = None
    revoked_at: str | None = None


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    """An API key that was just made."""

    key: str
    """The key itself; whoever reads this is the only one who ever will."""


def read_document(raw: object, kind: type[Document]) -> Document:
    """Read one answer.

    Raises:
        msgspec.ValidationError: It is not what the contract says.
    """
    fields = {**raw, "raw": raw} if isinstance(raw, dict) else raw
    return msgspec.convert(fields, kind)
