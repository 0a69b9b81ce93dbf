"""`/_api/simple`: the queries from before AQL, which old drivers still call; each becomes an AQL query.

Source:
    "HTTP Interface for Simple Queries" in ArangoDB 3.4's documentation, http/simple-query. They are deprecated since
    then, and 3.12 answers them still.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.cursors import answer_batch, run_query
from arangolite.storage.catalog import SORTED, Collection

_PAGED = "LIMIT @skip, @limit"
_KINDS = {"key": "d._key", "id": "d._id"}


async def _request(call: Call) -> tuple[Json, Collection]:
    """Read the body and find the collection that it names."""
    request = await call.json_object()
    name = request.get("collection")
    if not isinstance(name, str) or not name:
        raise ArangoError(Problem.TYPE_ERROR, "expecting string for <collection>")
    return request, call.collection(name)


def _page(request: Json, limit: Any) -> Json:
    """Bind the part of the results that is wanted; a limit of null means all."""
    return {"skip": request.get("skip"), "limit": limit}


def _matching(request: Json) -> tuple[str, Json]:
    """Make the conditions of an example: each of its attributes, or paths like `a.b`, is equal."""
    example = _object(request, "example")
    conditions, values = [], {}
    for number, (path, value) in enumerate(example.items()):
        conditions.append(f"FILTER d.@path{number} == @value{number}")
        values[f"path{number}"] = path.split(".")
        values[f"value{number}"] = value
    return " ".join(conditions), values


def _object(request: Json, name: str) -> Json:
    value: Any = request.get(name)
    if not isinstance(value, dict):
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, f"invalid value for parameter '{name}'")
    return value


def _path(request: Json, name: str) -> list[str]:
    value: Any = request.get(name)
    if not isinstance(value, str):
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, f"invalid value for parameter '{name}'")
    return value.split(".")


def _array(request: Json, name: str) -> list[Any]:
    value: Any = request.get(name)
    if not isinstance(value, list):
        raise ArangoError(Problem.TYPE_ERROR, f"expecting array for <{name}>")
    return value


def _query(collection: Collection, text: str, values: Json, **more: Any) -> Json:
    """Make the body of a request to `/_api/cursor`."""
    return {"query": text, "bindVars": {"@c": collection.name, **values}, **more}


async def _answer_cursor(call: Call, collection: Collection, text: str, values: Json, request: Json) -> web.Response:
    """Answer with a cursor that knows its count."""
    options = {name: request[name] for name in ("batchSize", "ttl") if name in request}
    cursor, batch = await run_query(call, _query(collection, text, values, count=True, **options))
    return answer_batch(cursor, batch, 201)


async def _results(call: Call, query: Json) -> list[msgspec.Raw]:
    """Run a query whose results are one batch."""
    _, batch = await run_query(call, query)
    return msgspec.json.decode(batch.results, type=list[msgspec.Raw])


async def _all(call: Call) -> web.Response:
    request, collection = await _request(call)
    text = f"FOR d IN @@c {_PAGED} RETURN d"
    return await _answer_cursor(call, collection, text, _page(request, request.get("limit")), request)


async def _all_keys(call: Call) -> web.Response:
    request, collection = await _request(call)
    shown = _KINDS.get(str(request.get("type")))
    if shown is not None:
        return await _answer_cursor(call, collection, f"FOR d IN @@c RETURN {shown}", {}, request)
    values = {"path": f"/_db/{call.database.name}/_api/document/"}
    return await _answer_cursor(call, collection, "FOR d IN @@c RETURN CONCAT(@path, d._id)", values, request)


async def _any(call: Call) -> web.Response:
    _, collection = await _request(call)
    found = await _results(call, _query(collection, "FOR d IN @@c SORT RAND() LIMIT 1 RETURN d", {}))
    return result({"document": found[0] if found else None})


async def _by_example(call: Call) -> web.Response:
    request, collection = await _request(call)
    conditions, values = _matching(request)
    text = f"FOR d IN @@c {conditions} {_PAGED} RETURN d"
    values |= _page(request, request.get("limit") or None)
    return await _answer_cursor(call, collection, text, values, request)


async def _first_example(call: Call) -> web.Response:
    request, collection = await _request(call)
    conditions, values = _matching(request)
    found = await _results(call, _query(collection, f"FOR d IN @@c {conditions} LIMIT 1 RETURN d", values))
    if not found:
        raise ArangoError(Problem.HTTP_NOT_FOUND, "no match")
    return result({"document": found[0]})


async def _range(call: Call) -> web.Response:
    request, collection = await _request(call)
    path = _path(request, "attribute")
    if not any(index.type in SORTED and list(index.fields[0]) == path for index in collection.indexes):
        raise ArangoError(Problem.NO_INDEX)
    end = "<=" if request.get("closed") else "<"
    text = f"FOR d IN @@c FILTER d.@path >= @left AND d.@path {end} @right SORT d.@path {_PAGED} RETURN d"
    values = {"path": path, "left": request.get("left"), "right": request.get("right")}
    values |= _page(request, request.get("limit"))
    return await _answer_cursor(call, collection, text, values, request)


async def _change_by_example(call: Call, change: str, names: Sequence[str], told: str, **values: Any) -> web.Response:
    """Change the documents that are like an example, and tell how many they were.

    Args:
        call: Whose body has the example; its `options`, or else itself, say how and how many.
        change: The operation on each document.
        names: The options that the operation knows, beside `waitForSync`.
        told: What the answer calls their number.
        values: Bind parameters of the operation.
    """
    request, collection = await _request(call)
    conditions, found = _matching(request)
    options = _object(request, "options") if "options" in request else request
    given = {name: options[name] for name in (*names, "waitForSync") if options.get(name) is not None}
    chosen = "".join(f"{name}: @{name}, " for name in given)
    text = f"FOR d IN @@c {conditions} LIMIT 0, @limit {change} IN @@c OPTIONS {{{chosen}}}"
    bound = {**found, **values, **given, "limit": options.get("limit") or None}
    cursor, _ = await run_query(call, _query(collection, text, bound))
    return result({told: cursor.run.statistics.writes_executed})


async def _remove_by_example(call: Call) -> web.Response:
    return await _change_by_example(call, "REMOVE d", (), "deleted")


async def _replace_by_example(call: Call) -> web.Response:
    new = _object(await call.json_object(), "newValue")
    return await _change_by_example(call, "REPLACE d WITH @new", (), "replaced", new=new)


async def _update_by_example(call: Call) -> web.Response:
    new = _object(await call.json_object(), "newValue")
    return await _change_by_example(call, "UPDATE d WITH @new", ("keepNull", "mergeObjects"), "updated", new=new)


async def _lookup_by_keys(call: Call) -> web.Response:
    request, collection = await _request(call)
    keys = [_bare_key(collection, key) for key in _array(request, "keys")]
    query = _query(collection, "FOR d IN @@c FILTER d._key IN @keys RETURN d", {"keys": keys})
    return result({"documents": await _results(call, {**query, "batchSize": len(keys) or 1})})


def _bare_key(collection: Collection, key: Any) -> Any:
    """Take an id of the collection for the key in it."""
    return key.removeprefix(f"{collection.name}/") if isinstance(key, str) else key


async def _remove_by_keys(call: Call) -> web.Response:
    request, collection = await _request(call)
    keys = _array(request, "keys")
    options = _object(request, "options") if "options" in request else {}
    shown = "OLD" if options.get("returnOld") is True else "KEEP(OLD, '_id', '_key', '_rev')"
    text = f"FOR k IN @keys REMOVE k IN @@c OPTIONS {{ignoreErrors: true, waitForSync: @sync}} RETURN {shown}"
    values = {"keys": keys, "sync": options.get("waitForSync") is True}
    cursor, batch = await run_query(call, _query(collection, text, values, batchSize=len(keys) or 1))
    seen = cursor.run.statistics
    counts = {"removed": seen.writes_executed, "ignored": seen.writes_ignored}
    return result(counts if options.get("silent", True) is not False else {**counts, "old": batch.results})


async def _near(call: Call) -> web.Response:
    request, collection = await _request(call)
    wanted = {"limit": request.get("limit", 100), "skip": request.get("skip") or 0}
    text = f"FOR d IN NEAR(@@c, @latitude, @longitude, @skip + @limit, @distance) {_PAGED} RETURN d"
    return await _answer_cursor(call, collection, text, _around(request) | wanted, request)


async def _within(call: Call) -> web.Response:
    request, collection = await _request(call)
    values = _around(request) | {"radius": request.get("radius")} | _page(request, request.get("limit"))
    text = f"FOR d IN WITHIN(@@c, @latitude, @longitude, @radius, @distance) {_PAGED} RETURN d"
    return await _answer_cursor(call, collection, text, values, request)


def _around(request: Json) -> Json:
    """Bind the place that is looked around, and the attribute that is to tell the distance."""
    return {name: request.get(name) for name in ("latitude", "longitude", "distance")}


async def _within_rectangle(call: Call) -> web.Response:
    request, collection = await _request(call)
    corners = {name: request.get(name) for name in ("latitude1", "longitude1", "latitude2", "longitude2")}
    text = f"FOR d IN WITHIN_RECTANGLE(@@c, @latitude1, @longitude1, @latitude2, @longitude2) {_PAGED} RETURN d"
    return await _answer_cursor(call, collection, text, corners | _page(request, request.get("limit")), request)


async def _fulltext(call: Call) -> web.Response:
    request, collection = await _request(call)
    values = {name: request.get(name) for name in ("attribute", "query")} | _page(request, request.get("limit"))
    text = f"FOR d IN FULLTEXT(@@c, @attribute, @query) {_PAGED} RETURN d"
    return await _answer_cursor(call, collection, text, values, request)


_AREA = "/_api/simple"
ROUTES = [
    Route("PUT", f"{_AREA}/all", _all),
    Route("PUT", f"{_AREA}/all-keys", _all_keys),
    Route("PUT", f"{_AREA}/any", _any),
    Route("PUT", f"{_AREA}/by-example", _by_example),
    Route("PUT", f"{_AREA}/first-example", _first_example),
    Route("PUT", f"{_AREA}/range", _range),
    Route("PUT", f"{_AREA}/remove-by-example", _remove_by_example),
    Route("PUT", f"{_AREA}/replace-by-example", _replace_by_example),
    Route("PUT", f"{_AREA}/update-by-example", _update_by_example),
    Route("PUT", f"{_AREA}/lookup-by-keys", _lookup_by_keys),
    Route("PUT", f"{_AREA}/remove-by-keys", _remove_by_keys),
    Route("PUT", f"{_AREA}/near", _near),
    Route("PUT", f"{_AREA}/within", _within),
    Route("PUT", f"{_AREA}/within-rectangle", _within_rectangle),
    Route("PUT", f"{_AREA}/fulltext", _fulltext),
]
