"""Collections searched through a geo or a full-text index, as drivers from before views do it."""

from typing import Any

import pytest
import requests
from arango.collection import StandardCollection
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, IndexCreateError

from arangolite import RunningServer

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated in ArangoDB 4.0:DeprecationWarning")

PLACES = [
    {"_key": "berlin", "loc": [52.52, 13.4], "lat": 52.52, "lon": 13.4},
    {"_key": "potsdam", "loc": [52.4, 13.06], "lat": 52.4, "lon": 13.06},
    {"_key": "paris", "loc": [48.86, 2.35], "lat": 48.86, "lon": 2.35},
    {"_key": "nowhere", "loc": "lost", "lat": None, "lon": 2},
]
KILOMETRES_TO_POTSDAM = 26.6


@pytest.fixture(params=["pair", "geo_json", "two_fields"])
def places(request: pytest.FixtureRequest, db: StandardDatabase) -> StandardCollection:
    places = db.create_collection("places")
    if request.param == "geo_json":
        points = [{"_key": p["_key"], "loc": {"type": "Point", "coordinates": p["loc"][::-1]}} for p in PLACES[:3]]
        places.insert_many(points)
        places.add_index({"type": "geo", "fields": ["loc"], "geoJson": True})
    else:
        places.insert_many(PLACES)
        fields = ["loc"] if request.param == "pair" else ["lat", "lon"]
        places.add_index({"type": "geo", "fields": fields})
    return places


def keys(found: Any) -> list[str]:
    return [document["_key"] for document in found]


def test_what_is_near_comes_nearest_first(places: StandardCollection) -> None:
    assert keys(places.find_near(52.5, 13.3)) == ["berlin", "potsdam", "paris"]
    assert keys(places.find_near(52.5, 13.3, limit=1)) == ["berlin"]
    assert keys(places.find_near(52.5, 13.3, limit=0)) == []
    within = list(places.find_in_radius(52.52, 13.4, radius=100_000, distance_field="metres"))
    assert keys(within) == ["berlin", "potsdam"]
    assert [found["metres"] / 1000 for found in within] == pytest.approx([0, KILOMETRES_TO_POTSDAM], abs=0.1)


def test_a_rectangle_has_what_lies_between_its_corners(places: StandardCollection, db: StandardDatabase) -> None:
    query = "FOR d IN WITHIN_RECTANGLE(places, 52, 14, 53, 13.2) RETURN d"
    assert keys(db.aql.execute(query)) == ["berlin"]


@pytest.fixture
def mails(db: StandardDatabase) -> StandardCollection:
    mails = db.create_collection("mails")
    mails.add_index({"type": "fulltext", "fields": ["body"], "minLength": 3})
    texts = ["Bananas, apples - and an OX", "A banana a day", ["ripe apple", "Don't"], {"en": "banana apple"}, 7]
    mails.insert_many([{"_key": str(number), "body": text} for number, text in enumerate(texts)])
    return mails


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("banana", ["1", "3"]),
        ("BANANAS", ["0"]),
        ("prefix:banana", ["0", "1", "3"]),
        ("prefix:banana,complete:apple", ["3"]),
        ("banana,|apple", ["1", "2", "3"]),
        ("prefix:appl,-banana", ["0", "2"]),
        ("banana, +day", ["1"]),
        ("day,|ripe,-don't", ["1"]),
        ("ox", []),  # shorter than the index keeps
    ],
)
def test_a_search_for_words_goes_from_left_to_right(mails: StandardCollection, search: str, found: list[str]) -> None:
    assert keys(mails.find_by_text("body", search)) == found
    assert keys(mails.find_by_text("body", search, limit=1)) == found[:1]
    assert keys(mails.find_by_text("body", search, limit=0)) == []


def test_a_search_needs_its_index_and_sense(mails: StandardCollection, db: StandardDatabase) -> None:
    for query, number, status in (
        ("RETURN FULLTEXT(mails, 'subject', 'apple')", 1571, 404),
        ("RETURN FULLTEXT(mails, 'body', '+')", 10, 400),
        ("RETURN NEAR(mails, 1, 1)", 1570, 404),
        ("RETURN NEAR(places, 1, 1)", 1203, 404),
    ):
        with pytest.raises(AQLQueryExecuteError) as refused:
            db.aql.execute(query)
        assert (refused.value.error_code, refused.value.http_code) == (number, status), query


def test_simple_queries_search_too(
    server: RunningServer, db: StandardDatabase, places: StandardCollection, mails: StandardCollection
) -> None:
    def search(kind: str, **body: Any) -> list[dict[str, Any]]:
        url = f"{server.url}/_db/{db.name}/_api/simple/{kind}"
        answer = requests.put(url, json=body, auth=("root", server.password), timeout=10)
        assert answer.status_code == 201, answer.text
        return answer.json()["result"]

    here = {"collection": "places", "latitude": 52.4, "longitude": 13.06}
    assert keys(search("near", **here, skip=1, limit=1, distance="far")) == ["berlin"]
    assert keys(search("within", **here, radius=1)) == ["potsdam"]
    corners = {"latitude1": 48, "longitude1": 2, "latitude2": 49, "longitude2": 3}
    assert keys(search("within-rectangle", collection="places", **corners)) == ["paris"]
    assert keys(search("fulltext", collection="mails", attribute="body", query="banana", skip=1)) == ["3"]


def test_a_multi_dimensional_index_takes_only_numbers(db: StandardDatabase) -> None:
    points = db.create_collection("points")
    with pytest.raises(IndexCreateError) as refused:
        points.add_index({"type": "mdi", "fields": ["x", "y"], "fieldValueTypes": "integer"})
    assert refused.value.error_code == 10
    index = points.add_index({"type": "mdi", "fields": ["x", "y"], "fieldValueTypes": "double", "unique": True})
    assert (index["type"], index["fieldValueTypes"], index["selectivityEstimate"]) == ("mdi", "double", 1)
    points.insert({"x": 1, "y": 2})
    results = points.insert_many([{"x": 1, "y": 2}, {"x": 1, "y": "2"}, {"x": 1}, {"x": 1, "y": 2.5}])
    assert [getattr(result, "error_code", None) for result in results] == [1210, 1561, 1561, None]
    found = db.aql.execute("FOR p IN points FILTER 1 <= p.x && p.x <= 1 && p.y > 2 RETURN p.y")
    assert list(found) == [2.5]
    points.delete_index(index["id"])
    points.insert({"x": "now anything"})
    points.add_index({"type": "zkd", "fields": ["y"], "fieldValueTypes": "double", "sparse": True})
    points.insert({"x": "without y"})
