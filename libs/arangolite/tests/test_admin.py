"""What drivers and dashboards ask the server about itself, and what it does when it is told to."""

import logging
from typing import Any

import jwt
import pytest
import requests
from arango.database import StandardDatabase

from arangolite import RunningServer


class Asking:
    def __init__(self, server: RunningServer) -> None:
        self._url = server.url
        self._auth = ("root", server.password)

    def __call__(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, self._url + path, json=body, auth=self._auth, timeout=10)


@pytest.fixture
def ask(server: RunningServer) -> Asking:
    return Asking(server)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/_api/version?details=true", {"server", "license", "version", "details"}),
        ("/_admin/version", {"server", "license", "version"}),
        ("/_api/engine", {"name", "supports"}),
        ("/_api/engine/stats", {"sqlite.page_count"}),
        ("/_admin/status", {"server", "version", "serverInfo", "operationMode"}),
        ("/_admin/server/role", {"role", "mode"}),
        ("/_admin/server/mode", {"mode"}),
        ("/_admin/server/availability", {"mode"}),
        ("/_admin/server/tls", {"result"}),
        ("/_admin/time", {"time"}),
        ("/_admin/statistics", {"time", "system", "client", "http", "server"}),
        ("/_admin/support-info", {"deployment", "host", "date"}),
        ("/_admin/license", {"license"}),
        ("/_admin/options", {"server.storage-engine"}),
        ("/_admin/log", {"totalAmount"}),
        ("/_admin/log/entries", {"total", "messages"}),
        ("/_admin/statistics-description", {"groups", "figures"}),
        ("/_admin/database/target-version", {"version"}),
        ("/_admin/wal/transactions", {"runningTransactions"}),
        ("/_api/replication/logger-state", {"state", "server", "clients"}),
        ("/_api/replication/server-id", {"serverId"}),
        ("/_api/wal/lastTick", {"tick", "time", "server"}),
        ("/_api/key-generators", {"keyGenerators"}),
        ("/_api/query/properties", {"enabled", "slowQueryThreshold"}),
        ("/_api/query-cache/properties", {"mode", "maxResults"}),
        ("/_admin/server/aql-queries", {"result"}),
    ],
)
def test_the_server_tells_about_itself(ask: Asking, path: str, names: set[str]) -> None:
    answer = ask("GET", path)
    assert answer.status_code == 200
    assert names <= answer.json().keys()


@pytest.mark.parametrize(
    "path", ["/_api/tasks", "/_api/query/rules", "/_api/query/current", "/_api/query/slow", "/_api/query-cache/entries"]
)
def test_lists_are_lists(ask: Asking, path: str) -> None:
    assert isinstance(ask("GET", path).json(), list)


def test_metrics_are_in_prometheus_text(ask: Asking) -> None:
    before, after = (
        [
            line
            for line in ask("GET", "/_admin/metrics/v2").text.splitlines()
            if "total_requests" in line and line[0] != "#"
        ]
        for _ in range(2)
    )
    assert before[0].startswith('arangodb_http_request_statistics_total_requests_total{role="SINGLE"} ')
    assert before != after


def test_log_levels_are_changed_and_reset(ask: Asking) -> None:
    logger = logging.getLogger("arangolite")
    try:
        levels = ask("PUT", "/_admin/log/level", {"general": "debug", "unheard-of": "INFO"}).json()
        assert (levels["general"], levels["queries"], "unheard-of" in levels) == ("DEBUG", "INFO", False)
        assert logger.level == logging.DEBUG
        assert set(ask("PUT", "/_admin/log/level", {"all": "ERROR"}).json().values()) == {"ERROR"}
        assert ask("PUT", "/_admin/log/level", {"general": "loud"}).status_code == 400
    finally:
        levels = ask("DELETE", "/_admin/log/level").json()
    assert levels["general"] == "INFO"
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/_admin/wal/flush", {}, 200),
        ("POST", "/_admin/routing/reload", None, 200),
        ("PUT", "/_admin/server/mode", {"mode": "default"}, 200),
        ("PUT", "/_api/query-cache/properties", {"mode": "off"}, 200),
        ("DELETE", "/_api/query-cache", None, 200),
        ("DELETE", "/_api/query/slow", None, 200),
        ("PUT", "/_admin/server/mode", {"mode": "readonly"}, 501),
        ("PUT", "/_api/query-cache/properties", {"mode": "on"}, 501),
        ("DELETE", "/_admin/shutdown?soft=true", None, 501),
        ("POST", "/_api/aqlfunction", {"name": "a::b", "code": "function () {}"}, 501),
        ("POST", "/_api/tasks", {"command": "1"}, 501),
        ("DELETE", "/_api/tasks/1", None, 404),
        ("POST", "/_api/traversal", {}, 404),
        ("GET", "/_api/view", None, 200),
        ("POST", "/_api/view", {"name": "v", "type": "arangosearch"}, 501),
        ("GET", "/_api/view/v", None, 404),
        ("POST", "/_admin/execute", "return 1", 404),
        ("GET", "/_api/analyzer", None, 501),
        ("PUT", "/_api/query/properties", {"slowQueryThreshold": "x"}, 400),
        ("DELETE", "/_api/query/99999999", None, 404),
        ("PUT", "/_admin/compact", {}, 403),
    ],
)
def test_the_server_does_what_it_is_told_or_refuses(
    ask: Asking, method: str, path: str, body: object, status: int
) -> None:
    answer = ask(method, path, body)
    assert answer.status_code == status
    assert answer.json().get("error", False) is (status >= 400)


def test_an_echo_tells_no_password(ask: Asking) -> None:
    told = ask("POST", "/_admin/echo?x=1", {"a": 1}).json()
    assert (told["user"], told["parameters"], told["requestBody"]) == ("root", {"x": "1"}, '{"a": 1}')
    assert (bytes(told["rawRequestBody"]), "authorization" in told["headers"]) == (b'{"a": 1}', False)


def test_log_parameters_are_remembered(ask: Asking) -> None:
    wanted = ask("PUT", "/_admin/log/structured", {"database": True, "url": True, "nonsense": True}).json()
    assert wanted == ask("GET", "/_admin/log/structured").json() == {"database": True, "url": True}
    assert ask("PUT", "/_admin/log/structured", {"database": False, "url": False}).json() == {}


def test_slow_queries_are_remembered(db: StandardDatabase) -> None:
    before = db.aql.tracking()["slow_query_threshold"]
    assert isinstance(before, int)  # as a driver's own tests want it
    try:
        db.aql.set_tracking(slow_query_threshold=0)
        db.aql.execute("RETURN 12345")
        assert [query["query"] for query in db.aql.slow_queries()] == ["RETURN 12345"]
        assert db.aql.clear_slow_queries()
        assert db.aql.slow_queries() == []
    finally:
        db.aql.set_tracking(slow_query_threshold=before)


def test_a_superuser_compacts_the_files(server: RunningServer, ask: Asking, db: StandardDatabase) -> None:
    def pages() -> int:
        return ask("GET", f"/_db/{db.name}/_api/engine/stats").json()["sqlite.page_count"]

    things = db.create_collection("things")
    things.import_bulk([{"text": "x" * 10_000} for _ in range(300)])
    things.truncate()
    before = pages()
    token = jwt.encode({"iss": "arangodb", "server_id": "trial", "exp": 2**33}, server.jwt_secret, algorithm="HS256")
    headers = {"Authorization": f"bearer {token}"}
    assert requests.put(f"{server.url}/_admin/compact", headers=headers, timeout=60).status_code == 200
    assert pages() < before / 2
