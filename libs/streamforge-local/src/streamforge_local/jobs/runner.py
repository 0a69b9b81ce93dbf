"""Run jobs as local processes the way a Kubernetes Job runs pods: restart with back-off, give up at a limit.

Each job is one asyncio task that starts the process, waits for its end and decides what follows. Cancelling the task
ends the process. Who cancels decides what is remembered: a deleted job vanishes; one that ends with the platform stays
stored as unfinished and is started again by the next `up`, as pods are after the reboot of a node.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from streamforge_local.jobs.feed import ChangeFeed, JobChange
from streamforge_local.jobs.model import Job, JobRequest, JobStatus
from streamforge_local.jobs.programs import Program
from streamforge_local.jobs.store import JobStore
from streamforge_local.processes import ChildProcess

FATAL_EXIT_CODE = 42
"""By this a job says that trying again is of no use; Kubernetes learns it by a pod failure policy."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label: what Kubernetes would take, and a safe file name."""


class JobRefusedError(Exception):
    """The request cannot be a job; the message says why."""


class PlatformEndingError(Exception):
    """No job is started any more; the next `up` will."""


class JobExistsError(Exception):
    """There is a job of that name."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.name!r} exists")
        self.job = job


class JobNotFoundError(Exception):
    """There is no job of that name."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a job that failed is started again."""

    first_delay_s: float = 1.0
    """Before the first restart; doubled for each further one."""

    longest_delay_s: float = 60.0
    """No delay is longer."""

    limit: int = 6
    """Restarts in one attempt; the default `backoffLimit` of Kubernetes."""

    def delay_s(self, restarts: int) -> float:
        """Say how long to wait before the next start, after so many restarts."""
        return min(self.first_delay_s * 2.0**restarts, self.longest_delay_s)


class JobRunner:
    """All jobs of a platform; `async with` runs the unfinished ones, and ends them all."""

    def __init__(
        self,
        store: JobStore,
        programs: Mapping[str, Program],
        is_platform_there: Callable[[], Awaitable[bool]],
        restart_policy: RestartPolicy,
    ) -> None:
        """Make a runner without starting anything.

        Args:
            store: Where jobs are kept.
            programs: What to run for each target.
            is_platform_there: Whether broker and database can be reached now.
            restart_policy: When to start a failed job again.
        """
        self.feed = ChangeFeed()
        self._store = store
        self._programs = programs
        self._is_platform_there = is_platform_there
        self._restart_policy = restart_policy
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, ChildProcess] = {}
        self._grace_s: dict[str, float] = {}
        self._group = asyncio.TaskGroup()
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for job in self._store.load():
            if job.deleting:
                self._store.remove(job)
                continue
            job.pid = None
            self._jobs[job.name] = job
            if not job.is_finished:
                self._launch(job)
        self._forget_outdated()
        self._store.remove_old_logs(self._jobs.values())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop(grace_s=0.0)
        await self._group.__aexit__(kind, error, traceback)

    async def stop(self, grace_s: float) -> None:
        """Take no more jobs, and end all processes, killing those that need longer. Unfinished jobs stay unfinished."""
        self._is_stopping = True
        self.feed.close()
        for name, task in self._tasks.items():
            if name not in self._grace_s:
                self._grace_s[name] = grace_s
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=grace_s)
        # Also a job that was being deleted, with a longer grace, may take no longer now.
        for process in self._processes.values():
            process.kill()

    def find(self, queue_id: str | None = None) -> list[Job]:
        """Find the jobs, of one workflow or all."""
        return [job for job in self._jobs.values() if queue_id in (None, job.queue_id)]

    def get(self, name: str) -> Job:
        """Get one job.

        Raises:
            JobNotFoundError: There is none of that name.
        """
        try:
            return self._jobs[name]
        except KeyError:
            raise JobNotFoundError(f"no job {name!r}") from None

    def log_path(self, name: str) -> Path:
        """Name the file with the output of a job.

        Raises:
            JobNotFoundError: There is no job of that name.
        """
        return self._store.log_path(self.get(name).name)

    def submit(self, name: str, request: JobRequest) -> Job:
        """Start a job.

        Raises:
            JobExistsError: There is one of that name, perhaps another workflow's; the error carries it.
            JobRefusedError: The name or the target is none.
            PlatformEndingError: `stop` was called.
        """
        if existing := self._jobs.get(name):
            raise JobExistsError(existing)
        if not _NAME.fullmatch(name):
            raise JobRefusedError(f"{name!r} is no job name: lower-case letters, digits and '-', at most 63 of them")
        if request.target not in self._programs:
            raise JobRefusedError(f"unknown target {request.target!r}, known are {', '.join(sorted(self._programs))}")
        if self._is_stopping:
            raise PlatformEndingError("the platform is ending")
        job = Job(name=name, started_at=datetime.now(UTC), **msgspec.structs.asdict(request))
        self._jobs[name] = job
        self._record(job)
        self._launch(job)
        return job

    def delete(self, name: str, grace_s: float) -> Job:
        """End a job and forget it: at once when it is finished, else when its process has ended.

        Args:
            name: Of the job.
            grace_s: How long the process may take to end before it is killed.

        Raises:
            JobNotFoundError: There is none of that name.
        """
        job = self.get(name)
        if name not in self._tasks or job.is_finished:
            self._forget(job)
        elif not job.deleting:
            job.deleting = True
            self._store.save(job)
            self._grace_s[name] = grace_s
            self._tasks[name].cancel()
        return job

    def _launch(self, job: Job) -> None:
        task = self._group.create_task(self._execute(job), name=f"job {job.name}")
        self._tasks[job.name] = task
        # Not a `finally` in the coroutine: a task that is cancelled before its first step never enters it.
        task.add_done_callback(lambda _: self._ended(job))

    def _ended(self, job: Job) -> None:
        del self._tasks[job.name]
        self._grace_s.pop(job.name, None)
        if job.deleting:
            self._forget(job)
        elif job.is_finished:
            self._forget_outdated()

    async def _execute(self, job: Job) -> None:
        """Run a job until it is finished; cancelled, end its process."""
        while True:
            job.exit_code = await self._run_once(job)
            if job.exit_code == 0:
                return self._finish(job, JobStatus.SUCCEEDED, None)
            if job.exit_code == FATAL_EXIT_CODE:
                return self._finish(job, JobStatus.FAILED, "FatalExitCode")
            delay_s = self._restart_policy.delay_s(job.restarts)
            if not await self._is_platform_there():
                self._record(job, JobStatus.RESTARTING, "PlatformAway")
                delay_s = await self._wait_for_platform()
            elif job.restarts < self._restart_policy.limit:
                job.restarts += 1
                self._record(job, JobStatus.RESTARTING, "Error")
            else:
                return self._finish(job, JobStatus.FAILED, "BackoffLimitExceeded")
            await asyncio.sleep(delay_s)

    async def _wait_for_platform(self) -> float:
        """Wait for broker and database; one more delay spares them a crowd at the moment they are back."""
        while not await self._is_platform_there():  # noqa: ASYNC110  # nobody tells when a port answers again
            await asyncio.sleep(self._restart_policy.first_delay_s)
        return self._restart_policy.first_delay_s

    async def _run_once(self, job: Job) -> int:
        program = self._programs[job.target]
        environment = {
            **program.environment,
            "QUEUE_ID": job.queue_id,
            "TARGET": job.target,
            "TELEMETRY_ID": job.telemetry_id,
            "ATTEMPT": str(job.attempt),
            "COMMANDS_SINCE": str(job.commands_since),
            "METRICS_PORT": "0",
        }
        process = await ChildProcess.start(program.command, environment, self._store.log_path(job.name))
        self._processes[job.name] = process
        job.pid = process.pid
        self._record(job, JobStatus.RUNNING)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await process.end(self._grace_s.get(job.name, 0.0))
            raise
        finally:
            del self._processes[job.name]
            job.pid = None

    def _finish(self, job: Job, status: JobStatus, reason: str | None) -> None:
        job.finished_at = datetime.now(UTC)
        self._record(job, status, reason)

    def _record(self, job: Job, status: JobStatus = JobStatus.RUNNING, reason: str | None = None) -> None:
        job.status, job.reason = status, reason
        self._store.save(job)
        self.feed.publish(JobChange(job.queue_id, job.name, status))

    def _forget(self, job: Job) -> None:
        self._store.remove(job)
        if self._jobs.pop(job.name, None):
            self.feed.publish(JobChange(job.queue_id, job.name, "deleted"))

    def _forget_outdated(self) -> None:
        for job in self._store.outdated(self._jobs.values()):
            self._forget(job)
