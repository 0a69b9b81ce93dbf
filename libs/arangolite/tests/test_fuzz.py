"""Whatever is sent, the answer is ArangoDB's: never a 500, never a hang."""

import pytest
import requests
from arango.database import StandardDatabase
from hypothesis import given, settings
from hypothesis import strategies as st

from arangolite import RunningServer
from arangolite.aql.binding import bind
from arangolite.aql.collect import AGGREGATES
from arangolite.aql.functions import FUNCTIONS
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
    roads = [{"_from": f"things/{n}", "_to": f"things/{(n + 2) % 5}"} for n in range(5)]
    system.create_collection("roads", edge=True).import_bulk(roads)
    return system


@settings(max_examples=150)
@given(text=queries, value=st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2))
def test_no_query_is_a_500(server: RunningServer, fuzzed: StandardDatabase, text: str, value: object) -> None:
    values = {name: "things" if name == "@c" else value for name in ("v", "@c") if f"@{name}" in text}
    query = {"query": text, "bindVars": values, "options": {"maxRuntime": 2}}
    answer = requests.post(f"{server.url}/_api/cursor", json=query, auth=("root", server.password), timeout=20)
    assert answer.status_code < 500 or answer.json()["errorNum"] == 9, (text, answer.text)


# Sentences of the grammar: expressions of every kind around each other, with every function there is.
CALLABLE = sorted(name for name in FUNCTIONS if name not in ("SLEEP", "CALL", "APPLY"))
atoms = st.sampled_from(
    [
        *("null", "true", "0", "-1", "2.5", "1e308", "9223372036854775807", "-0.0", "''", "'a'", "'12'", "'(['"),
        *("'2020-02-30'", "'P1Y'", "'things/1'", "'day'", "[]", "{}", "[1, 'x', null]", "[[0, 0], [1, 1]]", "{a: 1}"),
        *("d", "d.y", "d._key", "d['x']", "things", "@v", "1..3", "NEW", "CURRENT"),
        *("{type: 'Polygon', coordinates: [[[0, 0], [1, 0], [0, 1], [0, 0]]]}", "(FOR i IN 1..2 RETURN i)"),
    ]
)
operators = st.sampled_from(
    [
        *("+", "-", "*", "/", "%", "==", "!=", "<", ">=", "IN", "NOT IN", "LIKE", "=~", "!~", "&&", "||", ".."),
        *("ALL ==", "ANY IN", "NONE <", "AT LEAST (1) ==", "AT LEAST (2) IN", "?:"),
    ]
)


@st.composite
def calls(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    function = FUNCTIONS[draw(st.sampled_from(CALLABLE))]
    count = draw(st.integers(function.least, min(function.most, function.least + 2)))
    return f"{function.name}({', '.join(draw(inner) for _ in range(count))})"


expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        calls(inner),
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[* FILTER {} LIMIT 2 RETURN {}]".format, inner, inner, inner),
        st.builds("{}[? 1 FILTER {}]".format, inner, inner),
        st.builds("{{a: {}, [{}]: {}}}".format, inner, inner, inner),
        st.builds("!{}".format, inner),
        st.builds("(FOR i IN {} SORT i LIMIT 2 RETURN {})".format, inner, inner),
    ),
    max_leaves=5,
)
clauses = st.one_of(
    st.builds("FILTER {}".format, expressions),
    st.builds("SORT {} DESC".format, expressions),
    st.builds("LIMIT {}".format, st.sampled_from(["1", "1, 2", "0"])),
    st.builds("LET l{} = {}".format, st.integers(0, 9), expressions),
    st.builds("COLLECT c = {} INTO g".format, expressions),
    st.builds(
        "COLLECT c = {} AGGREGATE m = {}({})".format, expressions, st.sampled_from(sorted(AGGREGATES)), expressions
    ),
    st.builds("WINDOW {{preceding: 1}} AGGREGATE w = {}({})".format, st.sampled_from(sorted(AGGREGATES)), expressions),
    st.builds("FOR v, e, p IN 1..2 ANY {} roads PRUNE {}".format, expressions, expressions),
    st.builds("FOR p IN ANY K_SHORTEST_PATHS {} TO {} roads LIMIT 2".format, expressions, expressions),
)
sentences = st.builds("FOR d IN things {} RETURN {}".format, st.lists(clauses, max_size=3).map(" ".join), expressions)


@settings(max_examples=400, deadline=None)
@given(text=sentences, value=st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2))
def test_no_sentence_of_the_grammar_is_a_500(
    server: RunningServer, fuzzed: StandardDatabase, text: str, value: object
) -> None:
    values = {"v": value} if "@v" in text else {}
    query = {"query": text, "bindVars": values, "memoryLimit": 50_000_000, "options": {"maxRuntime": 2}}
    answer = requests.post(f"{server.url}/_api/cursor", json=query, auth=("root", server.password), timeout=20)
    number = answer.json().get("errorNum")
    assert answer.status_code < 500 or number in (9, 32), (text, answer.text)


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
