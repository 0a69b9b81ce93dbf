import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer

from streamforge_local.jobs.api import job_runner_app
from streamforge_local.jobs.programs import Program
from streamforge_local.jobs.runner import JobRunner, RestartPolicy
from streamforge_local.jobs.store import JobStore
from streamforge_local.settings import Settings

COMMANDS = {
    "good": [sys.executable, "-c", "print('hello')"],
    "endless": [sys.executable, "-c", "import time; time.sleep(600)"],
}
WISH = {"queue_id": "wf-a", "target": "good", "telemetry_id": "good__1", "attempt": 1, "commands_since": 1}


async def always_there() -> bool:
    return True


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[JobRunner]:
    store = JobStore(tmp_path / "jobs", tmp_path / "logs")
    environment = Settings.from_environment().inherited
    programs = {target: Program(command, environment) for target, command in COMMANDS.items()}
    async with JobRunner(store, programs, always_there, RestartPolicy()) as runner:
        yield runner


@pytest.fixture
async def client(runner: JobRunner) -> AsyncIterator[TestClient]:
    server = TestServer(job_runner_app(runner, "secret"))
    async with TestClient(server, headers={"Authorization": "Bearer secret"}) as client:
        yield client


async def test_a_job_is_made_shown_and_read(client: TestClient) -> None:
    async with client.get("/jobs/watch") as changes:
        assert await changes.content.readline() == b"{}\n"
        made = await client.put("/jobs/good-1", json=WISH)
        assert made.status == 201
        told = [json.loads(await changes.content.readline())["status"] for _ in range(3)]
        assert told == ["running", "running", "succeeded"]
    shown = await (await client.get("/jobs/good-1")).json()
    assert shown == await made.json() | {
        "status": "succeeded",
        "exit_code": 0,
        "finished_at": shown["finished_at"],
    }
    assert shown["started_at"].endswith("Z")
    assert await (await client.get("/jobs?queue_id=wf-a")).json() == {"items": [shown]}
    assert await (await client.get("/jobs?queue_id=wf-b")).json() == {"items": []}
    logs = await client.get("/jobs/good-1/logs")
    assert (logs.content_type, await logs.text()) == ("text/plain", "hello\n")


async def test_a_taken_name_answers_the_job_that_has_it(client: TestClient) -> None:
    await client.put("/jobs/good-1", json=WISH)
    again = await client.put("/jobs/good-1", json=WISH | {"queue_id": "wf-b"})
    assert (again.status, (await again.json())["queue_id"]) == (409, "wf-a")


async def test_a_deleted_job_answers_404(client: TestClient) -> None:
    await client.put("/jobs/endless-1", json=WISH | {"target": "endless"})
    assert (await client.delete("/jobs/endless-1?grace_seconds=5")).status == 202
    async with client.get("/jobs/watch") as changes:
        while (await client.get("/jobs/endless-1")).status != 404:
            await changes.content.readline()
    assert (await client.delete("/jobs/endless-1")).status == 404
    assert (await client.get("/jobs/endless-1/logs")).status == 404


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "Input data was truncated"),
        (json.dumps(WISH | {"attempt": "one"}).encode(), 422, "Expected `int`, got `str` - at `$.attempt`"),
        (json.dumps(WISH | {"target": "shell"}).encode(), 422, "unknown target 'shell', known are endless, good"),
    ],
)
async def test_a_wrong_wish_is_refused_with_its_reason(
    client: TestClient, body: bytes, status: int, detail: str
) -> None:
    answer = await client.put("/jobs/good-1", data=body)
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["detail"]) == (status, detail)


@pytest.mark.parametrize("grace", ["soon", "-1", "nan", "1e9"])
async def test_a_grace_is_a_sane_number(client: TestClient, grace: str) -> None:
    assert (await client.delete(f"/jobs/good-1?grace_seconds={grace}")).status == 422


async def test_nobody_is_served_without_the_token(client: TestClient) -> None:
    async with ClientSession() as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer s\u00e9cret"}):
            answer = await stranger.put(client.make_url("/jobs/good-1"), json=WISH, headers=headers)
            assert answer.status == 401


async def test_watchers_are_told_when_the_platform_ends(client: TestClient, runner: JobRunner) -> None:
    async with client.get("/jobs/watch") as changes:
        assert await changes.content.readline() == b"{}\n"
        await runner.stop(grace_s=0)
        assert await changes.content.read() == b""
    assert (await client.put("/jobs/good-1", json=WISH)).status == 503
