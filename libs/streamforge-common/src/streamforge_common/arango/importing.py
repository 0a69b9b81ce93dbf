"""Storing documents in bulk, the one call that does not go through python-arango.

The records' bytes are posted as they are, one JSON line each, to ArangoDB's import API; decoding and encoding them
again would cost more than everything else that a connector does.
Source: ArangoDB 3.12, HTTP interface for bulk imports (`POST /_api/import`, read 2026-11-21).
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

import aiohttp
import msgspec

from streamforge_common.errors import FatalError, RejectedRecordError, TransientError
from streamforge_common.settings import ArangoSettings

_BUSY_STATUSES = frozenset({408, 412, 429, 500, 502, 503, 504, 507})
"""507: its disk is full, until somebody makes room."""
_UNREADABLE_STATUSES = frozenset({400, 413})
_NO_CONNECTION_S, _NO_ANSWER_S = 10, 120


class ImportResult(msgspec.Struct, frozen=True):
    """What the server says of one import."""

    created: int
    errors: int
    empty: int
    updated: int = 0
    ignored: int = 0
    details: list[str] = []
    """One sentence for each refused document, in no promised form."""


class DocumentImporter:
    """Imports documents into one collection; an async context manager."""

    def __init__(
        self, settings: ArangoSettings, collection: str, on_duplicate: Literal["update", "replace", "ignore"]
    ) -> None:
        self._url = f"{settings.arango_url.rstrip('/')}/_db/{settings.arango_database}/_api/import"
        self._params = {
            "type": "documents",
            "collection": collection,
            "onDuplicate": on_duplicate,
            "waitForSync": "true",
            "details": "true",
        }
        login = aiohttp.encode_basic_auth(settings.arango_username, settings.arango_password.get_secret_value())
        self._headers = {"Authorization": login}
        self._decoder = msgspec.json.Decoder(ImportResult)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_NO_ANSWER_S, connect=_NO_CONNECTION_S)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def store(self, documents: Sequence[bytes]) -> ImportResult:
        """Store documents, each one line of JSON with a `_key`, no `_key` twice; they are on disk when this returns.

        Raises:
            TransientError: The server is away or busy; what it stored before is only stored again.
            RejectedRecordError: It cannot read them, or not so many at once; fewer may be stored.
            FatalError: It refuses whatever the documents are.
        """
        try:
            async with self._session.post(self._url, params=self._params, data=b"\n".join(documents)) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            raise TransientError(f"ArangoDB failed while importing: {exc!r}") from exc
        if response.status != 201:
            message = f"ArangoDB answered {response.status} to an import: {body[:500].decode(errors='replace')}"
            if response.status in _BUSY_STATUSES:
                raise TransientError(message)
            if response.status in _UNREADABLE_STATUSES:
                raise RejectedRecordError(message)
            raise FatalError(message, code="database_refused")
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as exc:
            raise TransientError(f"ArangoDB answered an import with no import result: {exc}") from exc
