"""Functions that look into the database."""

from arangolite.aql.context import Run
from arangolite.aql.functions.registry import Needs, function
from arangolite.errors import ArangoError
from arangolite.storage.batch import row_from_columns
from arangolite.storage.names import split_id
from arangolite.values import Value


@function("DOCUMENT", 1, 2, needs=Needs.RUN, deterministic=False)
def _document(run: Run, *arguments: Value) -> Value:
    """Find documents by id, or by collection and key; an array of them gives an array of those that are there."""
    wanted = arguments[-1]
    prefix = f"{arguments[0]}/" if len(arguments) > 1 and type(arguments[0]) is str else ""
    if type(wanted) is list:
        return [found for item in wanted if (found := _find(run, prefix, item)) is not None]
    return _find(run, prefix, wanted)


def _find(run: Run, prefix: str, wanted: Value) -> Value:
    try:
        name, key = split_id(prefix + wanted if prefix and type(wanted) is str and "/" not in wanted else wanted)
    except ArangoError:
        return None
    collection = run.collection(name)
    columns = run.connection.execute(
        f"SELECT id, key, rev, doc FROM {collection.table} WHERE key = ?",
        (key,),
    ).fetchone()
    return None if columns is None else row_from_columns(columns).full(collection.name)


@function("COLLECTION_COUNT", 1, needs=Needs.RUN, deterministic=False)
def _collection_count(run: Run, name: Value) -> Value:
    table = run.collection(name if type(name) is str else "").table
    row: tuple[int] = run.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0]


@function("COLLECTIONS", 0, needs=Needs.RUN, deterministic=False)
def _collections(run: Run) -> Value:
    return [{"_id": str(collection.id), "name": collection.name} for collection in run.collections.values()]
