"""What an answer of the database to an import means."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamforge_common.arango.importing import DocumentImporter, ImportResult
from streamforge_common.errors import FatalError, RejectedRecordError, StreamForgeError, TransientError
from streamforge_common.settings import ArangoSettings


class Database:
    """Answers every import in the same way."""

    def __init__(self) -> None:
        self.status, self.body = 201, '{"created":1,"errors":0,"empty":0}'

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(status=self.status, text=self.body)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def importer(database: Database) -> AsyncIterator[DocumentImporter]:
    app = web.Application()
    app.router.add_post("/{path:.*}", database.answer)
    async with TestServer(app) as server:
        settings = ArangoSettings.model_validate({"arango_url": str(server.make_url("")), "arango_password": "x"})
        async with DocumentImporter(settings, "candles", "update") as importer:
            yield importer


async def test_what_was_stored_is_told(importer: DocumentImporter) -> None:
    assert await importer.store([b"{}"]) == ImportResult(created=1, errors=0, empty=0)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, TransientError) for status in (408, 412, 429, 500, 502, 503, 504, 507)),
        *((status, RejectedRecordError) for status in (400, 413)),
        *((status, FatalError) for status in (401, 403, 404, 409)),
    ],
)
async def test_a_refusal_is_waited_for_or_final_or_the_documents_fault(
    importer: DocumentImporter, database: Database, status: int, error: type[StreamForgeError]
) -> None:
    database.status, database.body = status, "no"
    with pytest.raises(error, match=f"answered {status} to an import: no"):
        await importer.store([b"{}"])


async def test_an_answer_that_says_nothing_is_no_success(importer: DocumentImporter, database: Database) -> None:
    database.body = "<html>a proxy</html>"
    with pytest.raises(TransientError, match="no import result"):
        await importer.store([b"{}"])
