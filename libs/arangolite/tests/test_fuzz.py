"""Whatever is sent, the answer is ArangoDB's: never a 500, never a hang."""

import pytest
import requests
from arango.database import StandardDatabase
from hypothesis import given, settings
from hypothesis import strategies as st

from arangolite import RunningServer
from arangolite.aql.binding import bind
from arangolite.aql.parse import parse
from arangolite.errors import ArangoError

WORDS = st.sampled_from(
    [
        *(
            "FOR",
            "IN",
            "FILTER",
            "SORT",
            "LIMIT",
            "RETURN",
            "LET",
            "COLLECT",
            "WITH",
            "COUNT",
            "INTO",
            "AGGREGATE",
            "DISTINCT",
        ),
        *(
            "ASC",
            "DESC",
            "INSERT",
            "UPDATE",
            "UPSERT",
            "REMOVE",
            "KEEP",
            "OPTIONS",
            "ALL",
            "ANY",
            "OLD",
            "NEW",
            "CURRENT",
        ),
        *(
            "x",
            "y",
            "things",
            "@v",
            "@@c",
            "1",
            "2.5",
            "'a'",
            "null",
            "true",
            "`q`",
            "LENGTH(",
            "MAX(",
            "DATE_ADD(",
            "CONCAT(",
        ),
        *(
            "[",
            "]",
            "{",
            "}",
            "(",
            ")",
            ",",
            ".",
            ":",
            "..",
            "+",
            "-",
            "*",
            "/",
            "%",
            "==",
            "!=",
            "<",
            "<=",
            "NOT",
            "LIKE",
        ),
        *("=~", "&&", "||", "!", "?", "?:", "=", "[*]", "--", "//", "/*"),
    ]
)
queries = st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=40)


@settings(max_examples=400)
@given(queries)
def test_the_parser_gives_a_tree_or_refuses(text: str) -> None:
    try:
        parse(text)
    except ArangoError as exc:
        assert exc.status < 500  # noqa: PT017 - refusing is one of two right answers


@pytest.fixture(scope="session")
def fuzzed(system: StandardDatabase) -> StandardDatabase:
    system.create_collection("things").import_bulk([{"_key": str(n), "x": n, "y": [n]} for n in range(5)])
    return system


@settings(max_examples=150)
@given(text=queries, value=st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2))
def test_no_query_is_a_500(server: RunningServer, fuzzed: StandardDatabase, text: str, value: object) -> None:
    values = {name: "things" if name == "@c" else value for name in ("v", "@c") if f"@{name}" in text}
    query = {"query": text, "bindVars": values, "options": {"maxRuntime": 2}}
    answer = requests.post(f"{server.url}/_api/cursor", json=query, auth=("root", server.password), timeout=20)
    assert answer.status_code < 500 or answer.json()["errorNum"] == 9, (text, answer.text)


paths = st.sampled_from(
    [
        *("/_api/document/things", "/_api/document/things/1", "/_api/collection", "/_api/collection/things/properties"),
        *(
            "/_api/index?collection=things",
            "/_api/import?collection=things&type=auto",
            "/_api/import?collection=things",
        ),
        *(
            "/_api/cursor",
            "/_api/cursor/5",
            "/_api/database",
            "/_open/auth",
            "/_api/query",
            "/_db/%2f/_api/version",
            "/%00",
        ),
    ]
)
bodies = st.binary(max_size=30) | st.sampled_from(
    [b"{}", b"[]", b"5", b"null", b'{"name":5}', b'[{"_key":1}]', b'"\xff"', b"[" * 9999]
)


@settings(max_examples=200)
@given(method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]), path=paths, body=bodies)
def test_no_request_is_a_500(
    server: RunningServer, fuzzed: StandardDatabase, method: str, path: str, body: bytes
) -> None:
    if method == "DELETE" and path == "/_api/collection/things":
        return
    answer = requests.request(method, server.url + path, data=body, auth=("root", server.password), timeout=20)
    assert answer.status_code < 500 or answer.json()["errorNum"] == 9, (method, path, body, answer.text)


@pytest.mark.parametrize("depth", [50, 500, 5000])
@pytest.mark.parametrize("form", ["RETURN {0}1{1}", "RETURN {2}1", "LET x = {0}1{1} RETURN x[0][0]"])
def test_deep_queries_are_answered_or_refused(server: RunningServer, form: str, depth: int) -> None:
    query = {"query": form.format("[" * depth, "]" * depth, "-" * 0 + "NOT " * depth)}
    answer = requests.post(f"{server.url}/_api/cursor", json=query, auth=("root", server.password), timeout=20)
    assert answer.status_code == 201 or answer.json()["errorNum"] in (32, 1501)


def test_binding_leaves_the_cached_tree_alone() -> None:
    text = "RETURN @x"
    bind(parse(text), {"x": 1})
    assert parse(text) == parse("RETURN  @x")
