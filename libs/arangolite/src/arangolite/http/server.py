"""The HTTP server: finds a request's database and handler, checks who calls, answers failures in ArangoDB's form."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from urllib.parse import unquote

from aiohttp import web

from arangolite.aql.cursors import CursorStore
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http import (
    admin,
    auth,
    collections,
    cursors,
    databases,
    documents,
    elements,
    faults,
    graphs,
    imports,
    indexes,
    jobs,
    monitoring,
    queries,
    simple,
    tokens,
    transactions,
    users,
    views,
)
from arangolite.http.access import SUPERUSER, Access
from arangolite.http.auth import Authenticator
from arangolite.http.call import Call, Handler, Route, error_response
from arangolite.http.faults import FaultSwitch
from arangolite.http.jobs import Jobs
from arangolite.http.monitoring import LogLevels
from arangolite.http.queries import Queries
from arangolite.http.sessions import LOCK_SECONDS, Transactions
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Database
from arangolite.storage.engine import Engine
from arangolite.storage.expiry import find_expired, remove_expired
from arangolite.storage.graphs import drop_collection
from arangolite.storage.names import SYSTEM_DATABASE
from arangolite.storage.users import Level, UserStore

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 30
"""Where ArangoDB stops, too."""


def _importing(handler: Handler) -> Handler:
    """Let an import begin only when the caller may write, and nobody has the collection exclusively."""

    async def guarded(call: Call) -> web.Response:
        name = call.parameter("collection")
        if not name:
            return await handler(call)
        # As in ArangoDB, an import is no part of a stream transaction.
        held = {call.collection(name, Level.RW).id: False}
        async with call.database.collection_locks.held(held, LOCK_SECONDS):
            return await handler(call)

    return guarded


_ROUTES = [
    *auth.OPEN_ROUTES,
    *admin.ROUTES,
    *users.ROUTES,
    *tokens.ROUTES,
    *databases.ROUTES,
    *collections.ROUTES,
    *documents.ROUTES,
    *(replace(route, handler=_importing(route.handler)) for route in imports.ROUTES),
    *indexes.ROUTES,
    *cursors.ROUTES,
    *simple.ROUTES,
    *graphs.ROUTES,
    *elements.ROUTES,
    *transactions.ROUTES,
    *jobs.ROUTES,
    *queries.ROUTES,
    *monitoring.ROUTES,
    *views.ROUTES,
    *faults.ROUTES,
]
_HOUSEKEEPING_SECONDS = 1.0
_HEADERS = {"Server": "ArangoDB", "X-Content-Type-Options": "nosniff"}
_CHALLENGE = {"WWW-Authenticate": 'Bearer token_type="JWT", realm="ArangoDB"'}
_OPEN_PATHS = frozenset(route.path for route in auth.OPEN_ROUTES)
# Areas of ArangoDB's API that exist there; a path outside of them is unknown there, too.
_KNOWN_AREAS = ("/_api/", "/_admin/", "/_open/")
# So is what 3.12 has given up, and what it has only with `--javascript.allow-admin-execute`.
_NO_AREAS = ("/_api/traversal", "/_api/control_pregel", "/_admin/execute")


class Server:
    """The API over an engine."""

    def __init__(
        self, engine: Engine, users: UserStore, authenticator: Authenticator, faults: FaultSwitch | None = None
    ) -> None:
        self.engine = engine
        self.users = users
        self.transactions = Transactions()
        self.jobs = Jobs()
        self.queries = Queries()
        self.log_levels = LogLevels()
        self.requests = 0
        self.stop: Callable[[], None] = lambda: None
        """Ends the server; set by what runs it."""
        self.faults = faults
        self.authenticator = authenticator
        self.cursors = CursorStore(engine.query_threads)
        self._router = _router(_ROUTES)

    def application(self) -> web.Application:
        """Make the application that aiohttp runs."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", r"/{path:[\s\S]*}", self.handle)  # a path may hold line breaks
        return application

    async def drop_database(self, name: str) -> None:
        """Remove a database, the cursors and transactions that use it first, and what users were granted for it."""
        database = self.engine.database(name)
        await self.cursors.close_database(name)
        await self.transactions.abort_where(lambda opened: opened.stream.database is database)
        await self.engine.drop(name)
        await self.users.change_all(lambda user: user.without_database(name))

    async def drop_collection(self, database: Database, name: str, *, system: bool) -> Collection:
        """Remove a collection when no transaction writes to it, and what users were granted for it."""
        found = database.collection(name)
        async with database.collection_locks.held({found.id: True}, LOCK_SECONDS):
            dropped = await database.write(drop_collection(found.name, system=system), sync=True)
        await self.forget_grants(database.name, dropped.name)
        return dropped

    async def forget_grants(self, database: str, collection: str) -> None:
        """Take back what users were granted for a collection that is gone."""
        if not collection.startswith("_"):
            await self.users.change_all(lambda user: user.with_collection(database, collection, None))

    async def keep_house(self) -> None:
        """Do what has its time, until cancelled: close forgotten cursors, remove expired documents."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            await self.cursors.expire()
            await self.transactions.abort_idle()
            for database in list(self.engine.databases.values()):
                await _expire_documents(database)

    async def close(self) -> None:
        """End the jobs, and let go of everything that open cursors and transactions hold."""
        await self.cursors.close_all()
        await self.transactions.abort_where(lambda _: True)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.requests += 1
        return await self._translated(request, lambda: self._dispatch(request))

    async def _translated(self, request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """Do the work of a request, and turn its failure into ArangoDB's form."""
        try:
            response = await work()
        except ArangoError as exc:
            response = error_response(exc, _CHALLENGE if exc.status == Problem.NOT_AUTHORIZED.status else None)
        except web.HTTPRequestEntityTooLarge as exc:
            response = error_response(ArangoError(Problem.HTTP_BAD_PARAMETER, exc.text, status=exc.status))
        except Exception:
            # The outermost boundary: a bug must reach the client in ArangoDB's form, and the log with its traceback.
            logger.exception("%s %s failed", request.method, request.path)
            response = error_response(ArangoError(Problem.INTERNAL))
        response.headers.update(_HEADERS)
        return response

    async def _dispatch(self, request: web.Request) -> web.Response:
        name, request = _split_database(request)
        access = SUPERUSER
        if request.path not in _OPEN_PATHS:
            access = await self.authenticator.access_of(request.headers.get("Authorization"))
            _check_database(access, name, request.path)
        lost = (
            self.faults is not None
            and request.path != faults.PATH
            and await self.faults.before(request.method, request.path)
        )
        wanted = jobs.wants_async(request)
        if wanted is not None and not request.path.startswith("/_api/job/"):
            await request.read()  # the connection goes on to the next request
            job = jobs.new_job(self.engine.clock.reserve(), name, access.username, wanted)
            response = self.jobs.start(
                job, lambda: self._translated(request, lambda: self._answer(request, name, access))
            )
        else:
            response = await self._answer(request, name, access)
        if lost and request.transport is not None:
            request.transport.abort()
        return response

    async def _answer(self, request: web.Request, name: str, access: Access) -> web.Response:
        database = self.engine.database(name)
        match = await self._router.resolve(request)
        if match.http_exception is not None:
            raise _unrouted(request, match.http_exception)
        handler = cast("Handler", match.handler)
        return await handler(Call(request, self, database, access, match))


def _check_database(access: Access, name: str, path: str) -> None:
    """Refuse a database that the caller may not see, whether or not it is there; everybody may see himself."""
    if access.database_level(name) is Level.NONE and not path.startswith("/_api/user/"):
        raise ArangoError(Problem.NOT_AUTHORIZED)


async def _expire_documents(database: Database) -> None:
    collections = database.collections
    if not any(index.type == "ttl" for collection in collections.values() for index in collection.indexes):
        return
    now = datetime.now(UTC)
    try:
        found = await database.read(lambda connection: find_expired(connection, collections, now))
        if found:
            await database.write(remove_expired(found, now))
    except ArangoError as exc:
        # A collection or the database went away in between, or the disk is full; the next round will see.
        logger.warning("expired documents of %s stay for now: %s", database.name, exc.message)


def _split_database(request: web.Request) -> tuple[str, web.Request]:
    """Take `/_db/<name>` off the path; without it the request is for `_system`."""
    url = request.rel_url
    if not url.raw_path.startswith("/_db/"):
        return SYSTEM_DATABASE, request
    name, _, rest = url.raw_path.removeprefix("/_db/").partition("/")
    return unquote(name), request.clone(rel_url=url.with_path(f"/{rest}", encoded=True, keep_query=True))


def _unrouted(request: web.Request, problem: web.HTTPException) -> ArangoError:
    if isinstance(problem, web.HTTPMethodNotAllowed):
        return ArangoError(Problem.METHOD_NOT_ALLOWED)
    if request.path.startswith(_KNOWN_AREAS) and not request.path.startswith(_NO_AREAS):
        return not_supported(f"{request.method} {request.path}")
    return ArangoError(Problem.HTTP_NOT_FOUND, f"unknown path '{request.path}'")


def _router(routes: list[Route]) -> web.UrlDispatcher:
    router = web.UrlDispatcher()
    for route in routes:
        # The router only carries the handlers; `_dispatch` calls them, with a Call.
        router.add_route(
            route.method, route.path, cast("Callable[[web.Request], Awaitable[web.StreamResponse]]", route.handler)
        )
    return router
