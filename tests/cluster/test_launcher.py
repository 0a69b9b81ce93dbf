"""Jobs on a real cluster: how they start, end, fail and go, as queue-manager sees them."""

import asyncio
import secrets
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import yaml
from kubernetes import client

from queue_manager.adapters.kubernetes.manifest import job_manifest
from queue_manager.app.controller import Controller
from queue_manager.app.ports import JobSpec, JobStatus, NameTakenError
from queue_manager.app.requests import WorkflowRequest
from queue_manager.app.workflow import WorkflowStatus
from queue_manager.settings import KubernetesLauncherSettings, Settings
from queue_manager.testing import Crash, MemoryLog, MemoryStore
from streamforge_common.errors import FatalError
from tests import programs
from tests.cluster.conftest import IMAGE, logged, seen

TARGET = "dummy-service"


def python(code):
    return {TARGET: {"command": ["python3", "-u", "-c", code]}}


def spec(queue_id=None):
    suffix = secrets.token_hex(3)
    return JobSpec(f"{TARGET}-{suffix}-1", queue_id or f"wf-test-{suffix}", TARGET, f"{TARGET}__{suffix}", 1, 0)


def ended(job):
    return job is not None and not job.status.is_live


def says(word):
    return lambda job: job is not None and (job.reason or "").startswith(f"{word}:")


async def test_a_job_runs_as_it_is_told_and_is_found_by_its_labels(launching, administrator, namespace):
    code = "import os; print(os.getuid(), os.environ['QUEUE_ID'], os.environ['GREETING'])"
    async with launching(python(code), kubernetes_job_environment={"GREETING": "hello"}) as launcher:
        job = spec()
        await launcher.ping()
        await launcher.launch(job)
        done = await seen(launcher, job.name, ended)
        assert (done.status, done.reason, done.exit_code) == (JobStatus.SUCCEEDED, None, 0)
        assert (done.queue_id, done.target, done.telemetry_id) == (job.queue_id, job.target, job.telemetry_id)
        assert datetime.fromisoformat(done.started_at) <= datetime.fromisoformat(done.finished_at)
        assert await launcher.logs(job.name) == f"10001 {job.queue_id} hello\n".encode()
        assert [each.name for each in await launcher.jobs(job.queue_id)] == [job.name]
        selector = f"streamforge.io/queue-id={job.queue_id},streamforge.io/telemetry-id={job.telemetry_id}"
        (pod,) = client.CoreV1Api(administrator).list_namespaced_pod(namespace, label_selector=selector).items
        assert pod.spec.automount_service_account_token is False


async def test_a_job_is_launched_once_however_often_it_is_asked_for(launching):
    async with launching(python("print('once')")) as first, launching(python("print('once')")) as replica:
        job = spec()
        async with asyncio.TaskGroup() as group:
            for launcher in (first, replica, first, replica):
                group.create_task(launcher.launch(job))
        await seen(first, job.name, ended)
        assert await first.logs(job.name) == b"once\n"
        other = JobSpec(job.name, "wf-another", job.target, job.telemetry_id, 1, 0)
        with pytest.raises(NameTakenError, match=job.queue_id):
            await first.launch(other)


async def test_the_fatal_exit_code_fails_a_job_at_once(launching):
    async with launching(python("import sys; print('no'); sys.exit(42)")) as launcher:
        job = spec()
        await launcher.launch(job)
        failed = await seen(launcher, job.name, ended)
        assert (failed.status, failed.exit_code) == (JobStatus.FAILED, 42)
        assert failed.reason.startswith("Fatal: it ended with exit code 42")
        assert await launcher.logs(job.name) == b"no\n"


async def test_a_pod_that_fails_is_made_anew_until_that_was_often_enough(launching):
    async with launching(python("print('no'); raise SystemExit(3)"), kubernetes_job_backoff_limit=1) as launcher:
        job = spec()
        await launcher.launch(job)
        assert await seen(launcher, job.name, lambda job: job is not None and job.status is JobStatus.RESTARTING)
        failed = await seen(launcher, job.name, ended)
        assert failed.reason.startswith("BackoffLimitExceeded: 2 of its pods failed, the last one by Error: it ended")
        assert (failed.restarts, failed.exit_code) == (2, 3)
        assert await launcher.logs(job.name) == b"no\nno\n"


async def test_a_pod_that_is_told_to_end_is_followed_by_the_next_of_its_job(launching, administrator, namespace):
    """However long the job has run: without its pod, for the back-off, it is not taken for one that never had any."""
    ends_well = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(os.environ['INTERRUPTED_EXIT_CODE'])))"
    code = f"import os, signal, sys, time; {ends_well}; print('up'); time.sleep(600)"
    async with launching(python(code), kubernetes_job_start_seconds=1, kubernetes_job_backoff_limit=0) as launcher:
        core, job = client.CoreV1Api(administrator), spec()
        selector = f"streamforge.io/queue-id={job.queue_id}"
        await launcher.launch(job)
        await logged(launcher, job.name, b"up\n")
        (first,) = core.list_namespaced_pod(namespace, label_selector=selector).items
        core.delete_namespaced_pod(first.metadata.name, namespace)

        def another(job):
            assert job.status.is_live
            assert not job.is_stuck
            pods = core.list_namespaced_pod(namespace, label_selector=selector).items
            return any(pod.metadata.uid != first.metadata.uid for pod in pods)

        assert (await seen(launcher, job.name, another)).restarts == 0
        await logged(launcher, job.name, b"up\n")
        await launcher.delete(job.name)


async def test_a_job_that_takes_too_much_memory_says_so(launching):
    target = python("hoard = [bytearray(1 << 20) for _ in range(4096)]")
    target[TARGET] |= {"requests": {"memory": "48Mi"}, "limits": {"memory": "48Mi"}}
    async with launching(target, kubernetes_job_backoff_limit=0) as launcher:
        job = spec()
        await launcher.launch(job)
        failed = await seen(launcher, job.name, ended)
        assert "OOMKilled: it took more memory" in failed.reason


async def test_a_job_that_takes_too_long_is_ended(launching):
    target = python("import time; time.sleep(600)")
    target[TARGET]["active_deadline_seconds"] = 3
    async with launching(target) as launcher:
        job = spec()
        await launcher.launch(job)
        failed = await seen(launcher, job.name, ended)
        assert (failed.status, failed.reason.split(":")[0]) == (JobStatus.FAILED, "DeadlineExceeded")


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ({"image": "registry.invalid/none:1"}, "ErrImagePull|ImagePullBackOff"),
        ({"image": IMAGE, "requests": {"cpu": "9999"}}, "Unschedulable"),
        ({"image": IMAGE, "node_selector": {"no-such": "label"}}, "Unschedulable"),
    ],
)
async def test_a_job_that_cannot_start_is_stuck_says_why_and_can_be_deleted(launching, target, word):
    async with launching({TARGET: target}, kubernetes_job_start_seconds=4) as launcher:
        job = spec()
        await launcher.launch(job)
        stuck = await seen(launcher, job.name, lambda job: job is not None and job.is_stuck)
        assert stuck.status.is_live
        assert stuck.reason.split(":")[0] in word.split("|")
        assert await launcher.logs(job.name) == b""
        await launcher.delete(job.name)
        await seen(launcher, job.name, lambda job: job is None)


async def test_a_job_whose_secret_is_missing_says_so(launching):
    async with launching(python("print()"), kubernetes_job_secrets=["not-there"]) as launcher:
        job = spec()
        await launcher.launch(job)
        told = await seen(launcher, job.name, says("CreateContainerConfigError"))
        assert "not-there" in told.reason
        await launcher.delete(job.name)


async def test_a_deleted_job_is_listed_until_its_pods_are_gone(launching, administrator, namespace):
    slow_to_go = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(3), sys.exit(0)))"
    code = f"import signal, sys, time; {slow_to_go}; print('up'); time.sleep(600)"
    async with launching(python(code)) as launcher:
        job = spec()
        await launcher.launch(job)
        await logged(launcher, job.name, b"up\n")
        await launcher.delete(job.name)
        deleting = await seen(launcher, job.name, says("Deleting"))
        assert deleting.status.is_live
        await launcher.delete(job.name)
        await seen(launcher, job.name, lambda job: job is None)
        selector = f"streamforge.io/queue-id={job.queue_id}"
        assert client.CoreV1Api(administrator).list_namespaced_pod(namespace, label_selector=selector).items == []
        await launcher.delete(job.name)


async def test_the_watch_tells_of_every_job_that_changes(launching):
    async with launching(python("print('watched')")) as launcher, asyncio.timeout(100):
        job, told = spec(), asyncio.Event()

        async def watch():
            async with aclosing(launcher.watch()) as changes:
                async for queue_id in changes:
                    if queue_id == job.queue_id:
                        told.set()

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            await asyncio.sleep(0.5)
            await launcher.launch(job)
            await told.wait()
            await seen(launcher, job.name, ended)
            told.clear()
            await launcher.delete(job.name)
            await told.wait()
            # It waits for the next line on a thread; its end must not wait for that line.
            watching.cancel()


async def test_a_namespace_that_is_not_there_refuses_for_good(launching, kubeconfig):
    async with launching(python("print()")) as launcher:
        launcher._plan = launcher._plan.model_copy(update={"namespace": "not-ours"})
        with pytest.raises(FatalError, match="forbidden"):
            await launcher.launch(spec())


async def test_a_workflow_whose_image_does_not_exist_ends_in_error_and_leaves_nothing(launching):
    """The controller with its real launcher; what it stores and tells is kept in memory."""
    crash = Crash()
    store, log = MemoryStore(crash), MemoryLog(crash)
    targets = {
        "loader-producer": {"image": "registry.invalid/none:1"},
        "arango-connector": {"image": "registry.invalid/none:1"},
    }
    async with launching(targets, kubernetes_job_start_seconds=4) as launcher, asyncio.timeout(100):
        controller = Controller(store, log, launcher, clock=lambda: datetime.now(UTC), stop_grace_s=60, most_running=1)
        request = WorkflowRequest(symbol="BTCUSDT", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
        queue_id = (await controller.submit(request)).queue_id
        async with asyncio.TaskGroup() as group:
            running = group.create_task(controller.run())
            while not (workflow := (await store.get(queue_id)).workflow).status.is_terminal:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            running.cancel()
        assert workflow.status is WorkflowStatus.ERROR
        assert workflow.error.code == "launch_refused"
        assert "image cannot be pulled" in workflow.error.detail
        assert await launcher.jobs(queue_id) == []


def test_the_manifest_keeps_to_the_schemas_of_the_api():
    plan = KubernetesLauncherSettings(kubernetes_job_targets=python("print()") | {TARGET: {"image": IMAGE}}).plan(
        Settings()
    )
    programs.assert_keeps_to_the_schemas(yaml.safe_dump(job_manifest(spec(), plan)))
