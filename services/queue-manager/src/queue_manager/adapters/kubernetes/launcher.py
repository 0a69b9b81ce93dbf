"""The calls to a cluster's API server: create, list, watch and delete Jobs, read the logs of their pods.

The client library blocks, so each call goes to a thread. It is used for addresses, credentials and paths; what is
answered is decoded here, only as far as it is looked at.

What the service account needs in its namespace: jobs create, get, list, watch, delete; pods list; pods/log get.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import msgspec
import urllib3
from kubernetes import client, config
from pydantic import ValidationError

from queue_manager.adapters.kubernetes.manifest import (
    CONTAINER,
    INSTANCE,
    MANAGED_BY,
    MANAGER,
    QUEUE_ID,
    Manifest,
    job_manifest,
)
from queue_manager.adapters.kubernetes.sight import KubernetesJob, Metadata, Pod, job_as_seen
from queue_manager.app.pods import JobPlan
from queue_manager.app.ports import Job, JobSpec, NameTakenError
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.ids import QueueId

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Parameters = ParamSpec("Parameters")
_Call = Callable[..., Any]
"""One of the client's calls; its types know models only, and here the answer is wanted as it came."""

_CONNECT_S, _READ_S = 3.0, 20.0
"""The client hangs for ever on a dead network unless it is told otherwise."""
_WATCH_S = 60
"""After so long the server ends a watch, and it is taken up again behind its last event."""
_WATCH_SILENCE_S = 90.0
"""A server that does not even do that is gone."""
_PAGE = 500
_LONGEST_LOG = 16 * 1024 * 1024
"""Bytes of one pod's log that are shown."""
_REFUSED_FOR_GOOD = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""Of a Job that is to be created: a wrong manifest, a quota, a missing right or namespace."""


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[Item]):
    """A part of a list."""

    metadata: _ListMetadata
    items: list[Item] | None = None


class _Status(msgspec.Struct):
    """What the API server answers in place of what was asked for."""

    message: str = ""


class _Changed(msgspec.Struct):
    metadata: Metadata = Metadata()
    code: int = 0
    message: str = ""


class _Change(msgspec.Struct):
    """One line of a watch; an `ERROR` carries a status in place of an object."""

    type: str
    object: _Changed


class _RefusedError(Exception):
    """The API server has answered with a failure."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status


class KubernetesLauncher:
    """Implements `Launcher`; an async context manager."""

    def __init__(self, plan: JobPlan, kubeconfig: str | None) -> None:
        """Get ready; nothing is sent yet.

        Args:
            plan: How jobs run.
            kubeconfig: File that says where the cluster is; None takes the one that this process runs in.
        """
        self._plan = plan
        self._kubeconfig = kubeconfig
        self._selector = f"{MANAGED_BY}={MANAGER},{INSTANCE}={plan.instance}"
        self._bare_since: dict[str, datetime] = {}
        """Jobs that had no pod when they were last looked at, and since when that is so."""

    async def __aenter__(self) -> Self:
        self._api = await asyncio.to_thread(_open, self._kubeconfig)
        self._batch, self._core = client.BatchV1Api(self._api), client.CoreV1Api(self._api)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()  # type: ignore[no-untyped-call]  # types are shipped for the API only

    async def launch(self, spec: JobSpec) -> None:
        """Create a job; one of that name that is this workflow's counts as created."""
        manifest = job_manifest(spec, self._plan)
        try:
            await _in_thread(self._create, manifest)
        except _RefusedError as exc:
            if exc.status == HTTPStatus.CONFLICT:
                await self._check_owner(spec)
            elif exc.status in _REFUSED_FOR_GOOD:
                raise FatalError(f"the cluster refused the job {spec.name!r}: {exc}") from exc
            else:
                raise TransientError(str(exc)) from exc

    async def jobs(self, queue_id: QueueId | None = None) -> list[Job]:
        """List the jobs of one workflow, or all."""
        selector = self._selector if queue_id is None else f"{self._selector},{QUEUE_ID}={queue_id}"
        # The pods second: a pod of a Job that is not listed yet is skipped, a Job without its pods would look stuck.
        _, jobs = await self._list_jobs(selector)
        pods = await self._list_pods(selector)
        by_job: dict[str, list[Pod]] = {}
        for pod in pods:
            by_job.setdefault(pod.job_name, []).append(pod)
        now = datetime.now(UTC)
        bare = {job.metadata.name for job in jobs} - by_job.keys()
        # Whoever looks at all jobs also forgets those that are gone.
        others = {} if queue_id is None else self._bare_since
        self._bare_since = {
            **{name: since for name, since in others.items() if name not in by_job},
            **{name: self._bare_since.get(name, now) for name in bare},
        }
        return [self._as_seen(job, by_job.get(job.metadata.name, ()), now) for job in jobs]

    async def delete(self, name: str) -> None:
        """Have a job deleted when its pods are gone; until then it is listed, and lives."""
        try:
            await _in_thread(self._delete, name)
        except _RefusedError as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise TransientError(str(exc)) from exc

    async def logs(self, name: str) -> bytes:
        """Return what a job's pods have written, one after the other, empty where none is known."""
        selector = f"{self._selector},batch.kubernetes.io/job-name={name}"
        pods = await self._list_pods(selector)
        pods.sort(key=lambda pod: (pod.metadata.creation_timestamp is None, pod.metadata.creation_timestamp))
        logs = []
        for pod in pods:
            try:
                logs.append(await _in_thread(self._read_log, pod.metadata.name))
            except _RefusedError as exc:
                # 400: its container has not started; 404: it is gone meanwhile.
                if exc.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
                    raise TransientError(str(exc)) from exc
        return b"".join(logs)

    async def ping(self) -> None:
        """Ask for one job, which needs the rights that matter. Raises TransientError."""
        await _transiently(self._page, _Page[KubernetesJob], self._batch.list_namespaced_job, self._selector, limit=1)

    async def watch(self) -> AsyncIterator[QueueId]:
        """Yield the workflow of every job that changes, at first of all jobs.

        Whatever a watch may miss is found by those who list the jobs on a timer.
        """
        while True:
            version, jobs = await self._list_jobs(self._selector)
            for job in jobs:
                yield QueueId(job.metadata.labels.get(QUEUE_ID, ""))
            async with contextlib.aclosing(self._changes_after(version)) as changes:
                async for queue_id in changes:
                    yield queue_id

    async def _changes_after(self, version: str) -> AsyncGenerator[QueueId]:
        """Yield changes until the server no longer knows what came after the last one (410): then list anew."""
        while True:
            try:
                lines = await _in_thread(self._open_watch, version)
            except _RefusedError as exc:
                if exc.status == HTTPStatus.GONE:
                    return
                raise TransientError(str(exc)) from exc
            try:
                while line := await _in_thread(lines.next):
                    change = msgspec.json.decode(line, type=_Change)
                    if change.type == "ERROR" and change.object.code == HTTPStatus.GONE:
                        return
                    if change.type == "ERROR":
                        raise TransientError(f"the watch on jobs failed: {change.object.message}")
                    version = change.object.metadata.resource_version
                    if queue_id := change.object.metadata.labels.get(QUEUE_ID):
                        yield QueueId(queue_id)
            finally:
                await asyncio.to_thread(lines.close)

    def _as_seen(self, job: KubernetesJob, pods: Sequence[Pod], now: datetime) -> Job:
        return job_as_seen(job, pods, now, self._plan.start_seconds, self._bare_since.get(job.metadata.name))

    async def _list_jobs(self, selector: str) -> tuple[str, list[KubernetesJob]]:
        return await _transiently(self._list, _Page[KubernetesJob], self._batch.list_namespaced_job, selector)

    async def _list_pods(self, selector: str) -> list[Pod]:
        _, pods = await _transiently(self._list, _Page[Pod], self._core.list_namespaced_pod, selector)
        return pods

    async def _check_owner(self, spec: JobSpec) -> None:
        try:
            existing = await _in_thread(self._read, spec.name)
        except _RefusedError as exc:
            raise TransientError(f"the job {spec.name!r} was there and cannot be read: {exc}") from exc
        owner = existing.metadata.labels.get(QUEUE_ID)
        if owner != spec.queue_id:
            raise NameTakenError(f"job {spec.name!r} exists and belongs to {owner!r}")

    # --- on a thread ----------------------------------------------------------------------------------------------

    def _create(self, manifest: Manifest) -> None:
        try:
            body = client.V1Job.model_validate(manifest)
        except ValidationError as exc:
            raise FatalError(f"what is laid down for jobs makes no Job: {exc}") from exc
        _body(_send(self._batch.create_namespaced_job, self._plan.namespace, body, field_validation="Strict"))

    def _read(self, name: str) -> KubernetesJob:
        answer = _send(self._batch.read_namespaced_job, name, self._plan.namespace)
        return msgspec.json.decode(_body(answer), type=KubernetesJob)

    def _delete(self, name: str) -> None:
        # The Job stays until its pods are gone, so whoever lists it no more knows that nothing runs.
        _body(_send(self._batch.delete_namespaced_job, name, self._plan.namespace, propagation_policy="Foreground"))

    def _read_log(self, pod: str) -> bytes:
        return _body(
            _send(
                self._core.read_namespaced_pod_log,
                pod,
                self._plan.namespace,
                container=CONTAINER,
                limit_bytes=_LONGEST_LOG,
            )
        )

    def _list(self, kind: type[_Page[Item]], call: _Call, selector: str) -> tuple[str, list[Item]]:
        """List everything, page by page, and say as of which version."""
        items: list[Item] = []
        continue_ = ""
        while True:
            page = self._page(kind, call, selector, continue_=continue_)
            items += page.items or ()
            continue_ = page.metadata.continue_
            if not continue_:
                return page.metadata.resource_version, items

    def _page(
        self, kind: type[_Page[Item]], call: _Call, selector: str, *, limit: int = _PAGE, continue_: str = ""
    ) -> _Page[Item]:
        answer = _send(call, self._plan.namespace, label_selector=selector, limit=limit, _continue=continue_ or None)
        return msgspec.json.decode(_body(answer), type=kind)

    def _open_watch(self, version: str) -> "_Lines":
        answer = _send(
            self._batch.list_namespaced_job,
            self._plan.namespace,
            label_selector=self._selector,
            watch=True,
            allow_watch_bookmarks=True,
            resource_version=version,
            timeout_seconds=_WATCH_S,
            read_s=_WATCH_SILENCE_S,
        )
        if answer.status != HTTPStatus.OK:
            _body(answer)
        return _Lines(answer)


class _Lines:
    """The lines of an answer that does not end soon; read on one thread, closed from any."""

    def __init__(self, answer: urllib3.HTTPResponse) -> None:
        self._answer = answer
        self._lines = _lines_of(answer)

    def next(self) -> bytes:
        """Wait for the next line; empty at the end."""
        return next(self._lines, b"")

    def close(self) -> None:
        """Wake a thread that waits for a line, and give the connection up."""
        # Where the answer has ended there is no connection to it any more.
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            self._answer.shutdown()
        self._answer.close()


def _lines_of(answer: urllib3.HTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(decode_content=False):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def _open(kubeconfig: str | None) -> client.ApiClient:
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, client_configuration=settings, persist_config=False
            )
    except (config.ConfigException, OSError) as exc:
        where = "KUBECONFIG names none and this process runs in none" if kubeconfig is None else kubeconfig
        raise FatalError(f"no cluster: {where} ({exc})", code="no_cluster") from exc
    # Whoever calls tries again, and knows what is worth it.
    settings.retries = False
    return client.ApiClient(settings)


def _send(call: _Call, *args: object, read_s: float = _READ_S, **kwargs: object) -> urllib3.HTTPResponse:
    """Make one of the client's calls, with both time-outs, and return the answer as it came."""
    answer: urllib3.HTTPResponse = call(*args, _preload_content=False, _request_timeout=(_CONNECT_S, read_s), **kwargs)
    return answer


def _body(answer: urllib3.HTTPResponse) -> bytes:
    """Read an answer to its end. Raises _RefusedError."""
    body: bytes = answer.data
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise _RefusedError(answer.status, _message_of(body))
    return body


def _message_of(body: bytes | str | None) -> str:
    try:
        return msgspec.json.decode(body or b"{}", type=_Status).message or repr(body)
    except msgspec.DecodeError:
        return repr(body)


async def _in_thread(call: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
    """Make a blocking call.

    Raises:
        TransientError: The API server is away.
        _RefusedError: It has answered with a failure.
    """
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except client.ApiException as exc:
        if not exc.status:
            raise TransientError(f"the API server is away: {exc.reason}") from exc
        raise _RefusedError(exc.status, _message_of(exc.body)) from exc
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        raise TransientError(f"the API server is away: {exc}") from exc
    except msgspec.DecodeError as exc:
        raise TransientError(f"what answers is not an API server, or cut off its answer: {exc}") from exc


async def _transiently(
    call: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Answer:
    """Make a blocking call that only reads: whatever is refused may be allowed later. Raises TransientError."""
    try:
        return await _in_thread(call, *args, **kwargs)
    except _RefusedError as exc:
        raise TransientError(str(exc)) from exc
