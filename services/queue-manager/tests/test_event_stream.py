"""The live audit trail over a real connection: the ASGI transport of httpx answers only when all is said."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn

from queue_manager.adapters import event_stream
from queue_manager.adapters.api import create_api
from queue_manager.app import trails
from queue_manager.app.controller import Controller
from queue_manager.app.workflow import WorkflowStatus
from queue_manager.testing import Crash, MemoryLauncher, MemoryLog, MemoryStore, open_keyring
from streamforge_common.errors import TransientError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}


class Platform:
    def __init__(self):
        self.crash = Crash()
        self.store, self.log, self.launcher = MemoryStore(self.crash), MemoryLog(self.crash), MemoryLauncher(self.crash)
        self.controller = self.replica()
        self.client = None

    def replica(self):
        return Controller(self.store, self.log, self.launcher, clock=lambda: NOW, stop_grace_s=60, most_running=2)

    async def submit(self):
        return (await self.client.post("/workflows", json=GOOD)).json()["queue_id"]

    def stream(self, queue_id, **headers):
        headers = {"Accept": "text/event-stream", **headers}
        return self.client.stream("GET", f"/workflows/{queue_id}/events", headers=headers)

    async def change(self, queue_id, status, by=None):
        await (by or self.controller).steer(queue_id, lambda workflow, now: workflow.set_status(status, now))


@pytest.fixture
async def platform():
    platform = Platform()
    app = create_api(platform.controller, platform.store, platform.launcher, None, None, [], open_keyring())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    async with serving(server) as url, httpx.AsyncClient(base_url=url, trust_env=False) as platform.client:
        yield platform
        platform.controller.trails.close()


@asynccontextmanager
async def serving(server):
    async with asyncio.TaskGroup() as group:
        group.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn offers nothing else
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True


async def next_event(lines):
    event = {}
    async for line in lines:
        if not line:
            return event
        name, _, value = line.partition(":")
        event[name] = value.strip()
    return None


async def rest_of(lines):
    events = []
    while (event := await next_event(lines)) is not None:
        events.append(event)
    return events


async def test_a_stream_starts_with_what_is_there_goes_on_with_what_comes_and_ends_with_the_workflow(platform):
    queue_id = await platform.submit()
    async with platform.stream(queue_id) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        first = await next_event(lines)
        assert (first["id"], first["event"]) == ("1", "status")
        await platform.change(queue_id, WorkflowStatus.LOADING)
        assert json.loads((await next_event(lines))["data"])["data"]["status"] == "loading"
        await platform.change(queue_id, WorkflowStatus.COMPLETED)
        last, *more = await rest_of(lines)
    assert (last["id"], json.loads(last["data"])["data"]["status"], more) == ("3", "completed", [])
    listed = (await platform.client.get(f"/workflows/{queue_id}/events")).json()["items"]
    assert listed[-1] == json.loads(last["data"])


async def test_an_ended_workflow_is_told_in_full_and_a_reader_who_knows_it_all_is_sent_away(platform, monkeypatch):
    monkeypatch.setattr(trails, "_PAGE", 2)
    queue_id = await platform.submit()
    for status in (WorkflowStatus.STARTING, WorkflowStatus.LOADING, WorkflowStatus.COMPLETED):
        await platform.change(queue_id, status)
    async with platform.stream(queue_id) as answer:
        assert [event["id"] for event in await rest_of(answer.aiter_lines())] == ["1", "2", "3", "4"]
    async with platform.stream(queue_id, **{"Last-Event-ID": "2"}) as answer:
        assert [event["id"] for event in await rest_of(answer.aiter_lines())] == ["3", "4"]
    async with platform.stream(queue_id, **{"Last-Event-ID": "4"}) as answer:
        assert answer.status_code == 204


async def test_what_another_replica_does_is_found_by_looking(platform, monkeypatch):
    monkeypatch.setattr(trails, "_LOOK_EVERY_S", 0.01)
    queue_id = await platform.submit()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(platform.controller.trails.watch())
        async with platform.stream(queue_id) as answer:
            lines = answer.aiter_lines()
            await next_event(lines)
            await platform.change(queue_id, WorkflowStatus.STOPPED, by=platform.replica())
            assert [event["id"] for event in await rest_of(lines)] == ["2"]
        watching.cancel()


async def test_a_stream_ends_when_its_workflow_is_gone(platform, monkeypatch):
    monkeypatch.setattr(trails, "_LOOK_EVERY_S", 0.01)
    queue_id = await platform.submit()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(platform.controller.trails.watch())
        async with platform.stream(queue_id) as answer:
            lines = answer.aiter_lines()
            await next_event(lines)
            await platform.store.forget(queue_id)
            assert await rest_of(lines) == []
        watching.cancel()


async def test_silence_is_broken_by_comments_and_a_reader_who_leaves_is_forgotten(platform, monkeypatch):
    monkeypatch.setattr(event_stream, "_HEARTBEAT_S", 0.01)
    queue_id = await platform.submit()
    async with platform.stream(queue_id) as answer:
        lines = answer.aiter_lines()
        await next_event(lines)
        assert await anext(lines) == ": ping"
        assert len(platform.controller.trails._trails) == 1
    while platform.controller.trails._trails:  # noqa: ASYNC110  # the server notices in its own time
        await asyncio.sleep(0.01)


async def test_many_readers_are_all_told(platform):
    queue_id = await platform.submit()

    async def read():
        async with platform.stream(queue_id) as answer:
            lines = answer.aiter_lines()
            await next_event(lines)
            ready.release()
            return await rest_of(lines)

    ready, readers = asyncio.Semaphore(0), 50
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(read()) for _ in range(readers)]
        for _ in range(readers):
            await ready.acquire()
        await platform.change(queue_id, WorkflowStatus.STOPPED)
    assert [[event["id"] for event in each.result()] for each in reading] == [["2"]] * readers


async def test_a_stream_ends_early_when_the_process_does_or_the_database_is_away(platform, monkeypatch):
    queue_id = await platform.submit()
    async with platform.stream(queue_id) as answer:
        lines = answer.aiter_lines()
        await next_event(lines)

        async def away(*_):
            raise TransientError("connection refused")

        monkeypatch.setattr(platform.store, "audit_page", away)
        await platform.change(queue_id, WorkflowStatus.LOADING)
        assert await rest_of(lines) == []
    async with platform.stream(queue_id, **{"Last-Event-ID": "2"}) as answer:
        platform.controller.trails.close()
        assert await rest_of(answer.aiter_lines()) == []


@pytest.mark.parametrize(
    ("path", "last_id", "status"), [("wf-none", "0", 404), (None, "x", 422), (None, "9" * 5000, 422)]
)
async def test_what_cannot_be_streamed_is_a_problem(platform, path, last_id, status):
    queue_id = path or await platform.submit()
    async with platform.stream(queue_id, **{"Last-Event-ID": last_id}) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
