import random
from collections.abc import Callable

import pytest
from arango.database import StandardDatabase
from arango.exceptions import (
    AQLQueryExecuteError,
    DocumentInsertError,
    DocumentUpdateError,
    IndexCreateError,
    IndexDeleteError,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def test_indexes_are_created_once_listed_and_dropped(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    wanted = {"type": "persistent", "fields": ["a", "b.c"], "unique": False, "sparse": True, "name": "mine"}
    first, second = things.add_index(wanted), things.add_index(wanted)
    assert first["isNewlyCreated"]
    assert not second["isNewlyCreated"]
    assert first["id"] == second["id"]
    assert [index["name"] for index in things.indexes()] == ["primary", "mine"]
    assert things.delete_index("mine")
    with pytest.raises(IndexDeleteError) as gone:
        things.delete_index("mine")
    assert gone.value.error_code == 1212
    with pytest.raises(IndexDeleteError) as primary:
        things.delete_index("0")
    assert primary.value.error_code == 11


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({"type": "persistent", "fields": []}, 10),
        ({"type": "persistent", "fields": ["a", "a"]}, 10),
        ({"type": "persistent", "fields": ["_id"]}, 10),
        ({"type": "persistent", "fields": ["a..b"]}, 1220),
        ({"type": "persistent", "fields": ["a"], "name": "no good"}, 1208),
        ({"fields": ["a"]}, 10),
    ],
)
def test_wrong_indexes_are_refused(db: StandardDatabase, wanted: dict, number: int) -> None:
    with pytest.raises(IndexCreateError) as refused:
        db.create_collection("things").add_index(wanted)
    assert refused.value.error_code == number


def test_a_unique_index_refuses_equal_values_also_null(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "persistent", "fields": ["a", "b"], "unique": True})
    things.insert({"_key": "x", "a": 1, "b": 2})
    things.insert({"_key": "y"})
    for clash in ({"a": 1.0, "b": 2}, {"a": None}):
        with pytest.raises(DocumentInsertError) as refused:
            things.insert(clash)
        assert refused.value.error_code == 1210
    with pytest.raises(DocumentUpdateError):
        things.update({"_key": "y", "a": 1, "b": 2})
    things.update({"_key": "x", "a": 1, "b": 2, "c": 3})
    things.delete("x")
    things.update({"_key": "y", "a": 1, "b": 2})


def test_a_sparse_unique_index_leaves_nulls_alone(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.add_index({"type": "persistent", "fields": ["a"], "unique": True, "sparse": True})
    things.insert_many([{}, {"a": None}, {"a": 1}])
    assert things.count() == 3
    assert list(db.aql.execute("FOR d IN things FILTER d.a == null COLLECT WITH COUNT INTO n RETURN n")) == [2]
    assert list(db.aql.execute("FOR d IN things SORT d.a RETURN d.a")) == [None, None, 1]


def test_an_index_on_stored_documents_finds_them_and_refuses_what_is_twice(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.insert_many([{"a": n % 5} for n in range(20)])
    with pytest.raises(IndexCreateError) as refused:
        things.add_index({"type": "persistent", "fields": ["a"], "unique": True})
    assert refused.value.error_code == 1210
    things.add_index({"type": "persistent", "fields": ["a"]})
    cursor = db.aql.execute("FOR d IN things FILTER d.a == 3 RETURN d.a")
    assert list(cursor) == [3, 3, 3, 3]
    assert (cursor.statistics()["scanned_full"], cursor.statistics()["scanned_index"]) == (0, 4)


@pytest.fixture
def workflows(db: StandardDatabase) -> StandardDatabase:
    collection = db.create_collection("workflows")
    collection.add_index({"type": "persistent", "fields": ["status", "created_at"]})
    dice = random.Random(7)
    collection.import_bulk(
        [
            {
                "_key": f"wf{n:04}",
                "status": dice.choice(["loading", "completed"]),
                "created_at": f"2026-01-{dice.randint(1, 9):02}",
            }
            for n in range(1000)
        ]
    )
    return db


def test_filter_sort_and_limit_are_answered_by_the_index_and_only_ties_are_sorted(workflows: StandardDatabase) -> None:
    query = """FOR w IN workflows FILTER w.status == @s AND w.created_at < @t
               SORT w.created_at DESC, w._key DESC LIMIT 50 RETURN w"""
    cursor = workflows.aql.execute(query, bind_vars={"s": "loading", "t": "2026-01-08"})
    found = list(cursor)
    everything = [
        w
        for w in workflows.collection("workflows").all()
        if w["status"] == "loading" and w["created_at"] < "2026-01-08"
    ]
    assert found == sorted(everything, key=lambda w: (w["created_at"], w["_key"]), reverse=True)[:50]
    assert cursor.statistics()["scanned_full"] == 0
    assert cursor.statistics()["scanned_index"] < 200


def test_counting_a_range_reads_no_document(workflows: StandardDatabase) -> None:
    query = """FOR w IN workflows FILTER w.status == 'loading' AND w.created_at >= @a AND w.created_at < @b
               COLLECT WITH COUNT INTO n RETURN n"""
    (count,) = workflows.aql.execute(query, bind_vars={"a": "2026-01-03", "b": "2026-01-05"})
    everything = workflows.collection("workflows").all()
    assert count == sum(w["status"] == "loading" and "2026-01-03" <= w["created_at"] < "2026-01-05" for w in everything)


def test_an_inner_loop_uses_the_index_with_the_outer_value(workflows: StandardDatabase) -> None:
    query = """FOR s IN ['loading', 'completed', 'error']
                 FOR w IN workflows FILTER w.status == s COLLECT status = s WITH COUNT INTO n RETURN [status, n]"""
    cursor = workflows.aql.execute(query)
    assert sum(n for _, n in cursor) == 1000
    assert cursor.statistics()["scanned_full"] == 0


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.5, 1.0, "", "a", "b", "a\x00"])
    | st.lists(st.integers(0, 1), max_size=2)
)
documents = st.lists(st.fixed_dictionaries({}, optional={"a": scalars, "b": scalars}), max_size=12)
conditions = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["==", "<", "<=", ">", ">=", "IN"]),
        scalars | st.lists(scalars, max_size=3),
    ),
    max_size=3,
)
orders = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["ASC", "DESC"])),
    max_size=2,
    unique_by=lambda order: order[0],
)


@pytest.fixture(scope="session")
def twins(system: StandardDatabase) -> Callable[[list], None]:
    """Two collections with the same documents, one with indexes and one without."""
    plain, indexed = system.create_collection("plain"), system.create_collection("indexed")
    indexed.add_index({"type": "persistent", "fields": ["a", "b"]})
    indexed.add_index({"type": "persistent", "fields": ["b"], "sparse": True})

    def fill(docs: list) -> None:
        for collection in (plain, indexed):
            collection.import_bulk([{**doc, "_key": str(n)} for n, doc in enumerate(docs)], overwrite=True)

    return fill


@settings(max_examples=150, deadline=None)
@given(docs=documents, where=conditions, order=orders, backwards=st.booleans())
def test_an_index_never_changes_a_result(
    system: StandardDatabase, twins: Callable, docs: list, where: list, order: list, backwards: bool
) -> None:
    twins(docs)
    names = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "=="}
    clauses = [
        f"@v{n} {names[operator]} d.{field}" if backwards and operator in names else f"d.{field} {operator} @v{n}"
        for n, (field, operator, _) in enumerate(where)
    ]
    text = " ".join(f"FILTER {clause}" for clause in clauses)
    text += " SORT " + ", ".join([*(f"d.{field} {direction}" for field, direction in order), "d._key"])
    bind = {f"v{n}": value for n, (_, _, value) in enumerate(where)}
    results = [
        list(system.aql.execute(f"FOR d IN {name} {text} RETURN d._key", bind_vars=bind))
        for name in ("plain", "indexed")
    ]
    assert results[0] == results[1]
    counts = [
        list(
            system.aql.execute(
                f"FOR d IN {name} {text.partition(' SORT ')[0]} COLLECT WITH COUNT INTO n RETURN n", bind_vars=bind
            )
        )
        for name in ("plain", "indexed")
    ]
    assert counts == [[len(results[0])]] * 2


def test_explain_shows_which_index_is_used(workflows: StandardDatabase) -> None:
    plan = workflows.aql.explain("FOR w IN workflows FILTER w.status == 'loading' SORT w.created_at DESC RETURN w")
    kinds = [node["type"] for node in plan["nodes"]]
    assert kinds == ["SingletonNode", "IndexNode", "ReturnNode"]
    assert plan["nodes"][1]["indexes"][0]["fields"] == ["status", "created_at"]
    assert plan["nodes"][1]["reverse"]
    plan = workflows.aql.explain("FOR w IN workflows FILTER w.other == 1 RETURN w")
    assert [node["type"] for node in plan["nodes"]] == [
        "SingletonNode",
        "EnumerateCollectionNode",
        "FilterNode",
        "ReturnNode",
    ]
    assert workflows.aql.validate("FOR w IN @@c FILTER w.x == @x RETURN w")["bind_vars"] == ["@c", "x"]
    both = "FOR w IN workflows LET n = w.n FOR v, e IN OUTBOUND w edges COLLECT k = n INTO g INSERT {k} INTO others"
    assert workflows.aql.validate(both)["collections"] == ["edges", "others", "workflows"]


@pytest.fixture
def tagged(db: StandardDatabase) -> StandardDatabase:
    collection = db.create_collection("tagged")
    collection.import_bulk([{"_key": f"{n}", "tags": [f"t{n % 5}", "all", "all"], "n": n % 3} for n in range(60)])
    collection.insert({"_key": "text", "tags": "all"})
    collection.add_index({"type": "persistent", "fields": ["tags[*]", "n"]})
    collection.add_index({"type": "persistent", "fields": ["n", "tags[*]"]})
    return db


@pytest.mark.parametrize(
    ("condition", "indexed", "found"),
    [
        ("'t1' IN d.tags[*]", True, 12),
        ("'all' IN d.tags[*]", True, 60),
        ("'t1' IN d.tags[*] AND d.n >= 1", True, 8),
        ("'t1' IN d.tags[*] AND 't2' IN d.tags[*]", True, 0),
        ("'t1' IN d.tags", False, 12),
        ("'t1' IN d.tags[* RETURN CURRENT]", False, 12),
        ("d.tags[*] ANY == 't1'", False, 12),
        ("d.n == 1", False, 20),
        ("d.tags == 'all'", False, 1),
    ],
)
def test_an_array_index_finds_documents_by_an_element(
    tagged: StandardDatabase, condition: str, indexed: bool, found: int
) -> None:
    query = f"FOR d IN tagged FILTER {condition} RETURN d._key"
    kinds = [node["type"] for node in tagged.aql.explain(query)["nodes"]]
    assert ("IndexNode" in kinds) is indexed
    keys = list(tagged.aql.execute(query))
    assert len(keys) == len(set(keys)) == found


def test_an_attribute_by_a_bind_parameter_uses_the_index_too(workflows: StandardDatabase) -> None:
    query, bind = "FOR w IN workflows FILTER w[@name] == 'loading' RETURN w._key", {"name": "status"}
    assert workflows.aql.explain(query, bind_vars=bind)["nodes"][1]["type"] == "IndexNode"
    plain = "FOR w IN workflows FILTER w.status == 'loading' RETURN w._key"
    assert list(workflows.aql.execute(query, bind_vars=bind)) == list(workflows.aql.execute(plain)) != []
    assert list(workflows.aql.execute("RETURN [[5, 6][@place], {'1': 7}[@place]]", bind_vars={"place": "1"})) == [
        [6, 7]
    ]


def test_a_sort_after_two_loops_is_about_both(workflows: StandardDatabase) -> None:
    query = """FOR s IN ['loading', 'completed']
                 FOR w IN workflows FILTER w.status == s SORT w.created_at LIMIT 900 RETURN w.created_at"""
    found = list(workflows.aql.execute(query))
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("options", "index"),
    [
        ("{indexHint: 'by_b'}", "by_b"),
        ("{indexHint: ['none', 'by_b'], forceIndexHint: true}", "by_b"),
        ("{indexHint: 'none'}", "by_a"),
        ("{disableIndex: true}", None),
        ("{indexHint: 'by_b', disableIndex: true}", None),
    ],
)
def test_a_hint_decides_which_index_is_used(db: StandardDatabase, options: str, index: str | None) -> None:
    things = db.create_collection("things")
    things.import_bulk([{"a": n % 3, "b": n % 2, "n": n} for n in range(12)])
    things.add_index({"type": "persistent", "fields": ["a", "b"], "name": "by_a"})
    things.add_index({"type": "persistent", "fields": ["b"], "name": "by_b"})
    query = f"FOR d IN things OPTIONS {options} FILTER d.a == 1 AND d.b == 1 SORT d.n RETURN d.n"
    nodes = db.aql.explain(query)["nodes"]
    assert [used["name"] for node in nodes for used in node.get("indexes", [])] == ([] if index is None else [index])
    assert list(db.aql.execute(query)) == [1, 7]
    with pytest.raises(AQLQueryExecuteError) as refused:
        db.aql.execute("FOR d IN things OPTIONS {indexHint: 'by_b', forceIndexHint: true} FILTER d.a == 1 RETURN d")
    assert refused.value.error_code == 1577


@pytest.mark.parametrize(
    "query",
    [
        "FOR d IN things OPTIONS {nonsense: 1} RETURN d",
        "FOR d IN things COLLECT a = d.a OPTIONS {method: 'hash', nonsense: 1} RETURN a",
        "FOR d IN things UPDATE d WITH {c: 1} IN things OPTIONS {nonsense: 1}",
        "UPSERT {a: 1} INSERT {a: 1} UPDATE {b: 1} IN things OPTIONS {nonsense: 1, indexHint: 'x'}",
        "FOR v IN OUTBOUND 'things/a' edges OPTIONS {nonsense: 1} RETURN v",
        "FOR v IN OUTBOUND SHORTEST_PATH 'things/a' TO 'things/b' edges OPTIONS {nonsense: 1} RETURN v",
    ],
)
def test_an_unknown_option_is_warned_about(db: StandardDatabase, query: str) -> None:
    db.create_collection("things")
    db.create_collection("edges", edge=True)
    assert [warning["code"] for warning in db.aql.execute(query).warnings()] == [1539]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("FOR i IN 1..2 INSERT {} INTO things OPTIONS {waitForSync: i > 1}", 1575),
        ("INSERT {} INTO things OPTIONS {versionAttribute: 'v'}", 9),
    ],
)
def test_options_that_cannot_be_heeded_are_refused(db: StandardDatabase, query: str, number: int) -> None:
    db.create_collection("things")
    with pytest.raises(AQLQueryExecuteError) as refused:
        db.aql.execute(query)
    assert refused.value.error_code == number
