"""A queue-manager of our own that plays what it is told, on a real port, and the command line beside it.

It is the outside of the REST API (contract section 5), no more: what the real one decides is tested with the real one.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from click.testing import Result
from typer.testing import CliRunner

from streamforge_local.commands.app import app as command_line

Document = dict[str, Any]
CommandLine = Callable[..., Result]


@dataclass
class Script:
    """What the server answers, and what it was asked."""

    url: str = ""
    workflows: list[Document] = field(default_factory=list)
    """Newest first."""
    states: list[Document] = field(default_factory=list)
    """What the next requests for a workflow see, one after the other; the last one stays."""
    audit: list[Document] = field(default_factory=list)
    streams_last: int = 1_000
    """How many items a stream of the audit trail gives before the connection is lost; 0: it knows no streams."""
    quality: Document = field(default_factory=lambda: Script.report())
    jobs: list[Document] = field(default_factory=list)
    logs: str = ""
    health: Mapping[str, str] = field(default_factory=lambda: {"kafka": "ok", "arangodb": "ok"})
    refusal: tuple[int, Document] | None = None
    """Answered to every POST in place of what it asks for."""
    page: int = 1_000
    """The longest page it gives."""
    keys: list[Document] = field(default_factory=list)
    needs_key: str | None = None
    """Without this API key every answer is 401."""
    asked: list[str] = field(default_factory=list)
    bodies: list[Document] = field(default_factory=list)

    @staticmethod
    def workflow(
        queue_id: str = "wf-btcusdt-api_candles_5m-20240801-a1b2c3",
        status: str = "completed",
        records: int = 288,
        error: Document | None = None,
        message: str = "",
    ) -> Document:
        task = {"attempt": 1, "status": status, "records_written": records, "message": message, "n": 1}
        ended = status in ("completed", "stopped", "error")
        return {
            "queue_id": queue_id,
            "status": status,
            "request": {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"},
            "datasets": [
                {
                    "n": 1,
                    "exchange": "binance",
                    "market": "spot",
                    "symbol": "BTCUSDT",
                    "type": "api_candles_5m",
                    "time_range": "2024-08-01:2024-08-02",
                    "kafka_topic": f"{queue_id}-data",
                    "collection_name": "btcusdt_api_candles_5m_2024_08_01",
                }
            ],
            "tasks": [
                {"target": target, "telemetry_id": f"{target}__{queue_id[-6:]}", **task}
                for target in ("loader-producer", "arango-connector")
            ],
            "created_at": "2024-08-03T10:00:00.000Z",
            "updated_at": "2024-08-03T10:00:02.500Z",
            "finished_at": "2024-08-03T10:00:02.500Z" if ended else None,
            "error": error,
            "a_field_of_tomorrow": 1,
        }

    @staticmethod
    def report(verdict: str = "complete", expected: int | None = 288, stored: int = 288, **more: Any) -> Document:
        dataset = {"n": 1, "verdict": verdict, "expected": expected, "stored": stored, "missing": 0, "repeated": 0}
        dataset |= {"out_of_range": 0, "rejected": 0, "gaps": [], "gaps_total": 0, **more}
        return {"queue_id": "wf-btcusdt-api_candles_5m-20240801-a1b2c3", "verdict": verdict, "datasets": [dataset]}


class ScriptedQueueManager:
    """Serves a script."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._note])
        app.add_routes(
            [
                web.post("/workflows", self._submit),
                web.get("/workflows", self._list),
                web.get("/workflows/{id}", self._show),
                web.get("/workflows/{id}/events", self._events),
                web.get("/workflows/{id}/quality", self._quality),
                web.delete("/workflows/{id}", self._delete),
                web.get("/workflows/{id}/jobs", self._jobs),
                web.get("/workflows/{id}/logs", self._logs),
                web.post("/workflows/{id}/{wish}", self._steer),
                web.post("/keys", self._create_key),
                web.get("/keys", self._list_keys),
                web.delete("/keys/{id}", self._delete),
                web.get("/health", self._health),
            ]
        )
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._script.asked.append(f"{request.method} {request.path_qs}")
        needed = self._script.needs_key
        if needed is not None and request.headers.get("Authorization") != f"Bearer {needed}":
            problem = {"detail": "this needs an API key"}
            return web.json_response(problem, status=401, content_type="application/problem+json")
        if request.method == "POST" and self._script.refusal is not None:
            status, problem = self._script.refusal
            return web.json_response(problem, status=status, content_type="application/problem+json")
        return await handler(request)

    async def _submit(self, request: web.Request) -> web.Response:
        self._script.bodies.append(await request.json())
        return web.json_response(self._next_state(), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        first = int(request.query.get("cursor", 0))
        end = first + min(self._script.page, int(request.query["limit"]))
        more = end < len(self._script.workflows)
        items = self._script.workflows[first:end]
        return web.json_response({"items": items, "next_cursor": str(end) if more else None})

    async def _show(self, request: web.Request) -> web.Response:
        known = {each["queue_id"] for each in (*self._script.workflows, *self._script.states)}
        if request.match_info["id"] not in known:
            problem = {"detail": f"no workflow {request.match_info['id']!r}"}
            return web.json_response(problem, status=404, content_type="application/problem+json")
        return web.json_response(self._next_state())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._script.streams_last and request.headers["Accept"] == "text/event-stream":
            return await self._stream(request)
        after = int(request.query.get("cursor", 0))
        items = [item for item in self._script.audit if item["seq"] > after]
        more = len(items) > self._script.page
        items = items[: self._script.page]
        return web.json_response({"items": items, "next_cursor": str(items[-1]["seq"]) if more else None})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        after = int(request.headers["Last-Event-ID"])
        items = [item for item in self._script.audit if item["seq"] > after]
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        await answer.write(b": ping\n\n")
        for item in items[: self._script.streams_last]:
            await answer.write(f"event: {item['kind']}\ndata: {json.dumps(item)}\nid: {item['seq']}\n\n".encode())
        return answer

    async def _quality(self, _: web.Request) -> web.Response:
        return web.json_response(self._script.quality)

    async def _delete(self, _: web.Request) -> web.Response:
        if self._script.refusal is not None:
            status, problem = self._script.refusal
            return web.json_response(problem, status=status, content_type="application/problem+json")
        return web.Response(status=204)

    async def _jobs(self, _: web.Request) -> web.Response:
        return web.json_response({"items": self._script.jobs, "next_cursor": None})

    async def _logs(self, _: web.Request) -> web.Response:
        return web.Response(text=self._script.logs)

    async def _steer(self, _: web.Request) -> web.Response:
        return web.json_response(self._next_state(), status=202)

    async def _create_key(self, request: web.Request) -> web.Response:
        self._script.bodies.append(await request.json())
        return web.json_response({**self._script.keys[0], "key": "sf_told-once"}, status=201)

    async def _list_keys(self, _: web.Request) -> web.Response:
        return web.json_response({"items": self._script.keys, "next_cursor": None})

    async def _health(self, _: web.Request) -> web.Response:
        well = all(state == "ok" for state in self._script.health.values())
        return web.json_response({"components": dict(self._script.health)}, status=200 if well else 503)

    def _next_state(self) -> Document:
        states = self._script.states
        return states.pop(0) if len(states) > 1 else states[0]


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(ScriptedQueueManager(script).app(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(serve())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    yield script
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture
def streamforge(script: Script) -> CommandLine:
    """Run the command line in this process, against the script."""

    def run(*words: str) -> Result:
        runner = CliRunner(env={"STREAMFORGE_URL": script.url, "COLUMNS": "100"})
        return runner.invoke(command_line, list(words))

    return run
