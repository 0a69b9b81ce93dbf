"""Storing in ArangoDB: documents in bulk, and what does not become one.

A database that is away or busy is waited for here and nowhere else, for as long as an outage may last.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import stamina
from arango.database import StandardDatabase
from loguru import logger

from arango_connector.app.batches import Rejected, document_line, rejected_line
from arango_connector.app.dataset import Dataset
from arango_connector.app.storing import Stored
from streamforge_common.arango.database import ensure_collection
from streamforge_common.arango.importing import DocumentImporter, ImportResult
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import RecordMessage
from streamforge_common.errors import FatalError, RejectedRecordError, TransientError
from streamforge_common.settings import ArangoSettings

_REJECTED_COLLECTION = "rejected_records"
_REJECTED_INDEXES: list[dict[str, Any]] = [{"type": "persistent", "name": "by_queue_id", "fields": ["queue_id"]}]
_WAIT_MAX_S = 5.0


def _record_indexes(kind: RecordKind) -> list[dict[str, Any]]:
    """Describe the indexes of a collection that holds records of a kind; each costs time at every import."""
    instrument = ["exchange", "market", "symbol", "type"]
    # What completeness asks for: one instrument in a range, also where several workflows share a collection; by time,
    # and by id where that is another field.
    fields = [[*instrument, field] for field in dict.fromkeys((kind.time_field, kind.id_field))]
    # What people ask for: a time range of the collection, which most often holds one instrument only.
    fields.append([kind.time_field])
    return [{"type": "persistent", "name": f"by_{'_'.join(it)}", "fields": it} for it in fields]


class RecordStore:
    """One dataset's collection, and the one for what is rejected; an async context manager."""

    def __init__(
        self,
        settings: ArangoSettings,
        database: StandardDatabase,
        dataset: Dataset,
        *,
        outage_seconds: float,
        is_ending: Callable[[], bool],
    ) -> None:
        """Prepare a store.

        Args:
            settings: Where the database is, for imports.
            database: The same, for everything else.
            dataset: Which collection.
            outage_seconds: How long the database is waited for.
            is_ending: Says whether the work must end, and nothing is tried again.
        """
        self._database = database
        self._dataset = dataset
        self._outage_seconds = outage_seconds
        self._is_ending = is_ending
        self._documents = DocumentImporter(settings, dataset.collection, "ignore" if dataset.first_wins else "update")
        # Read again after a crash, a message keeps the document that it has.
        self._rejected = DocumentImporter(settings, _REJECTED_COLLECTION, "ignore")

    async def __aenter__(self) -> Self:
        await ensure_collection(self._database, self._dataset.collection, _record_indexes(self._dataset.kind))
        await ensure_collection(self._database, _REJECTED_COLLECTION, _REJECTED_INDEXES)
        await self._documents.__aenter__()
        await self._rejected.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rejected.__aexit__(kind, error, trace)
        await self._documents.__aexit__(kind, error, trace)

    async def store(self, messages: Sequence[RecordMessage]) -> Stored:
        """Store documents; those that the database refuses are found by halving, and the others are stored.

        The server does not promise to say which they were. Storing a part again tells whether it holds one; what is
        stored already is only stored again.
        """
        try:
            result = await self._import(self._documents, [document_line(message) for message in messages])
        except RejectedRecordError as exc:
            if len(messages) == 1:
                return Stored(0, 0, [Rejected(messages[0], str(exc))])
            halves = await self._store_halves(messages)
            return Stored(
                sum(half.written for half in halves),
                sum(half.repeated for half in halves),
                [refused for half in halves for refused in half.refused],
            )
        refused: Sequence[Rejected] = ()
        if result.errors and len(messages) == 1:
            refused = [Rejected(messages[0], f"refused by the database: {' '.join(result.details)}")]
        elif result.errors:
            refused = [refused for half in await self._store_halves(messages) for refused in half.refused]
        return Stored(result.created, result.updated + result.ignored, refused)

    async def _store_halves(self, messages: Sequence[RecordMessage]) -> list[Stored]:
        middle = len(messages) // 2
        return [await self.store(half) for half in (messages[:middle], messages[middle:])]

    async def keep_rejected(self, rejected: Sequence[Rejected]) -> None:
        """Keep what does not become a document, with the reason."""
        at = datetime.now(UTC)
        lines = [rejected_line(it, self._dataset, at) for it in rejected]
        # Without a place to keep them the batch cannot be acknowledged.
        try:
            result = await self._import(self._rejected, lines)
        except RejectedRecordError as exc:
            raise FatalError(f"cannot keep rejected records: {exc}", code="rejected_not_kept") from exc
        if result.errors:
            raise FatalError(f"cannot keep rejected records: {result.details[:1]}", code="rejected_not_kept")
        logger.warning("rejected {} messages, the first: {}", len(rejected), rejected[0].reason)

    async def _import(self, importer: DocumentImporter, lines: Sequence[bytes]) -> ImportResult:
        async for attempt in stamina.retry_context(
            on=lambda exc: isinstance(exc, TransientError) and not self._is_ending(),
            attempts=None,
            timeout=self._outage_seconds,
            wait_max=_WAIT_MAX_S,
        ):
            with attempt:
                return await importer.store(lines)
        raise AssertionError("the last attempt returns or raises")
