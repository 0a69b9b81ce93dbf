import pytest

import arangolite
from streamforge_common.arango.database import ensure_database, open_database
from streamforge_common.ids import new_suffix
from streamforge_common.settings import ArangoSettings


@pytest.fixture(scope="session")
def server():
    with arangolite.start() as server:
        yield server


@pytest.fixture
async def database(server):
    """A database of the test's own."""
    settings = ArangoSettings(
        arango_url=server.url,
        arango_username=server.username,
        arango_password=server.password,
        arango_database=f"test_{new_suffix()}",
    )
    await ensure_database(settings)
    return open_database(settings)
