"""`/_api/database`: create, list, drop."""

from typing import Any

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.users import new_user
from arangolite.storage.database import Database
from arangolite.storage.names import SYSTEM_DATABASE
from arangolite.storage.users import ANY, Level, User


async def _current(call: Call) -> web.Response:
    return result({"result": _describe(call.database)})


def _describe(database: Database) -> Json:
    return {
        "name": database.name,
        "id": database.id,
        "path": "",
        "isSystem": database.name == SYSTEM_DATABASE,
        "sharding": "",
        "replicationFactor": 1,
        "writeConcern": 1,
    }


async def _accessible_names(call: Call) -> web.Response:
    names = [name for name in call.engine.databases if call.access.database_level(name) > Level.NONE]
    return result({"result": names})


async def _all_names(call: Call) -> web.Response:
    call.need_system_database()
    return result({"result": list(call.engine.databases)})


async def _create(call: Call) -> web.Response:
    call.need_system_database()
    call.access.need_admin()
    request = await call.json_object()
    users = await _users(call, request.get("users") or [])
    database = await call.engine.create(request.get("name"))
    for user in users:
        if call.server.users.find(user.name) is None:
            await call.server.users.create(user)
        await call.server.users.change(user.name, lambda known: _with_everything(known, database.name))
    return result({"result": True}, status=201)


async def _users(call: Call, given: Any) -> list[User]:
    """Read the users of a new database; those who are there already keep what they have."""
    if type(given) is not list or not all(type(user) is dict for user in given):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting 'users' to be a list of objects")
    return [await new_user(call, user, user.get("username", user.get("user"))) for user in given]


def _with_everything(user: User, database: str) -> User:
    return user.with_database(database, Level.RW).with_collection(database, ANY, Level.RW)


async def _drop(call: Call) -> web.Response:
    call.need_system_database()
    call.access.need_admin()
    await call.server.drop_database(call.path["name"])
    return result({"result": True})


ROUTES = [
    Route("GET", "/_api/database", _all_names),
    Route("POST", "/_api/database", _create),
    Route("GET", "/_api/database/current", _current),
    Route("GET", "/_api/database/user", _accessible_names),
    Route("DELETE", "/_api/database/{name}", _drop),
]
