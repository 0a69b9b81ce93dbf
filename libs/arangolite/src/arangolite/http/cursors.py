"""`/_api/cursor` and what belongs to it: run queries and fetch their results."""

import time
from typing import Any

from aiohttp import web

from arangolite.aql import tree
from arangolite.aql.binding import check_bind_values
from arangolite.aql.context import Run
from arangolite.aql.cursors import Batch, Cursor, QueryOptions
from arangolite.aql.parse import parse
from arangolite.aql.query import Statement, prepare
from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.sessions import GuardedSession
from arangolite.storage.database import Session
from arangolite.storage.users import Level

_WITH_PLAN = 2  # the level of `profile` that adds the plan, and what each of its operations did


async def _create(call: Call) -> web.Response:
    cursor, batch = await run_query(call, await call.json_object())
    return answer_batch(cursor, batch, 201)


async def run_query(call: Call, request: Json) -> tuple[Cursor, Batch]:
    """Start a query as the body of a request describes it, and take its first batch."""
    started = time.monotonic()
    text = _query_text(request)
    options, profile = _options(request), _profile(request)
    initialized = time.monotonic()
    statement = prepare(text, check_bind_values(request.get("bindVars")))
    parsed = time.monotonic()
    reads, writes = _collections(call, statement.query)
    async with call.session(reads=reads, writes=writes) as session:
        guarded = _guarded(call, session)
        with call.server.queries.tracked(call, request, statement) as tracked:
            cursor, batch = await call.server.cursors.open(guarded, tracked, options)
        if profile >= _WITH_PLAN:
            cursor.plan = await _plan(guarded, statement)
    if profile:
        cursor.phases = {"initializing": initialized - started, "parsing": parsed - initialized}
    return cursor, batch


async def _plan(session: Session, statement: Statement) -> Json:
    run = await session.read(lambda connection: Run(connection, session.collections))
    return statement.explain(run)


def _collections(call: Call, query: tree.Query) -> tuple[set[str], set[str]]:
    """Find the collections that a query names and reads, and those that it changes.

    What it only finds out when it runs, as in `DOCUMENT(…)`, the guarded session sees.
    """
    nodes = list(tree.walk(query))
    names = {node.name for node in nodes if isinstance(node, tree.CollectionName)}
    writes = {
        target.name
        for node in nodes
        if isinstance(target := getattr(node, "target", None), tree.CollectionName)
        and isinstance(node, tree.Insert | tree.Change | tree.Remove | tree.Upsert)
    }
    known = {name for name in names if name in call.database.collections}  # the query itself says what is not there
    return known - writes, known & writes


def _guarded(call: Call, session: Session) -> Session:
    """Let a query find only what the caller and the transaction may read."""
    user, declared = call.access.user, call.declared()
    if (user is None or user.reads_all_of(session.name)) and (declared is None or declared.implicit_reads):
        return session

    def check(collection: str) -> None:
        call.access.need_collection(session.name, collection, Level.RO)
        if declared is not None and not collection.startswith("_"):
            declared.check_read(collection)

    return GuardedSession(session, check)


def _query_text(request: Json) -> str:
    text = request.get("query")
    if text is None:
        raise ArangoError(Problem.QUERY_EMPTY)
    if type(text) is not str:
        raise ArangoError(Problem.BAD_PARAMETER, "expecting a string for 'query'")
    return text


def _options(request: Json) -> QueryOptions:
    options = request.get("options") or {}
    if type(options) is not dict:
        raise ArangoError(Problem.BAD_PARAMETER, "expecting an object for 'options'")
    batch_size = _number(request, "batchSize", 1000)
    if batch_size < 1:
        raise ArangoError(Problem.TYPE_ERROR, "expecting non-zero value for 'batchSize'")
    count, stream = _flag(request, "count"), _flag(options, "stream")
    if count and stream:
        raise ArangoError(Problem.BAD_PARAMETER, "cannot use 'count' option for a streaming query")
    return QueryOptions(
        batch_size=int(batch_size),
        count=count,
        full_count=_flag(options, "fullCount"),
        ttl_s=_number(request, "ttl", 30) or 30,
        fail_on_warning=_flag(options, "failOnWarning"),
        max_runtime_s=_number(options, "maxRuntime", 0),
        memory_limit=int(_number(request, "memoryLimit", 0)),
        max_warnings=int(_number(options, "maxWarningCount", 10)),
        allow_retry=_flag(options, "allowRetry"),
        profile=_profile(request) >= _WITH_PLAN,
        stream=stream,
    )


def _profile(request: Json) -> int:
    """Read how much the query is to tell about itself: 1 = the time of its phases, 2 = its plan, too, with figures."""
    level = (request.get("options") or {}).get("profile", 0)
    if type(level) not in (int, bool) or not 0 <= level <= _WITH_PLAN:
        raise ArangoError(Problem.TYPE_ERROR, "expecting 0, 1 or 2 for 'profile'")
    return int(level)


def _number(request: Json, name: str, default: float) -> float:
    value: Any = request.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or value < 0:
        raise ArangoError(Problem.TYPE_ERROR, f"expecting a number for {name!r}")
    return float(value)


def _flag(request: Json, name: str) -> bool:
    value = request.get(name)
    if value is None:
        return False
    if type(value) is not bool:
        raise ArangoError(Problem.TYPE_ERROR, f"expecting a boolean for {name!r}")
    return value


def answer_batch(cursor: Cursor, batch: Batch, status: int) -> web.Response:
    """Answer with a batch; a streaming query tells about itself with its last one, any other with each.

    Source:
        The option `stream` of "Create a cursor" in ArangoDB 3.12's HTTP API, develop/http-api/queries/aql-queries.
    """
    content: Json = {"result": batch.results, "hasMore": batch.more, "cached": False}
    if batch.more:
        content["id"] = cursor.id
        content["nextBatchId"] = str(cursor.batch_number + 1)
    if cursor.count is not None:
        content["count"] = cursor.count
    if not (batch.more and cursor.options.stream):
        content["extra"] = cursor.extra()
    return result(content, status=status)


async def _next(call: Call) -> web.Response:
    number = call.path.get("batch")
    if number is not None and not number.isdecimal():
        raise ArangoError(Problem.CURSOR_NOT_FOUND)
    cursor, batch = await call.server.cursors.next(
        call.database, call.path["cursor"], None if number is None else int(number)
    )
    return answer_batch(cursor, batch, 200)


async def _delete(call: Call) -> web.Response:
    cursor_id = call.path["cursor"]
    await call.server.cursors.delete(call.database, cursor_id)
    return result({"id": cursor_id}, status=202)


async def _validate(call: Call) -> web.Response:
    query = parse(_query_text(await call.json_object()))
    nodes = list(tree.walk(query))
    values = {node.name for node in nodes if isinstance(node, tree.Bind)}
    named = {f"@{node.name}" for node in nodes if isinstance(node, tree.CollectionBind)}
    collections = {node.name for node in nodes if isinstance(node, tree.CollectionName)}
    collections |= tree.free_names(query) - tree.declared_names(query)
    return result({"parsed": True, "collections": sorted(collections), "bindVars": sorted(values | named), "ast": []})


async def _explain(call: Call) -> web.Response:
    started = time.monotonic()
    request = await call.json_object()
    statement = prepare(_query_text(request), check_bind_values(request.get("bindVars")))
    reads, writes = _collections(call, statement.query)
    async with call.session(reads=reads, writes=writes) as session:
        guarded = _guarded(call, session)
        run = await guarded.read(lambda connection: Run(connection, guarded.collections))
        plan = statement.explain(run)
    all_plans = _flag(request.get("options") or {}, "allPlans")
    plans = {"plans": [plan]} if all_plans else {"plan": plan}
    statistics = {
        "rulesExecuted": len(plan["rules"]),
        "rulesSkipped": 0,
        "plansCreated": 1,
        "peakMemoryUsage": 0,
        "executionTime": time.monotonic() - started,
    }
    return result({**plans, "cacheable": not statement.writes, "warnings": run.warnings, "stats": statistics})


ROUTES = [
    Route("POST", "/_api/cursor", _create),
    Route("POST", "/_api/cursor/{cursor}", _next),
    Route("PUT", "/_api/cursor/{cursor}", _next),
    Route("POST", "/_api/cursor/{cursor}/{batch}", _next),
    Route("DELETE", "/_api/cursor/{cursor}", _delete),
    Route("POST", "/_api/query", _validate),
    Route("POST", "/_api/explain", _explain),
]
