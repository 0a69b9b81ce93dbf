"""A schema holds whatever the way a document is written."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from arango.collection import StandardCollection
from arango.database import StandardDatabase
from arango.exceptions import ArangoServerError, CollectionConfigureError, CollectionCreateError

from arangolite import RunningServer

RULE = {"properties": {"n": {"type": "number"}}, "required": ["n"]}
MESSAGE = "n must be a number"
WRONG = {"n": "one"}


@pytest.fixture
def db_with_schema(db: StandardDatabase) -> StandardDatabase:
    """A graph whose vertices `v` have a schema; a = {n: 1} is right, old = {} was there before the schema."""
    db.create_graph(
        "g",
        edge_definitions=[{"edge_collection": "e", "from_vertex_collections": ["v"], "to_vertex_collections": ["v"]}],
    )
    db.collection("v").insert_many([{"_key": "a", "n": 1}, {"_key": "old"}])
    set_level(db, "strict")
    return db


def set_level(db: StandardDatabase, level: str) -> None:
    db.collection("v").configure(schema={"rule": RULE, "level": level, "message": MESSAGE})


def contents(db: StandardDatabase) -> dict[str, Any]:
    return {doc["_key"]: {k: v for k, v in doc.items() if k[0] != "_"} for doc in db.collection("v").all()}


def in_transaction(change: Callable[[StandardCollection], object]) -> Callable[[StandardDatabase], object]:
    def run(db: StandardDatabase) -> object:
        transaction = db.begin_transaction(write="v")
        try:
            return change(transaction.collection("v"))
        finally:
            transaction.commit_transaction()

    return run


def aql(query: str) -> Callable[[StandardDatabase], object]:
    return lambda db: db.aql.execute(query, bind_vars={"wrong": WRONG})


def in_bulk(change: Callable[[StandardCollection], list[Any]]) -> Callable[[StandardDatabase], object]:
    """A bulk call goes on; its answer tells of the refused document."""

    def run(db: StandardDatabase) -> object:
        for outcome in change(db.collection("v")):
            if isinstance(outcome, Exception):
                raise outcome
        return None

    return run


INSERTS: dict[str, Callable[[StandardDatabase], object]] = {
    "insert": lambda db: db.collection("v").insert(WRONG),
    "insert many": in_bulk(lambda v: v.insert_many([WRONG])),
    "import, complete": lambda db: db.collection("v").import_bulk([WRONG], halt_on_error=True),
    "vertex": lambda db: db.graph("g").vertex_collection("v").insert(WRONG),
    "AQL INSERT": aql("INSERT @wrong INTO v"),
    "AQL UPSERT": aql("UPSERT {n: 'one'} INSERT @wrong UPDATE {} IN v"),
    "transaction": in_transaction(lambda v: v.insert(WRONG)),
}
CHANGES: dict[str, Callable[[StandardDatabase], object]] = {
    "update": lambda db: db.collection("v").update({"_key": "a", **WRONG}),
    "replace": lambda db: db.collection("v").replace({"_key": "a"}),
    "update many": in_bulk(lambda v: v.update_many([{"_key": "a", **WRONG}])),
    "replace many": in_bulk(lambda v: v.replace_many([{"_key": "a", **WRONG}])),
    "insert as update": lambda db: db.collection("v").insert({"_key": "a", **WRONG}, overwrite_mode="update"),
    "insert as replace": lambda db: db.collection("v").insert({"_key": "a"}, overwrite=True),
    "import as update": lambda db: db.collection("v").import_bulk(
        [{"_key": "a", **WRONG}], on_duplicate="update", halt_on_error=True
    ),
    "import as replace": lambda db: db.collection("v").import_bulk(
        [{"_key": "a"}], on_duplicate="replace", halt_on_error=True
    ),
    "vertex update": lambda db: db.graph("g").vertex_collection("v").update({"_key": "a", **WRONG}),
    "vertex replace": lambda db: db.graph("g").vertex_collection("v").replace({"_key": "a"}),
    "AQL UPDATE": aql("UPDATE 'a' WITH @wrong IN v"),
    "AQL REPLACE": aql("REPLACE 'a' WITH @wrong IN v"),
    "AQL UPSERT": aql("UPSERT {_key: 'a'} INSERT {n: 1} UPDATE @wrong IN v"),
    "transaction": in_transaction(lambda v: v.update({"_key": "a", **WRONG})),
    "transaction replace": in_transaction(lambda v: v.replace({"_key": "a"})),
}


@pytest.mark.parametrize("level", ["new", "moderate", "strict"])
@pytest.mark.parametrize("way", INSERTS)
def test_a_wrong_document_is_not_inserted(db_with_schema: StandardDatabase, way: str, level: str) -> None:
    set_level(db_with_schema, level)
    refuse(db_with_schema, INSERTS[way])


@pytest.mark.parametrize("level", ["moderate", "strict"])
@pytest.mark.parametrize("way", CHANGES)
def test_a_right_document_is_not_made_wrong(db_with_schema: StandardDatabase, way: str, level: str) -> None:
    set_level(db_with_schema, level)
    refuse(db_with_schema, CHANGES[way])


def refuse(db: StandardDatabase, write: Callable[[StandardDatabase], object]) -> None:
    before = contents(db)
    with pytest.raises(ArangoServerError) as refused:
        write(db)
    assert (refused.value.error_code, MESSAGE in str(refused.value)) == (1620, True)
    assert contents(db) == before


@pytest.mark.parametrize(("level", "is_taken"), [("none", True), ("new", True), ("moderate", True), ("strict", False)])
def test_a_document_that_was_wrong_before_may_stay_wrong_below_strict(
    db_with_schema: StandardDatabase, level: str, is_taken: bool
) -> None:
    set_level(db_with_schema, level)
    if is_taken:
        db_with_schema.collection("v").update({"_key": "old", "x": 1})
    else:
        refuse(db_with_schema, lambda db: db.collection("v").update({"_key": "old", "x": 1}))
    db_with_schema.collection("v").update({"_key": "old", "n": 2})
    db_with_schema.collection("v").delete("a")


def test_an_import_counts_what_a_schema_refuses(db_with_schema: StandardDatabase) -> None:
    documents = [{"_key": "b", "n": 2}, WRONG, {"_key": "c", "n": 3}]
    told = db_with_schema.collection("v").import_bulk(documents, halt_on_error=False)
    assert (told["created"], told["errors"]) == (2, 1)
    assert MESSAGE in told["details"][0]
    assert contents(db_with_schema).keys() == {"a", "old", "b", "c"}


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_schema_that_is_taken_away_holds_no_more(
    server: RunningServer, db_with_schema: StandardDatabase, nothing: dict | None
) -> None:
    url = f"{server.url}/_db/{db_with_schema.name}/_api/collection/v/properties"
    requests.put(url, json={"schema": nothing}, auth=("root", server.password), timeout=10).raise_for_status()
    db_with_schema.collection("v").insert(WRONG)
    assert db_with_schema.collection("v").properties()["schema"] is None


@pytest.mark.parametrize(
    "schema",
    [
        {"rule": 5},
        {"rule": RULE, "level": "x"},
        {"rule": RULE, "message": 5},
        {"rule": {"type": 5}},
        {"rule": RULE, "type": "x"},
    ],
)
def test_what_is_no_schema_is_refused(db_with_schema: StandardDatabase, schema: dict) -> None:
    with pytest.raises(CollectionCreateError) as created:
        db_with_schema.create_collection("w", schema=schema)
    with pytest.raises(CollectionConfigureError) as changed:
        db_with_schema.collection("v").configure(schema=schema)
    assert created.value.error_code == changed.value.error_code == 1621
    refuse(db_with_schema, INSERTS["insert"])
