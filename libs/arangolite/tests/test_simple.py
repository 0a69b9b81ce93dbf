"""The queries from before AQL, as drivers of that time send them."""

from typing import Any

import pytest
import requests
from arango.database import StandardDatabase

from arangolite import RunningServer


class Simple:
    def __init__(self, server: RunningServer, db: StandardDatabase) -> None:
        self._url = f"{server.url}/_db/{db.name}/_api/simple"
        self._auth = ("root", server.password)

    def __call__(self, name: str, status: int = 200, **body: Any) -> dict[str, Any]:
        body = {"collection": "things", **body}
        answer = requests.put(f"{self._url}/{name}", json=body, auth=self._auth, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def simple(server: RunningServer, db: StandardDatabase) -> Simple:
    """a, b, c, d with n = 0 … 3; even ones have p.q = 1."""
    things = db.create_collection("things")
    things.insert_many(
        [{"_key": key, "n": n, **({"p": {"q": 1}} if n % 2 == 0 else {})} for n, key in enumerate("abcd")]
    )
    things.add_index({"type": "persistent", "fields": ["n"]})
    return Simple(server, db)


def keys(answer: dict[str, Any]) -> list[str]:
    return [document["_key"] for document in answer["result"]]


def test_cursors_have_a_count_and_go_on_in_batches(simple: Simple, server: RunningServer, db: StandardDatabase) -> None:
    first = simple("all", 201, skip=1, batchSize=2)
    assert (keys(first), first["count"], first["hasMore"]) == (["b", "c"], 3, True)
    url = f"{server.url}/_db/{db.name}/_api/cursor/{first['id']}"
    assert keys(requests.put(url, auth=("root", server.password), timeout=10).json()) == ["d"]
    assert keys(simple("all", 201, limit=1)) == ["a"]
    things = db.collection("things").properties()["id"]
    assert keys(simple("all", 201, collection=things)) == ["a", "b", "c", "d"]
    assert simple("all-keys", 201, type="id")["result"] == [f"things/{key}" for key in "abcd"]
    assert simple("all-keys", 201)["result"][0] == f"/_db/{db.name}/_api/document/things/a"


def test_an_example_is_what_documents_must_have(simple: Simple) -> None:
    assert keys(simple("by-example", 201, example={"p": {"q": 1}})) == ["a", "c"]
    assert keys(simple("by-example", 201, example={"p.q": 1, "n": 2})) == ["c"]
    assert keys(simple("by-example", 201, example={"p": None}, limit=1, skip=1)) == ["d"]
    assert keys(simple("by-example", 201, example={"n": "1"})) == []
    assert simple("first-example", example={"n": 3})["document"]["_key"] == "d"
    missing = simple("first-example", 404, example={"n": 9})
    assert (missing["errorNum"], missing["errorMessage"]) == (404, "no match")


def test_a_range_has_its_lower_end_and_when_closed_its_upper_one(simple: Simple) -> None:
    assert keys(simple("range", 201, attribute="n", left=1, right=3)) == ["b", "c"]
    assert keys(simple("range", 201, attribute="n", left=1, right=3, closed=True, skip=1)) == ["c", "d"]
    assert simple("range", 404, attribute="p.q", left=0, right=3)["errorNum"] == 1209


def test_any_gives_a_document_or_null(simple: Simple, db: StandardDatabase) -> None:
    assert simple("any")["document"]["_key"] in "abcd"
    db.collection("things").truncate()
    assert simple("any")["document"] is None


def test_documents_are_changed_by_an_example(simple: Simple, db: StandardDatabase) -> None:
    things = db.collection("things")
    assert simple("update-by-example", example={"p": {"q": 1}}, newValue={"p": {"r": 2}})["updated"] == 2
    assert things.get("a")["p"] == {"q": 1, "r": 2}
    options = {"limit": 1, "keepNull": False, "mergeObjects": False, "waitForSync": True}
    assert simple("update-by-example", example={"n": 0}, newValue={"p": {}, "n": None}, options=options)["updated"] == 1
    assert {name: value for name, value in things.get("a").items() if name[0] != "_"} == {"p": {}}
    assert (
        simple("replace-by-example", example={"n": 1}, newValue={"_key": "z", "x": 5}, waitForSync=True)["replaced"]
        == 1
    )
    assert things.get("b")["x"] == 5
    assert simple("remove-by-example", example={}, limit=1)["deleted"] == 1
    assert simple("remove-by-example", example={"n": 99})["deleted"] == 0
    assert things.count() == 3


def test_documents_are_found_and_removed_by_their_keys(simple: Simple, db: StandardDatabase) -> None:
    found = simple("lookup-by-keys", keys=["a", "things/b", "nope", "other/c", 5])["documents"]
    assert sorted(document["_key"] for document in found) == ["a", "b"]
    removed = simple("remove-by-keys", keys=["a", "nope", 5])
    assert (removed["removed"], removed["ignored"], "old" in removed) == (1, 2, False)
    removed = simple("remove-by-keys", keys=["b"], options={"silent": False, "returnOld": True})
    assert removed["old"][0]["n"] == 1
    assert simple("remove-by-keys", keys=["c"], options={"silent": False})["old"][0].keys() == {"_id", "_key", "_rev"}
    assert db.collection("things").count() == 1


@pytest.mark.parametrize(
    ("name", "body", "status", "number"),
    [
        ("all", {"collection": "nowhere"}, 404, 1203),
        ("all", {"collection": 5}, 400, 17),
        ("all", {"limit": -1}, 400, 1504),
        ("by-example", {}, 400, 400),
        ("by-example", {"example": []}, 400, 400),
        ("update-by-example", {"example": {}}, 400, 400),
        ("replace-by-example", {"example": {}, "newValue": {}, "options": 5}, 400, 400),
        ("range", {"attribute": 5}, 400, 400),
        ("lookup-by-keys", {"keys": "a"}, 400, 17),
        ("remove-by-keys", {}, 400, 17),
        ("near", {"latitude": 0, "longitude": 0}, 404, 1570),
        ("fulltext", {"attribute": "n", "query": "x"}, 404, 1571),
    ],
)
def test_wrong_simple_queries_are_refused(simple: Simple, name: str, body: dict, status: int, number: int) -> None:
    assert simple(name, status, **body)["errorNum"] == number
