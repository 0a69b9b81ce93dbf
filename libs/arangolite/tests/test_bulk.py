"""Documents that go in as one end as those that go in one by one: a collection with a unique index takes no other."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from arangolite.http.imports import _clean_lines, _lines
from arangolite.storage import schema
from arangolite.storage.database import Database, Transaction
from arangolite.storage.engine import Engine
from arangolite.storage.importing import Importer, ImportResult, Incoming, OnDuplicate

_INDEXES = [["x"], ["x", "y"], ["n.p", "x"], ["y[*]", "x"]]
_UNIQUE = {"type": "persistent", "fields": ["never"], "unique": True, "sparse": True}

Batches = Sequence[tuple[OnDuplicate, Sequence[dict]]]


async def _make_collection(database: Database, name: str) -> None:
    await database.write(schema.create_collection({"name": name}))
    for fields in _INDEXES:
        for sparse in (False, True):
            request = {"type": "persistent", "fields": fields, "sparse": sparse}
            await database.write(schema.create_index(name, request))


def _import(
    name: str, incoming: Sequence[Incoming], on_duplicate: OnDuplicate
) -> Callable[[Transaction], ImportResult]:
    def work(transaction: Transaction) -> ImportResult:
        result = ImportResult()
        Importer(transaction, transaction.collection(name), on_duplicate).run(incoming, result, complete=False)
        return result

    return work


def _content(name: str) -> Callable[[Transaction], tuple[dict, list]]:
    """Return the documents by key, and for each of the common indexes the entries with the keys they lead to."""

    def work(transaction: Transaction) -> tuple[dict, list]:
        collection, query = transaction.collection(name), transaction.connection.execute
        rows = dict(query(f"SELECT key, doc FROM {collection.table}").fetchall())
        entries = [
            query(f"SELECT k, key FROM {table.name} JOIN {collection.table} USING (id) ORDER BY k, key").fetchall()
            for table in collection.index_tables
            if not table.unique
        ]
        counts = [query(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in collection.index_tables]
        assert counts[: len(entries)] == [len(part) for part in entries], "an entry leads nowhere"
        expected = [
            sorted((entry, key) for key, doc in rows.items() for entry in table.entries(json.loads(doc)))
            for table in collection.index_tables
            if not table.unique
        ]
        assert entries == expected
        return rows, entries

    return work


def _both_ways(folder: Path, batches: Batches) -> None:
    engine = Engine(folder)
    try:
        asyncio.run(_import_both_ways(engine.database("_system"), batches))
    finally:
        engine.close()


async def _import_both_ways(database: Database, batches: Batches) -> None:
    for name in ("bulk", "single"):
        await _make_collection(database, name)
    await database.write(schema.create_index("single", _UNIQUE))
    for on_duplicate, documents in batches:
        incoming = [(document, json.dumps(document)) for document in documents]
        bulk = await database.write(_import("bulk", incoming, on_duplicate))
        assert bulk == await database.write(_import("single", incoming, on_duplicate))
    assert await database.write(_content("bulk")) == await database.write(_content("single"))


values = st.none() | st.integers(-2, 2) | st.sampled_from(["", "a", "a\x00", "b", 1.5, 2**60, True, [], [1, "a"], {}])
documents = st.fixed_dictionaries(
    {"_key": st.sampled_from("abcdefgh") | st.just("no good")},
    optional={
        "x": values,
        "y": values | st.lists(values, max_size=3),
        "n": st.dictionaries(st.sampled_from("pq"), values, max_size=2) | values,
    },
)
batches = st.lists(
    st.tuples(st.sampled_from(get_args(OnDuplicate)), st.lists(documents, max_size=6, unique_by=lambda it: it["_key"])),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(batches)
def test_documents_in_bulk_end_as_documents_one_by_one(given_batches: Batches) -> None:
    with TemporaryDirectory() as folder:
        _both_ways(Path(folder), given_batches)


def test_many_documents_of_which_some_are_there_end_as_one_by_one(tmp_path: Path) -> None:
    many = [{"_key": f"k{number}", "x": number % 7, "y": "same", "n": {"p": str(number)}} for number in range(250)]
    _both_ways(tmp_path, [("error", many[120:131]), ("ignore", many[:140]), ("update", many)])


documents_and_others = ["{}", '{"_key":"a"}', '{"a":{}}', '{"a":1e999}', '{"s":"}\\n{"}', " {}", "{}\r"]
lines = st.sampled_from([*documents_and_others, "[{}", "{}]", "{} {}", "", "1", "{"])


@given(st.lists(lines, max_size=5), st.sampled_from(["", "\n", "\n\n"]))
def test_lines_read_in_one_go_are_those_read_one_by_one(some: list[str], end: str) -> None:
    text = "\n".join(some) + end
    clean = _clean_lines(text.encode())
    assert clean is None or clean == list(_lines(text))
