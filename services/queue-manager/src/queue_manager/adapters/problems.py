"""Errors of the REST API as RFC 9457 problem details, and the limit on a body's size."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from queue_manager.app.controller import UnknownWorkflowError
from queue_manager.app.keys import KeyRefusedError, UnknownKeyError
from queue_manager.app.ports import SuffixTakenError
from queue_manager.app.requests import FieldError, InvalidRequestError
from queue_manager.app.wishes import NotPossibleError
from streamforge_common.errors import TransientError

_LARGEST_BODY = 1024 * 1024
_MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, errors: Sequence[FieldError] = ()) -> JSONResponse:
    """Build the answer: `type title status detail`, and `errors` where fields are at fault."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error.model_dump() for error in errors]
    return JSONResponse(body, status_code=status, media_type=_MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Answer every foreseen failure of a route with a problem."""

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, exc: RequestValidationError) -> JSONResponse:
        faults = exc.errors()
        broken = next((fault for fault in faults if fault["type"] == "json_invalid"), None)
        if broken is not None:
            return problem(400, f"the body is not JSON: {broken['ctx']['error']} at byte {broken['loc'][-1]}")
        return problem(422, "the request is not valid", [_field_error(fault) for fault in faults])

    @app.exception_handler(InvalidRequestError)
    async def invalid(_: Request, exc: InvalidRequestError) -> JSONResponse:
        return problem(422, "the request cannot be carried out", exc.errors)

    @app.exception_handler(UnknownWorkflowError)
    async def unknown(_: Request, exc: UnknownWorkflowError) -> JSONResponse:
        return problem(404, f"no workflow {str(exc)!r}")

    @app.exception_handler(NotPossibleError)
    async def not_possible(_: Request, exc: NotPossibleError) -> JSONResponse:
        return problem(409, str(exc))

    @app.exception_handler(TransientError)
    async def away(_: Request, exc: TransientError) -> JSONResponse:
        return problem(503, f"try again: {exc}")

    @app.exception_handler(SuffixTakenError)
    async def taken(_: Request, exc: SuffixTakenError) -> JSONResponse:
        return problem(503, f"try again: two requests drew the same digits ({exc})")

    @app.exception_handler(HTTPException)
    async def http(_: Request, exc: HTTPException) -> JSONResponse:
        return problem(exc.status_code, exc.detail)


def install_key_problems(app: FastAPI) -> None:
    """Answer what cannot be done with API keys with a problem."""

    @app.exception_handler(UnknownKeyError)
    async def unknown(_: Request, exc: UnknownKeyError) -> JSONResponse:
        return problem(404, f"no key {str(exc)!r}")

    @app.exception_handler(KeyRefusedError)
    async def refused(_: Request, exc: KeyRefusedError) -> JSONResponse:
        return problem(409, str(exc))


def _field_error(fault: Any) -> FieldError:  # noqa: ANN401 - pydantic's own untyped form
    where = [str(part) for part in fault["loc"] if part != "body"]
    detail = "unknown field" if fault["type"] == "extra_forbidden" else fault["msg"]
    return FieldError(pointer="#/" + "/".join(where), detail=detail)


class BodyLimit:
    """ASGI middleware that answers 413 to a body over 1 MiB, also one that does not say its length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > _LARGEST_BODY:
                response = problem(413, f"the body is larger than {_LARGEST_BODY} bytes")
                await response(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        body: Message | None = {"type": "http.request", "body": b"".join(chunks), "more_body": False}

        async def replay() -> Message:
            nonlocal body
            if body is not None:
                whole, body = body, None
                return whole
            return await receive()

        await self._app(scope, replay, send)
