"""`/_api/user`: users, and what they are granted."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.storage.users import ANY, Level, User, hash_password, parse_level

_UNDEFINED = "undefined"


def _describe(user: User) -> Json:
    return {"user": user.name, "active": user.active, "extra": user.extra}


async def hashed(call: Call, password: str) -> str:
    """Hash a password off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(call.engine.threads, hash_password, password)


async def new_user(call: Call, request: Mapping[str, Any], name: object) -> User:
    """Make a user from a request; what is left out has ArangoDB's default.

    Raises:
        ArangoError: 1700 without a name, 10 for a value of the wrong type.
    """
    if not isinstance(name, str) or not name:
        raise ArangoError(Problem.USER_INVALID_NAME)
    password, active, extra = request.get("passwd", ""), request.get("active", True), request.get("extra")
    _check_types(password, active, extra)
    return User(name, await hashed(call, password or ""), active is not False, extra or {})


def _check_types(password: object, active: object, extra: object) -> None:
    if not isinstance(password, str | None):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting a string for 'passwd'")
    if not isinstance(active, bool | None):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting a boolean for 'active'")
    if not isinstance(extra, dict | None):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting an object for 'extra'")


async def _list(call: Call) -> web.Response:
    call.access.need_admin()
    return result({"result": [_describe(user) for user in call.server.users.all()]})


async def _create(call: Call) -> web.Response:
    call.access.need_admin()
    request = await call.json_object()
    user = await new_user(call, request, request.get("user"))
    await call.server.users.create(user)
    return result(_describe(user), status=201)


async def _get(call: Call) -> web.Response:
    return result(_describe(_named(call)))


def _named(call: Call) -> User:
    """Find the user of the path, if the caller may know of it."""
    name = call.path["user"]
    call.access.need_user(name)
    return call.server.users.get(name)


async def _check_password(call: Call) -> web.Response:
    password = (await call.json_object()).get("passwd", "")
    if not isinstance(password, str):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting a string for 'passwd'")
    if await call.server.authenticator.check_password(call.path["user"], password) is None:
        raise ArangoError(Problem.USER_NOT_FOUND)
    return result({"result": True})


async def _replace(call: Call) -> web.Response:
    name = _named(call).name
    wanted = await new_user(call, await call.json_object(), name)
    changed = await call.server.users.change(
        name, lambda user: replace(user, secret=wanted.secret, active=wanted.active, extra=wanted.extra)
    )
    return result(_describe(changed))


async def _update(call: Call) -> web.Response:
    name = _named(call).name
    request = await call.json_object()
    password, active, extra = request.get("passwd"), request.get("active"), request.get("extra")
    _check_types(password, active, extra)
    secret = None if password is None else await hashed(call, password)

    def change(user: User) -> User:
        return replace(
            user,
            secret=user.secret if secret is None else secret,
            active=user.active if active is None else active,
            extra={**user.extra, **(extra or {})},
        )

    return result(_describe(await call.server.users.change(name, change)))


async def _remove(call: Call) -> web.Response:
    call.access.need_admin()
    await call.server.users.remove(call.path["user"])
    return result(status=202)


async def _grants(call: Call) -> web.Response:
    user = _named(call)
    databases = call.engine.databases
    if not call.flag("full"):
        levels = {name: user.database_level(name) for name in databases}
        return result({"result": {name: level.word for name, level in levels.items() if level is not Level.NONE}})
    full: Json = {
        name: {
            "permission": _word(user.configured_database_level(name)),
            "collections": {
                collection: _word(user.configured_collection_level(name, collection))
                for collection in (*database.collections, ANY)
            },
        }
        for name, database in databases.items()
    }
    full[ANY] = {
        "permission": _word(user.configured_database_level(ANY)),
        "collections": {ANY: _word(user.configured_collection_level(ANY, ANY))},
    }
    return result({"result": full})


def _word(level: Level | None) -> str:
    return _UNDEFINED if level is None else level.word


async def _get_grant(call: Call) -> web.Response:
    user, database, collection = _named(call), call.path["database"], call.path.get("collection")
    if call.flag("configured"):
        level = (
            user.configured_database_level(database)
            if collection is None
            else user.configured_collection_level(database, collection)
        )
        return result({"result": _word(level)})
    level = user.database_level(database) if collection is None else user.collection_level(database, collection)
    return result({"result": level.word})


async def _grant(call: Call) -> web.Response:
    call.access.need_admin()
    level = parse_level((await call.json_object()).get("grant"))
    database, collection = call.path["database"], call.path.get("collection")
    _check_there(call, database, collection)
    await call.server.users.change(
        call.path["user"],
        lambda user: (
            user.with_database(database, level)
            if collection is None
            else user.with_collection(database, collection, level)
        ),
    )
    return result({database if collection is None else f"{database}/{collection}": level.word})


async def _revoke(call: Call) -> web.Response:
    call.access.need_admin()
    database, collection = call.path["database"], call.path.get("collection")
    _check_there(call, database, collection)
    await call.server.users.change(
        call.path["user"],
        lambda user: (
            user.without_database(database) if collection is None else user.with_collection(database, collection, None)
        ),
    )
    return result(status=202)


def _check_there(call: Call, database: str, collection: str | None) -> None:
    """Refuse grants for a collection that is not there; ArangoDB takes those for any database."""
    if collection is not None and database != ANY:
        found = call.engine.database(database)
        if collection != ANY:
            found.collection(collection)


_USER = "/_api/user/{user}"
_DATABASE = f"{_USER}/database/{{database}}"
_COLLECTION = f"{_DATABASE}/{{collection}}"
ROUTES = [
    Route("GET", "/_api/user", _list),
    Route("POST", "/_api/user", _create),
    Route("GET", _USER, _get),
    Route("POST", _USER, _check_password),
    Route("PUT", _USER, _replace),
    Route("PATCH", _USER, _update),
    Route("DELETE", _USER, _remove),
    Route("GET", f"{_USER}/database", _grants),
    Route("GET", _DATABASE, _get_grant),
    Route("PUT", _DATABASE, _grant),
    Route("DELETE", _DATABASE, _revoke),
    Route("GET", _COLLECTION, _get_grant),
    Route("PUT", _COLLECTION, _grant),
    Route("DELETE", _COLLECTION, _revoke),
]
