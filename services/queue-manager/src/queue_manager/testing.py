"""In-memory twins of the ports, and a world of jobs, for tests of the controller.

The twins keep what they are given as bytes do on a disk: nobody holds a reference into them. A crash can be armed; it
is raised before or after the side effect whose turn it is, as `kill -9` would fall.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from queue_manager.app.keys import ApiKey, Keyring
from queue_manager.app.ports import (
    ChangedMeanwhileError,
    Job,
    JobSpec,
    JobStatus,
    NameTakenError,
    Stored,
    Submission,
    SuffixTakenError,
    WorkflowFilter,
)
from queue_manager.app.shares import RunningLoader
from queue_manager.app.workflow import AuditItem, Workflow, WorkflowStatus
from streamforge_common.contract.commands import Command, Wanted
from streamforge_common.contract.events import Event
from streamforge_common.ids import QueueId


class CrashError(BaseException):
    """The process is gone; nothing of it runs on."""


@dataclass
class Crash:
    """Falls at the side effect with the given number, counted from the arming."""

    side_effects_left: int | None = None
    after: bool = False

    def arm(self, side_effects: int, *, after: bool) -> None:
        """Let it fall at a side effect: 0 is the next one."""
        self.side_effects_left, self.after = side_effects, after

    def before_effect(self) -> None:
        """Stand before every side effect."""
        if self.side_effects_left == 0 and not self.after:
            self.side_effects_left = None
            raise CrashError

    def after_effect(self) -> None:
        """Stand behind every side effect."""
        if self.side_effects_left is None:
            return
        if self.side_effects_left == 0:
            self.side_effects_left = None
            raise CrashError
        self.side_effects_left -= 1


@dataclass
class MemoryStore:
    """A `WorkflowStore`."""

    crash: Crash
    documents: dict[str, tuple[str, int]] = field(default_factory=dict)
    """queue_id to the document's JSON and its revision."""
    audit: dict[str, dict[int, AuditItem]] = field(default_factory=dict)
    keys: dict[str, Submission] = field(default_factory=dict)
    noted_bans: dict[tuple[str, str], float] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    """Collections that were deleted."""

    async def insert(self, workflow: Workflow) -> None:
        """Store a new workflow."""
        if await self.has_suffix(workflow.control.suffix):
            raise SuffixTakenError(workflow.control.suffix)
        self.crash.before_effect()
        self.documents[workflow.queue_id] = (workflow.model_dump_json(), 1)
        self.crash.after_effect()
        self._copy_outbox(workflow)

    async def has_suffix(self, suffix: str) -> bool:
        """Say whether a stored workflow has these six digits."""
        workflows = [Workflow.model_validate_json(text) for text, _ in self.documents.values()]
        return suffix in [workflow.control.suffix for workflow in workflows]

    async def claim_key(self, key: str, submission: Submission) -> Submission:
        """Keep a submission under an idempotency key."""
        self.crash.before_effect()
        first = self.keys.setdefault(key, submission)
        self.crash.after_effect()
        return first

    async def confirm_key(self, key: str) -> None:
        """Note that the submission under a key is stored."""
        self.crash.before_effect()
        self.keys[key] = replace(self.keys[key], is_stored=True)
        self.crash.after_effect()

    async def forget_old_keys(self) -> None:
        """Keep them: no test lasts that long."""

    async def get(self, queue_id: str) -> Stored | None:
        """Read a workflow."""
        if queue_id not in self.documents:
            return None
        text, revision = self.documents[queue_id]
        workflow = Workflow.model_validate_json(text)
        self._copy_outbox(workflow)
        return Stored(workflow, str(revision))

    async def replace(self, stored: Stored) -> Stored:
        """Store a changed workflow."""
        queue_id = stored.workflow.queue_id
        _, revision = self.documents[queue_id]
        if stored.revision != str(revision):
            raise ChangedMeanwhileError(queue_id)
        self.crash.before_effect()
        copied = max(self.audit.get(queue_id, {0: None}))
        stored.workflow.control.outbox = [item for item in stored.workflow.control.outbox if item.seq > copied]
        self.documents[queue_id] = (stored.workflow.model_dump_json(), revision + 1)
        self.crash.after_effect()
        self._copy_outbox(stored.workflow)
        return Stored(stored.workflow, str(revision + 1))

    async def unsettled(self) -> list[tuple[QueueId, WorkflowStatus]]:
        """List the workflows about which something is left to do, oldest first."""
        workflows = [Workflow.model_validate_json(text) for text, _ in self.documents.values()]
        return [(workflow.queue_id, workflow.status) for workflow in workflows if not workflow.control.settled]

    async def others_storing_in(self, collection: str, queue_id: QueueId) -> list[QueueId]:
        """List the other workflows that store in a collection."""
        workflows = [Workflow.model_validate_json(text) for text, _ in self.documents.values()]
        return [
            workflow.queue_id
            for workflow in workflows
            if workflow.queue_id != queue_id and collection in [it.collection_name for it in workflow.datasets]
        ]

    async def drop_collection(self, name: str) -> None:
        """Delete a collection."""
        self.crash.before_effect()
        self.dropped.append(name)
        self.crash.after_effect()

    async def forget(self, queue_id: QueueId) -> None:
        """Remove a workflow."""
        self.crash.before_effect()
        self.documents.pop(queue_id, None)
        self.audit.pop(queue_id, None)
        self.crash.after_effect()

    async def page(self, wanted: WorkflowFilter, after: tuple[str, str] | None, limit: int) -> Sequence[dict[str, Any]]:
        """List documents, newest first; filters are the database's."""
        workflows = [Workflow.model_validate_json(text) for text, _ in self.documents.values()]
        newest_first = sorted(workflows, key=lambda workflow: (workflow.created_at, workflow.queue_id), reverse=True)
        return [
            workflow.shown()
            for workflow in newest_first
            if after is None or (workflow.created_at, workflow.queue_id) < after
        ][:limit]

    async def audit_page(self, queue_id: QueueId, after_seq: int, limit: int) -> Sequence[AuditItem]:
        """List the audit trail."""
        return [item for seq, item in sorted(self.audit.get(queue_id, {}).items()) if seq > after_seq][:limit]

    async def last_seqs(self, queue_ids: Sequence[QueueId]) -> dict[QueueId, int]:
        """Say how far the audit trails go."""
        stored = [queue_id for queue_id in queue_ids if queue_id in self.documents]
        workflows = [Workflow.model_validate_json(self.documents[queue_id][0]) for queue_id in stored]
        return {workflow.queue_id: workflow.control.next_seq - 1 for workflow in workflows}

    async def note_ban(self, exchange: str, market: str, until_s: float) -> None:
        """Remember a ban."""
        self.noted_bans[exchange, market] = max(until_s, self.noted_bans.get((exchange, market), 0.0))

    async def bans(self) -> dict[tuple[str, str], float]:
        """Return all of them."""
        return dict(self.noted_bans)

    async def running_loaders(self) -> Sequence[RunningLoader]:
        """List the loaders that were started and have not ended."""
        workflows = [Workflow.model_validate_json(text) for text, _ in self.documents.values()]
        datasets = [
            workflow.dataset_of(task)
            for workflow in workflows
            for task in workflow.tasks
            if task.is_loader and task.started_since_ms is not None and not task.finished
        ]
        return [RunningLoader.of(it.exchange, it.market, it.type) for it in datasets]

    async def counts(self) -> dict[str, int]:
        """Count the workflows by status."""
        counts: dict[str, int] = {}
        for text, _ in self.documents.values():
            status = Workflow.model_validate_json(text).status
            counts[status] = counts.get(status, 0) + 1
        return counts

    def _copy_outbox(self, workflow: Workflow) -> None:
        trail = self.audit.setdefault(workflow.queue_id, {})
        for item in workflow.control.outbox:
            trail.setdefault(item.seq, item)


@dataclass
class MemoryKeyStore:
    """A `KeyStore`."""

    by_id: dict[str, ApiKey] = field(default_factory=dict)
    notes: int = 0
    """How often a use was noted."""

    async def keys(self) -> Sequence[ApiKey]:
        """List all, oldest first."""
        return list(self.by_id.values())

    async def put(self, key: ApiKey) -> None:
        """Keep a key."""
        self.by_id[key.id] = key

    async def note_used(self, key_id: str, at: str) -> None:
        """Remember when a key was used."""
        self.notes += 1
        self.by_id[key_id] = self.by_id[key_id].model_copy(update={"last_used_at": at})

    async def revoke(self, key_id: str, at: str) -> None:
        """Let a key be one no more."""
        self.by_id[key_id] = self.by_id[key_id].model_copy(update={"revoked_at": at})


def open_keyring() -> Keyring:
    """Make the keyring of a platform on loopback that has no keys."""
    return Keyring(MemoryKeyStore(), clock=lambda: datetime.now(UTC), always_asks=False)


@dataclass
class MemoryLauncher:
    """A `Launcher`."""

    crash: Crash
    scales: bool = False
    """Whether a task that several instances may share has a job that lives until it is deleted, as with KEDA."""
    by_name: dict[str, Job] = field(default_factory=dict)
    ever_launched: list[str] = field(default_factory=list)

    async def launch(self, spec: JobSpec) -> None:
        """Create a job."""
        existing = self.by_name.get(spec.name)
        if existing is not None:
            if existing.queue_id != spec.queue_id:
                raise NameTakenError(spec.name)
            return
        self.crash.before_effect()
        self.by_name[spec.name] = Job(
            spec.name,
            spec.queue_id,
            spec.target,
            spec.telemetry_id,
            spec.attempt,
            JobStatus.RUNNING,
            None,
            None,
            None,
            None,
            0,
            ends_by_itself=not self.scales or spec.shared_topic is None,
        )
        self.ever_launched.append(spec.name)
        self.crash.after_effect()

    async def jobs(self, queue_id: QueueId | None = None) -> list[Job]:
        """List jobs."""
        return [job for job in self.by_name.values() if queue_id in (None, job.queue_id)]

    async def delete(self, name: str) -> None:
        """End a job and forget it."""
        self.crash.before_effect()
        self.by_name.pop(name, None)
        self.crash.after_effect()

    async def logs(self, name: str) -> bytes:
        """Return nothing: these jobs write none."""
        return b""

    async def watch(self) -> AsyncIterator[QueueId]:
        """Yield every job's workflow once."""
        for job in list(self.by_name.values()):
            yield QueueId(job.queue_id)

    def end(self, name: str, status: JobStatus) -> None:
        """Let a job's process end."""
        self.by_name[name] = replace(self.by_name[name], status=status)


@dataclass
class MemoryLog:
    """A `ControlLog`, and the log of events that jobs write to."""

    crash: Crash
    topics: dict[str, bool] = field(default_factory=dict)
    """Data topics, and whether each forgets."""
    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    events_read: int = 0
    """Offset behind the last event that was taken in."""

    async def create_data_topic(self, topic: str) -> None:
        """Create a data topic."""
        self.crash.before_effect()
        self.topics.setdefault(topic, False)
        self.crash.after_effect()

    async def set_retention(self, topic: str, *, expires: bool) -> None:
        """Let a data topic forget."""
        self.crash.before_effect()
        self.topics[topic] = expires
        self.crash.after_effect()

    async def delete_topic(self, topic: str) -> None:
        """Delete a topic."""
        self.crash.before_effect()
        self.topics.pop(topic, None)
        self.crash.after_effect()

    async def tell(self, command: Command) -> int:
        """Write a command."""
        self.crash.before_effect()
        self.commands.append(command)
        self.crash.after_effect()
        return len(self.commands)

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Return ends."""
        return {0: 10}

    async def events_are_read(self) -> bool:
        """Say whether every event was taken in."""
        return self.events_read == len(self.events)

    def wanted(self, telemetry_id: str, attempt: int) -> Wanted:
        """Fold the commands as the task does."""
        wanted = Wanted()
        for command in self.commands:
            if (command.telemetry_id, command.attempt) == (telemetry_id, attempt):
                wanted = wanted.fold(command)
        return wanted
