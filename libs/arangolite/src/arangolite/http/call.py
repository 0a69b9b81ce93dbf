"""One API request as the handlers see it, and the answers they give."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.storage.database import Database
from arangolite.storage.engine import Engine
from arangolite.storage.names import SYSTEM_DATABASE

if TYPE_CHECKING:
    from arangolite.http.server import Server

Json = dict[str, Any]
JSON_TYPE = "application/json; charset=utf-8"
_TRUE = frozenset(("true", "1", "yes", "on", "y"))
_FALSE = frozenset(("false", "0", "no", "off", "n", ""))


@dataclass(frozen=True)
class Call:
    """A request, who makes it, and the database it is for."""

    request: web.Request
    server: "Server"
    database: Database
    user: str
    path: Mapping[str, str]
    """The variable parts of the path."""

    @property
    def engine(self) -> Engine:
        """All databases."""
        return self.server.engine

    def parameter(self, name: str) -> str | None:
        """Read a query parameter."""
        return self.request.query.get(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """Read a boolean query parameter."""
        text = self.request.query.get(name)
        if text is None:
            return default
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise ArangoError(Problem.BAD_PARAMETER, f"the parameter {name!r} must be true or false, not {text!r}")

    async def body(self) -> bytes:
        """Read the request's body."""
        return await self.request.read()

    async def json(self) -> Any:
        """Read the request's body as JSON, or refuse it with 600."""
        return parse_json(await self.body())

    async def json_object(self) -> Json:
        """Read the request's body as a JSON object; an empty body is an empty object."""
        body = await self.body()
        value = parse_json(body) if body.strip() else {}
        if type(value) is not dict:
            raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a JSON object in the request body")
        return value

    def need_system_database(self) -> None:
        """Refuse with 1230 outside of `_system`."""
        if self.database.name != SYSTEM_DATABASE:
            raise ArangoError(Problem.USE_SYSTEM_DATABASE)


Handler = Callable[[Call], Awaitable[web.Response]]


@dataclass(frozen=True)
class Route:
    """Where a handler is found."""

    method: str
    path: str
    handler: Handler


def parse_json(body: bytes) -> Any:
    """Decode JSON, or refuse it with 600."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ArangoError(Problem.CORRUPTED_JSON, f"VPackError error: {exc}") from exc


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with JSON as it is."""
    return web.Response(
        body=msgspec.json.encode(content), status=status, headers={**(headers or {}), "Content-Type": JSON_TYPE}
    )


def result(content: Mapping[str, Any] | None = None, status: int = 200, **more: Any) -> web.Response:
    """Answer with ArangoDB's envelope: `error` and `code` beside the content."""
    return answer({"error": False, "code": status, **(content or {}), **more}, status)


def error_body(error: ArangoError) -> Json:
    """Give ArangoDB's form of an error."""
    return {"error": True, "code": error.status, "errorNum": error.number, "errorMessage": error.message}


def error_response(error: ArangoError, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with ArangoDB's form of an error."""
    return answer(error_body(error), error.status, headers)
