import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamforge_local.jobs.model import Job, JobRequest, JobStatus
from streamforge_local.jobs.programs import Program
from streamforge_local.jobs.runner import (
    JobExistsError,
    JobNotFoundError,
    JobRefusedError,
    JobRunner,
    PlatformEndingError,
    RestartPolicy,
)
from streamforge_local.jobs.store import JobStore
from streamforge_local.settings import Settings


def script(source: str) -> list[str]:
    return [sys.executable, "-c", source]


COMMANDS = {
    "good": script("import os; print('hello from', os.environ['QUEUE_ID'], os.environ['SHARED'])"),
    "fatal": script("raise SystemExit(42)"),
    "broken": script("print('broken', flush=True); raise SystemExit(3)"),
    "second-time-lucky": script(
        "import os, pathlib; seen = pathlib.Path(os.environ['SHARED'], os.environ['TELEMETRY_ID'])\n"
        "if not seen.exists(): seen.touch(); raise SystemExit(1)"
    ),
    "endless": script(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('drained', flush=True), sys.exit(0)))\n"
        "print('running', flush=True); time.sleep(600)"
    ),
    "stubborn": script(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('running', flush=True)\n"
        "time.sleep(600)"
    ),
}


class Platform:
    """Stands for broker and database, of which the runner only asks whether they are there."""

    def __init__(self) -> None:
        self.is_there = True
        self.was_asked = asyncio.Event()

    async def __call__(self) -> bool:
        self.was_asked.set()
        return self.is_there


class World:
    def __init__(self, folder: Path) -> None:
        self.store = JobStore(folder / "jobs", folder / "logs")
        self.platform = Platform()
        self.environment = {**Settings.from_environment().inherited, "SHARED": str(folder)}

    @asynccontextmanager
    async def runner(self, policy: RestartPolicy | None = None) -> AsyncIterator[JobRunner]:
        policy = policy or RestartPolicy(first_delay_s=0.01)
        programs = {target: Program(command, self.environment) for target, command in COMMANDS.items()}
        async with JobRunner(self.store, programs, self.platform, policy) as runner:
            yield runner


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


def a_request(target: str, queue_id: str = "wf-a") -> JobRequest:
    return JobRequest(queue_id=queue_id, target=target, telemetry_id=f"{target}__1", attempt=1, commands_since=0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # bounded by the time limit of the test
        await asyncio.sleep(0.005)


async def until_finished(runner: JobRunner, name: str) -> Job:
    await until(lambda: runner.get(name).is_finished)
    return runner.get(name)


async def until_it_prints(runner: JobRunner, name: str, text: str) -> None:
    await until(lambda: runner.log_path(name).exists() and text in runner.log_path(name).read_text())


async def test_a_job_that_exits_0_has_succeeded(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("good-1", a_request("good"))
        job = await until_finished(runner, "good-1")
        assert (job.status, job.exit_code, job.restarts, job.reason, job.pid) == ("succeeded", 0, 0, None, None)
        assert runner.log_path("good-1").read_text() == f"hello from wf-a {world.environment['SHARED']}\n"


async def test_the_fatal_exit_code_fails_at_once(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("fatal-1", a_request("fatal"))
        job = await until_finished(runner, "fatal-1")
        assert (job.status, job.exit_code, job.restarts, job.reason) == ("failed", 42, 0, "FatalExitCode")


async def test_a_job_that_fails_is_restarted_until_it_succeeds(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("job-1", a_request("second-time-lucky"))
        job = await until_finished(runner, "job-1")
        assert (job.status, job.restarts) == ("succeeded", 1)


async def test_a_job_has_six_restarts_and_one_log(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("broken-1", a_request("broken"))
        job = await until_finished(runner, "broken-1")
        assert (job.status, job.exit_code, job.restarts) == ("failed", 3, 6)
        assert job.reason == "BackoffLimitExceeded"
        assert runner.log_path("broken-1").read_text() == "broken\n" * 7


def test_the_delay_doubles_up_to_a_minute() -> None:
    assert [RestartPolicy().delay_s(restarts) for restarts in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_restart_for_an_absent_platform_does_not_count(world: World) -> None:
    world.platform.is_there = False
    async with world.runner() as runner:
        runner.submit("job-1", a_request("second-time-lucky"))
        await until(lambda: runner.get("job-1").status == JobStatus.RESTARTING)
        assert runner.get("job-1").reason == "PlatformAway"
        world.platform.is_there = True
        job = await until_finished(runner, "job-1")
        assert (job.status, job.restarts) == ("succeeded", 0)


async def test_a_killed_job_tells_the_signal_as_kubernetes_does(world: World) -> None:
    async with world.runner(RestartPolicy(limit=0)) as runner:
        runner.submit("job-1", a_request("endless"))
        await until_it_prints(runner, "job-1", "running")
        os.kill(runner.get("job-1").pid or 0, 9)
        assert (await until_finished(runner, "job-1")).exit_code == 137


async def test_a_deleted_job_may_drain_and_is_gone(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("job-1", a_request("endless"))
        await until_it_prints(runner, "job-1", "running")
        log = runner.log_path("job-1")
        runner.delete("job-1", grace_s=60)
        runner.delete("job-1", grace_s=60)
        await until(lambda: not runner.find())
        assert log.read_text() == "running\ndrained\n"
        with pytest.raises(JobNotFoundError):
            runner.get("job-1")
    assert world.store.load() == []


async def test_a_deleted_job_that_does_not_end_is_killed_after_the_grace(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("job-1", a_request("stubborn"))
        await until_it_prints(runner, "job-1", "running")
        runner.delete("job-1", grace_s=0.05)
        await until(lambda: not runner.find())


@pytest.mark.parametrize("target", ["broken", "good"])
async def test_a_job_can_be_deleted_at_any_moment(world: World, target: str) -> None:
    async with world.runner(RestartPolicy(first_delay_s=60)) as runner:
        runner.submit("at-once-1", a_request(target))
        runner.delete("at-once-1", grace_s=60)
        runner.submit("later-1", a_request(target))
        await until(lambda: runner.get("later-1").status != JobStatus.RUNNING)
        runner.delete("later-1", grace_s=60)
        await until(lambda: not runner.find())


async def test_a_name_is_taken_once(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("job-1", a_request("good", queue_id="wf-a"))
        with pytest.raises(JobExistsError) as refusal:
            runner.submit("job-1", a_request("good", queue_id="wf-b"))
        assert refusal.value.job.queue_id == "wf-a"


@pytest.mark.parametrize("name", ["", "../up", "UP", "a" * 64, "-a", "a/b"])
async def test_a_name_is_a_dns_label(world: World, name: str) -> None:
    async with world.runner() as runner:
        with pytest.raises(JobRefusedError, match="no job name"):
            runner.submit(name, a_request("good"))


async def test_jobs_are_found_by_workflow(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("a-1", a_request("good", queue_id="wf-a"))
        runner.submit("b-1", a_request("good", queue_id="wf-b"))
        assert [job.name for job in runner.find("wf-b")] == ["b-1"]
        assert [job.name for job in runner.find()] == ["a-1", "b-1"]


async def test_unfinished_jobs_go_on_with_the_next_platform_and_finished_ones_stay(world: World) -> None:
    async with world.runner() as runner:
        runner.submit("good-1", a_request("good"))
        runner.submit("endless-1", a_request("endless"))
        await until_finished(runner, "good-1")
        await until_it_prints(runner, "endless-1", "running")
        log = runner.log_path("endless-1")
        await runner.stop(grace_s=60)
        with pytest.raises(PlatformEndingError):
            runner.submit("good-2", a_request("good"))
    assert log.read_text() == "running\ndrained\n"

    async with world.runner() as runner:
        await until_it_prints(runner, "endless-1", "drained\nrunning")
        assert {job.name: job.status for job in runner.find()} == {"good-1": "succeeded", "endless-1": "running"}


async def test_a_job_that_was_being_deleted_is_not_started_again(world: World) -> None:
    world.store.save(Job(name="job-1", deleting=True, commands_since=0, **a_job_of("good")))
    async with world.runner() as runner:
        assert runner.find() == []


async def test_old_jobs_and_old_logs_are_forgotten(world: World) -> None:
    now = datetime.now(UTC)
    for name, age in (("new-1", timedelta(hours=23)), ("old-1", timedelta(hours=25))):
        job = Job(name=name, commands_since=0, status=JobStatus.SUCCEEDED, finished_at=now - age, **a_job_of("good"))
        world.store.save(job)
    for name in ("old-1", "recently-deleted-1"):
        world.store.log_path(name).touch()
    os.utime(world.store.log_path("old-1"), (0, 0))
    async with world.runner() as runner:
        assert [job.name for job in runner.find()] == ["new-1"]
    assert not world.store.log_path("old-1").exists()
    assert world.store.log_path("recently-deleted-1").exists()


def a_job_of(target: str) -> dict[str, object]:
    return {"queue_id": "wf-a", "target": target, "telemetry_id": f"{target}__1", "attempt": 1}
