"""Opening the database, making collections; what ArangoDB's errors mean to StreamForge.

python-arango blocks, so each call goes to a thread; `in_thread` is also where its errors are translated.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from arango.client import ArangoClient
from arango.database import StandardDatabase
from arango.exceptions import ArangoClientError, ArangoServerError, ServerConnectionError
from arango.http import DefaultHTTPClient
from requests.exceptions import RequestException

from streamforge_common.errors import FatalError, StreamForgeError, TransientError
from streamforge_common.settings import ArangoSettings

Result = TypeVar("Result")

CONFLICT, NO_DOCUMENT, DUPLICATE_NAME, UNIQUE_VIOLATION = 1200, 1202, 1207, 1210
"""ArangoDB's errorNums for what a caller foresees: another revision, nothing there, name or unique value taken."""
_BUSY_STATUSES = frozenset({408, 412, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same call may succeed; 412 where ArangoDB's queue is over its limit."""
_REQUEST_TIMEOUT_S = 60


class DocumentRefusedError(StreamForgeError):
    """The database refused in a way that the caller foresees; `error_num` tells which."""

    def __init__(self, message: str, error_num: int) -> None:
        super().__init__(message)
        self.error_num = error_num


async def in_thread(call: Callable[[], Result], doing: str) -> Result:
    """Make a blocking call to ArangoDB on a thread; `doing` completes the sentence "ArangoDB failed while …".

    Raises:
        TransientError: The server is away or busy.
        DocumentRefusedError: It refuses one document or name.
        FatalError: It refuses for good.
    """
    try:
        return await asyncio.to_thread(call)
    except (RequestException, ServerConnectionError, ArangoClientError, ConnectionError) as exc:
        raise TransientError(f"ArangoDB failed while {doing}: {exc}") from exc
    except ArangoServerError as exc:
        if exc.error_code in (CONFLICT, NO_DOCUMENT, DUPLICATE_NAME, UNIQUE_VIOLATION):
            raise DocumentRefusedError(f"ArangoDB refused {doing}: {exc}", exc.error_code) from exc
        if exc.http_code in _BUSY_STATUSES:
            raise TransientError(f"ArangoDB failed while {doing}: {exc}") from exc
        raise FatalError(f"ArangoDB refused {doing}: {exc}", code="database_refused") from exc


def open_database(settings: ArangoSettings, *, request_timeout_s: float = _REQUEST_TIMEOUT_S) -> StandardDatabase:
    """Prepare a connection; nothing is sent yet.

    Args:
        settings: Where the database is.
        request_timeout_s: How long a call may take. The process cannot end while a thread waits for an answer.
    """
    client = ArangoClient(
        hosts=settings.arango_url,
        # The driver would try some calls again by itself, each with the whole time-out; that is for the caller to do.
        resolver_max_tries=1,
        http_client=DefaultHTTPClient(request_timeout=request_timeout_s, retry_attempts=0),
    )
    password = settings.arango_password.get_secret_value()
    return client.db(settings.arango_database, username=settings.arango_username, password=password)


async def ping_database(database: StandardDatabase) -> None:
    """Ask the server for anything that needs this database and user.

    Raises:
        TransientError: It does not answer.
    """
    await in_thread(database.properties, "asking for the database")


async def ensure_database(settings: ArangoSettings) -> None:
    """Create the database unless it is there."""
    system = open_database(settings.model_copy(update={"arango_database": "_system"}))
    name = settings.arango_database
    if not await in_thread(lambda: system.has_database(name), "listing databases"):
        await _tolerating_twins(lambda: system.create_database(name), f"creating database {name!r}")


async def ensure_collection(database: StandardDatabase, name: str, indexes: Sequence[dict[str, Any]] = ()) -> None:
    """Create a collection and its indexes unless they are there; `indexes` as ArangoDB's HTTP API describes them."""
    if not await in_thread(lambda: database.has_collection(name), "listing collections"):
        await _tolerating_twins(lambda: database.create_collection(name), f"creating collection {name!r}")
    collection = database.collection(name)
    for index in indexes:
        # Asked for an index that is there already, ArangoDB answers with it.
        await in_thread(lambda index=index: collection.add_index(index), f"indexing {name!r}")  # type: ignore[misc]


async def _tolerating_twins(create: Callable[[], object], doing: str) -> None:
    try:
        await in_thread(create, doing)
    except DocumentRefusedError as exc:
        if exc.error_num != DUPLICATE_NAME:
            raise
