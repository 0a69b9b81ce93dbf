"""`/_api/view`: there are none, and none can be created."""

from aiohttp import web

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http.call import Call, Route, result


async def _list(_: Call) -> web.Response:
    return result({"result": []})


async def _create(_: Call) -> web.Response:
    raise not_supported("views")


async def _missing(call: Call) -> web.Response:
    raise ArangoError(Problem.COLLECTION_NOT_FOUND, f"{Problem.COLLECTION_NOT_FOUND.text}: {call.path['name']}")


ROUTES = [
    Route("GET", "/_api/view", _list),
    Route("POST", "/_api/view", _create),
    Route("GET", "/_api/view/{name}", _missing),
    Route("DELETE", "/_api/view/{name}", _missing),
    Route("GET", "/_api/view/{name}/properties", _missing),
    Route("PUT", "/_api/view/{name}/properties", _missing),
    Route("PATCH", "/_api/view/{name}/properties", _missing),
    Route("PUT", "/_api/view/{name}/rename", _missing),
]
