import pytest
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError


def run(db: StandardDatabase, query: str, **bind: object) -> list:
    return list(db.aql.execute(query, bind_vars=bind))


def contents(db: StandardDatabase) -> dict[str, dict]:
    return {doc["_key"]: {k: v for k, v in doc.items() if k[0] != "_"} for doc in db.collection("things").all()}


@pytest.fixture
def things(db: StandardDatabase) -> StandardDatabase:
    collection = db.create_collection("things")
    collection.add_index({"type": "persistent", "fields": ["n"]})
    collection.insert_many([{"_key": key, "n": n} for n, key in enumerate("abc")])
    return db


def test_insert_gives_new(things: StandardDatabase) -> None:
    found = run(things, "FOR i IN 1..2 INSERT {_key: CONCAT('k', i), n: i} INTO things RETURN NEW.n")
    assert found == [1, 2]
    assert contents(things)["k2"] == {"n": 2}


def test_a_modification_without_return_has_no_results_but_counts(things: StandardDatabase) -> None:
    cursor = things.aql.execute("FOR d IN things FILTER d.n > 0 REMOVE d IN things")
    assert list(cursor) == []
    assert cursor.statistics()["modified"] == 2
    assert set(contents(things)) == {"a"}


def test_update_and_replace_give_old_and_new(things: StandardDatabase) -> None:
    assert run(things, "FOR d IN things SORT d.n UPDATE d WITH {n: d.n + 1} IN things RETURN [OLD.n, NEW.n]") == [
        [0, 1],
        [1, 2],
        [2, 3],
    ]
    assert run(things, "UPDATE 'a' WITH {x: 1} IN things RETURN NEW.n") == [1]
    assert run(things, "REPLACE {_key: 'a', y: 1} IN things RETURN HAS(NEW, 'n')") == [False]
    assert run(things, "FOR d IN things FILTER d.n == 2 RETURN d._key") == ["b"]
    run(things, "UPDATE 'b' WITH {n: null} IN things OPTIONS {keepNull: false}")
    assert contents(things)["b"] == {}


def test_a_query_does_not_meet_its_own_inserts(things: StandardDatabase) -> None:
    run(things, "FOR d IN things INSERT {n: d.n + 10} INTO things")
    assert sorted(doc["n"] for doc in contents(things).values()) == [0, 1, 2, 10, 11, 12]


def test_upsert_inserts_or_changes_also_what_it_has_just_inserted(things: StandardDatabase) -> None:
    query = """FOR x IN ['new', 'b', 'new'] UPSERT {_key: x} INSERT {_key: x, times: 1}
               UPDATE {times: (OLD.times || 0) + 1} IN things RETURN [OLD.times, NEW.times]"""
    assert run(things, query) == [[None, 1], [None, 1], [1, 2]]
    assert run(things, "UPSERT {n: 2} INSERT {} REPLACE {n: 5} IN things RETURN NEW._key") == ["c"]


def test_an_error_rolls_everything_back_unless_it_is_to_be_ignored(things: StandardDatabase) -> None:
    before = contents(things)
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(things, "FOR k IN ['x', 'a'] INSERT {_key: k} INTO things")
    assert refused.value.error_code == 1210
    assert contents(things) == before
    cursor = things.aql.execute("FOR k IN ['x', 'a'] INSERT {_key: k} INTO things OPTIONS {ignoreErrors: true}")
    assert (cursor.statistics()["modified"], cursor.statistics()["ignored"]) == (1, 1)
    assert "x" in contents(things)
    query = "FOR k IN ['y', 'a'] INSERT {_key: k} INTO things OPTIONS {overwriteMode: 'ignore'} RETURN [OLD, NEW._key]"
    assert run(things, query) == [[None, "y"], [None, None]]
    run(things, "INSERT {_key: 'a', z: 1} INTO things OPTIONS {overwriteMode: 'update'}")
    assert contents(things)["a"] == {"n": 0, "z": 1}


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("REMOVE 'nope' IN things", (1202, 404)),
        ("UPDATE {} IN things", (1226, 400)),
        ("INSERT 5 INTO things", (1227, 400)),
        ("REMOVE 'a' IN nowhere", (1203, 404)),
        ("INSERT {} INTO things OPTIONS {overwriteMode: ['ignore']}", (10, 400)),
        ("UPDATE {_key: 'a', _rev: 'old'} IN things OPTIONS {ignoreRevs: false}", (1200, 409)),
    ],
)
def test_wrong_modifications_are_refused(things: StandardDatabase, query: str, number: tuple[int, int]) -> None:
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(things, query)
    assert (refused.value.error_code, refused.value.http_code) == number


def test_the_drivers_match_calls_work(things: StandardDatabase) -> None:
    collection = things.collection("things")
    assert [doc["_key"] for doc in collection.find({"n": 1})] == ["b"]
    assert collection.update_match({"n": 1}, {"x": 1}) == 1
    assert collection.replace_match({"n": 2}, {"y": 1}) == 1
    assert collection.delete_match({"n": 0}) == 1
    assert contents(things) == {"b": {"n": 1, "x": 1}, "c": {"y": 1}}
    assert len(list(collection.keys())) == 2
    assert collection.random()["_key"] in ("b", "c")


@pytest.mark.parametrize(
    "query",
    [
        "INSERT {v: 1} INTO things INSERT {v: 2} INTO things",
        "INSERT {v: 1} INTO things FOR d IN things RETURN d",
        "LET x = (INSERT {v: 1} INTO things) RETURN LENGTH(FOR d IN things RETURN d)",
        "FOR d IN things LET x = (UPDATE d WITH {v: 2} IN things) RETURN x",
        "INSERT {v: 1} INTO things FOR v IN OUTBOUND 'things/a' edges RETURN v",
    ],
)
def test_a_query_never_reads_what_it_has_changed(db: StandardDatabase, query: str) -> None:
    db.create_collection("things").insert({"_key": "a"})
    db.create_collection("edges", edge=True)
    with pytest.raises(AQLQueryExecuteError) as refused:
        db.aql.execute(query)
    assert refused.value.error_code == 1579
    assert db.collection("things").count() == 1


def test_a_window_comes_before_changes(things: StandardDatabase) -> None:
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(
            things,
            "FOR d IN things UPDATE d WITH {x: 1} IN things WINDOW {preceding: 1} AGGREGATE n = COUNT() RETURN n",
        )
    assert refused.value.error_code == 1595
