"""One API request as the handlers see it, and the answers they give."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from collections.abc import Collection as Names
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.access import Access
from arangolite.http.sessions import LOCK_SECONDS, Declared
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Database, Session
from arangolite.storage.engine import Engine
from arangolite.storage.names import SYSTEM_DATABASE
from arangolite.storage.users import Level

if TYPE_CHECKING:
    from arangolite.http.server import Server

Json = dict[str, Any]
JSON_TYPE = "application/json; charset=utf-8"
TRANSACTION_HEADER = "x-arango-trx-id"
_TRUE = frozenset(("true", "1", "yes", "on", "y"))
_FALSE = frozenset(("false", "0", "no", "off", "n", ""))


@dataclass(frozen=True)
class Call:
    """A request, who makes it, and the database it is for."""

    request: web.Request
    server: "Server"
    database: Database
    access: Access
    path: Mapping[str, str]
    """The variable parts of the path."""

    @property
    def engine(self) -> Engine:
        """All databases."""
        return self.server.engine

    @property
    def user(self) -> str:
        """The caller's name; empty for a superuser token."""
        return self.access.username

    def collection(self, name: str, level: Level = Level.RO) -> Collection:
        """Find a collection by its name or numeric id, if the caller may use it so.

        Raises:
            ArangoError: 1203, 11 without access, 1004 without write access.
        """
        found = self.database.collection(name)
        self.access.need_collection(self.database.name, found.name, level)
        return found

    def need_database(self, level: Level) -> None:
        """Refuse with 11 whoever has less access to the database."""
        self.access.need_database(self.database.name, level)

    @asynccontextmanager
    async def session(self, *, reads: Names[str] = (), writes: Names[str] = ()) -> AsyncIterator[Session]:
        """Give where this request reads and writes: the transaction that its header names, else the database.

        Args:
            reads: Names of the collections that are read.
            writes: Names of the collections that are written; nobody has them exclusively meanwhile.

        Raises:
            ArangoError: 1203, 11, 1004; 1652 for a collection that the transaction has not declared, 1655 for a
                transaction that is not there, 18 when a collection stays locked.
        """
        for name in reads:
            self.collection(name)
        held = {self.collection(name, Level.RW).id: False for name in writes}
        transaction_id = self.request.headers.get(TRANSACTION_HEADER)
        if transaction_id is None:
            async with self.database.collection_locks.held(held, LOCK_SECONDS):
                yield self.database
        else:
            transactions = self.server.transactions
            opened = transactions.find(self.database, self.user, transaction_id)
            async with transactions.leased(opened, reads, writes) as transaction:
                yield transaction

    def declared(self) -> Declared | None:
        """Tell what the transaction of this request has declared; None outside of a transaction."""
        transaction_id = self.request.headers.get(TRANSACTION_HEADER)
        if transaction_id is None:
            return None
        return self.server.transactions.find(self.database, self.user, transaction_id).declared

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
