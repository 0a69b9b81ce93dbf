"""Arbitrary bodies, parameters and headers to every area of the API: an answer in ArangoDB's form, no 500, no hang."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

import arangolite
from arangolite.http.server import _ROUTES

names = st.sampled_from(
    ["c", "e", "g", "ann", "a", "*", "nope", "_graphs", "done", "all", "1", "", "no good", "a/b", "ü"]
)
words = names | st.text(max_size=4).filter(lambda word: word != "root")  # who asks, and must be let in again
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    scalars | st.sampled_from(["rw", "RETURN 1", "FOR d IN c RETURN d", "c/a", 2**70, "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
# Bodies that some call takes; what is changed in them is what another call may look for.
SHAPES: list[dict[str, Any]] = [
    {"user": "ann", "passwd": "x", "active": True, "extra": {}},
    {"grant": "rw"},
    {"username": "ann", "password": "x"},
    {"name": "t", "valid_until": 2_000_000_000},
    {"name": "h", "edgeDefinitions": [{"collection": "e", "from": ["c"], "to": ["c"]}], "orphanCollections": ["o"]},
    {"collection": "e", "from": ["c"], "to": ["c", "o"]},
    {"_key": "b", "_from": "c/a", "_to": "c/a"},
    {"collections": {"read": "c", "write": ["written"]}, "allowImplicit": True, "maxTransactionSize": 1000},
    {"collection": "c", "example": {"n": 1}, "newValue": {"n": 2}, "options": {"limit": 1}},
    {"collection": "c", "keys": ["a"], "attribute": "n", "left": 0, "right": 2, "closed": True, "skip": 0, "limit": 1},
    {"query": "FOR d IN c FILTER d.n == @n RETURN d", "bindVars": {"n": 1}, "batchSize": 1, "options": {"profile": 2}},
    {"collection": "c", "latitude": 1, "longitude": 2, "radius": 3, "distance": "d", "limit": 1, "skip": 0},
    {"collection": "c", "latitude1": 1, "longitude1": 2, "latitude2": 3, "longitude2": 4},
    {"collection": "c", "attribute": "a", "query": "x,|prefix:y", "limit": 1},
    {"type": "mdi", "fields": ["n"], "fieldValueTypes": "double", "unique": True},
    {"type": "fulltext", "fields": ["a"], "minLength": 2},
    {"name": "n", "type": 3, "schema": {"rule": {}, "level": "new"}, "keyOptions": {"type": "padded"}},
    {"type": "persistent", "fields": ["n"], "unique": True, "sparse": False},
    {"type": "ttl", "fields": ["n"], "expireAfter": 60},
    {"mode": "default", "slowQueryThreshold": 1},
]
KNOWN = sorted({name for shape in SHAPES for name in shape} | {"ttl", "count", "memoryLimit", "waitForSync", "stream"})
changes = st.dictionaries(st.sampled_from(KNOWN), values, max_size=2)
bodies = st.builds(lambda shape, change: {**shape, **change}, st.sampled_from(SHAPES), changes) | values
FLAGS = ["waitForSync", "returnNew", "returnOld", "silent", "full", "configured", "dropCollections", "keepNull", "all"]
parameters = st.dictionaries(
    st.sampled_from([*FLAGS, "direction", "vertex", "count", "stamp", "rev", "collection", "overwriteMode", "type"]),
    st.sampled_from(["true", "no", "", "any", "c/a", "5", "-1", "1e400", "nan"]) | words,
    max_size=3,
)
headers = st.dictionaries(
    st.sampled_from(["If-Match", "If-None-Match", "x-arango-trx-id", "x-arango-async"]),
    st.sampled_from(["store", "true", "0", "x", '"_a"', "9" * 30, "", "<transaction>"]),
    max_size=1,
)
# Every route there is, but for the one that ends the server and the one that only a cluster answers.
ROUTES = [
    (route.method, re.sub(r"\{\w+\}", "{}", route.path))
    for route in _ROUTES
    if route.path not in ("/_admin/shutdown", "/_admin/server/id")
]


@dataclass(frozen=True)
class Arena:
    """A server of its own, because what is sent changes users and settings."""

    url: str
    session: requests.Session

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=20, **more)

    def prepare(self) -> dict[str, str]:
        """Make what is not there, end the transactions of the last example, and open one of each kind; returns ids."""
        for opened in self.send("GET", "/_api/transaction").json()["transactions"]:
            self.send("DELETE", f"/_api/transaction/{opened['id']}")
        for name in ("c", "written"):
            self.send("POST", "/_api/collection", json={"name": name})
        graph = {"name": "g", "edgeDefinitions": [{"collection": "e", "from": ["c"], "to": ["c"]}]}
        self.send("POST", "/_api/gharial", json=graph)
        self.send("POST", "/_api/document/c", json={"_key": "a", "n": 1})
        begun = self.send("POST", "/_api/transaction/begin", json={"collections": {"write": "written"}}).json()
        later = self.send("GET", "/_api/version", headers={"x-arango-async": "store"})
        cursor = self.send("POST", "/_api/cursor", json={"query": "FOR i IN 1..9 RETURN i", "batchSize": 1}).json()
        return {
            "<transaction>": begun["result"]["id"],
            "<job>": later.headers["x-arango-async-id"],
            "<cursor>": cursor["id"],
        }


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with arangolite.start() as server, requests.Session() as session:
        session.auth = ("root", server.password)
        yield Arena(server.url, session)


@settings(max_examples=400, deadline=None)
@given(
    route=st.sampled_from(ROUTES),
    parts=st.tuples(words, words, words),
    body=bodies,
    given_parameters=parameters,
    given_headers=headers,
)
def test_every_call_is_answered_in_arangodbs_form(
    arena: Arena,
    route: tuple[str, str],
    parts: tuple[str, str, str],
    body: Any,
    given_parameters: dict[str, str],
    given_headers: dict[str, str],
) -> None:
    ids = arena.prepare()
    method, path = route[0], route[1].format(*(quote(ids.get(part, part), safe="") for part in parts))
    sent = {name: ids.get(value, value) for name, value in given_headers.items()}
    answer = arena.send(method, path, params=given_parameters, json=body, headers=sent)
    told = (method, path, body, given_parameters, sent, answer.status_code, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        error = answer.json()
        assert (error["error"], error["code"]) == (True, answer.status_code), told
        assert isinstance(error["errorNum"], int), told
        assert isinstance(error["errorMessage"], str), told
        # Not built here, only in a cluster, or more than a query may hold.
        assert answer.status_code < 500 or error["errorNum"] in (9, 1471, 32), told
