"""`/_api/token`: access tokens of users."""

import time
from dataclasses import replace

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, answer
from arangolite.storage.tokens import Token
from arangolite.storage.users import User


def _describe(token: Token) -> Json:
    return {
        "id": token.id,
        "name": token.name,
        "valid_until": token.valid_until,
        "created_at": token.created_at,
        "fingerprint": token.fingerprint,
        "active": token.is_active(time.time()),
    }


def _named(call: Call) -> User:
    name = call.path["user"]
    call.access.need_user(name)
    return call.server.users.get(name)


async def _list(call: Call) -> web.Response:
    return answer({"tokens": [_describe(token) for token in _named(call).tokens]})


async def _create(call: Call) -> web.Response:
    owner = _named(call).name
    request = await call.json_object()
    name, valid_until = request.get("name"), request.get("valid_until")
    if not isinstance(name, str) or not name:
        raise ArangoError(Problem.BAD_PARAMETER, "expecting a 'name' for the token")
    if isinstance(valid_until, bool) or not isinstance(valid_until, int | None):
        raise ArangoError(Problem.BAD_PARAMETER, "expecting 'valid_until' as Unix seconds")
    now = int(time.time())
    made, secret = Token.make(call.engine.clock.reserve(), name, owner, now, valid_until or now + _DEFAULT_SECONDS)

    def change(user: User) -> User:
        if any(token.name == name for token in user.tokens):
            raise ArangoError(Problem.TOKEN_NAME_TAKEN)
        return replace(user, tokens=(*user.tokens, made))

    await call.server.users.change(owner, change)
    return answer({**_describe(made), "token": secret})


async def _delete(call: Call) -> web.Response:
    owner, wanted = _named(call).name, call.path["token"]

    def change(user: User) -> User:
        kept = tuple(token for token in user.tokens if str(token.id) != wanted)
        if len(kept) == len(user.tokens):
            raise ArangoError(Problem.TOKEN_NOT_FOUND)
        return replace(user, tokens=kept)

    await call.server.users.change(owner, change)
    return answer({})


_DEFAULT_SECONDS = 365 * 24 * 3600  # ArangoDB gives a year, too
ROUTES = [
    Route("GET", "/_api/token/{user}", _list),
    Route("POST", "/_api/token/{user}", _create),
    Route("DELETE", "/_api/token/{user}/{token}", _delete),
]
