"""The graph API: what it refuses, and that no collection leaves a graph unnoticed."""

from typing import Any

import pytest
import requests
from arango.database import StandardDatabase

from arangolite import RunningServer


class Gharial:
    def __init__(self, server: RunningServer, db: StandardDatabase) -> None:
        self._url = f"{server.url}/_db/{db.name}/_api/gharial"
        self._auth = ("root", server.password)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        url = f"{self._url}{path}"
        answer = requests.request(method, url, json=body, headers=headers, auth=self._auth, timeout=10)
        return answer.status_code, answer.json()


@pytest.fixture
def gharial(server: RunningServer, db: StandardDatabase) -> Gharial:
    """Roads between towns a and b, parks as orphans; beside the graph the collections plain and other (of edges)."""
    definition = {"edge_collection": "roads", "from_vertex_collections": ["towns"], "to_vertex_collections": ["towns"]}
    db.create_graph("map", edge_definitions=[definition], orphan_collections=["parks"])
    db.collection("towns").insert_many([{"_key": "a"}, {"_key": "b"}])
    db.collection("roads").insert({"_key": "ab", "_from": "towns/a", "_to": "towns/b"})
    db.create_collection("plain").insert({"_key": "a"})
    db.create_collection("other", edge=True)
    return Gharial(server, db)


def edges(name: str, source: Any = ("towns",), target: Any = ("towns",)) -> dict[str, Any]:
    return {"collection": name, "from": source, "to": target}


REFUSED = [
    ("POST", "", {}, 400, 1922),
    ("POST", "", {"name": 5}, 400, 1208),
    ("POST", "", {"name": "map"}, 409, 1925),
    ("POST", "", {"name": "g", "edgeDefinitions": 5}, 400, 1923),
    ("POST", "", {"name": "g", "edgeDefinitions": [5]}, 400, 1923),
    ("POST", "", {"name": "g", "edgeDefinitions": [{"collection": "e"}]}, 400, 1923),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("e", source=[])]}, 400, 1923),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("e", target="towns")]}, 400, 1923),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("no good")]}, 400, 1208),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("e"), edges("e")]}, 400, 1920),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("roads", target=["plain"])]}, 400, 1921),
    ("POST", "", {"name": "g", "edgeDefinitions": [edges("plain")]}, 400, 1944),
    ("POST", "", {"name": "g", "orphanCollections": 5}, 400, 1943),
    ("POST", "", {"name": "g", "isSmart": True}, 501, 9),
    ("GET", "/nope", None, 404, 1924),
    ("DELETE", "/nope", None, 404, 1924),
    ("GET", "/nope/vertex", None, 404, 1924),
    ("GET", "/nope/edge", None, 404, 1924),
    ("GET", "/nope/vertex/towns/a", None, 404, 1924),
    ("POST", "/nope/edge/roads", {}, 404, 1924),
    ("POST", "/nope/vertex", {"collection": "x"}, 404, 1924),
    ("POST", "/map/vertex", {"collection": "parks"}, 400, 1938),
    ("POST", "/map/vertex", {"collection": "towns"}, 400, 1929),
    ("POST", "/map/vertex", {"collection": "other"}, 400, 1927),
    ("POST", "/map/vertex", {}, 400, 1208),
    ("DELETE", "/map/vertex/towns", None, 400, 1928),
    ("DELETE", "/map/vertex/plain", None, 400, 1928),
    ("POST", "/map/edge", edges("roads"), 400, 1920),
    ("POST", "/map/edge", edges("plain"), 400, 1944),
    ("POST", "/map/edge", {}, 400, 1923),
    ("PUT", "/map/edge/other", edges("other"), 404, 1930),
    ("PUT", "/map/edge/roads", edges("other"), 404, 1930),
    ("PUT", "/map/edge/roads", {"from": ["towns"]}, 400, 1923),
    ("DELETE", "/map/edge/other", None, 404, 1930),
    ("GET", "/map/vertex/plain/a", None, 404, 1926),
    ("POST", "/map/vertex/roads", {}, 404, 1926),
    ("GET", "/map/edge/other/a", None, 404, 1930),
    ("GET", "/map/vertex/towns/nope", None, 404, 1202),
    ("POST", "/map/vertex/towns", [], 400, 1227),
    ("POST", "/map/vertex/towns", {"_key": "a"}, 409, 1210),
    ("POST", "/map/vertex/towns", {"_key": "no good"}, 400, 1221),
    ("PATCH", "/map/vertex/towns/nope", {}, 404, 1202),
    ("PUT", "/map/vertex/towns/nope", {}, 404, 1202),
    ("DELETE", "/map/vertex/towns/nope", None, 404, 1202),
    ("POST", "/map/edge/roads", {}, 400, 1233),
    ("POST", "/map/edge/roads", {"_from": "towns/a", "_to": "nonsense"}, 400, 1233),
    ("POST", "/map/edge/roads", {"_from": "towns/a", "_to": "towns/nope"}, 404, 1202),
    ("POST", "/map/edge/roads", {"_from": "plain/a", "_to": "towns/a"}, 400, 1947),
    ("PATCH", "/map/edge/roads/ab", {"_to": "towns/nope"}, 404, 1202),
    ("PATCH", "/map/edge/roads/ab", {"_to": "plain/a"}, 400, 1947),
    ("PUT", "/map/edge/roads/ab", {"_from": "towns/a"}, 400, 1233),
    ("DELETE", "/map/edge/roads/nope", None, 404, 1202),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "number"), REFUSED)
def test_what_would_break_a_graph_is_refused_and_changes_nothing(
    gharial: Gharial, method: str, path: str, body: Any, status: int, number: int
) -> None:
    def everything() -> list[Any]:
        return [gharial("GET", place) for place in ("", "/map/vertex/towns/a", "/map/edge/roads/ab")]

    before = everything()
    code, answer = gharial(method, path, body)
    assert (code, answer["code"], answer["errorNum"], answer["error"]) == (status, status, number, True), answer
    assert everything() == before


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/map/vertex/towns/a", "/map/edge/roads/ab"])
def test_another_revision_is_refused(gharial: Gharial, method: str, path: str) -> None:
    body = None if method in ("GET", "DELETE") else {"_from": "towns/a", "_to": "towns/b"}
    code, answer = gharial(method, path, body, **{"If-Match": '"other"'})
    assert (code, answer["errorNum"]) == (412, 1200)


def test_a_collection_of_a_graph_is_dropped_only_after_it_has_left(gharial: Gharial, db: StandardDatabase) -> None:
    for name in ("roads", "towns", "parks"):
        code, answer = drop(gharial, name)
        assert (code, answer["errorNum"]) == (400, 1942)
    assert gharial("DELETE", "/map/edge/roads")[0] == 202
    assert drop(gharial, "roads")[0] == 200
    assert gharial("DELETE", "/map/vertex/towns")[0] == 202
    assert drop(gharial, "towns")[0] == 200
    assert gharial("DELETE", "/map?dropCollections=true")[0] == 202
    assert not db.has_collection("parks")


def drop(gharial: Gharial, name: str) -> tuple[int, dict[str, Any]]:
    return gharial("DELETE", f"/../collection/{name}")


def test_a_graph_follows_the_new_name_of_a_collection(gharial: Gharial, db: StandardDatabase) -> None:
    for before, after in (("towns", "cities"), ("roads", "streets"), ("parks", "gardens")):
        db.collection(before).rename(after)
    graph = gharial("GET", "/map")[1]["graph"]
    assert graph["edgeDefinitions"] == [edges("streets", ["cities"], ["cities"])]
    assert graph["orphanCollections"] == ["gardens"]
    assert gharial("POST", "/map/edge/streets", {"_from": "cities/a", "_to": "cities/b"})[0] == 202


def test_a_document_that_defines_no_graph_is_none(gharial: Gharial, db: StandardDatabase) -> None:
    stored = [{"_key": "odd", "edgeDefinitions": 5}, {"_key": "bad", "orphanCollections": [5]}, {"_key": "bare"}]
    db.collection("_graphs").insert_many(stored)
    assert [graph["name"] for graph in gharial("GET", "")[1]["graphs"]] == ["bare", "map"]
    assert gharial("GET", "/odd")[1]["errorNum"] == 1924
    assert gharial("POST", "", {"name": "g", "edgeDefinitions": [edges("e")]})[0] == 202
    assert gharial("DELETE", "/map/vertex/towns/a")[1]["removed"]
