"""`/_api/document`: one document or an array of them."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.http.call import Call, Json, Route, answer, error_body, parse_json
from arangolite.storage.batch import Row, row_from_columns
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Transaction
from arangolite.storage.documents import (
    Documents,
    RevisionConflictError,
    WriteOptions,
    Written,
    check_document,
    raw_document,
    read_overwrite_mode,
)
from arangolite.storage.names import check_key, split_id

Change = Callable[[Documents, Any], Written]
"""What a request does with one item of its body."""


@dataclass(frozen=True)
class _Wanted:
    """What the caller wants to see in the answer."""

    old: bool
    new: bool
    silent: bool


def _wanted(call: Call) -> _Wanted:
    return _Wanted(call.flag("returnOld"), call.flag("returnNew"), call.flag("silent"))


def read_options(call: Call, *, ignore_revs: bool = True) -> WriteOptions:
    """Read what the query parameters say about a write."""
    if call.parameter("versionAttribute"):
        raise not_supported("'versionAttribute'")
    mode = call.parameter("overwriteMode")
    if mode is None:
        mode = "replace" if call.flag("overwrite") else "conflict"
    return WriteOptions(
        overwrite_mode=read_overwrite_mode(mode),
        keep_null=call.flag("keepNull", True),
        merge_objects=call.flag("mergeObjects", True),
        ignore_revs=call.flag("ignoreRevs", ignore_revs),
    )


def etag(call: Call, header: str) -> str | None:
    """Read a revision from a header."""
    value = call.request.headers.get(header)
    return value.strip().strip('"') if value is not None else None


def _describe(collection: str, written: Written, wanted: _Wanted) -> Json:
    """Give the part of an answer that tells of one write."""
    meta: Json = {"_id": f"{collection}/{written.key}", "_key": written.key, "_rev": written.rev}
    if written.old is not None and written.new is not None:
        meta["_oldRev"] = written.old.rev
    if wanted.old and written.old is not None:
        meta["old"] = raw_document(collection, written.old)
    if wanted.new and written.new is not None:
        meta["new"] = raw_document(collection, written.new)
    return meta


def _refusal(error: ArangoError) -> Json:
    """Give the part of an answer that tells of one refused write or read of many."""
    return {"error": True, "errorNum": error.number, "errorMessage": error.message}


async def _write_one(call: Call, item: Any, change: Change, *, status: int) -> web.Response:
    collection, sync = _target(call)
    wanted = _wanted(call)

    def work(transaction: Transaction) -> Written:
        documents = Documents(transaction, transaction.collection(collection.name))
        written = change(documents, item)
        documents.flush()
        return written

    try:
        async with call.session(writes=[collection.name]) as session:
            written = await session.write(work, sync=sync)
    except RevisionConflictError as exc:
        return answer_conflict(collection.name, exc)
    body = {} if wanted.silent else _describe(collection.name, written, wanted)
    headers = {
        "ETag": f'"{written.rev}"',
        "Location": f"/_db/{call.database.name}/_api/document/{collection.name}/{written.key}",
    }
    return answer(body, status if sync else 202, headers)


async def _write_many(call: Call, items: list[Any], change: Change, *, status: int) -> web.Response:
    collection, sync = _target(call)
    wanted = _wanted(call)
    failures: Counter[int] = Counter()

    def work(transaction: Transaction) -> list[Json]:
        documents = Documents(transaction, transaction.collection(collection.name))
        documents.batch.prefetch(key for item in items if (key := _key_hint(item)) is not None)
        told: list[Json] = []
        for item in items:
            try:
                written = change(documents, item)
            except ArangoError as exc:
                failures[exc.number] += 1
                told.append(_refusal(exc))
            else:
                if not wanted.silent:
                    told.append(_describe(collection.name, written, wanted))
        documents.flush()
        return told

    async with call.session(writes=[collection.name]) as session:
        told = await session.write(work, sync=sync)
    return answer(told, status if sync else 202, _error_codes(failures))


def _error_codes(failures: Mapping[int, int]) -> dict[str, str]:
    """Make the header that counts the failures of a bulk call by their numbers."""
    counts = ",".join(f"{number}:{count}" for number, count in failures.items())
    return {"X-Arango-Error-Codes": counts} if failures else {}


def _target(call: Call) -> tuple[Collection, bool]:
    collection = call.database.collection(call.path["collection"])
    return collection, call.flag("waitForSync", collection.wait_for_sync) or collection.wait_for_sync


def _key_hint(item: Any) -> str | None:
    """Guess the key of an item, to look many up at once; the real check comes later."""
    key = item.get("_key") if type(item) is dict else item
    return key if type(key) is str else None


def _selected_key(collection: Collection, item: Any) -> str:
    """Find out which document an item of a bulk call means: by `_key`, by `_id`, or as a bare key or id."""
    if type(item) is dict:
        item = item.get("_key", item.get("_id"))
    if isinstance(item, str) and "/" in item:
        name, key = split_id(item)
        if name != collection.name:
            raise ArangoError(Problem.DOCUMENT_NOT_FOUND)
        return key
    if not isinstance(item, str):
        raise ArangoError(Problem.DOCUMENT_HANDLE_BAD)
    return check_key(item)


async def _insert(call: Call) -> web.Response:
    if "collection" not in call.path:
        raise ArangoError(Problem.COLLECTION_PARAMETER_MISSING)
    options = read_options(call)
    body = await call.json()

    def change(documents: Documents, item: Any) -> Written:
        return documents.insert(item, options)

    if type(body) is list:
        return await _write_many(call, body, change, status=201)
    return await _write_one(call, check_document(body), change, status=201)


async def _change_one(
    call: Call, change: Callable[[Documents, str, Any, WriteOptions, str | None], Written]
) -> web.Response:
    options, key, expected = read_options(call), check_key(call.path["key"]), etag(call, "If-Match")
    body = check_document(await call.json())
    return await _write_one(
        call, body, lambda documents, item: change(documents, key, item, options, expected), status=201
    )


async def _change_many(
    call: Call, change: Callable[[Documents, str, Any, WriteOptions, str | None], Written]
) -> web.Response:
    options = read_options(call)
    body = await call.json()
    if type(body) is not list:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a JSON array in the request body")

    def change_item(documents: Documents, item: Any) -> Written:
        return change(documents, _selected_key(documents.collection, check_document(item)), item, options, None)

    return await _write_many(call, body, change_item, status=201)


def _apply_update(documents: Documents, key: str, item: Any, options: WriteOptions, expected: str | None) -> Written:
    return documents.update(key, item, options, expected=expected)


def _apply_replace(documents: Documents, key: str, item: Any, options: WriteOptions, expected: str | None) -> Written:
    return documents.replace(key, item, options, expected=expected)


async def _update_one(call: Call) -> web.Response:
    return await _change_one(call, _apply_update)


async def _replace_one(call: Call) -> web.Response:
    return await _change_one(call, _apply_replace)


async def _update_many(call: Call) -> web.Response:
    return await _change_many(call, _apply_update)


async def _replace_or_get_many(call: Call) -> web.Response:
    if call.flag("onlyget"):
        return await _get_many(call)
    return await _change_many(call, _apply_replace)


async def _remove_one(call: Call) -> web.Response:
    options, key, expected = read_options(call), check_key(call.path["key"]), etag(call, "If-Match")
    return await _write_one(
        call, None, lambda documents, _: documents.remove(key, None, options, expected=expected), status=200
    )


async def _remove_many(call: Call) -> web.Response:
    options = read_options(call)
    body = await call.json()
    if type(body) is not list:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a JSON array in the request body")

    def change(documents: Documents, item: Any) -> Written:
        return documents.remove(
            _selected_key(documents.collection, item), item if type(item) is dict else None, options
        )

    return await _write_many(call, body, change, status=200)


def answer_conflict(collection: str, error: RevisionConflictError) -> web.Response:
    """Answer a request for another revision than the stored one: with 412, where in a query it is 409."""
    status, row = HTTPStatus.PRECONDITION_FAILED, error.row
    stored = {"_id": f"{collection}/{row.key}", "_key": row.key, "_rev": row.rev}
    return answer({**error_body(error), "code": status, **stored}, status, {"ETag": f'"{row.rev}"'})


def find_document(connection: sqlite3.Connection, collection: Collection, key: str) -> Row:
    """Read a document, or refuse with 1202."""
    columns = connection.execute(f"SELECT id, key, rev, doc FROM {collection.table} WHERE key = ?", (key,)).fetchone()
    if columns is None:
        raise ArangoError(Problem.DOCUMENT_NOT_FOUND)
    return row_from_columns(columns)


async def _get_one(call: Call) -> web.Response:
    collection, key = call.database.collection(call.path["collection"]), call.path["key"]
    async with call.session(reads=[collection.name]) as session:
        row = await session.read(lambda connection: find_document(connection, collection, key))
    headers = {"ETag": f'"{row.rev}"'}
    if (unchanged := etag(call, "If-None-Match")) is not None and unchanged == row.rev:
        return web.Response(status=304, headers=headers)
    if (expected := etag(call, "If-Match")) is not None and expected != row.rev:
        return answer_conflict(collection.name, RevisionConflictError(row))
    return answer(raw_document(collection.name, row), headers=headers)


async def _get_many(call: Call) -> web.Response:
    collection, check_revs = call.database.collection(call.path["collection"]), not call.flag("ignoreRevs", True)
    items = parse_json(await call.body())
    if type(items) is not list:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a JSON array in the request body")
    failures: Counter[int] = Counter()

    def work(connection: sqlite3.Connection) -> list[Json | msgspec.Raw]:
        told: list[Json | msgspec.Raw] = []
        for item in items:
            try:
                row = find_document(connection, collection, _selected_key(collection, item))
                if check_revs and type(item) is dict and item.get("_rev", row.rev) != row.rev:
                    raise RevisionConflictError(row)
                told.append(raw_document(collection.name, row))
            except ArangoError as exc:
                failures[exc.number] += 1
                told.append(_refusal(exc))
        return told

    async with call.session(reads=[collection.name]) as session:
        found = await session.read(work)
    return answer(found, headers=_error_codes(failures))


_MANY = "/_api/document/{collection}"
_ONE = "/_api/document/{collection}/{key}"
ROUTES = [
    Route("POST", "/_api/document", _insert),
    Route("POST", _MANY, _insert),
    Route("PATCH", _MANY, _update_many),
    Route("PUT", _MANY, _replace_or_get_many),
    Route("DELETE", _MANY, _remove_many),
    Route("GET", _ONE, _get_one),
    Route("HEAD", _ONE, _get_one),
    Route("PATCH", _ONE, _update_one),
    Route("PUT", _ONE, _replace_one),
    Route("DELETE", _ONE, _remove_one),
]
