"""`x-arango-async` and `/_api/job`: requests that are worked on after they have been answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, answer, result

ASYNC_HEADER = "x-arango-async"
ID_HEADER = "x-arango-async-id"
MAX_QUEUED = 4096
"""Requests that may wait at once; ArangoDB's default is of this size, too."""
MAX_KEPT = 10_000
"""Results that are kept until somebody asks for them; the oldest ones go first."""
_DEFAULT_LISTED = 100


@dataclass
class Job:
    """A request that is or was worked on."""

    id: str
    database: str
    username: str
    kept: bool
    """Whether its result can be asked for."""
    started: float
    """Unix seconds."""
    response: web.Response | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return self.response is not None


class Jobs:
    """The jobs of a server; `group` owns their tasks while the server runs."""

    def __init__(self) -> None:
        self.group: asyncio.TaskGroup | None = None
        self._jobs: dict[str, Job] = {}
        self._running: set[asyncio.Task[None]] = set()

    def start(self, job: Job, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """Begin a job and answer that it was taken."""
        if self.group is None:
            raise ArangoError(Problem.SHUTTING_DOWN)
        if len(self._running) >= MAX_QUEUED:
            raise ArangoError(Problem.QUEUE_FULL)

        async def run() -> None:
            job.response = await work()

        task = job.task = self.group.create_task(run(), name=f"job {job.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if not job.kept:
            return web.Response(status=202)
        self._jobs[job.id] = job
        self._forget_old()
        return web.Response(status=202, headers={ID_HEADER: job.id})

    def stop(self) -> None:
        """Cancel what still runs."""
        self.group = None
        for task in self._running:
            task.cancel()

    def find(self, call: Call) -> Job:
        """Find the job of the path, or refuse with 404."""
        job = self._jobs.get(call.path["job"])
        if job is None or job.database != call.database.name or job.username != call.user:
            raise ArangoError(Problem.HTTP_NOT_FOUND)
        return job

    def listed(self, call: Call, *, done: bool) -> list[Job]:
        """List the caller's jobs in this database."""
        return [
            job
            for job in self._jobs.values()
            if job.is_done is done and job.database == call.database.name and job.username == call.user
        ]

    def remove(self, jobs: list[Job]) -> None:
        """Forget results; a job that still runs is forgotten once it ends."""
        for job in jobs:
            self._jobs.pop(job.id, None)

    def _forget_old(self) -> None:
        done = [job for job in self._jobs.values() if job.is_done]
        self.remove(done[: max(0, len(done) - MAX_KEPT)])


async def _status_or_list(call: Call) -> web.Response:
    wanted = call.path["job"]
    if wanted in ("done", "pending"):
        found = call.server.jobs.listed(call, done=wanted == "done")
        return answer([job.id for job in found[: _count(call)]])
    if not wanted.isdecimal():
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a job's id, 'done' or 'pending'")
    return web.Response(status=200 if call.server.jobs.find(call).is_done else 204)


def _count(call: Call) -> int:
    text = call.parameter("count") or str(_DEFAULT_LISTED)
    if not text.isdecimal():
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a number for 'count'")
    return int(text)


async def _fetch(call: Call) -> web.Response:
    job = call.server.jobs.find(call)
    stored = job.response
    if stored is None:
        return web.Response(status=204)
    call.server.jobs.remove([job])
    # A response can be sent once only, and this one may have been made for another kind of request.
    headers = {name: value for name, value in stored.headers.items() if name.lower() != "content-length"}
    return web.Response(body=stored.body, status=stored.status, headers={**headers, ID_HEADER: job.id})


async def _cancel(call: Call) -> web.Response:
    job = call.server.jobs.find(call)
    if job.is_done or job.task is None:
        raise ArangoError(Problem.HTTP_NOT_FOUND)
    job.task.cancel()
    call.server.jobs.remove([job])
    return result({"result": True})


async def _delete(call: Call) -> web.Response:
    wanted, jobs = call.path["job"], call.server.jobs
    if wanted == "all":
        jobs.remove(jobs.listed(call, done=True))
    elif wanted == "expired":
        stamp = _stamp(call)
        jobs.remove([job for job in jobs.listed(call, done=True) if job.started < stamp])
    else:
        jobs.remove([jobs.find(call)])
    return result({"result": True})


def _stamp(call: Call) -> float:
    try:
        return float(call.parameter("stamp") or "")
    except ValueError as exc:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a number of seconds for 'stamp'") from exc


def wants_async(request: web.Request) -> str | None:
    """Tell whether a request is to be worked on later: `true`, or `store` when its result is kept."""
    wanted = request.headers.get(ASYNC_HEADER, "").lower()
    return wanted if wanted in ("true", "store") else None


def new_job(job_id: int, database: str, username: str, wanted: str) -> Job:
    """Make the job of a request."""
    return Job(str(job_id), database, username, wanted == "store", time.time())


ROUTES = [
    Route("GET", "/_api/job/{job}", _status_or_list),
    Route("PUT", "/_api/job/{job}", _fetch),
    Route("PUT", "/_api/job/{job}/cancel", _cancel),
    Route("DELETE", "/_api/job/{job}", _delete),
]
