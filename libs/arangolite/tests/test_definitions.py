"""Geo and inverted indexes: definitions that are kept, described and dropped; no query needs them."""

from contextlib import closing
from pathlib import Path

import pytest
from arango import ArangoClient
from arango.database import StandardDatabase
from arango.exceptions import IndexCreateError

import arangolite

DEFINITIONS = [
    {"type": "geo", "fields": ["place"], "geoJson": True},
    {"type": "geo", "fields": ["lat", "lon"]},
    {
        "type": "inverted",
        "fields": [{"name": "text"}, {"name": "tags[*]", "analyzer": "identity"}],
        "includeAllFields": False,
    },
    {"type": "inverted", "fields": [], "includeAllFields": True, "trackListPositions": True},
]


@pytest.mark.parametrize("wanted", DEFINITIONS)
def test_a_definition_is_kept_once_described_and_dropped(db: StandardDatabase, wanted: dict) -> None:
    things = db.create_collection("things")
    first = things.add_index({**wanted, "name": "mine"})
    assert first["isNewlyCreated"]
    assert {name: first[name] for name in wanted} == wanted
    assert (first["sparse"], first["unique"]) == (True, False)
    again = things.add_index(wanted)
    assert (again["isNewlyCreated"], again["id"]) == (False, first["id"])
    assert [index["name"] for index in things.indexes()] == ["primary", "mine"]
    things.insert({"place": [1, 2], "lat": 1, "lon": 2, "text": "x", "tags": ["y"]})
    found = list(db.aql.execute("FOR d IN things FILTER GEO_DISTANCE(d.place, [1, 2]) < 1 RETURN d.text"))
    assert found == ["x"]
    assert things.delete_index("mine")
    assert [index["name"] for index in things.indexes()] == ["primary"]


def test_definitions_survive_a_restart(tmp_path: Path) -> None:
    with arangolite.start(tmp_path) as server, closing(ArangoClient(server.url)) as client:
        things = client.db("_system", "root", server.password).create_collection("things")
        for wanted in DEFINITIONS:
            things.add_index(wanted)
        before = things.indexes()
    with arangolite.start(tmp_path) as server, closing(ArangoClient(server.url)) as client:
        assert client.db("_system", "root", server.password).collection("things").indexes() == before
    assert len(before) == 1 + len(DEFINITIONS)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({"type": "geo", "fields": []}, 10),
        ({"type": "geo", "fields": ["a", "b", "c"]}, 10),
        ({"type": "geo", "fields": ["a", "b"], "geoJson": True}, 10),
        ({"type": "geo", "fields": ["a[*]"]}, 10),
        ({"type": "geo", "fields": ["a"], "unique": True}, 10),
        ({"type": "geo", "fields": ["a"], "geoJson": "yes"}, 10),
        ({"type": "geo", "fields": ["a..b"]}, 1220),
        ({"type": "geo", "fields": 5}, 10),
        ({"type": "inverted"}, 10),
        ({"type": "inverted", "fields": []}, 10),
        ({"type": "inverted", "fields": [5]}, 10),
        ({"type": "inverted", "fields": [{"analyzer": "identity"}]}, 10),
        ({"type": "inverted", "fields": ["a.."]}, 1220),
        ({"type": "inverted", "fields": ["a"], "unique": True}, 10),
        ({"type": "inverted", "fields": ["a"], "features": "norm"}, 10),
        ({"type": "inverted", "fields": ["a"], "primarySort": 5}, 10),
        ({"type": "vector", "fields": ["a"]}, 9),
        ({"type": "mdi-prefixed", "fields": ["a"], "prefixFields": ["b"], "fieldValueTypes": "double"}, 9),
        ({"type": "mdi", "fields": ["a", "b"]}, 10),
        ({"type": "mdi", "fields": ["a[*]"], "fieldValueTypes": "double"}, 10),
        ({"type": "fulltext", "fields": ["a", "b"]}, 10),
        ({"type": "fulltext", "fields": ["a"], "minLength": "2"}, 10),
        ({"type": "fulltext", "fields": ["a"], "unique": True}, 10),
    ],
)
def test_wrong_definitions_are_refused(db: StandardDatabase, wanted: dict, number: int) -> None:
    things = db.create_collection("things")
    with pytest.raises(IndexCreateError) as refused:
        things.add_index(wanted)
    assert refused.value.error_code == number
    assert len(things.indexes()) == 1
