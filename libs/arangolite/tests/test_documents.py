import pytest
import requests
from arango.database import StandardDatabase
from arango.exceptions import (
    DocumentDeleteError,
    DocumentGetError,
    DocumentInsertError,
    DocumentReplaceError,
    DocumentRevisionError,
    DocumentUpdateError,
)

from arangolite import RunningServer


def test_insert_tells_id_key_and_revision_and_the_document_has_them(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    meta = things.insert({"_key": "a", "price": 0.1})
    assert meta["_id"] == "things/a"
    assert things.get("a") == {**meta, "price": 0.1}


def test_a_key_is_made_when_none_is_given(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    first, second = things.insert({})["_key"], things.insert({})["_key"]
    assert int(first) < int(second)


@pytest.mark.parametrize("key", ["", "with space", "a/b", "ä", "x" * 255, 1, None])
def test_illegal_keys_are_refused_with_1221(db: StandardDatabase, key: object) -> None:
    with pytest.raises(DocumentInsertError) as refused:
        db.create_collection("things").insert({"_key": key})
    assert refused.value.error_code == 1221


@pytest.mark.parametrize("key", ["a", "x" * 254, "binance:spot:BTCUSDT:candles_5m:1", "_-:.@()+,=;$!*'%"])
def test_legal_keys_are_taken_and_found_again(db: StandardDatabase, key: str) -> None:
    things = db.create_collection("things")
    things.insert({"_key": key})
    assert things.get(key)["_key"] == key
    assert things.delete(key)


def test_a_taken_key_is_refused_with_1210(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.insert({"_key": "a"})
    with pytest.raises(DocumentInsertError) as refused:
        things.insert({"_key": "a"})
    assert refused.value.error_code == 1210
    assert refused.value.http_code == 409
    assert "over '_key'; conflicting key: a" in refused.value.error_message


def test_overwrite_modes_do_what_they_say(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.insert({"_key": "a", "x": 1, "nested": {"p": 1}})
    kept = things.insert({"_key": "a", "x": 2}, overwrite_mode="ignore", return_old=True, return_new=True)
    assert kept.keys() == {"_id", "_key", "_rev"}
    assert things.get("a")["x"] == 1
    assert kept["_rev"] == things.get("a")["_rev"]
    things.insert({"_key": "a", "nested": {"q": 2}, "x": None}, overwrite_mode="update", keep_none=False, merge=True)
    assert {k: v for k, v in things.get("a").items() if k[0] != "_"} == {"nested": {"p": 1, "q": 2}}
    replaced = things.insert({"_key": "a", "y": 1}, overwrite=True, return_old=True, return_new=True)
    assert replaced["old"]["nested"] == {"p": 1, "q": 2}
    assert replaced["new"]["y"] == 1
    assert "nested" not in replaced["new"]


def test_a_stale_revision_is_refused_with_1200_so_that_compare_and_set_works(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    first = things.insert({"_key": "a", "n": 0})
    things.update({"_key": "a", "_rev": first["_rev"], "n": 1}, check_rev=True)
    for change in (things.update, things.replace):
        with pytest.raises(DocumentRevisionError) as refused:
            change({"_key": "a", "_rev": first["_rev"], "n": 2}, check_rev=True)
        assert refused.value.error_code == 1200
        assert refused.value.http_code == 412
    with pytest.raises(DocumentRevisionError):
        things.delete({"_key": "a", "_rev": first["_rev"]}, check_rev=True)
    with pytest.raises(DocumentRevisionError):
        things.get({"_key": "a", "_rev": first["_rev"]}, check_rev=True)
    assert things.get("a")["n"] == 1
    things.update({"_key": "a", "_rev": first["_rev"], "n": 3}, check_rev=False)
    assert things.get("a")["n"] == 3


def test_stale_revisions_among_many_are_told_as_drivers_look_for_them(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    stale = {"_key": "a", "_rev": "old"}
    things.insert_many([{"_key": "a"}, {"_key": "b"}])
    refused, removed = things.delete_many([stale, {"_key": "b"}], check_rev=True)
    assert isinstance(refused, DocumentRevisionError)  # what has an _id, they take for done
    assert (refused.error_code, refused.http_code, removed["_key"]) == (1200, 202, "b")
    assert isinstance(things.update_many([stale], check_rev=True)[0], DocumentRevisionError)


def test_update_merges_and_replace_does_not(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.insert({"_key": "a", "x": 1, "nested": {"p": 1}})
    things.update({"_key": "a", "nested": {"q": 1}}, merge=False)
    assert things.get("a")["nested"] == {"q": 1}
    things.update({"_key": "a", "x": None}, keep_none=False)
    assert "x" not in things.get("a")
    things.replace({"_key": "a", "y": 1})
    assert {k: v for k, v in things.get("a").items() if k[0] != "_"} == {"y": 1}


def test_missing_documents_are_1202(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    assert things.get("nope") is None
    assert not things.has("nope")
    with pytest.raises(DocumentUpdateError) as update:
        things.update({"_key": "nope"})
    with pytest.raises(DocumentReplaceError) as replace:
        things.replace({"_key": "nope"})
    with pytest.raises(DocumentDeleteError) as delete:
        things.delete("nope")
    assert {error.value.error_code for error in (update, replace, delete)} == {1202}
    assert things.delete("nope", ignore_missing=True) is False


def test_missing_collections_are_1203(db: StandardDatabase) -> None:
    nowhere = db.collection("nowhere")
    with pytest.raises(DocumentInsertError) as insert:
        nowhere.insert({})
    with pytest.raises(DocumentGetError) as get:
        nowhere.get("a")
    assert insert.value.error_code == get.value.error_code == 1203


def test_bulk_calls_do_what_they_can_and_tell_the_rest(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    told = things.insert_many(
        [{"_key": "a"}, {"_key": "a"}, {"_key": "no good"}, {"_key": "b", "x": 1}], return_new=True
    )
    assert [getattr(item, "error_code", None) for item in told] == [None, 1210, 1221, None]
    assert told[3]["new"]["x"] == 1
    told = things.update_many([{"_key": "a", "y": 1}, {"_key": "nope", "y": 1}])
    assert [getattr(item, "error_code", None) for item in told] == [None, 1202]
    told = things.replace_many([{"_key": "b", "z": 1}])
    assert told[0]["_old_rev"] != told[0]["_rev"]
    assert {doc["_key"] for doc in things.get_many(["a", "b", "nope"])} == {"a", "b"}
    told = things.delete_many(["a", {"_key": "b"}, "nope"])
    assert [getattr(item, "error_code", None) for item in told] == [None, None, 1202]
    assert things.count() == 0


def test_the_header_counts_the_errors_of_a_bulk_call(server: RunningServer, db: StandardDatabase) -> None:
    db.create_collection("things")
    url = f"{server.url}/_db/{db.name}/_api/document/things"
    answer = requests.post(url, json=[{"_key": "a"}, {"_key": "a"}, 5], auth=("root", server.password), timeout=10)
    assert answer.status_code == 202
    assert answer.headers["X-Arango-Error-Codes"] == "1210:1,1227:1"


def test_one_bulk_call_may_change_one_document_twice(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "persistent", "fields": ["n"]})
    things.insert({"_key": "a", "n": 0})
    things.update_many([{"_key": "a", "n": number} for number in range(5)])
    things.insert_many([{"_key": "b", "n": 1}, {"_key": "b", "n": 2}], overwrite=True)
    assert list(db.aql.execute("FOR d IN things FILTER d.n >= 0 SORT d.n RETURN [d._key, d.n]")) == [["b", 2], ["a", 4]]


def test_edges_need_from_and_to(db: StandardDatabase) -> None:
    links = db.create_collection("links", edge=True)
    for edge in ({}, {"_from": "a/1"}, {"_from": "a", "_to": "b/1"}, {"_from": "a/1", "_to": 5}):
        with pytest.raises(DocumentInsertError) as refused:
            links.insert(edge)
        assert refused.value.error_code == 1233
    links.insert({"_from": "a/1", "_to": "b/1"})
    assert list(db.aql.execute("FOR e IN links FILTER e._from == 'a/1' RETURN e._to")) == ["b/1"]


def test_what_is_no_object_is_refused_with_1227(server: RunningServer, db: StandardDatabase) -> None:
    db.create_collection("things")
    url = f"{server.url}/_db/{db.name}/_api/document/things"
    assert requests.post(url, data="5", auth=("root", server.password), timeout=10).json()["errorNum"] == 1227
    assert requests.post(url, data="{", auth=("root", server.password), timeout=10).json()["errorNum"] == 600


def test_wait_for_sync_answers_201_and_otherwise_202(server: RunningServer, db: StandardDatabase) -> None:
    db.create_collection("things")
    url = f"{server.url}/_db/{db.name}/_api/document/things"
    assert requests.post(url, json={}, auth=("root", server.password), timeout=10).status_code == 202
    synced = requests.post(url, params={"waitForSync": "true"}, json={}, auth=("root", server.password), timeout=10)
    assert synced.status_code == 201
    assert synced.headers["ETag"] == f'"{synced.json()["_rev"]}"'


def test_numbers_come_back_as_they_were_sent(server: RunningServer, db: StandardDatabase) -> None:
    db.create_collection("things")
    texts = ["0.1", "29000.01", "1e-7", "123456789.123456789", "5e-324", "1.7976931348623157e308", "9007199254740993"]
    url = f"{server.url}/_db/{db.name}/_api/document/things"
    body = '{"_key":"a","numbers":[' + ",".join(texts) + "]}"
    requests.post(url, data=body, auth=("root", server.password), timeout=10)
    stored = db.collection("things").get("a")["numbers"]
    assert [float(text) for text in texts[:-1]] == stored[:-1]
    assert stored[-1] == 9007199254740993
