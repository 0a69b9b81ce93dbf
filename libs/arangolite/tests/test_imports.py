import json

import pytest
import requests
from arango.database import StandardDatabase
from hypothesis import given, settings
from hypothesis import strategies as st

from arangolite import RunningServer


class Importer:
    def __init__(self, server: RunningServer, db: StandardDatabase) -> None:
        self._url = f"{server.url}/_db/{db.name}/_api/import"
        self._auth = ("root", server.password)

    def __call__(self, body: str | bytes, status: int = 201, **parameters: str) -> dict:
        answer = requests.post(self._url, params=parameters, data=body, auth=self._auth, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def load(server: RunningServer, db: StandardDatabase) -> Importer:
    db.create_collection("things")
    return Importer(server, db)


def counts(answer: dict) -> dict[str, int]:
    return {name: answer[name] for name in ("created", "errors", "empty", "updated", "ignored") if answer[name]}


def test_lines_are_stored_as_they_are(load: Importer, db: StandardDatabase) -> None:
    answer = load('{"_key":"a","p":29000.10}\n\n{"p":1e-7}\n', collection="things", type="documents")
    assert counts(answer) == {"created": 2, "empty": 1}
    assert db.collection("things").get("a")["p"] == float("29000.10")


def test_update_merges_replace_replaces_ignore_ignores(load: Importer, db: StandardDatabase) -> None:
    things = db.collection("things")
    load('{"_key":"a","x":1,"n":{"p":1}}', collection="things", type="documents")
    again = load(
        '{"_key":"a","y":2,"n":{"q":1}}\n{"_key":"b"}', collection="things", type="documents", onDuplicate="update"
    )
    assert counts(again) == {"created": 1, "updated": 1}
    assert things.get("a")["n"] == {"p": 1, "q": 1}
    assert things.get("a")["x"] == 1
    assert counts(load('{"_key":"a"}', collection="things", type="documents", onDuplicate="ignore")) == {"ignored": 1}
    assert counts(load('{"_key":"a","z":1}', collection="things", type="documents", onDuplicate="replace")) == {
        "updated": 1
    }
    assert {k for k in things.get("a") if k[0] != "_"} == {"z"}


def test_the_same_record_again_changes_nothing_but_the_revision(load: Importer, db: StandardDatabase) -> None:
    db.collection("things").add_index({"type": "persistent", "fields": ["t"]})
    line = '{"_key":"a","t":5,"p":0.1}'
    load(line, collection="things", type="documents")
    before = db.collection("things").get("a")
    assert counts(load(line, collection="things", type="documents", onDuplicate="update")) == {"updated": 1}
    after = db.collection("things").get("a")
    assert before.pop("_rev") != after.pop("_rev")
    assert before == after
    assert list(db.aql.execute("FOR d IN things FILTER d.t == 5 RETURN d._key")) == ["a"]


@pytest.mark.parametrize("mode", ["update", "replace"])
def test_new_unchanged_and_changed_documents_of_one_import_are_told_apart(
    load: Importer, db: StandardDatabase, mode: str
) -> None:
    things = db.collection("things")
    things.add_index({"type": "persistent", "fields": ["x"]})
    wanted = {"collection": "things", "type": "documents", "onDuplicate": mode}
    load('{"_key":"a","x":1}\n{"_key":"b","x":1,"y":1}', **wanted)
    before = things.get("a")["_rev"]
    again = load('{"_key":"a","x":1}\n{"_key":"b","x":2}\n{"_key":"c","x":2}', **wanted)
    assert counts(again) == {"created": 1, "updated": 2}
    assert things.get("a")["_rev"] != before
    assert things.get("b").get("y") == (1 if mode == "update" else None)
    assert counts(load('{"_key":"a","x":1}\n{"_key":"d","x":2}', **wanted)) == {"created": 1, "updated": 1}
    found = db.aql.execute("FOR d IN things FILTER d.x == 2 SORT d._key RETURN d._key")
    assert list(found) == ["b", "c", "d"]


def test_refused_documents_are_told_in_arangodbs_words(load: Importer) -> None:
    body = '{"_key":"a"}\n[1]\n{"broken\n{"_key":"a"}\n{"_key":"no good"}\n'
    answer = load(body, collection="things", type="documents", details="true")
    assert counts(answer) == {"created": 1, "errors": 4}
    assert answer["details"] == [
        "at position 2: invalid JSON type (expecting object), offending document: [1]",
        'at position 3: invalid JSON type (expecting object, probably parse error), offending context: {"broken',
        "at position 1: creating document failed with error 'unique constraint violated - in index primary of type "
        'primary over \'_key\'; conflicting key: a\', offending document: {"_key":"a"}',
        "at position 2: creating document failed with error 'illegal document key', "
        'offending document: {"_key":"no good"}',
    ]


def test_complete_is_all_or_nothing(load: Importer, db: StandardDatabase) -> None:
    refused = load('{"_key":"a"}\n{"_key":"a"}', status=409, collection="things", type="documents", complete="true")
    assert refused["errorNum"] == 1210
    load('{"_key":"a"}\n{"bro', status=400, collection="things", type="documents", complete="true")
    assert db.collection("things").count() == 0


def test_a_unique_index_refuses_documents_too(load: Importer, db: StandardDatabase) -> None:
    db.collection("things").add_index({"type": "persistent", "fields": ["u"], "unique": True, "name": "byU"})
    body = '{"_key":"a","u":1}\n{"_key":"b","u":1}\n{"_key":"c","u":2}'
    answer = load(body, collection="things", type="documents", details="true")
    assert counts(answer) == {"created": 2, "errors": 1}
    assert "in index byU of type persistent over 'u'; conflicting key: a" in answer["details"][0]
    assert counts(load('{"_key":"c","u":1}', collection="things", type="documents", onDuplicate="update")) == {
        "errors": 1
    }
    assert db.collection("things").get("c")["u"] == 2


def test_arrays_and_values_are_other_forms(load: Importer, db: StandardDatabase) -> None:
    assert counts(load('[{"_key":"a"},5]', collection="things", type="list")) == {"created": 1, "errors": 1}
    assert counts(load(' [{"_key":"b"}]', collection="things", type="auto")) == {"created": 1}
    assert counts(load('{"_key":"c"}', collection="things", type="auto")) == {"created": 1}
    answer = load('["_key","x","y"]\n["d",1,null]\n["e",1]\n\n', collection="things", details="true")
    assert counts(answer) == {"created": 1, "errors": 1, "empty": 1}
    assert answer["details"] == ["at position 2: wrong number of JSON values (got 2, expected 3)"]
    assert "y" not in db.collection("things").get("d")
    assert load("[1]\n[1]", status=400, collection="things")["errorNum"] == 400
    assert load("{}", status=400, collection="things", type="nonsense")["errorNum"] == 10


def test_overwrite_empties_the_collection_first(load: Importer, db: StandardDatabase) -> None:
    load('{"_key":"a"}', collection="things", type="documents")
    load('{"_key":"b"}', collection="things", type="documents", overwrite="true")
    assert [doc["_key"] for doc in db.collection("things").all()] == ["b"]


def test_what_cannot_be_stored_is_refused_at_once(load: Importer) -> None:
    bad = [
        b'{"_key":"a","x":1e999}',
        b'{"_key":"b","s":"\\ud800"}',
        b'{"_key":"c","d":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ]
    assert counts(load(b"\n".join(bad), collection="things", type="documents")) == {"errors": 3}
    assert load(b'{"_key":"a","s":"\xff"}', status=400, collection="things", type="documents")["errorNum"] == 400


def test_a_missing_collection_is_1203_and_a_missing_parameter_1204(load: Importer) -> None:
    assert load("{}", status=404, collection="nowhere", type="documents")["errorNum"] == 1203
    assert load("{}", status=400, type="documents")["errorNum"] == 1204


def test_edges_may_have_prefixes(load: Importer, db: StandardDatabase) -> None:
    links = db.create_collection("links", edge=True)
    body = '{"_key":"a","_from":"x","_to":7}\n{"_key":"b","_from":"x"}'
    answer = load(body, collection="links", type="documents", fromPrefix="left", toPrefix="right/")
    assert counts(answer) == {"created": 1, "errors": 1}
    assert (links.get("a")["_from"], links.get("a")["_to"]) == ("left/x", "right/7")


documents = st.fixed_dictionaries(
    {"_key": st.sampled_from(["a", "b", "c", "d"])},
    optional={"x": st.integers(0, 3) | st.none(), "n": st.dictionaries(st.sampled_from("pq"), st.integers(0, 2))},
)


def merged(old: dict, new: dict) -> dict:
    both = dict(old)
    for name, value in new.items():
        both[name] = (
            merged(both.get(name) if isinstance(both.get(name), dict) else {}, value)
            if isinstance(value, dict)
            else value
        )
    return both


@settings(max_examples=30, deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.sampled_from(["error", "update", "replace", "ignore"]), st.lists(documents, max_size=8)),
        max_size=4,
    )
)
def test_any_sequence_of_imports_ends_as_in_a_dictionary(
    server: RunningServer, system: StandardDatabase, batches: list
) -> None:
    if system.has_collection("model"):
        system.delete_collection("model")
    system.create_collection("model").add_index({"type": "persistent", "fields": ["x"]})
    load = Importer(server, system)
    model: dict[str, dict] = {}
    for mode, batch in batches:
        load(
            "\n".join(json.dumps(document) for document in batch),
            collection="model",
            type="documents",
            onDuplicate=mode,
        )
        for document in batch:
            if document["_key"] not in model or mode == "replace":
                model[document["_key"]] = document
            elif mode == "update":
                model[document["_key"]] = merged(model[document["_key"]], document)
    stored = {
        doc["_key"]: {k: v for k, v in doc.items() if k not in ("_id", "_rev")}
        for doc in system.collection("model").all()
    }
    assert stored == model
    for wanted in (None, 0, 1, 2, 3):
        found = set(system.aql.execute("FOR d IN model FILTER d.x == @x RETURN d._key", bind_vars={"x": wanted}))
        assert found == {key for key, doc in model.items() if doc.get("x") == wanted}
