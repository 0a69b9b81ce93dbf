"""One platform for all tests that leave it as it is; those of its life and death start their own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from arango.client import ArangoClient
from arango.database import StandardDatabase

from tests.cluster.conftest import open_administrator
from tests.cluster.platform import cluster_platform
from tests.e2e.recordings import MINUTE_MS, Recording, candle_row, write_rows
from tests.embedded.platform import UP, EmbeddedPlatform
from tests.embedded.workflows import Workflows
from tests.platforms import Platform

StartPlatform = Callable[..., AbstractContextManager[Platform]]
"""Has a platform until the end: `(exchange, speed=None)`, as `streamforge up` takes them."""

HOLES_FIRST_MS = 1_704_067_200_000
"""2024-01-01 00:00 UTC."""
HOLES = [(100, 101), (1_500, 2_600), (2_879, 2_880)]
"""Minutes of two days that the exchange does not have: one, more than a page, and the last one."""


@pytest.fixture(scope="session")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    missing = {minute for first, end in HOLES for minute in range(first, end)}
    rows = [
        candle_row(HOLES_FIRST_MS + minute * MINUTE_MS, MINUTE_MS, minute)
        for minute in range(2_880)
        if minute not in missing
    ]
    return write_rows(tmp_path_factory.mktemp("holed") / "HOLEUSDT-1m-2024-01.csv", rows)


@pytest.fixture(scope="session")
def replayed(recording: Recording, holed: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    for each in (recording, holed):
        shutil.copy(each.path, folder)
    return folder


@pytest.fixture(scope="session")
def start_platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StartPlatform:
    """The only place that knows where platforms run."""

    def start(exchange: str, speed: float | None = None) -> AbstractContextManager[Platform]:
        folder = tmp_path_factory.mktemp("platform")
        if request.config.getoption("--platform") == "cluster":
            return cluster_platform(open_administrator(), folder, exchange, speed)
        command = UP if speed is None else (*UP, "--speed", f"{speed:g}")
        return EmbeddedPlatform(folder / "home", exchange, command=command)

    return start


@pytest.fixture
def on_this_machine(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--platform") != "embedded":
        pytest.skip("is about processes of this machine")


@pytest.fixture(scope="session")
def platform(start_platform: StartPlatform, replayed: Path) -> Iterator[Platform]:
    with start_platform(f"replay:{replayed}") as platform:
        yield platform


@pytest.fixture(scope="session")
def workflows(platform: Platform) -> Iterator[Workflows]:
    workflows = platform.workflows()
    yield workflows
    workflows.close()


@pytest.fixture(scope="session")
def database(platform: Platform) -> Iterator[StandardDatabase]:
    yield from opened(platform)


def opened(platform: Platform) -> Iterator[StandardDatabase]:
    """Open the database as any stranger does, with python-arango."""
    info = platform.info
    client = ArangoClient(hosts=info["arango_url"])
    yield client.db(info["arango_database"], username=info["arango_username"], password=info["arango_password"])
    client.close()


@pytest.fixture
def slow_exchange(platform: Platform) -> Iterator[None]:
    """Every page takes two seconds, so that there is time to look at a workflow while it loads."""
    slow_down(platform)
    yield
    httpx.delete(f"{platform.exchange_url}/_sim/faults")


def slow_down(platform: Platform) -> None:
    """Make the exchange slow from now on."""
    plan = [{"path": "/api/v3/klines", "kind": "slow", "count": 10_000, "seconds": 2}]
    assert httpx.put(f"{platform.exchange_url}/_sim/faults", json=plan).status_code == 200


@pytest.fixture
def stored(database: StandardDatabase) -> Callable[[str], dict[str, dict[str, Any]]]:
    """Read a collection: documents by `_key`, without what the database adds."""
    return lambda collection: read_documents(database, collection)


def read_documents(database: StandardDatabase, collection: str) -> dict[str, dict[str, Any]]:
    cursor = database.aql.execute(
        "FOR record IN @@collection RETURN UNSET(record, '_id', '_rev')", bind_vars={"@collection": collection}
    )
    return {document["_key"]: document for document in cursor}
