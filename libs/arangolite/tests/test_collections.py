import pytest
import requests
from arango.database import StandardDatabase
from arango.exceptions import (
    CollectionCreateError,
    CollectionDeleteError,
    CollectionRenameError,
    DatabaseCreateError,
    DatabaseDeleteError,
    DocumentInsertError,
)

from arangolite import RunningServer


def test_databases_are_created_listed_and_dropped(system: StandardDatabase) -> None:
    assert system.create_database("books")
    assert system.has_database("books")
    with pytest.raises(DatabaseCreateError) as again:
        system.create_database("books")
    assert again.value.error_code == 1207
    assert system.delete_database("books")
    with pytest.raises(DatabaseDeleteError) as gone:
        system.delete_database("books")
    assert gone.value.error_code == 1228


@pytest.mark.parametrize("name", ["", "1abc", "a b", "_x", "a/b", "x" * 65, "ä"])
def test_illegal_database_names_are_refused_with_1229(system: StandardDatabase, name: str) -> None:
    with pytest.raises(DatabaseCreateError) as refused:
        system.create_database(name)
    assert refused.value.error_code == 1229


def test_databases_are_made_in_system_only(db: StandardDatabase) -> None:
    with pytest.raises(DatabaseCreateError) as refused:
        db.create_database("inner")
    assert refused.value.error_code == 1230
    assert db.properties()["name"] == db.name
    assert not db.properties()["system"]


@pytest.mark.parametrize("name", ["", "1abc", "a b", "_x", "a/b", "x" * 257, "ä", "a.b"])
def test_illegal_collection_names_are_refused_with_1208(db: StandardDatabase, name: str) -> None:
    with pytest.raises(CollectionCreateError) as refused:
        db.create_collection(name)
    assert refused.value.error_code == 1208


def test_collections_are_created_described_renamed_and_dropped(db: StandardDatabase) -> None:
    things = db.create_collection("things", sync=True)
    assert things.properties()["sync"]
    assert things.properties()["type"] == 2
    with pytest.raises(CollectionCreateError) as again:
        db.create_collection("things")
    assert again.value.error_code == 1207
    things.insert({"_key": "a"})
    things.rename("stuff")
    things.rename("stuff")  # which it is called already
    assert db.collection("stuff").get("a")["_id"] == "stuff/a"
    assert [collection["name"] for collection in db.collections()] == ["stuff"]
    assert db.collection("stuff").configure(sync=False)["sync"] is False
    db.create_collection("other")
    with pytest.raises(CollectionRenameError) as taken:
        db.collection("other").rename("stuff")
    assert taken.value.error_code == 1207
    assert db.delete_collection("stuff")
    with pytest.raises(CollectionDeleteError) as gone:
        db.delete_collection("stuff")
    assert gone.value.error_code == 1203


def test_counting_and_truncating(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "persistent", "fields": ["n"]})
    things.insert_many([{"n": n} for n in range(5)])
    before = things.revision()
    assert things.count() == 5
    assert things.statistics()["indexes"]["count"] == 2
    assert things.truncate()
    assert things.count() == 0
    assert things.revision() != before
    assert list(db.aql.execute("FOR d IN things FILTER d.n > 1 RETURN d")) == []


def test_the_checksum_tells_contents_apart_and_not_their_order(db: StandardDatabase) -> None:
    first, second = db.create_collection("first"), db.create_collection("second")
    first.insert_many([{"_key": "a", "n": 1}, {"_key": "b", "n": 2}])
    second.insert_many([{"_key": "b", "n": 2}, {"_key": "a", "n": 1}])
    assert first.checksum(with_data=True) == second.checksum(with_data=True)
    second.update({"_key": "a", "n": 5})
    assert first.checksum(with_data=True) != second.checksum(with_data=True)
    assert first.checksum() == second.checksum()


@pytest.mark.parametrize(("generator", "length"), [("padded", 16), ("uuid", 36)])
def test_key_generators_make_their_kind_of_keys(db: StandardDatabase, generator: str, length: int) -> None:
    things = db.create_collection("things", key_generator=generator)
    assert len(things.insert({})["_key"]) == length


def test_autoincrement_counts(db: StandardDatabase) -> None:
    things = db.create_collection("things", key_generator="autoincrement", key_increment=5, key_offset=10)
    assert [things.insert({})["_key"] for _ in range(3)] == ["10", "15", "20"]


def test_user_keys_may_be_refused(db: StandardDatabase) -> None:
    things = db.create_collection("things", user_keys=False)
    with pytest.raises(DocumentInsertError) as refused:
        things.insert({"_key": "a"})
    assert refused.value.error_code == 1222
    things.insert({})


def test_what_is_not_there_yet_answers_501_in_arangodbs_form(server: RunningServer) -> None:
    auth = ("root", server.password)
    for path in ("/_api/analyzer", "/_api/foxx"):
        answer = requests.get(server.url + path, auth=auth, timeout=10)
        assert answer.status_code == 501
        assert answer.json() == {
            "error": True,
            "code": 501,
            "errorNum": 9,
            "errorMessage": answer.json()["errorMessage"],
        }
    assert requests.get(server.url + "/nonsense", auth=auth, timeout=10).status_code == 404
    assert requests.delete(server.url + "/_api/version", auth=auth, timeout=10).status_code == 405
    assert requests.get(server.url + "/_api/user/%0A", auth=auth, timeout=10).json()["errorNum"] == 1703
