"""`/_api/import`: many documents in one request, as JSON lines, an array, or lines of values under one of names."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, answer
from arangolite.storage import schema
from arangolite.storage.batch import Document
from arangolite.storage.database import Transaction
from arangolite.storage.importing import Importer, ImportResult, Incoming, OnDuplicate, quote

_decode = msgspec.json.decode
_LINES = msgspec.json.Decoder()
_BLANKS = " \t\r\b\f"
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

Item = Incoming | str | None
"""What a line or element becomes: a document with its text, the reason why it is refused, or None for an empty line."""


async def _import(call: Call) -> web.Response:
    name = call.parameter("collection")
    if not name:
        raise ArangoError(
            Problem.COLLECTION_PARAMETER_MISSING,
            "'collection' is missing, expecting /_api/import?collection=<identifier>",
        )
    collection = call.database.collection(name)
    complete, overwrite, details = call.flag("complete"), call.flag("overwrite"), call.flag("details")
    on_duplicate = _on_duplicate(call)
    sync = call.flag("waitForSync") or collection.wait_for_sync
    form, first_line = call.parameter("type"), _line_number(call)
    prefixes = _prefixes(call) if collection.is_edge else {}
    body = await call.body()

    def prepare() -> tuple[list[Incoming], ImportResult]:
        if form == "documents" and not prefixes and (clean := _clean_lines(body)) is not None:
            return clean, ImportResult()
        return _sort_out(_items(form, first_line, _decoded(body)), prefixes, complete=complete)

    incoming, outcome = await asyncio.get_running_loop().run_in_executor(call.engine.threads, prepare)

    def work(transaction: Transaction) -> None:
        if overwrite:
            schema.truncate_collection(collection.name)(transaction)
        Importer(transaction, transaction.collection(collection.name), on_duplicate).run(
            incoming, outcome, complete=complete
        )

    await call.database.write(work, sync=sync)
    counts = {name: getattr(outcome, name) for name in ("created", "errors", "empty", "updated", "ignored")}
    return answer({"error": False, **counts, **({"details": outcome.details} if details else {})}, 201)


def _on_duplicate(call: Call) -> OnDuplicate:
    wanted = call.parameter("onDuplicate")
    known: OnDuplicate
    for known in get_args(OnDuplicate):
        if wanted == known:
            return known
    return "error"  # ArangoDB takes anything else for the default, too


def _line_number(call: Call) -> int:
    text = call.parameter("line") or "0"
    if not text.isdecimal():
        raise ArangoError(Problem.BAD_PARAMETER, f"the parameter 'line' must be a number, not {text!r}")
    return int(text)


def _prefixes(call: Call) -> dict[str, str]:
    given = {"_from": call.parameter("fromPrefix"), "_to": call.parameter("toPrefix")}
    return {name: prefix.removesuffix("/") + "/" for name, prefix in given.items() if prefix}


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise ArangoError(
            Problem.HTTP_BAD_PARAMETER, f"the body is not UTF-8: {exc.reason} at byte {exc.start}"
        ) from exc


def _sort_out(
    items: Iterator[Item], prefixes: Mapping[str, str], *, complete: bool
) -> tuple[list[Incoming], ImportResult]:
    """Separate the documents from what is refused.

    Raises:
        ArangoError: With `complete`, the first refusal.
    """
    incoming: list[Incoming] = []
    outcome = ImportResult()
    for item in items:
        if item is None:
            outcome.empty += 1
        elif type(item) is str:
            if complete:
                raise ArangoError(Problem.DOCUMENT_TYPE_INVALID, item)
            outcome.refuse(item)
        else:
            assert type(item) is tuple
            incoming.append(_with_prefixes(item, prefixes) if prefixes else item)
    return incoming, outcome


def _with_prefixes(item: Incoming, prefixes: Mapping[str, str]) -> Incoming:
    document, text = item
    changed = {}
    for name, prefix in prefixes.items():
        value = document.get(name)
        if type(value) is int or (type(value) is str and "/" not in value):
            changed[name] = f"{prefix}{value}"
    return ({**document, **changed}, None) if changed else (document, text)


def _items(form: str | None, first_line: int, text: str) -> Iterator[Item]:
    match form:
        case "documents":
            return _lines(text)
        case "list" | "array":
            return _elements(text)
        case "auto":
            return _elements(text) if text.lstrip()[:1] == "[" else _lines(text)
        case None | "":
            return _values(text, first_line)
        case _:
            raise ArangoError(Problem.BAD_PARAMETER, "invalid value for 'type'")


def _clean_lines(body: bytes) -> list[Incoming] | None:
    """Read JSON lines of which nothing is to be refused, as loaders send them, in one go; None for anything else."""
    try:
        text = body.decode().removesuffix("\n")
        documents = _LINES.decode_lines(body)
    except _UNREADABLE:
        return None
    lines = text.split("\n")
    # Between the braces of two documents stands nothing but the line's end, and it stands nowhere else.
    if set(map(type, documents)) != {dict} or not len(lines) == len(documents) == text.count("}\n{") + 1:
        return None
    return list(zip(documents, lines, strict=True)) if text[0] == "{" and text[-1] == "}" else None


def _lines(text: str) -> Iterator[Item]:
    """Read JSON lines. The text of each document is kept, because it is what will be stored."""
    for position, raw_line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        line = raw_line.strip(_BLANKS)
        if not line:
            yield None
            continue
        try:
            value = _decode(line)
        except _UNREADABLE:
            yield _unreadable(position, line)
            continue
        yield (value, line) if type(value) is dict else _not_an_object(position, line)


def _elements(text: str) -> Iterator[Item]:
    """Read one JSON array of documents."""
    try:
        values = _decode(text)
    except _UNREADABLE as exc:
        raise ArangoError(
            Problem.HTTP_BAD_PARAMETER, f"expecting a valid JSON array in the request. got: {exc}"
        ) from exc
    if type(values) is not list:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting a JSON array in the request")
    for position, value in enumerate(values, 1):
        yield (value, None) if type(value) is dict else _not_an_object(position, msgspec.json.encode(value).decode())


def _values(text: str, first_line: int) -> Iterator[Item]:
    """Read a line of attribute names and then lines of their values; nulls are left out."""
    head, newline, rest = text.partition("\n")
    if not newline:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "no JSON array found in second line")
    names = _attribute_names(head)
    for position, raw_line in enumerate(rest.removesuffix("\n").split("\n") if rest else (), first_line + 1):
        line = raw_line.strip(_BLANKS)
        if not line:
            yield None
            continue
        try:
            values = _decode(line)
        except _UNREADABLE:
            yield _unreadable(position, line)
            continue
        yield _zipped(position, names, values)


def _attribute_names(line: str) -> list[str]:
    try:
        names = _decode(line.strip(_BLANKS))
    except _UNREADABLE:
        names = None
    if type(names) is not list or not names or not all(type(name) is str for name in names):
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "no JSON string array found in first line")
    return names


def _zipped(position: int, names: list[str], values: Any) -> Item:
    if type(values) is not list:
        return f"at position {position}: no valid JSON array data"
    if len(values) != len(names):
        return f"at position {position}: wrong number of JSON values (got {len(values)}, expected {len(names)})"
    document: Document = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return document, None


def _unreadable(position: int, line: str) -> str:
    reason = "invalid JSON type (expecting object, probably parse error)"
    return f"at position {position}: {reason}, offending context: {quote(line)}"


def _not_an_object(position: int, text: str) -> str:
    return f"at position {position}: invalid JSON type (expecting object), offending document: {quote(text)}"


ROUTES = [Route("POST", "/_api/import", _import)]
