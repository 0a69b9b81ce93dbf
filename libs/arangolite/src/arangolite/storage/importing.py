"""Bulk import: many documents in one transaction, outcomes counted, refusals told in words.

Documents that come with their JSON text are stored as that text, byte for byte, so no number is ever written anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeGuard

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage import catalog
from arangolite.storage.batch import Document, Row, primary_violation, stored_text
from arangolite.storage.database import Transaction
from arangolite.storage.documents import DEFAULT_OPTIONS, Documents, merge
from arangolite.storage.names import is_document_id, is_key
from arangolite.values import Value

OnDuplicate = Literal["error", "update", "replace", "ignore"]

MAX_QUOTED = 255  # bytes of a refused document that an error text repeats, as in ArangoDB


@dataclass(slots=True)
class ImportResult:
    """What became of the documents of one import."""

    created: int = 0
    errors: int = 0
    empty: int = 0
    updated: int = 0
    ignored: int = 0
    details: list[str] = field(default_factory=list)

    def refuse(self, detail: str) -> None:
        """Count a refused document and say why."""
        self.errors += 1
        self.details.append(detail)


Incoming = tuple[Document, str | None]
"""A document to import and, where it came as a line of its own, its JSON text."""


def quote(text: str) -> str:
    """Shorten a refused document for an error text."""
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


class Importer:
    """Imports documents into one collection inside a transaction."""

    def __init__(self, transaction: Transaction, collection: catalog.Collection, on_duplicate: OnDuplicate) -> None:
        self._transaction = transaction
        self._documents = Documents(transaction, collection)
        self._batch = self._documents.batch
        self._collection = collection
        self._on_duplicate = on_duplicate
        self._overwrites = on_duplicate in ("update", "replace")
        self._user_keys: bool = collection.properties["keyOptions"]["allowUserKeys"]

    def run(self, incoming: Sequence[Incoming], result: ImportResult, *, complete: bool) -> None:
        """Import the documents and count into `result`.

        Raises:
            ArangoError: With `complete`, the first refusal; the transaction is then rolled back.
        """
        rest: Iterable[tuple[int, Incoming]] = enumerate(incoming)
        if self._user_keys and not self._collection.is_edge and self._batch.takes_bulk:
            rest = self._import_new(incoming, result)
        self._import_rest(list(rest), result, complete=complete)

    def _import_new(self, incoming: Sequence[Incoming], result: ImportResult) -> list[tuple[int, Incoming]]:
        """Import what has a new key at once, most of what a loader sends; returns the rest with its positions.

        What comes again unchanged, which is what a loader sends when it was interrupted, is done at once, too.
        """
        everything = list(enumerate(incoming))
        documents = [document for document, _ in incoming]
        keys = [document.get("_key") for document in documents]
        if not _are_distinct_keys(keys) or any(map(_names_itself, documents)):
            return everything
        texts = [text or stored_text(document).decode() for document, text in incoming]
        if self._overwrites and (first := self._batch.get(keys[0])) is not None and first.text_as_str() != texts[0]:
            return everything  # most likely all of it came before, and will be changed one by one
        taken, all_written = self._batch.insert_bulk(keys, documents, texts, touches=self._overwrites)
        result.created += len(keys) - len(taken)
        if self._on_duplicate == "ignore":
            result.ignored += len(taken)
            return []
        if self._overwrites and all_written:
            result.updated += len(taken)
            return []
        return [numbered for key, numbered in zip(keys, everything, strict=True) if key in taken]

    def _import_rest(self, rest: Sequence[tuple[int, Incoming]], result: ImportResult, *, complete: bool) -> None:
        keys = (item[0].get("_key") for _, item in rest)
        self._batch.prefetch(
            (key for key in keys if type(key) is str and is_key(key)),
            with_text=self._overwrites,
        )
        for position, item in rest:
            try:
                self._import_one(item, result)
            except ArangoError as exc:
                if complete:
                    raise
                text = item[1] or msgspec.json.encode(item[0]).decode()
                result.refuse(
                    f"at position {position}: creating document failed with error '{exc.message}', "
                    f"offending document: {quote(text)}"
                )
        self._batch.flush()

    def _import_one(self, item: Incoming, result: ImportResult) -> None:
        document = item[0]
        key = document.get("_key")
        if key is None and "_key" not in document:
            self._insert(self._documents.generate_key(), item, result)
            return
        if type(key) is not str or not is_key(key):
            raise ArangoError(Problem.DOCUMENT_KEY_BAD)
        if not self._user_keys:
            raise ArangoError(Problem.DOCUMENT_KEY_UNEXPECTED)
        self._transaction.claim(self._collection, key)
        if self._batch.get(key) is None:
            self._insert(key, item, result)
        elif self._on_duplicate == "ignore":
            result.ignored += 1
        elif self._on_duplicate == "error":
            raise primary_violation(key)
        else:
            self._overwrite(key, item, result)

    def _insert(self, key: str, item: Incoming, result: ImportResult) -> None:
        document = item[0]
        self._check_edge(document)
        try:
            self._batch.insert(key, document, _text_of(key, item))
        except ArangoError as exc:
            # Only another unique index can refuse here; ArangoDB counts that as a duplicate to be ignored, too.
            if self._on_duplicate != "ignore" or exc.problem is not Problem.UNIQUE_CONSTRAINT:
                raise
            result.ignored += 1
        else:
            result.created += 1

    def _check_edge(self, document: Document) -> None:
        if self._collection.is_edge and not (
            is_document_id(document.get("_from")) and is_document_id(document.get("_to"))
        ):
            raise ArangoError(Problem.INVALID_EDGE_ATTRIBUTE)

    def _overwrite(self, key: str, item: Incoming, result: ImportResult) -> None:
        old = self._batch.get(key)
        assert old is not None
        if self._collection.validation is None and item[1] == old.text_as_str():
            self._batch.touch(old)  # the same record came again: nothing to decode, to merge or to index
        elif self._on_duplicate == "replace":
            self._check_edge(item[0])
            self._batch.replace(old, {**item[0], "_key": key}, _text_of(key, item))
        else:
            self._update(old, item)
        result.updated += 1

    def _update(self, old: Row, item: Incoming) -> None:
        document = item[0]
        before = old.document()
        if any(type(value) is dict for value in document.values()):
            after = merge(
                before, document, keep_null=DEFAULT_OPTIONS.keep_null, merge_objects=DEFAULT_OPTIONS.merge_objects
            )
            self._batch.replace(old, after, stored_text(after))
        else:
            after = {**before, **document}
            # Without nested objects and with no attribute left over, the new document is all there is, and its own text
            # can be stored.
            text = _text_of(old.key, item) if len(after) == len(document) else stored_text(after)
            self._batch.replace(old, after, text)


def _are_distinct_keys(values: Sequence[Value]) -> TypeGuard[Sequence[str]]:
    return set(map(type, values)) == {str} and len(set(values)) == len(values) and all(map(is_key, values))


def _names_itself(document: Mapping[str, Value]) -> bool:
    """Whether a document brings attributes that only the database gives."""
    return "_id" in document or "_rev" in document


def _text_of(key: str, item: Incoming) -> str | bytes:
    document, text = item
    if text is None or _names_itself(document):
        return stored_text({**document, "_key": key})
    if "_key" in document:
        return text
    rest = text[1:]
    return f'{{"_key":"{key}",{rest}' if document else f'{{"_key":"{key}"{rest}'
