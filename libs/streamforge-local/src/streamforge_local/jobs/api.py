"""The HTTP face of the job runner, for queue-manager only: whoever asks has to send a token.

`PUT /jobs/{name}` 201, or 409 with the job that has the name · `GET /jobs[?queue_id=]` · `GET /jobs/{name}` ·
`DELETE /jobs/{name}[?grace_seconds=]` 202 · `GET /jobs/{name}/logs` · `GET /jobs/watch`: a line of JSON per change, and
an empty object every few seconds · `GET /health`, without a token. Errors are `application/problem+json`.
"""

import asyncio
import contextlib
import hmac
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from streamforge_local.jobs.model import JobRequest
from streamforge_local.jobs.runner import (
    JobExistsError,
    JobNotFoundError,
    JobRefusedError,
    JobRunner,
    PlatformEndingError,
)

_HEARTBEAT_S = 5.0
"""By a silence longer than this a watcher knows that the connection is dead."""

_HEALTH = "/health"

_DEFAULT_GRACE_S = 10.0
_LONGEST_GRACE_S = 600.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def job_runner_app(runner: JobRunner, token: str) -> web.Application:
    """Make the web application.

    Args:
        runner: What it serves; run by the caller.
        token: What a caller has to send as `Authorization: Bearer`.
    """
    app = web.Application(middlewares=[_require_token(token), _answer_errors])
    api = _JobApi(runner)
    app.add_routes(
        [
            web.get("/jobs", api.list),
            web.get("/jobs/watch", api.watch),
            web.get("/jobs/{name}", api.get),
            web.put("/jobs/{name}", api.submit),
            web.delete("/jobs/{name}", api.delete),
            web.get("/jobs/{name}/logs", api.logs),
            web.get(_HEALTH, api.health),
        ]
    )
    return app


@contextlib.asynccontextmanager
async def runner_served(runner: JobRunner, token: str, host: str, port: int) -> AsyncIterator[None]:
    """Serve a runner on an address for the time of the block."""
    # Who still reads is cut off soon: all of a platform's end has to fit in 10 s.
    app = job_runner_app(runner, token)
    server = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await server.setup()
    try:
        await web.TCPSite(server, host, port).start()
        yield
    finally:
        await server.cleanup()


class _JobApi:
    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def list(self, request: web.Request) -> web.Response:
        return _json({"items": self._runner.find(request.query.get("queue_id"))})

    async def get(self, request: web.Request) -> web.Response:
        return _json(self._runner.get(request.match_info["name"]))

    async def submit(self, request: web.Request) -> web.Response:
        wish = msgspec.json.decode(await request.read(), type=JobRequest)
        return _json(self._runner.submit(request.match_info["name"], wish), HTTPStatus.CREATED)

    async def delete(self, request: web.Request) -> web.Response:
        grace_s = _parse_grace(request.query.get("grace_seconds"))
        return _json(self._runner.delete(request.match_info["name"], grace_s), HTTPStatus.ACCEPTED)

    async def logs(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(
            self._runner.log_path(request.match_info["name"]), headers={"Content-Type": "text/plain; charset=utf-8"}
        )

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._runner.feed.watch() as changes, contextlib.suppress(ConnectionResetError):  # the watcher has gone
            await response.prepare(request)
            # At once, so that a watcher knows from when on it is told.
            await response.write(b"{}\n")
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT_S):
                        change = await changes.get()
                except TimeoutError:
                    await response.write(b"{}\n")
                    continue
                if change is None:
                    break
                await response.write(msgspec.json.encode(change) + b"\n")
        return response

    async def health(self, _: web.Request) -> web.Response:
        return _json({"status": "ok", "components": {}})


def _require_token(token: str) -> Any:  # noqa: ANN401  # aiohttp's middleware type is private
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def require_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if request.path != _HEALTH and not hmac.compare_digest(given, expected):
            return _problem(HTTPStatus.UNAUTHORIZED, "the Authorization header does not carry the runner's token")
        return await handler(request)

    return require_token


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except JobExistsError as error:
        return _json(error.job, HTTPStatus.CONFLICT)
    except JobNotFoundError as error:
        return _problem(HTTPStatus.NOT_FOUND, str(error))
    except PlatformEndingError as error:
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except (JobRefusedError, msgspec.ValidationError) as error:
        return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    except msgspec.DecodeError as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error))


def _parse_grace(text: str | None) -> float:
    if text is None:
        return _DEFAULT_GRACE_S
    try:
        grace_s = float(text)
    except ValueError:
        grace_s = math.nan
    if not 0 <= grace_s <= _LONGEST_GRACE_S:
        raise JobRefusedError(f"grace_seconds is {text!r}, expected is a number from 0 to {_LONGEST_GRACE_S:.0f}")
    return grace_s


def _json(body: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/problem+json")
