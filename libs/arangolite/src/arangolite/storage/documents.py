"""What the document API does with one document, with ArangoDB's options and refusals."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Batch, Document, Row, primary_violation, stored_text
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Transaction
from arangolite.storage.names import check_key, is_document_id
from arangolite.values import Value

OverwriteMode = Literal["conflict", "ignore", "replace", "update"]


def read_overwrite_mode(given: Value) -> OverwriteMode:
    """Read what is to be done when a key is taken, or refuse it with 10."""
    for mode in get_args(OverwriteMode):
        if mode == given:
            found: OverwriteMode = mode
            return found
    raise ArangoError(Problem.BAD_PARAMETER, f"invalid value for 'overwriteMode': {given!r}")


@dataclass(frozen=True)
class WriteOptions:
    """The options of the document API, under ArangoDB's names."""

    overwrite_mode: OverwriteMode = "conflict"
    keep_null: bool = True
    merge_objects: bool = True
    ignore_revs: bool = True


DEFAULT_OPTIONS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one write: the document before and after, None where there was or is none.

    Both are None when the overwrite mode "ignore" has let a document be.
    """

    key: str
    rev: str
    old: Row | None
    new: Row | None


class RevisionConflictError(ArangoError):
    """The document has another revision than the one expected; ArangoDB answers with the one it has."""

    def __init__(self, row: Row) -> None:
        super().__init__(Problem.CONFLICT, "conflict, _rev values do not match")
        self.row = row


class Documents:
    """One collection's documents inside a write transaction."""

    def __init__(self, transaction: Transaction, collection: Collection) -> None:
        self.collection = collection
        self.batch = Batch(transaction, collection)
        self._transaction = transaction

    def insert(self, document: object, options: WriteOptions = DEFAULT_OPTIONS) -> Written:
        """Insert a document, or do what the overwrite mode says when its key is taken."""
        document = check_document(document)
        key = self._new_key(document)
        self._transaction.claim(self.collection, key)
        existing = self.batch.get(key)
        if existing is not None:
            if options.overwrite_mode == "conflict":
                raise primary_violation(key)
            if options.overwrite_mode == "ignore":
                return Written(key, existing.rev, None, None)
            change = self.update if options.overwrite_mode == "update" else self.replace
            return change(key, document, options)
        self._check_edge(document)
        document = {**document, "_key": key}
        row = self.batch.insert(key, document, stored_text(document))
        return Written(key, row.rev, None, row)

    def update(
        self, key: str, patch: object, options: WriteOptions = DEFAULT_OPTIONS, *, expected: str | None = None
    ) -> Written:
        """Merge attributes into a stored document."""
        patch = check_document(patch)
        old = self._existing(key, patch, options, expected)
        document = merge(old.document(), patch, keep_null=options.keep_null, merge_objects=options.merge_objects)
        return self._store(old, document)

    def replace(
        self, key: str, document: object, options: WriteOptions = DEFAULT_OPTIONS, *, expected: str | None = None
    ) -> Written:
        """Give a stored document new content."""
        document = check_document(document)
        return self._store(self._existing(key, document, options, expected), document)

    def remove(
        self,
        key: str,
        selector: Mapping[str, Any] | None = None,
        options: WriteOptions = DEFAULT_OPTIONS,
        *,
        expected: str | None = None,
    ) -> Written:
        """Remove a stored document."""
        old = self._existing(key, selector or {}, options, expected)
        self.batch.remove(old)
        return Written(key, old.rev, old, None)

    def flush(self) -> None:
        """Write what was changed."""
        self.batch.flush()

    def _existing(self, key: str, given: Mapping[str, Any], options: WriteOptions, expected: str | None) -> Row:
        self._transaction.claim(self.collection, key)
        row = self.batch.get(key)
        if row is None:
            raise ArangoError(Problem.DOCUMENT_NOT_FOUND)
        if expected is None and not options.ignore_revs:
            expected = given.get("_rev")
        if expected is not None and expected != row.rev:
            raise RevisionConflictError(row)
        return row

    def _store(self, old: Row, document: Document) -> Written:
        self._check_edge(document)
        document = {**document, "_key": old.key}
        row = self.batch.replace(old, document, stored_text(document))
        return Written(row.key, row.rev, old, row)

    def _check_edge(self, document: Mapping[str, Value]) -> None:
        if self.collection.is_edge and not (
            is_document_id(document.get("_from")) and is_document_id(document.get("_to"))
        ):
            raise ArangoError(Problem.INVALID_EDGE_ATTRIBUTE)

    def _new_key(self, document: Mapping[str, Value]) -> str:
        options = self.collection.properties["keyOptions"]
        if "_key" in document:
            if not options["allowUserKeys"]:
                raise ArangoError(Problem.DOCUMENT_KEY_UNEXPECTED)
            return check_key(document["_key"])
        return self.generate_key()

    def generate_key(self) -> str:
        """Make a key as the collection's key generator does."""
        options = self.collection.properties["keyOptions"]
        match options["type"]:
            case "uuid":
                return str(uuid.uuid4())
            case "padded":
                return f"{self._transaction.clock.reserve():016x}"
            case "autoincrement":
                return self._transaction.next_key(self.collection, options["increment"], options["offset"])
            case _:
                return str(self._transaction.clock.reserve())


def check_document(value: object) -> Document:
    """Return an object, or refuse anything else with 1227."""
    if type(value) is not dict:
        raise ArangoError(Problem.DOCUMENT_TYPE_INVALID)
    return value


def merge(old: Document, patch: Mapping[str, Value], *, keep_null: bool, merge_objects: bool) -> Document:
    """Merge a patch into a document as PATCH does: objects recursively when wanted, nulls removed when not kept."""
    merged = dict(old)
    for name, value in patch.items():
        if value is None and not keep_null:
            merged.pop(name, None)
        elif type(value) is dict:
            before = merged.get(name)
            base = before if merge_objects and type(before) is dict else {}
            merged[name] = merge(base, value, keep_null=keep_null, merge_objects=merge_objects)
        else:
            merged[name] = value
    return merged


def document_bytes(collection: str, row: Row) -> bytes:
    """Give the JSON of a document as a client sees it, without decoding what is stored."""
    text = row.text if isinstance(row.text, bytes) else row.text.encode()
    return b'{"_id":"%b/%b","_rev":"%b",%b' % (collection.encode(), row.key.encode(), row.rev.encode(), text[1:])


def raw_document(collection: str, row: Row) -> msgspec.Raw:
    """Give the document for embedding in an answer that msgspec encodes."""
    return msgspec.Raw(document_bytes(collection, row))
