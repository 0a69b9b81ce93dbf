"""Jobs on disk: one JSON file and one log each, so that the next `up` goes on with what was not finished.

A file is replaced as a whole, so a killed platform leaves the old or the new state, never half of one. It is not forced
to the disk: losing power may lose the last change, and queue-manager, whose own state is in the database, asks again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from streamforge_local.errors import PlatformError
from streamforge_local.jobs.model import Job

_KEPT_FOR = timedelta(days=1)
"""A finished job can be looked at for a day, as with `ttlSecondsAfterFinished` of a Kubernetes Job."""

_KEPT_AT_MOST = 1_000
"""Finished jobs; more are noise in a list."""


class JobStore:
    """The job files and job logs of one platform."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs
        for each in (folder, logs):
            each.mkdir(parents=True, exist_ok=True)

    def log_path(self, name: str) -> Path:
        """Name the file that takes the output of a job, over all its restarts."""
        return self._logs / f"{name}.log"

    def save(self, job: Job) -> None:
        """Store a job as it is now."""
        fresh = self._folder / f"{job.name}.new"
        fresh.write_bytes(msgspec.json.encode(job))
        fresh.replace(self._path(job.name))

    def load(self) -> list[Job]:
        """Read all stored jobs.

        Raises:
            PlatformError: A file is not a job.
        """
        return [self._read(path) for path in sorted(self._folder.glob("*.json"))]

    def remove(self, job: Job) -> None:
        """Forget a job; its log stays on disk until it is old, for the person who wonders."""
        self._path(job.name).unlink(missing_ok=True)

    def outdated(self, jobs: Iterable[Job]) -> list[Job]:
        """Choose the finished jobs that need not be kept any longer."""
        now = datetime.now(UTC)
        finished = sorted(
            ((job.finished_at, job) for job in jobs if job.finished_at), key=lambda entry: entry[0], reverse=True
        )
        return [
            job
            for place, (finished_at, job) in enumerate(finished)
            if place >= _KEPT_AT_MOST or now - finished_at > _KEPT_FOR
        ]

    def remove_old_logs(self, jobs: Iterable[Job]) -> None:
        """Remove the logs of jobs that are gone and that nobody has written to for a day."""
        known = {self.log_path(job.name) for job in jobs}
        oldest = (datetime.now(UTC) - _KEPT_FOR).timestamp()
        for log in self._logs.glob("*.log"):
            if log not in known and log.stat().st_mtime < oldest:
                log.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @staticmethod
    def _read(path: Path) -> Job:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Job)
        except msgspec.DecodeError as error:
            raise PlatformError(f"{path} is no job ({error}): remove the file") from error
