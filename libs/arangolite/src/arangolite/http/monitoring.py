"""What drivers and dashboards ask about a running server: statistics, metrics, log levels, the write-ahead log."""

import logging
import platform
import resource
import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from arangolite.dialect import SPOKEN_VERSION
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http.call import Call, Json, Route, answer, result

_STARTED = time.time()
_TOPICS = (
    *("agency", "agencycomm", "agencystore", "aql", "authentication", "authorization", "backup", "bench", "cache"),
    *("cluster", "communication", "config", "crash", "development", "dump", "engines", "flush", "general", "graphs"),
    *("heartbeat", "httpclient", "libiresearch", "license", "maintenance", "memory", "queries", "replication"),
    *("requests", "restore", "rocksdb", "security", "ssl", "startup", "statistics", "supervision", "syscall"),
    *("threads", "trx", "ttl", "validation", "v8", "views"),
)
"""ArangoDB's log topics. Only `general` stands for something here: what arangolite itself logs."""
_LOG_PARAMETERS = ("database", "username", "url")
_LEVELS = {
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": logging.DEBUG,
    "DEFAULT": logging.WARNING,
}
_logger = logging.getLogger("arangolite")


class LogLevels:
    """The level of every topic, and what is wanted in every line; arangolite's own lines have none of that."""

    def __init__(self) -> None:
        self.levels: dict[str, str] = {}
        self.parameters: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Go back to the levels of the start."""
        self.levels = dict.fromkeys(_TOPICS, "INFO")
        _logger.setLevel(logging.NOTSET)

    def change(self, wanted: Json) -> None:
        """Set levels by topic; `all` is every topic. A topic that ArangoDB does not know is ignored there, too."""
        for topic, level in wanted.items():
            if not isinstance(level, str) or level.upper() not in _LEVELS:
                raise ArangoError(Problem.HTTP_BAD_PARAMETER, f"invalid log level for '{topic}'")
        for topic, level in wanted.items():
            for name in _TOPICS if topic == "all" else [topic] if topic in self.levels else []:
                self.levels[name] = level.upper()
                if name == "general":
                    _logger.setLevel(_LEVELS[level.upper()])


async def _log_levels(call: Call) -> web.Response:
    call.access.need_admin()
    return answer(call.server.log_levels.levels)


async def _set_log_levels(call: Call) -> web.Response:
    call.access.need_admin()
    call.server.log_levels.change(await call.json_object())
    return answer(call.server.log_levels.levels)


async def _reset_log_levels(call: Call) -> web.Response:
    call.access.need_admin()
    call.server.log_levels.reset()
    return answer(call.server.log_levels.levels)


async def _log_entries(call: Call) -> web.Response:
    call.access.need_admin()
    return answer({"total": 0, "messages": []})  # arangolite logs to its standard error and keeps nothing


async def _old_log_entries(call: Call) -> web.Response:
    call.access.need_admin()
    return answer({"totalAmount": 0, "lid": [], "topic": [], "level": [], "timestamp": [], "text": []})


async def _log_structure(call: Call) -> web.Response:
    call.access.need_admin()
    return answer(dict.fromkeys(sorted(call.server.log_levels.parameters), True))


async def _set_log_structure(call: Call) -> web.Response:
    call.access.need_admin()
    for name, wanted in (await call.json_object()).items():
        if wanted is True and name in _LOG_PARAMETERS:
            call.server.log_levels.parameters.add(name)
        else:
            call.server.log_levels.parameters.discard(name)
    return await _log_structure(call)


def _usage(call: Call) -> dict[str, float]:
    """Measure the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "uptime": time.time() - _STARTED,
        "userTime": used.ru_utime,
        "systemTime": used.ru_stime,
        "residentSize": used.ru_maxrss * 1024,  # Linux counts in KiB
        "minorPageFaults": used.ru_minflt,
        "majorPageFaults": used.ru_majflt,
        "requestsTotal": call.server.requests,
    }


async def _statistics(call: Call) -> web.Response:
    usage = _usage(call)
    none = {"sum": 0.0, "count": 0, "counts": []}
    return result(
        {
            "time": time.time(),
            "enabled": True,
            "system": {
                "minorPageFaults": usage["minorPageFaults"],
                "majorPageFaults": usage["majorPageFaults"],
                "userTime": usage["userTime"],
                "systemTime": usage["systemTime"],
                "numberOfThreads": 0,
                "residentSize": usage["residentSize"],
                "residentSizePercent": 0.0,
                "virtualSize": 0,
            },
            "client": {"httpConnections": 0, "connectionTime": none, "totalTime": none, "requestTime": none},
            "http": {"requestsTotal": usage["requestsTotal"]},
            "server": {"uptime": usage["uptime"], "physicalMemory": 0},
        }
    )


async def _statistics_description(_: Call) -> web.Response:
    groups = (("system", "Process Statistics"), ("http", "HTTP Request Statistics"), ("server", "Server Statistics"))
    figures = (
        ("system", "userTime", "User Time", "accumulated", "seconds"),
        ("system", "systemTime", "System Time", "accumulated", "seconds"),
        ("system", "residentSize", "Resident Set Size", "current", "bytes"),
        ("system", "minorPageFaults", "Minor Page Faults", "accumulated", "number"),
        ("system", "majorPageFaults", "Major Page Faults", "accumulated", "number"),
        ("http", "requestsTotal", "Total requests", "accumulated", "number"),
        ("server", "uptime", "Server Uptime", "current", "seconds"),
    )
    names = ("group", "identifier", "name", "type", "units")
    return result(
        {
            "groups": [{"group": group, "name": name, "description": name} for group, name in groups],
            "figures": [{**dict(zip(names, figure, strict=True)), "description": figure[2]} for figure in figures],
        }
    )


async def _metrics(call: Call) -> web.Response:
    usage = _usage(call)
    lines = []
    for name, kind, value in (
        ("arangodb_server_statistics_server_uptime_total", "counter", usage["uptime"]),
        ("arangodb_process_statistics_user_time", "gauge", usage["userTime"]),
        ("arangodb_process_statistics_system_time", "gauge", usage["systemTime"]),
        ("arangodb_process_statistics_resident_set_size", "gauge", usage["residentSize"]),
        ("arangodb_http_request_statistics_total_requests_total", "counter", usage["requestsTotal"]),
        ("arangodb_transactions_running", "gauge", call.server.transactions.count),
    ):
        lines += [f"# TYPE {name} {kind}", f'{name}{{role="SINGLE"}} {value:g}']
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")


async def _support_info(call: Call) -> web.Response:
    call.access.need_admin()
    return answer(
        {
            "date": _now(),
            "deployment": {"type": "single"},
            "host": {
                "role": "SINGLE",
                "version": SPOKEN_VERSION,
                "license": "community",
                "os": f"{platform.system()} {platform.release()} {platform.machine()}",  # platform() asks a process
                "platform": platform.system().lower(),
                "engineStats": {"sqlite.version": sqlite3.sqlite_version},
            },
        }
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _engine_stats(call: Call) -> web.Response:
    def work(connection: sqlite3.Connection) -> Json:
        names = ("page_count", "page_size", "freelist_count")
        return {f"sqlite.{name}": connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    return answer(await call.database.read(work))


def _logger_state(call: Call) -> Json:
    tick = str(call.database.clock.reserve())
    return {"running": True, "lastLogTick": tick, "lastUncommittedLogTick": tick, "totalEvents": 0, "time": _now()}


def _server(call: Call) -> Json:
    return {"version": SPOKEN_VERSION, "serverId": call.engine.database("_system").id, "engine": "sqlite"}


async def _replication_state(call: Call) -> web.Response:
    return answer({"state": _logger_state(call), "server": _server(call), "clients": []})


async def _replication_server_id(call: Call) -> web.Response:
    return answer({"serverId": _server(call)["serverId"]})


async def _last_tick(call: Call) -> web.Response:
    return answer({"time": _now(), "tick": _logger_state(call)["lastLogTick"], "server": _server(call)})


async def _flush_log(call: Call) -> web.Response:
    await call.database.checkpoint()
    return result()


async def _running_transactions(call: Call) -> web.Response:
    running = call.server.transactions.count
    return result({"runningTransactions": running, "minLastCollected": None, "minLastSealed": None})


async def _compact(call: Call) -> web.Response:
    if not call.access.is_unlimited:
        raise ArangoError(Problem.FORBIDDEN, "only superusers may compact")
    for database in list(call.engine.databases.values()):
        await database.compact()
    return result()


async def _license(_: Call) -> web.Response:
    return answer({"license": "none"})


async def _options(call: Call) -> web.Response:
    call.access.need_admin()
    return answer({"server.storage-engine": "sqlite", "server.authentication": True, "database.directory": ""})


async def _options_description(call: Call) -> web.Response:
    call.access.need_admin()
    return answer({"server.storage-engine": {"description": "what keeps the data", "type": "string"}})


async def _reload_routing(_: Call) -> web.Response:
    return result()  # there are no routes but the built-in ones


async def _echo(call: Call) -> web.Response:
    body: Any = (await call.body()).decode(errors="replace")
    request = call.request
    return answer(
        {
            "authorized": True,
            "user": call.user or None,
            "isAdminUser": call.access.user is None or call.access.user.is_admin,
            "database": call.database.name,
            "url": request.path_qs,
            "protocol": "http",
            "headers": {name.lower(): value for name, value in request.headers.items() if name != "Authorization"},
            "requestType": request.method,
            "requestBody": body,
            "rawRequestBody": list(body.encode()),
            "parameters": dict(request.query),
        }
    )


async def _shutdown(call: Call) -> web.Response:
    call.access.need_admin()
    if call.flag("soft"):
        raise not_supported("soft shutdown")
    call.server.stop()
    return web.Response(body=b'"OK"', headers={"Content-Type": "application/json; charset=utf-8"})


async def _tls(_: Call) -> web.Response:
    return result({"result": {}})  # there is no TLS, hence no key file and no certificate authority


async def _target_version(_: Call) -> web.Response:
    major, minor, patch = SPOKEN_VERSION.split(".")
    return result({"version": f"{major}{int(minor):02}{int(patch):02}"})


async def _no_tasks(_: Call) -> web.Response:
    return answer([])  # none can be created


async def _create_task(_: Call) -> web.Response:
    raise not_supported("tasks, which are JavaScript")


async def _missing_task(_: Call) -> web.Response:
    raise ArangoError(Problem.TASK_NOT_FOUND)


ROUTES = [
    Route("GET", "/_admin/log/level", _log_levels),
    Route("PUT", "/_admin/log/level", _set_log_levels),
    Route("DELETE", "/_admin/log/level", _reset_log_levels),
    Route("GET", "/_admin/log", _old_log_entries),
    Route("GET", "/_admin/log/entries", _log_entries),
    Route("GET", "/_admin/log/structured", _log_structure),
    Route("PUT", "/_admin/log/structured", _set_log_structure),
    Route("GET", "/_admin/statistics", _statistics),
    Route("GET", "/_admin/statistics-description", _statistics_description),
    Route("GET", "/_admin/metrics", _metrics),
    Route("GET", "/_admin/metrics/v2", _metrics),
    Route("GET", "/_admin/support-info", _support_info),
    Route("GET", "/_api/engine/stats", _engine_stats),
    Route("GET", "/_api/replication/logger-state", _replication_state),
    Route("GET", "/_api/replication/server-id", _replication_server_id),
    Route("GET", "/_api/wal/lastTick", _last_tick),
    Route("PUT", "/_admin/wal/flush", _flush_log),
    Route("GET", "/_admin/wal/transactions", _running_transactions),
    Route("PUT", "/_admin/compact", _compact),
    Route("GET", "/_admin/license", _license),
    Route("GET", "/_admin/options", _options),
    Route("GET", "/_admin/options-description", _options_description),
    Route("POST", "/_admin/routing/reload", _reload_routing),
    Route("POST", "/_admin/echo", _echo),
    Route("GET", "/_admin/echo", _echo),
    Route("DELETE", "/_admin/shutdown", _shutdown),
    Route("GET", "/_admin/server/tls", _tls),
    Route("POST", "/_admin/server/tls", _tls),
    Route("GET", "/_admin/database/target-version", _target_version),
    Route("GET", "/_api/tasks", _no_tasks),
    Route("POST", "/_api/tasks", _create_task),
    Route("GET", "/_api/tasks/{task}", _missing_task),
    Route("PUT", "/_api/tasks/{task}", _create_task),
    Route("POST", "/_api/tasks/{task}", _create_task),
    Route("DELETE", "/_api/tasks/{task}", _missing_task),
]
