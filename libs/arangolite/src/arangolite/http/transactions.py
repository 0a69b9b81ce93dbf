"""`/_api/transaction`: begin, commit, abort and look at stream transactions."""

from typing import Any

from aiohttp import web

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.sessions import LOCK_SECONDS, MAX_BYTES, Declared, Open
from arangolite.storage.users import Level


async def _begin(call: Call) -> web.Response:
    request = await call.json_object()
    declared = _declared(call, request)
    sync, lock_s = request.get("waitForSync", False), request.get("lockTimeout", LOCK_SECONDS)
    max_bytes = request.get("maxTransactionSize", MAX_BYTES)
    if not isinstance(sync, bool) or not _is_amount(lock_s) or not _is_amount(max_bytes):
        raise ArangoError(
            Problem.BAD_PARAMETER, "'waitForSync' must be a boolean, 'lockTimeout' and 'maxTransactionSize' positive"
        )
    opened = await call.server.transactions.begin(
        call.database,
        call.user,
        declared,
        sync=sync,
        lock_s=float(lock_s) or LOCK_SECONDS,
        max_bytes=int(max_bytes) or MAX_BYTES,
    )
    return _answer(opened, 201)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _declared(call: Call, request: Json) -> Declared:
    collections = request.get("collections")
    if not isinstance(collections, dict):
        raise ArangoError(Problem.BAD_PARAMETER, "missing/invalid collections definition for transaction")
    implicit = collections.get("allowImplicit", request.get("allowImplicit", True))
    if not isinstance(implicit, bool):
        raise ArangoError(Problem.BAD_PARAMETER, "'allowImplicit' must be a boolean")
    return Declared(
        _names(call, collections.get("read"), Level.RO),
        _names(call, collections.get("write"), Level.RW),
        _names(call, collections.get("exclusive"), Level.RW),
        implicit,
    )


def _names(call: Call, given: Any, level: Level) -> frozenset[str]:
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArangoError(Problem.BAD_PARAMETER, "missing/invalid collections definition for transaction")
    return frozenset(call.collection(name, level).name for name in names)


def _answer(opened: Open, status: int) -> web.Response:
    return result({"result": {"id": opened.stream.id, "status": opened.state}}, status=status)


def _find(call: Call) -> Open:
    return call.server.transactions.find(call.database, call.user, call.path["transaction"])


async def _status(call: Call) -> web.Response:
    return _answer(_find(call), 200)


async def _commit(call: Call) -> web.Response:
    opened = _find(call)
    await call.server.transactions.end(opened, "committed")
    return _answer(opened, 200)


async def _abort(call: Call) -> web.Response:
    opened = _find(call)
    await call.server.transactions.end(opened, "aborted")
    return _answer(opened, 200)


async def _list(call: Call) -> web.Response:
    everybody = call.access.user is None or call.access.user.is_admin
    running = call.server.transactions.running(call.database, None if everybody else call.user)
    return result({"transactions": [{"id": opened.stream.id, "state": opened.state} for opened in running]})


async def _javascript(_: Call) -> web.Response:
    raise not_supported("JavaScript transactions; begin a stream transaction with /_api/transaction/begin")


_ONE = "/_api/transaction/{transaction}"
ROUTES = [
    Route("POST", "/_api/transaction", _javascript),
    Route("POST", "/_api/transaction/begin", _begin),
    Route("GET", "/_api/transaction", _list),
    Route("GET", _ONE, _status),
    Route("PUT", _ONE, _commit),
    Route("DELETE", _ONE, _abort),
]
