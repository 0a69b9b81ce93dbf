"""`/_api/gharial`: named graphs and what belongs to them; `/_api/edges`: the edges of a vertex."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.documents import find_document
from arangolite.http.elements import read_graph
from arangolite.storage import elements, graphs
from arangolite.storage.database import Work
from arangolite.storage.documents import raw_document
from arangolite.storage.names import split_id
from arangolite.storage.users import Level

_DIRECTIONS: Mapping[str, tuple[str, ...]] = {"in": ("_to",), "out": ("_from",), "any": ("_from", "_to")}


def _describe(graph: Json) -> Json:
    return {
        **graph,
        "name": graph["_key"],
        "numberOfShards": 1,
        "replicationFactor": 1,
        "isSmart": False,
        "isDisjoint": False,
        "isSatellite": False,
    }


async def _list(call: Call) -> web.Response:
    collections = call.database.collections
    found = await call.database.read(lambda connection: graphs.list_graphs(connection, collections))
    return result({"graphs": [_describe(graph) for graph in found]})


async def _create(call: Call) -> web.Response:
    return await _change(call, graphs.create_graph(await call.json_object()), created=True)


async def _get(call: Call) -> web.Response:
    return result({"graph": _describe(await read_graph(call))})


async def _drop(call: Call) -> web.Response:
    work = graphs.drop_graph(call.path["graph"], with_collections=call.flag("dropCollections"))
    await _write_definition(call, work)
    return result({"removed": True}, status=202)


async def _change(call: Call, work: Work[Json], *, created: bool = False) -> web.Response:
    graph = await _write_definition(call, work)
    quick = 201 if created else 200
    return result({"graph": _describe(graph)}, status=quick if call.flag("waitForSync") else 202)


async def _write_definition(call: Call, work: Work[Any]) -> Any:
    call.need_database(Level.RW)
    before = set(call.database.collections)
    written = await call.database.write(work, sync=True)
    for name in before - set(call.database.collections):
        await call.server.forget_grants(call.database.name, name)
    return written


async def _vertex_collections(call: Call) -> web.Response:
    return result({"collections": sorted(graphs.vertex_collections(await read_graph(call)))})


async def _edge_collections(call: Call) -> web.Response:
    return result({"collections": sorted(graphs.edge_collections(await read_graph(call)))})


async def _add_orphan(call: Call) -> web.Response:
    request = await call.json_object()
    return await _change(call, graphs.add_orphan(call.path["graph"], request.get("collection")), created=True)


async def _remove_orphan(call: Call) -> web.Response:
    drop = call.flag("dropCollection")
    work = graphs.remove_orphan(call.path["graph"], call.path["collection"], with_collection=drop)
    return await _change(call, work)


async def _add_edge_definition(call: Call) -> web.Response:
    return await _change(call, graphs.add_edge_definition(call.path["graph"], await call.json_object()), created=True)


async def _replace_edge_definition(call: Call) -> web.Response:
    request = await call.json_object()
    return await _change(call, graphs.replace_edge_definition(call.path["graph"], call.path["collection"], request))


async def _remove_edge_definition(call: Call) -> web.Response:
    drop = call.flag("dropCollections", call.flag("dropCollection"))
    work = graphs.remove_edge_definition(call.path["graph"], call.path["collection"], with_collections=drop)
    return await _change(call, work)


async def _edges_of_vertex(call: Call) -> web.Response:
    collection = call.collection(call.path["collection"])
    if not collection.is_edge:
        raise ArangoError(Problem.COLLECTION_TYPE_INVALID)
    vertex, direction = call.parameter("vertex"), call.parameter("direction") or "any"
    split_id(vertex)
    ends = _DIRECTIONS.get(direction)
    if ends is None:
        raise ArangoError(Problem.BAD_PARAMETER, "<direction> must by any, in, or out, not: " + direction)

    def work(connection: sqlite3.Connection) -> list[Any]:
        keys = elements.edge_keys(connection, collection, str(vertex), ends)
        return [raw_document(collection.name, find_document(connection, collection, key)) for key in keys]

    async with call.session(reads=[collection.name]) as session:
        found = await session.read(work)
    stats = {"scannedIndex": len(found), "filtered": 0, "httpRequests": 0, "cursorsCreated": 0, "cacheHits": 0}
    return result({"edges": found, "stats": stats})


_ONE = "/_api/gharial/{graph}"
ROUTES = [
    Route("GET", "/_api/gharial", _list),
    Route("POST", "/_api/gharial", _create),
    Route("GET", _ONE, _get),
    Route("DELETE", _ONE, _drop),
    Route("GET", f"{_ONE}/vertex", _vertex_collections),
    Route("POST", f"{_ONE}/vertex", _add_orphan),
    Route("DELETE", f"{_ONE}/vertex/{{collection}}", _remove_orphan),
    Route("GET", f"{_ONE}/edge", _edge_collections),
    Route("POST", f"{_ONE}/edge", _add_edge_definition),
    Route("PUT", f"{_ONE}/edge/{{collection}}", _replace_edge_definition),
    Route("DELETE", f"{_ONE}/edge/{{collection}}", _remove_edge_definition),
    Route("GET", "/_api/edges/{collection}", _edges_of_vertex),
]
