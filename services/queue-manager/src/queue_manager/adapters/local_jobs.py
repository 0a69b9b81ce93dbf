"""The launcher of the embedded platform: jobs are local processes, kept by the job runner inside `streamforge up`."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from queue_manager.app.ports import Job, JobSpec, NameTakenError
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.ids import QueueId

_NO_ANSWER_S = 30
_WATCH_SILENCE_S = 20
"""The runner sends a line every 5 s; silence for longer means that it is gone."""


class _RunnerJobs(msgspec.Struct):
    items: list[Job]


class _JobChange(msgspec.Struct):
    """One line of the watch; the heartbeat is empty."""

    queue_id: str = ""


class LocalLauncher:
    """Implements `Launcher`; an async context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_NO_ANSWER_S)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def launch(self, spec: JobSpec) -> None:
        """Create a job; one of that name that is this workflow's counts as created."""
        body = {
            "queue_id": spec.queue_id,
            "target": spec.target,
            "telemetry_id": spec.telemetry_id,
            "attempt": spec.attempt,
            "commands_since": spec.commands_since_ms,
        }
        status, answer = await self._call("PUT", f"/jobs/{spec.name}", json=body)
        if status == 409:
            owner = msgspec.json.decode(answer, type=Job).queue_id
            if owner != spec.queue_id:
                raise NameTakenError(f"job {spec.name!r} exists and belongs to {owner!r}")
        elif status != 201:
            raise FatalError(f"the job runner refused {spec.name!r}: {status} {answer.decode(errors='replace')}")

    async def jobs(self, queue_id: QueueId | None = None) -> list[Job]:
        """List the jobs of one workflow, or all."""
        _, answer = await self._call("GET", "/jobs", params={"queue_id": queue_id} if queue_id else None)
        return msgspec.json.decode(answer, type=_RunnerJobs).items

    async def delete(self, name: str) -> None:
        """End a job and forget it."""
        await self._call("DELETE", f"/jobs/{name}")

    async def logs(self, name: str) -> bytes:
        """Return what a job has written, empty where none is known."""
        status, answer = await self._call("GET", f"/jobs/{name}/logs")
        return answer if status == 200 else b""

    async def ping(self) -> None:
        """Ask the runner for anything. Raises TransientError."""
        await self.jobs(QueueId("none"))

    async def watch(self) -> AsyncIterator[QueueId]:
        """Yield the workflow of every job that changes."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_WATCH_SILENCE_S)
        try:
            async with self._session.get(f"{self._url}/jobs/watch", timeout=timeout) as response:
                async for line in response.content:
                    change = msgspec.json.decode(line, type=_JobChange)
                    if change.queue_id:
                        yield QueueId(change.queue_id)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            raise TransientError(f"the job runner is away: {exc!r}") from exc

    async def _call(self, method: str, path: str, **request: Any) -> tuple[int, bytes]:  # noqa: ANN401
        try:
            async with self._session.request(method, f"{self._url}{path}", **request) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            raise TransientError(f"the job runner is away: {exc!r}") from exc
        if response.status >= 500 or response.status == 401:
            raise TransientError(f"the job runner answered {response.status}: {answer.decode(errors='replace')}")
        return response.status, answer
