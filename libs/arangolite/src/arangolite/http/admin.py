"""What drivers ask about the server itself."""

import platform
import sqlite3
import time

from aiohttp import web

from arangolite.dialect import SPOKEN_VERSION
from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, answer, result
from arangolite.storage.index_requests import INDEX_TYPES


async def _version(call: Call) -> web.Response:
    content = {"server": "arango", "license": "community", "version": SPOKEN_VERSION}
    if call.flag("details"):
        content["details"] = {  # type: ignore[assignment]
            "mode": "server",
            "role": "SINGLE",
            "engine": "arangolite",
            "architecture": "64bit",
            "server-version": SPOKEN_VERSION,
            "platform": platform.system().lower(),
            "sqlite-version": sqlite3.sqlite_version,
        }
    return answer(content)


async def _engine(_: Call) -> web.Response:
    # Clients that ask know one answer, ArangoDB's only engine; what is below it here, `details` of the version tell.
    return answer({"name": "rocksdb", "supports": {"indexes": ["primary", "edge", *INDEX_TYPES]}})


async def _role(_: Call) -> web.Response:
    return result({"role": "SINGLE", "mode": "default"})


async def _mode(_: Call) -> web.Response:
    return result({"mode": "default"})


async def _set_mode(call: Call) -> web.Response:
    wanted = (await call.json_object()).get("mode")
    if wanted == "default":
        return result({"mode": "default"})
    raise ArangoError(Problem.NOT_IMPLEMENTED, "arangolite has no read-only mode")


async def _availability(_: Call) -> web.Response:
    return result({"mode": "default"})


async def _status(_: Call) -> web.Response:
    return answer(
        {
            "server": "arango",
            "license": "community",
            "version": SPOKEN_VERSION,
            "mode": "server",
            "operationMode": "server",
            "foxxApi": False,
            "host": platform.node(),
            "hostname": platform.node(),
            "serverInfo": {
                "progress": {"phase": "in wait", "feature": "", "recoveryTick": 0},
                "role": "SINGLE",
                "writeOpsEnabled": True,
                "readOnly": False,
                "maintenance": False,
            },
        }
    )


async def _time(_: Call) -> web.Response:
    return result({"time": time.time()})


async def _server_id(_: Call) -> web.Response:
    raise ArangoError(Problem.INTERNAL, "this is not a cluster", status=500)


ROUTES = [
    Route("GET", "/_api/version", _version),
    Route("GET", "/_admin/version", _version),
    Route("GET", "/_api/engine", _engine),
    Route("GET", "/_admin/server/role", _role),
    Route("GET", "/_admin/server/mode", _mode),
    Route("PUT", "/_admin/server/mode", _set_mode),
    Route("GET", "/_admin/server/availability", _availability),
    Route("GET", "/_admin/server/id", _server_id),
    Route("GET", "/_admin/status", _status),
    Route("GET", "/_admin/time", _time),
]
