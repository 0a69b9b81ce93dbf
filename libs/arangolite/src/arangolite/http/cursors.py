"""`/_api/cursor` and what belongs to it: run queries and fetch their results."""

from typing import Any

from aiohttp import web

from arangolite.aql import tree
from arangolite.aql.binding import check_bind_values
from arangolite.aql.context import Run
from arangolite.aql.cursors import Batch, Cursor, QueryOptions
from arangolite.aql.parse import parse
from arangolite.aql.query import prepare
from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result


async def _create(call: Call) -> web.Response:
    request = await call.json_object()
    text = _query_text(request)
    options = _options(request)
    statement = prepare(text, check_bind_values(request.get("bindVars")))
    cursor, batch = await call.server.cursors.open(call.database, statement, options)
    return _answer(cursor, batch, 201, with_extra=True)


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
    return QueryOptions(
        batch_size=int(batch_size),
        count=_flag(request, "count"),
        full_count=_flag(options, "fullCount"),
        ttl_s=_number(request, "ttl", 30) or 30,
        fail_on_warning=_flag(options, "failOnWarning"),
        max_runtime_s=_number(options, "maxRuntime", 0),
        memory_limit=int(_number(request, "memoryLimit", 0)),
        max_warnings=int(_number(options, "maxWarningCount", 10)),
        allow_retry=_flag(options, "allowRetry"),
    )


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


def _answer(cursor: Cursor, batch: Batch, status: int, *, with_extra: bool) -> web.Response:
    content: Json = {"result": batch.results, "hasMore": batch.more, "cached": False}
    if batch.more or cursor.options.allow_retry:
        content["id"] = cursor.id
    if batch.more and cursor.options.allow_retry:
        content["nextBatchId"] = str(cursor.batch_number + 1)
    if cursor.count is not None:
        content["count"] = cursor.count
    if with_extra or not batch.more:
        content["extra"] = cursor.extra()
    return result(content, status=status)


async def _next(call: Call) -> web.Response:
    number = call.path.get("batch")
    if number is not None and not number.isdecimal():
        raise ArangoError(Problem.CURSOR_NOT_FOUND)
    cursor, batch = await call.server.cursors.next(
        call.database, call.path["cursor"], None if number is None else int(number)
    )
    return _answer(cursor, batch, 200, with_extra=False)


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
    return result({"parsed": True, "collections": sorted(collections), "bindVars": sorted(values | named), "ast": []})


async def _explain(call: Call) -> web.Response:
    request = await call.json_object()
    statement = prepare(_query_text(request), check_bind_values(request.get("bindVars")))
    run = await call.database.read(lambda connection: Run(connection, call.database.collections))
    plan = statement.explain(run)
    all_plans = _flag(request.get("options") or {}, "allPlans")
    plans = {"plans": [plan]} if all_plans else {"plan": plan}
    return result({**plans, "cacheable": not statement.writes, "warnings": run.warnings})


ROUTES = [
    Route("POST", "/_api/cursor", _create),
    Route("POST", "/_api/cursor/{cursor}", _next),
    Route("PUT", "/_api/cursor/{cursor}", _next),
    Route("POST", "/_api/cursor/{cursor}/{batch}", _next),
    Route("DELETE", "/_api/cursor/{cursor}", _delete),
    Route("POST", "/_api/query", _validate),
    Route("POST", "/_api/explain", _explain),
]
