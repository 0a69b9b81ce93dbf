"""Several requests that happen together or not at all."""

import threading
from collections.abc import Callable, Iterator

import pytest
import requests
from arango import ArangoClient
from arango.collection import StandardCollection
from arango.database import StandardDatabase, TransactionDatabase
from arango.exceptions import ArangoServerError, TransactionExecuteError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import arangolite
from arangolite.http import sessions


@pytest.fixture
def c(db: StandardDatabase) -> StandardCollection:
    """a = 1, b = 2, with an index and a unique index."""
    collection = db.create_collection("c")
    collection.add_index({"type": "persistent", "fields": ["n"]})
    collection.add_index({"type": "persistent", "fields": ["u"], "unique": True, "sparse": True})
    collection.insert_many([{"_key": "a", "n": 1}, {"_key": "b", "n": 2}])
    return collection


def refusal(call: Callable[[], object]) -> tuple[int | None, int | None]:
    with pytest.raises(ArangoServerError) as refused:
        call()
    return refused.value.http_code, refused.value.error_code


def numbers(db: StandardDatabase | TransactionDatabase) -> dict[str, int]:
    query = "FOR d IN c FILTER d.n >= 0 SORT d.n RETURN [d._key, d.n]"
    return dict(db.aql.execute(query))


def test_changes_are_seen_inside_and_not_outside_until_the_commit(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    own = inside.collection("c")
    revision = own.insert({"_key": "new", "n": 3})["_rev"]
    own.update({"_key": "a", "n": 10})
    own.delete("b")
    assert numbers(inside) == {"new": 3, "a": 10}
    assert own.count() == 2
    assert own.get("b") is None
    assert [found["_key"] for found in own.get_many(["a", "b", "new"])] == ["a", "new"]
    assert list(inside.aql.execute("RETURN LENGTH(c)")) == [2]
    inside.aql.execute("UPDATE 'a' WITH {n: 11} IN c")
    assert numbers(db) == {"a": 1, "b": 2}
    assert inside.transaction_status() == "running"
    inside.commit_transaction()
    assert inside.transaction_status() == "committed"
    assert numbers(db) == {"new": 3, "a": 11}
    assert c.get("new")["_rev"] == revision
    assert c.count() == 2
    assert list(db.aql.execute("FOR d IN c FILTER d.n == 1 OR d.n == 2 RETURN d")) == []


def test_an_abort_leaves_no_trace(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").truncate()
    assert inside.collection("c").count() == 0
    inside.collection("c").insert_many([{"n": n} for n in range(50)])
    inside.abort_transaction()
    assert numbers(db) == {"a": 1, "b": 2}
    inside.abort_transaction()
    assert refusal(inside.commit_transaction) == (400, 1653)
    assert refusal(lambda: inside.collection("c").insert({})) == (404, 1655)
    c.insert({"_key": "after"})


def test_a_transaction_sees_the_state_it_began_with(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(read="c")
    c.update({"_key": "a", "n": 5})
    c.insert({"_key": "d", "n": 6})
    assert numbers(inside) == {"a": 1, "b": 2}
    assert inside.collection("c").get("d") is None
    inside.commit_transaction()
    assert numbers(db) == {"b": 2, "a": 5, "d": 6}


def test_two_transactions_cannot_change_the_same_document(db: StandardDatabase, c: StandardCollection) -> None:
    first, second = (db.begin_transaction(write="c") for _ in range(2))
    first.collection("c").update({"_key": "a", "n": 10})
    second.collection("c").update({"_key": "b", "n": 20})
    assert refusal(lambda: second.collection("c").update({"_key": "a", "n": 11})) == (409, 1200)
    assert refusal(lambda: second.collection("c").delete("a")) == (409, 1200)
    assert refusal(lambda: second.aql.execute("REPLACE 'a' WITH {} IN c")) == (409, 1200)
    first.collection("c").insert({"_key": "new", "n": 1})
    assert refusal(lambda: second.collection("c").insert({"_key": "new"})) == (409, 1200)
    first.commit_transaction()
    second.commit_transaction()
    assert numbers(db) == {"a": 10, "b": 20, "new": 1}


@pytest.mark.parametrize("mode", ["update", "replace", "error"])
def test_an_import_leaves_what_a_transaction_has_written(
    db: StandardDatabase, c: StandardCollection, mode: str
) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").update({"_key": "a", "n": 10})
    inside.collection("c").insert({"_key": "new", "n": 11})
    documents = [{"_key": "a", "n": 0}, {"_key": "new", "n": 0}, {"_key": "other", "n": 3}]
    outcome = c.import_bulk(documents, on_duplicate=mode, halt_on_error=False)
    assert (outcome["created"], outcome["errors"]) == (1, 2)
    assert "write-write conflict" in outcome["details"][0]
    inside.commit_transaction()
    assert numbers(db) == {"a": 10, "b": 2, "new": 11, "other": 3}


def test_what_changed_after_the_beginning_is_a_conflict(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    c.update({"_key": "a", "n": 5})
    c.insert({"_key": "z"})
    assert refusal(lambda: inside.collection("c").update({"_key": "a", "n": 6})) == (409, 1200)
    assert refusal(lambda: inside.collection("c").insert({"_key": "z"})) == (409, 1200)
    inside.collection("c").update({"_key": "b", "n": 7})
    inside.commit_transaction()
    assert numbers(db) == {"a": 5, "b": 7}


def test_single_writes_meet_the_changes_of_open_transactions(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").update({"_key": "a", "n": 10})
    inside.collection("c").insert({"_key": "new", "n": 0})
    assert refusal(lambda: c.update({"_key": "a", "n": 11})) == (409, 1200)
    assert refusal(lambda: c.insert({"_key": "new"})) == (409, 1200)
    c.insert({"_key": "other", "n": 3})
    inside.commit_transaction()
    assert numbers(db) == {"new": 0, "b": 2, "other": 3, "a": 10}


def test_a_value_or_key_taken_meanwhile_refuses_the_commit_as_a_whole(
    db: StandardDatabase, c: StandardCollection
) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").insert({"_key": "x", "u": "same"})
    inside.collection("c").update({"_key": "a", "n": 100})
    assert refusal(lambda: inside.collection("c").insert({"u": "same"})) == (409, 1210)
    c.insert({"_key": "y", "u": "same"})
    assert refusal(inside.commit_transaction) == (409, 1200)
    assert inside.transaction_status() == "aborted"
    assert numbers(db) == {"a": 1, "b": 2}


def test_an_index_made_meanwhile_holds_what_the_transaction_wrote(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").insert({"_key": "x", "n": 4, "m": 7})
    inside.collection("c").update({"_key": "a", "m": 8})
    c.add_index({"type": "persistent", "fields": ["m"]})
    inside.commit_transaction()
    query = "FOR d IN c FILTER d.m > 0 SORT d.m RETURN d._key"
    assert list(db.aql.execute(query)) == ["x", "a"]
    assert db.aql.explain(query)["nodes"][1]["type"] == "IndexNode"


def test_only_declared_collections_may_be_used(db: StandardDatabase, c: StandardCollection) -> None:
    db.create_collection("d").insert({"_key": "a"})
    inside = db.begin_transaction(read="d", write="c")
    assert refusal(lambda: inside.collection("d").insert({})) == (400, 1652)
    assert refusal(lambda: inside.aql.execute("INSERT {} INTO d")) == (400, 1652)
    assert inside.collection("d").get("a") is not None
    inside.abort_transaction()
    lenient, strict = db.begin_transaction(write="c"), db.begin_transaction(write="c", allow_implicit=False)
    for query in ("FOR x IN d RETURN x", "RETURN DOCUMENT('d/a')"):
        assert len(list(lenient.aql.execute(query))) == 1
        assert refusal(lambda query=query: list(strict.aql.execute(query))) == (400, 1652)
    assert refusal(lambda: strict.collection("d").get("a")) == (400, 1652)
    assert refusal(lambda: db.begin_transaction(write="nowhere")) == (404, 1203)


def test_an_exclusive_collection_is_waited_for(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(exclusive="c")
    assert refusal(lambda: db.begin_transaction(write="c", lock_timeout=1)) == (409, 18)
    assert numbers(db) == {"a": 1, "b": 2}
    inserted = threading.Thread(target=lambda: c.insert({"_key": "late", "n": 3}))
    inserted.start()
    inside.collection("c").update({"_key": "a", "n": 10})
    assert c.get("late") is None
    inside.commit_transaction()
    inserted.join()
    assert numbers(db) == {"b": 2, "late": 3, "a": 10}


def test_a_request_that_fails_takes_back_only_itself(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").insert({"_key": "x", "n": 3})
    assert refusal(lambda: inside.aql.execute("FOR i IN [4, 5] INSERT {_key: 'y', n: i} INTO c")) == (409, 1210)
    assert refusal(lambda: inside.collection("c").insert({"_key": "a"})) == (409, 1210)
    inside.commit_transaction()
    assert numbers(db) == {"a": 1, "b": 2, "x": 3}


def test_a_transaction_may_not_grow_beyond_its_size(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c", max_size=1000)
    inside.collection("c").insert({"_key": "x", "text": "y" * 500})
    assert refusal(lambda: inside.collection("c").insert({"text": "y" * 500}))[1] == 32
    inside.commit_transaction()
    assert c.count() == 3


def test_a_forgotten_transaction_ends_and_blocks_nobody(
    db: StandardDatabase, c: StandardCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = db.begin_transaction(exclusive="c")
    forgotten.collection("c").update({"_key": "a", "n": 10})
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.0)
    assert c.update({"_key": "a", "n": 11})["_key"] == "a"  # waits until it was aborted
    assert forgotten.transaction_status() == "aborted"
    assert refusal(lambda: forgotten.collection("c").get("a")) == (404, 1655)
    assert numbers(db) == {"b": 2, "a": 11}


def test_running_transactions_are_listed(db: StandardDatabase, system: StandardDatabase, client: ArangoClient) -> None:
    assert db.list_transactions() == []
    first, second = db.begin_transaction(), db.begin_transaction()
    ids = {first.transaction_id, second.transaction_id}
    assert {found["id"] for found in db.list_transactions()} == ids
    second.abort_transaction()
    first.commit_transaction()
    assert db.list_transactions() == []
    assert refusal(lambda: db.fetch_transaction("99").commit_transaction()) == (404, 1655)


def test_cursors_of_a_transaction_give_what_they_began_with(db: StandardDatabase, c: StandardCollection) -> None:
    inside = db.begin_transaction(write="c")
    inside.collection("c").insert_many([{"_key": str(n), "n": n} for n in range(20)])
    cursor = inside.aql.execute("FOR d IN c SORT d._key RETURN d.n", batch_size=5)
    for n in range(20):
        inside.collection("c").update({"_key": str(n), "n": 1000 + n})
    found = list(cursor)
    assert len(found) == 22
    assert max(found) < 1000
    inside.abort_transaction()


def test_generated_keys_do_not_meet(db: StandardDatabase) -> None:
    plain = db.create_collection("auto", key_generator="autoincrement")
    inside = db.begin_transaction(write="auto")
    keys = [(inside.collection("auto") if n % 2 else plain).insert({})["_key"] for n in range(6)]
    inside.commit_transaction()
    assert keys == ["1", "2", "3", "4", "5", "6"]
    assert plain.count() == 6
    assert plain.insert({})["_key"] == "7"


def test_javascript_transactions_are_refused_clearly(db: StandardDatabase) -> None:
    with pytest.raises(TransactionExecuteError) as refused:
        db.execute_transaction("function () { return 1; }")
    assert (refused.value.http_code, refused.value.error_code) == (501, 9)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"collections": 5},
        {"collections": {"write": 5}},
        {"collections": {"write": [5]}},
        {"collections": {}, "lockTimeout": -1},
        {"collections": {}, "maxTransactionSize": "x"},
        {"collections": {"allowImplicit": 1}},
    ],
)
def test_wrong_beginnings_are_refused(server: arangolite.RunningServer, body: object) -> None:
    url = f"{server.url}/_api/transaction/begin"
    answer = requests.post(url, json=body, auth=("root", server.password), timeout=10)
    assert (answer.status_code, answer.json()["errorNum"]) == (400, 10)


@pytest.fixture(scope="module")
def arena(server: arangolite.RunningServer, client: ArangoClient) -> Iterator[StandardDatabase]:
    system = client.db("_system", "root", server.password)
    system.create_database("arena")
    yield client.db("arena", "root", server.password)
    system.delete_database("arena")


KEYS = st.sampled_from("abcdef")
WHO = st.integers(0, 2)
Model = dict[str, int]


class Transactions(RuleBasedStateMachine):
    """Two transactions and single writes in any order, against what snapshot isolation promises."""

    db: StandardDatabase

    @initialize()
    def begin_with_nothing(self) -> None:
        self.db.delete_collection("c", ignore_missing=True)
        collection = self.db.create_collection("c")
        collection.add_index({"type": "persistent", "fields": ["n"]})
        self.stored: Model = {}
        self.changed_at: dict[str, int] = {}
        self.now = 0
        self.open: dict[int, TransactionDatabase] = {}
        self.seen: dict[int, Model] = {}
        self.began: dict[int, int] = {}
        self.touched: dict[int, set[str]] = {}

    @precondition(lambda self: len(self.open) < 2)
    @rule()
    def begin(self) -> None:
        who = 1 if 1 not in self.open else 2
        self.open[who] = self.db.begin_transaction(write="c")
        self.seen[who], self.began[who], self.touched[who] = dict(self.stored), self.now, set()

    @rule(who=WHO, key=KEYS, n=st.integers(0, 99), how=st.sampled_from(["insert", "update", "delete", "upsert"]))
    def write(self, who: int, key: str, n: int, how: str) -> None:
        if who and who not in self.open:
            return
        view = self.seen[who] if who else self.stored
        handle = (self.open[who] if who else self.db).collection("c")
        conflict = any(key in keys for other, keys in self.touched.items() if other != who) or bool(
            who
            and key not in self.touched[who]
            and self.changed_at.get(key, -1) > self.began[who]
            and (key in self.stored or key in self.seen[who])  # what was and is absent has not changed
        )
        calls: dict[str, Callable[[], object]] = {
            "insert": lambda: handle.insert({"_key": key, "n": n}),
            "update": lambda: handle.update({"_key": key, "n": n}),
            "delete": lambda: handle.delete(key),
            "upsert": lambda: handle.insert({"_key": key, "n": n}, overwrite_mode="replace"),
        }
        if conflict:
            assert refusal(calls[how]) == (409, 1200)
            return
        if who:
            self.touched[who].add(key)
        if how == "insert" and key in view:
            assert refusal(calls[how]) == (409, 1210)
        elif how in ("update", "delete") and key not in view:
            assert refusal(calls[how]) == (404, 1202)
        else:
            calls[how]()
            if how == "delete":
                del view[key]
            else:
                view[key] = n
            if not who:
                self.now += 1
                self.changed_at[key] = self.now

    @rule(who=WHO)
    def look(self, who: int) -> None:
        if who and who not in self.open:
            return
        view = self.seen[who] if who else self.stored
        source = self.open[who] if who else self.db
        assert numbers(source) == view
        assert dict(source.aql.execute("FOR d IN c SORT d._key RETURN [d._key, d.n]")) == view
        assert source.collection("c").count() == len(view)

    @precondition(lambda self: bool(self.open))
    @rule(commit=st.booleans(), first=st.booleans())
    def end(self, commit: bool, first: bool) -> None:
        who = min(self.open) if first else max(self.open)
        transaction = self.open.pop(who)
        view, touched = self.seen.pop(who), self.touched.pop(who)
        del self.began[who]
        if commit:
            transaction.commit_transaction()
            self.now += 1
            for key in touched:
                if self.stored.get(key) != view.get(key) or key in view:
                    self.changed_at[key] = self.now
                self.stored.pop(key, None)
                if key in view:
                    self.stored[key] = view[key]
        else:
            transaction.abort_transaction()

    def teardown(self) -> None:
        for found in self.db.list_transactions():
            self.db.fetch_transaction(found["id"]).abort_transaction()


def test_any_order_of_requests_keeps_what_snapshots_promise(arena: StandardDatabase) -> None:
    Transactions.db = arena
    machine = Transactions.TestCase
    machine.settings = settings(
        max_examples=25, stateful_step_count=25, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    machine("runTest").runTest()
