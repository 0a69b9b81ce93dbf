"""What the controller acts on, and how it sees it; the adapters implement these."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from queue_manager.app.shares import RunningLoader
from queue_manager.app.workflow import AuditItem, Workflow, WorkflowStatus
from streamforge_common.contract.commands import Command
from streamforge_common.errors import StreamForgeError
from streamforge_common.ids import QueueId, TelemetryId


class JobStatus(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    RESTARTING = "restarting"
    """Its process has ended; the launcher starts it again."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_live(self) -> bool:
        """Whether the job may still do something."""
        return self in (JobStatus.RUNNING, JobStatus.RESTARTING)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job to be created; the launcher knows how a target is run."""

    name: str
    queue_id: QueueId
    target: str
    telemetry_id: TelemetryId
    attempt: int
    commands_since_ms: int
    shared_topic: str | None = None
    """Data topic whose partitions several instances of the task may share, as many as the launcher sees fit; None where
    one process does the work."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the launcher sees it."""

    name: str
    queue_id: str
    target: str
    telemetry_id: str
    attempt: int
    status: JobStatus
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    reason: str | None
    restarts: int
    is_stuck: bool = False
    """It cannot start, and was given long enough; `reason` says why. Its launcher still tries until it is deleted."""
    has_failed: bool = False
    """Its instances fail again and again; `reason` says how. Its launcher still tries until it is deleted."""
    ends_by_itself: bool = True
    """Whether it is over when its work is; else it lives until it is deleted."""


class NameTakenError(StreamForgeError):
    """A job of that name exists and is another workflow's."""


class Launcher(Protocol):
    """Creates and watches jobs: local processes or Kubernetes Jobs."""

    async def launch(self, spec: JobSpec) -> None:
        """Create a job; one of that name that is this workflow's counts as created.

        Raises:
            NameTakenError: One of that name is another workflow's.
            FatalError: The launcher refuses such a job.
        """

    async def jobs(self, queue_id: QueueId | None = None) -> list[Job]:
        """List the jobs of one workflow, or all."""

    async def delete(self, name: str) -> None:
        """End a job and forget it; none of that name is fine."""

    async def logs(self, name: str) -> bytes:
        """Return what a job has written, empty where none is known."""

    def watch(self) -> AsyncIterator[QueueId]:
        """Yield the workflow of every job that changes. Raises TransientError: the watch was lost; list anew."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A workflow as it was read, and the revision that a change of it is based on."""

    workflow: Workflow
    revision: str


class ChangedMeanwhileError(StreamForgeError):
    """Another has changed the document since it was read; read it again."""


class SuffixTakenError(StreamForgeError):
    """Another workflow has the same six digits; draw again."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A first answer that is kept, so that the same request with the same key gets it again."""

    body_digest: str
    workflow: Workflow
    """As it was stored first."""
    is_stored: bool = False
    """Whether it was; not where whoever took the key died before that."""


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """Which workflows to list; None does not filter."""

    status: str | None = None
    symbol: str | None = None
    type: str | None = None
    created_after: str | None = None


class WorkflowStore(Protocol):
    """Keeps the documents and the audit trail."""

    async def insert(self, workflow: Workflow) -> None:
        """Store a new workflow. Raises SuffixTakenError."""

    async def has_suffix(self, suffix: str) -> bool:
        """Say whether a stored workflow has these six digits."""

    async def claim_key(self, key: str, submission: Submission) -> Submission:
        """Keep a submission under an idempotency key for at least a day; returns the one that was there first."""

    async def confirm_key(self, key: str) -> None:
        """Note that the submission under a key is stored."""

    async def forget_old_keys(self) -> None:
        """Remove the idempotency keys that have been kept for long enough."""

    async def get(self, queue_id: str) -> Stored | None:
        """Read a workflow."""

    async def replace(self, stored: Stored) -> Stored:
        """Store a changed workflow if it is still of the revision it was read at. Raises ChangedMeanwhileError."""

    async def unsettled(self) -> list[tuple[QueueId, WorkflowStatus]]:
        """List the workflows about which something is left to do, oldest first."""

    async def others_storing_in(self, collection: str, queue_id: QueueId) -> list[QueueId]:
        """List the other workflows that store in a collection."""

    async def drop_collection(self, name: str) -> None:
        """Delete a collection with all its documents; none of that name is fine."""

    async def forget(self, queue_id: QueueId) -> None:
        """Remove a workflow with its audit trail, what was rejected and what was found; none of that name is fine."""

    async def page(self, wanted: WorkflowFilter, after: tuple[str, str] | None, limit: int) -> Sequence[dict[str, Any]]:
        """List documents, newest first, from behind (created_at, queue_id)."""

    async def audit_page(self, queue_id: QueueId, after_seq: int, limit: int) -> Sequence[AuditItem]:
        """List the audit trail, oldest first, from behind a sequence number."""

    async def last_seqs(self, queue_ids: Sequence[QueueId]) -> dict[QueueId, int]:
        """Say how far the audit trails of workflows go; those that are not stored are left out."""

    async def note_ban(self, exchange: str, market: str, until_s: float) -> None:
        """Remember until when (Unix seconds) an exchange wants nothing from this address; the latest counts."""

    async def bans(self) -> dict[tuple[str, str], float]:
        """Return (exchange, market) to until when (Unix seconds) it wants nothing, also what is over."""

    async def running_loaders(self) -> Sequence[RunningLoader]:
        """List the loaders of all workflows that were started and have not ended."""

    async def counts(self) -> dict[str, int]:
        """Count the workflows by status."""


class ControlLog(Protocol):
    """What the controller does on the broker."""

    async def create_data_topic(self, topic: str) -> None:
        """Create a data topic unless it is there."""

    async def set_retention(self, topic: str, *, expires: bool) -> None:
        """Let a data topic forget after a while, or keep everything."""

    async def delete_topic(self, topic: str) -> None:
        """Delete a topic; none of that name is fine."""

    async def tell(self, command: Command) -> int:
        """Write a command and return the broker's append time, Unix milliseconds."""

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the ends of a topic."""

    async def events_are_read(self) -> bool:
        """Say whether every event that is on the log now has been taken in."""
