"""`/_api/gharial`: named graphs. Their vertices and edges are written through `/_api/document`."""

from aiohttp import web

from arangolite.http.call import Call, Json, Route, result
from arangolite.storage import graphs


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
    graph = await call.database.write(graphs.create_graph(await call.json_object()), sync=True)
    return result({"graph": _describe(graph)}, status=201 if call.flag("waitForSync") else 202)


async def _get(call: Call) -> web.Response:
    collections, name = call.database.collections, call.path["graph"]
    graph = await call.database.read(lambda connection: graphs.read_graph(connection, collections, name))
    return result({"graph": _describe(graph)})


async def _drop(call: Call) -> web.Response:
    work = graphs.drop_graph(call.path["graph"], with_collections=call.flag("dropCollections"))
    await call.database.write(work, sync=True)
    return result({"removed": True}, status=202)


_ONE = "/_api/gharial/{graph}"
ROUTES = [
    Route("GET", "/_api/gharial", _list),
    Route("POST", "/_api/gharial", _create),
    Route("GET", _ONE, _get),
    Route("DELETE", _ONE, _drop),
]
