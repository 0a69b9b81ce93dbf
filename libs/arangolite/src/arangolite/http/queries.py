"""`/_api/query` and its neighbours: running queries, slow ones, and the caches that arangolite does not have."""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from arangolite.aql.context import Run
from arangolite.aql.query import Statement
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http.call import Call, Json, Route, answer, result

_HISTORY = 64  # finished queries that are remembered
_RULES = ("use-indexes", "use-index-for-sort", "move-filters-up", "push-down-count")
"""What arangolite does to queries, under ArangoDB's names where it has one."""


@dataclass
class Tracking:
    """What is remembered of queries, under ArangoDB's names and with its defaults."""

    enabled: bool = True
    trackSlowQueries: bool = True  # noqa: N815 - the names of the API
    trackBindVars: bool = True  # noqa: N815
    maxSlowQueries: int = 64  # noqa: N815
    slowQueryThreshold: float = 10  # noqa: N815
    slowStreamingQueryThreshold: float = 10  # noqa: N815
    maxQueryStringLength: int = 4096  # noqa: N815

    def change(self, wanted: Json) -> None:
        """Take over what a request sets, or refuse a value of the wrong type with 10."""
        for name, value in wanted.items():
            known = getattr(self, name, None)
            if known is None:
                continue
            if isinstance(known, bool) != isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ArangoError(Problem.BAD_PARAMETER, f"invalid value for '{name}'")
            if value != float("inf"):
                setattr(self, name, value if name.endswith("Threshold") else type(known)(value))


@dataclass
class TrackedQuery:
    """A query that runs or ran."""

    id: str
    database: str
    user: str
    text: str
    bind_values: Json
    stream: bool
    started: datetime
    clock: float
    """Monotonic seconds."""
    run_time_s: float = 0.0
    state: str = "executing"
    run: Run | None = None

    def describe(self, tracking: Tracking) -> Json:
        """Describe it as the API does."""
        running = self.state == "executing"
        return {
            "id": self.id,
            "database": self.database,
            "user": self.user,
            "query": self.text[: tracking.maxQueryStringLength],
            "bindVars": self.bind_values if tracking.trackBindVars else {},
            "started": self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "runTime": time.monotonic() - self.clock if running else self.run_time_s,
            "peakMemoryUsage": 0,
            "state": self.state,
            "stream": self.stream,
            "modificationQuery": False,
        }


@dataclass(frozen=True)
class TrackedStatement(Statement):
    """A statement that tells which run it began, so that the run can be stopped, and the run who began it."""

    tracked: TrackedQuery | None = None

    def run(self, run: Run, *, full_count: bool = False) -> Iterator[Any]:
        """Start the query."""
        assert self.tracked is not None
        self.tracked.run = run
        run.user = self.tracked.user or None
        if self.tracked.state == "killed":
            run.killed = True
        return super().run(run, full_count=full_count)


@dataclass
class Queries:
    """The queries of a server. Used on the event loop only."""

    tracking: Tracking = field(default_factory=Tracking)
    running: dict[str, TrackedQuery] = field(default_factory=dict)
    slow: deque[TrackedQuery] = field(default_factory=deque)
    history: deque[TrackedQuery] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @contextlib.contextmanager
    def tracked(self, call: Call, request: Json, statement: Statement) -> Iterator[Statement]:
        """List a query while it runs; what it is asked for in later batches counts no more."""
        options = request.get("options") or {}
        query = TrackedQuery(
            str(next(self._ids)),
            call.database.name,
            call.user,
            str(request.get("query")),
            request.get("bindVars") or {},
            bool(options.get("stream")) if isinstance(options, dict) else False,
            datetime.now(UTC),
            time.monotonic(),
        )
        self.running[query.id] = query
        try:
            yield TrackedStatement(statement.query, query)
        except BaseException:
            # A job that is cancelled is not awaited any more; its query would keep a thread until its end.
            if query.run is not None:
                query.run.killed = True
            raise
        finally:
            del self.running[query.id]
            self._finish(query)

    def _finish(self, query: TrackedQuery) -> None:
        tracking = self.tracking
        query.run, query.run_time_s = None, time.monotonic() - query.clock
        query.state = "killed" if query.state == "killed" else "finished"
        self.history.append(query)
        threshold = tracking.slowStreamingQueryThreshold if query.stream else tracking.slowQueryThreshold
        if tracking.enabled and tracking.trackSlowQueries and query.run_time_s >= threshold:
            self.slow.append(query)
            while len(self.slow) > tracking.maxSlowQueries:
                self.slow.popleft()


def _seen(call: Call, queries: list[TrackedQuery]) -> list[Json]:
    """Describe the queries that a request asks for: this database's, or with `all` everybody's."""
    everything = _wants_all(call)
    tracking = call.server.queries.tracking
    return [query.describe(tracking) for query in queries if everything or query.database == call.database.name]


def _wants_all(call: Call) -> bool:
    everything = call.flag("all")
    if everything:
        call.need_system_database()
        if not call.access.is_unlimited:
            raise ArangoError(Problem.FORBIDDEN, "only superusers may ask for the queries of all databases")
    return everything


async def _current(call: Call) -> web.Response:
    return answer(_seen(call, list(call.server.queries.running.values())))


async def _slow(call: Call) -> web.Response:
    return answer(_seen(call, list(call.server.queries.slow)))


async def _clear_slow(call: Call) -> web.Response:
    everything, slow = _wants_all(call), call.server.queries.slow
    kept = [] if everything else [query for query in slow if query.database != call.database.name]
    slow.clear()
    slow.extend(kept)
    return result()


async def _history(call: Call) -> web.Response:
    call.access.need_admin()
    tracking = call.server.queries.tracking
    return result({"result": {"queries": [query.describe(tracking) for query in call.server.queries.history]}})


async def _kill(call: Call) -> web.Response:
    everything = _wants_all(call)
    query = call.server.queries.running.get(call.path["query"])
    if query is None or not (everything or query.database == call.database.name):
        raise ArangoError(Problem.QUERY_NOT_FOUND)
    query.state = "killed"
    if query.run is not None:
        query.run.killed = True
    return result()


async def _tracking(call: Call) -> web.Response:
    return result(vars(call.server.queries.tracking))


async def _set_tracking(call: Call) -> web.Response:
    call.server.queries.tracking.change(await call.json_object())
    return result(vars(call.server.queries.tracking))


async def _rules(_: Call) -> web.Response:
    flags = {
        "hidden": False,
        "clusterOnly": False,
        "canBeDisabled": False,
        "canCreateAdditionalPlans": False,
        "disabledByDefault": False,
        "enterpriseOnly": False,
    }
    return answer([{"name": name, "flags": flags} for name in _RULES])


_NO_CACHE = {
    "mode": "off",
    "maxResults": 128,
    "maxResultsSize": 268435456,
    "maxEntrySize": 16777216,
    "includeSystem": False,
}


async def _cache_properties(_: Call) -> web.Response:
    return answer(_NO_CACHE)


async def _set_cache_properties(call: Call) -> web.Response:
    if (await call.json_object()).get("mode", "off") != "off":
        raise not_supported("the cache of query results; queries always see the latest state")
    return answer(_NO_CACHE)


async def _empty(_: Call) -> web.Response:
    return answer([])


async def _cleared(_: Call) -> web.Response:
    return result()


async def _functions(_: Call) -> web.Response:
    return result({"result": []})


async def _create_function(_: Call) -> web.Response:
    raise not_supported("user-defined AQL functions")


async def _delete_function(_: Call) -> web.Response:
    raise ArangoError(Problem.QUERY_FUNCTION_NOT_FOUND)


ROUTES = [
    Route("GET", "/_api/query/current", _current),
    Route("GET", "/_api/query/slow", _slow),
    Route("DELETE", "/_api/query/slow", _clear_slow),
    Route("GET", "/_admin/server/aql-queries", _history),
    Route("GET", "/_api/query/properties", _tracking),
    Route("PUT", "/_api/query/properties", _set_tracking),
    Route("GET", "/_api/query/rules", _rules),
    Route("DELETE", "/_api/query/{query}", _kill),
    Route("GET", "/_api/query-cache/properties", _cache_properties),
    Route("PUT", "/_api/query-cache/properties", _set_cache_properties),
    Route("GET", "/_api/query-cache/entries", _empty),
    Route("DELETE", "/_api/query-cache", _cleared),
    Route("GET", "/_api/query-plan-cache", _empty),
    Route("DELETE", "/_api/query-plan-cache", _cleared),
    Route("GET", "/_api/aqlfunction", _functions),
    Route("POST", "/_api/aqlfunction", _create_function),
    Route("DELETE", "/_api/aqlfunction/{name}", _delete_function),
]
