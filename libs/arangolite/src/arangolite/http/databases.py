"""`/_api/database`: create, list, drop."""

from aiohttp import web

from arangolite.errors import not_supported
from arangolite.http.auth import ROOT
from arangolite.http.call import Call, Route, result
from arangolite.storage.names import SYSTEM_DATABASE


async def _current(call: Call) -> web.Response:
    database = call.database
    system = database.name == SYSTEM_DATABASE
    return result({"result": {"name": database.name, "id": database.id, "path": "", "isSystem": system}})


async def _names(call: Call) -> web.Response:
    return result({"result": list(call.engine.databases)})


async def _all_names(call: Call) -> web.Response:
    call.need_system_database()
    return await _names(call)


async def _create(call: Call) -> web.Response:
    call.need_system_database()
    request = await call.json_object()
    users = request.get("users") or []
    if type(users) is not list or not all(type(user) is dict and user.get("username") == ROOT for user in users):
        raise not_supported("users beside root")
    await call.engine.create(request.get("name"))
    return result({"result": True}, status=201)


async def _drop(call: Call) -> web.Response:
    call.need_system_database()
    await call.server.drop_database(call.path["name"])
    return result({"result": True})


ROUTES = [
    Route("GET", "/_api/database", _all_names),
    Route("POST", "/_api/database", _create),
    Route("GET", "/_api/database/current", _current),
    Route("GET", "/_api/database/user", _names),
    Route("DELETE", "/_api/database/{name}", _drop),
]
