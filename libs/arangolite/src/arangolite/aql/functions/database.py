"""Functions that look into the database."""

from functools import lru_cache

import msgspec

from arangolite.aql.context import Run
from arangolite.aql.functions.dates import InvalidDateError, iso_text, parse_moment
from arangolite.aql.functions.registry import Needs, function, strict_function, wrong_argument
from arangolite.aql.operators import Warn
from arangolite.dialect import SPOKEN_VERSION
from arangolite.errors import ArangoError
from arangolite.storage.batch import row_from_columns
from arangolite.storage.names import split_id
from arangolite.storage.revisions import COUNTER_BITS, revision_number
from arangolite.storage.validation import Validation, check_schema
from arangolite.values import Value

_COMPILED_SCHEMAS = 32  # a query asks for one, once for each document


@function("DOCUMENT", 1, 2, needs=Needs.RUN, deterministic=False)
def _document(run: Run, *arguments: Value) -> Value:
    """Find documents by id, or by collection and key; an array of them gives an array of those that are there.

    A collection that is not there has no documents.
    """
    wanted = arguments[-1]
    collection = arguments[0] if len(arguments) > 1 else None
    if type(wanted) is list:
        return [found for item in wanted if (found := _find(run, collection, item)) is not None]
    return _find(run, collection, wanted)


def _find(run: Run, collection: Value, wanted: Value) -> Value:
    if type(collection) is str and type(wanted) is str and "/" not in wanted:
        wanted = f"{collection}/{wanted}"
    try:
        name, key = split_id(wanted)
    except ArangoError:
        return None
    if collection is not None and name != collection:
        return None
    found = run.collections.get(name)
    if found is None:
        return None
    columns = run.connection.execute(f"SELECT id, key, rev, doc FROM {found.table} WHERE key = ?", (key,)).fetchone()
    return None if columns is None else row_from_columns(columns).full(found.name)


@function("COLLECTION_COUNT", 1, needs=Needs.RUN, deterministic=False)
def _collection_count(run: Run, name: Value) -> Value:
    table = run.collection(name if type(name) is str else "").table
    row: tuple[int] = run.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0]


@function("COLLECTIONS", 0, needs=Needs.RUN, deterministic=False)
def _collections(run: Run) -> Value:
    return [{"_id": str(collection.id), "name": collection.name} for collection in run.collections.values()]


@function("SHARD_ID", 2, needs=Needs.RUN, deterministic=False)
def _shard_id(run: Run, name: Value, _keys: Value) -> Value:
    """Name the shard of a document: outside of a cluster the collection itself."""
    return run.collection(name if type(name) is str else "").name


@function("SCHEMA_GET", 1, needs=Needs.RUN, deterministic=False)
def _schema_get(run: Run, name: Value) -> Value:
    """Give the schema of a collection, null without one.

    Source:
        "SCHEMA_GET()" in ArangoDB 3.12's AQL reference, aql/functions/miscellaneous.
    """
    return run.collection(name if type(name) is str else "").properties.get("schema")


@strict_function("SCHEMA_VALIDATE", 2)
def _schema_validate(warn: Warn, document: Value, schema: Value) -> Value:
    """Tell whether a document fulfils a schema, at whatever level the schema would be applied.

    Raises:
        ArangoError: 1621 for a schema that is none.

    Source:
        "SCHEMA_VALIDATE()" in ArangoDB 3.12's AQL reference, aql/functions/miscellaneous.
    """
    if type(document) is not dict:
        return wrong_argument(warn)
    validation = _validation(msgspec.json.encode(schema))
    if validation is None or validation.is_valid(document):
        return {"valid": True}
    return {"valid": False, "errorMessage": validation.message}


@lru_cache(_COMPILED_SCHEMAS)
def _validation(schema: bytes) -> Validation | None:
    checked = check_schema(msgspec.json.decode(schema))
    return None if checked is None else Validation(checked)


function("CURRENT_DATABASE", 0, needs=Needs.RUN, deterministic=False)(lambda run: run.database)
function("CURRENT_USER", 0, needs=Needs.RUN, deterministic=False)(lambda run: run.user)
function("VERSION", 0, deterministic=False)(lambda: SPOKEN_VERSION)
function("CHECK_DOCUMENT", 1)(lambda value: type(value) is dict)


@strict_function("IS_SAME_COLLECTION", 2)
def _is_same_collection(warn: Warn, collection: Value, document: Value) -> Value:
    identifier = document.get("_id") if type(document) is dict else document
    if type(identifier) is not str or type(collection) is not str:
        return wrong_argument(warn)
    name, slash, _ = identifier.partition("/")
    return bool(slash) and name == collection


@strict_function("DECODE_REV", 1)
def _decode_rev(warn: Warn, revision: Value) -> Value:
    """Take a revision apart into when it was made and which one of its millisecond it is."""
    try:
        number = revision_number(revision if type(revision) is str else " ")
        return {"date": iso_text(parse_moment(number >> COUNTER_BITS)), "count": number & ((1 << COUNTER_BITS) - 1)}
    except (ValueError, InvalidDateError):
        return wrong_argument(warn)
