"""What a job is: the wish of queue-manager, and what has become of it."""

from datetime import datetime
from enum import StrEnum

import msgspec


class JobStatus(StrEnum):
    """Where a job stands."""

    RUNNING = "running"
    RESTARTING = "restarting"
    """It ended, and will be started again: after the back-off, or when broker and database are back."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `PUT /jobs/{name}`: one attempt of one task."""

    queue_id: str
    target: str
    telemetry_id: str
    attempt: int

    commands_since: int
    """From when on the job reads its commands, Unix ms."""


class Job(msgspec.Struct, kw_only=True):
    """A job as it is stored and shown."""

    name: str
    queue_id: str
    target: str
    telemetry_id: str
    attempt: int
    commands_since: int
    status: JobStatus = JobStatus.RUNNING

    restarts: int = 0
    """Those that count against the limit: not the ones for an absent broker or database."""

    started_at: datetime | None = None
    """Of the first start, UTC."""

    finished_at: datetime | None = None
    """Only once it has succeeded or failed, UTC."""

    exit_code: int | None = None
    """Of the last run that ended; 128 + n where signal n killed it."""

    reason: str | None = None
    """Why it restarts or failed, one word as Kubernetes has it."""

    pid: int | None = None
    """Of the process, and of its group, while there is one."""

    deleting: bool = False
    """It was asked to end and will vanish."""

    @property
    def is_finished(self) -> bool:
        """Whether it will never run again."""
        return self.status in (JobStatus.SUCCEEDED, JobStatus.FAILED)
