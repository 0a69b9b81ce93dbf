"""`/_api/index`: create, list, drop."""

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, result
from arangolite.storage import schema
from arangolite.storage.catalog import Collection
from arangolite.storage.users import Level


def _named_collection(call: Call, level: Level = Level.RO) -> Collection:
    name = call.parameter("collection")
    if not name:
        raise ArangoError(Problem.COLLECTION_PARAMETER_MISSING)
    return call.collection(name, level)


async def _list(call: Call) -> web.Response:
    collection = _named_collection(call)
    described = [index.describe(collection.name) for index in collection.indexes]
    return result({"indexes": described, "identifiers": {index["id"]: index for index in described}})


async def _create(call: Call) -> web.Response:
    collection = _named_collection(call, Level.RW)
    index, is_new = await call.database.write(schema.create_index(collection.name, await call.json_object()), sync=True)
    return result({**index.describe(collection.name), "isNewlyCreated": is_new}, status=201 if is_new else 200)


async def _get(call: Call) -> web.Response:
    collection = call.collection(call.path["collection"])
    return result(schema.find_index(collection, call.path["index"]).describe(collection.name))


async def _drop(call: Call) -> web.Response:
    call.need_database(Level.RW)
    collection = call.collection(call.path["collection"], Level.RW)
    index = await call.database.write(schema.drop_index(collection.name, call.path["index"]), sync=True)
    return result({"id": f"{collection.name}/{index.id}"})


async def _bad_handle(_: Call) -> web.Response:
    raise ArangoError(Problem.INDEX_HANDLE_BAD, "expecting <collection>/<index-id>")


ROUTES = [
    Route("GET", "/_api/index", _list),
    Route("POST", "/_api/index", _create),
    Route("GET", "/_api/index/{collection}/{index}", _get),
    Route("DELETE", "/_api/index/{collection}/{index}", _drop),
    Route("GET", "/_api/index/{index}", _bad_handle),
    Route("DELETE", "/_api/index/{index}", _bad_handle),
]
