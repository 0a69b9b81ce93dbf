"""The launcher of a cluster: which object a job is, and what the cluster shows of all of them.

A job is a Kubernetes Job; with KEDA the connector of a live workflow is a Deployment instead (`scaled`).

What the service account needs in its namespace: jobs create, get, list, watch, delete; pods list; pods/log get; with
KEDA also deployments create, get, list, delete and scaledobjects create.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self

import msgspec
from kubernetes import client
from pydantic import ValidationError

from queue_manager.adapters.kubernetes.calls import (
    Lines,
    Page,
    RefusedError,
    body_of,
    create,
    delete,
    in_thread,
    list_all,
    open_cluster,
    read_page,
    send,
    transiently,
)
from queue_manager.adapters.kubernetes.manifest import (
    CONTAINER,
    INSTANCE,
    JOB,
    MANAGED_BY,
    MANAGER,
    QUEUE_ID,
    Manifest,
    job_manifest,
)
from queue_manager.adapters.kubernetes.scaled import ScaledJobs
from queue_manager.adapters.kubernetes.sight import KubernetesJob, Metadata, Pod, deployment_as_seen, job_as_seen
from queue_manager.app.pods import JobPlan
from queue_manager.app.ports import Job, JobSpec, NameTakenError
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.ids import QueueId

_WATCH_S = 60
"""After so long the server ends a watch, and it is taken up again behind its last event."""
_WATCH_SILENCE_S = 90.0
"""A server that does not even do that is gone."""
_LONGEST_LOG = 16 * 1024 * 1024
"""Bytes of one pod's log that are shown."""


class _Changed(msgspec.Struct):
    metadata: Metadata = Metadata()
    code: int = 0
    message: str = ""


class _Change(msgspec.Struct):
    """One line of a watch; an `ERROR` carries a status in place of an object."""

    type: str
    object: _Changed


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
        self._api = await asyncio.to_thread(open_cluster, self._kubeconfig)
        self._batch, self._core = client.BatchV1Api(self._api), client.CoreV1Api(self._api)
        self._scaled = None if self._plan.keda is None else ScaledJobs(self._api, self._plan, self._plan.keda)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()  # type: ignore[no-untyped-call]  # types are shipped for the API only

    async def launch(self, spec: JobSpec) -> None:
        """Create a job; one of that name that is this workflow's counts as created."""
        if self._scaled is not None and spec.shared_topic is not None:
            await self._scaled.launch(spec, spec.shared_topic)
            return
        manifest = job_manifest(spec, self._plan)
        if await create(f"the job {spec.name!r}", self._create, manifest) is None:
            existing = await transiently(self._read, spec.name)
            if (owner := existing.metadata.labels.get(QUEUE_ID)) != spec.queue_id:
                raise NameTakenError(f"job {spec.name!r} exists and belongs to {owner!r}")

    async def jobs(self, queue_id: QueueId | None = None) -> list[Job]:
        """List the jobs of one workflow, or all."""
        selector = self._selector if queue_id is None else f"{self._selector},{QUEUE_ID}={queue_id}"
        # The pods last: a pod of a job that is not listed yet is skipped, a job without its pods would look stuck.
        _, jobs = await self._list_jobs(selector)
        deployments = [] if self._scaled is None else await self._scaled.deployments(selector)
        by_job: dict[str, list[Pod]] = {}
        for pod in await self._list_pods(selector):
            by_job.setdefault(pod.job_name, []).append(pod)
        now, start_s = datetime.now(UTC), self._plan.start_seconds
        names = {job.metadata.name for job in jobs} | {it.metadata.name for it in deployments}
        self._note_bare(names, by_job, now, is_all=queue_id is None)

        def pods_of(metadata: Metadata) -> Sequence[Pod]:
            return by_job.get(metadata.name, ())

        def bare_since(metadata: Metadata) -> datetime | None:
            return self._bare_since.get(metadata.name)

        most_restarts = self._plan.backoff_limit
        return [
            *(job_as_seen(it, pods_of(it.metadata), now, start_s, bare_since(it.metadata)) for it in jobs),
            *(
                deployment_as_seen(it, pods_of(it.metadata), now, start_s, most_restarts, bare_since(it.metadata))
                for it in deployments
            ),
        ]

    def _note_bare(
        self, names: Collection[str], by_job: Mapping[str, Sequence[Pod]], now: datetime, *, is_all: bool
    ) -> None:
        """Remember which jobs have no pod; whoever looks at all jobs also forgets those that are gone."""
        others = {} if is_all else self._bare_since
        self._bare_since = {
            **{name: since for name, since in others.items() if name not in by_job},
            **{name: self._bare_since.get(name, now) for name in names if name not in by_job},
        }

    async def delete(self, name: str) -> None:
        """Have a job deleted when its pods are gone; until then it is listed, and lives."""
        await delete(self._delete, name)
        if self._scaled is not None:
            await self._scaled.delete(name)

    async def logs(self, name: str) -> bytes:
        """Return what a job's pods have written, one after the other, empty where none is known."""
        pods = await self._list_pods(f"{self._selector},{JOB}={name}")
        pods.sort(key=lambda pod: (pod.metadata.creation_timestamp is None, pod.metadata.creation_timestamp))
        logs = []
        for pod in pods:
            try:
                logs.append(await in_thread(self._read_log, pod.metadata.name))
            except RefusedError as exc:
                # 400: its container has not started; 404: it is gone meanwhile.
                if exc.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
                    raise TransientError(str(exc)) from exc
        return b"".join(logs)

    async def ping(self) -> None:
        """Ask for one job, which needs the rights that matter. Raises TransientError."""
        call = self._batch.list_namespaced_job
        await transiently(read_page, Page[KubernetesJob], call, self._plan.namespace, self._selector, limit=1)

    async def watch(self) -> AsyncIterator[QueueId]:
        """Yield the workflow of every Job that changes, at first of all Jobs.

        Whatever a watch may miss, as it does the few Deployments, is found by those who list the jobs on a timer.
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
                lines = await in_thread(self._open_watch, version)
            except RefusedError as exc:
                if exc.status == HTTPStatus.GONE:
                    return
                raise TransientError(str(exc)) from exc
            try:
                while line := await in_thread(lines.next):
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

    async def _list_jobs(self, selector: str) -> tuple[str, list[KubernetesJob]]:
        call = self._batch.list_namespaced_job
        return await transiently(list_all, Page[KubernetesJob], call, self._plan.namespace, selector)

    async def _list_pods(self, selector: str) -> list[Pod]:
        call = self._core.list_namespaced_pod
        _, pods = await transiently(list_all, Page[Pod], call, self._plan.namespace, selector)
        return pods

    # --- on a thread ----------------------------------------------------------------------------------------------

    def _create(self, manifest: Manifest) -> bytes:
        try:
            body = client.V1Job.model_validate(manifest)
        except ValidationError as exc:
            raise FatalError(f"what is laid down for jobs makes no Job: {exc}") from exc
        return body_of(send(self._batch.create_namespaced_job, self._plan.namespace, body, field_validation="Strict"))

    def _read(self, name: str) -> KubernetesJob:
        answer = send(self._batch.read_namespaced_job, name, self._plan.namespace)
        return msgspec.json.decode(body_of(answer), type=KubernetesJob)

    def _delete(self, name: str) -> None:
        # The Job stays until its pods are gone, so whoever lists it no more knows that nothing runs.
        body_of(send(self._batch.delete_namespaced_job, name, self._plan.namespace, propagation_policy="Foreground"))

    def _read_log(self, pod: str) -> bytes:
        call = self._core.read_namespaced_pod_log
        return body_of(send(call, pod, self._plan.namespace, container=CONTAINER, limit_bytes=_LONGEST_LOG))

    def _open_watch(self, version: str) -> Lines:
        answer = send(
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
            body_of(answer)
        return Lines(answer)
