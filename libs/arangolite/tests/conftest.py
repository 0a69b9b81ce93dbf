"""A real server for all tests, a fresh database for each."""

import itertools
from collections.abc import Iterator

import pytest
from arango import ArangoClient
from arango.database import StandardDatabase

import arangolite

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[arangolite.RunningServer]:
    with arangolite.start() as running:
        yield running


@pytest.fixture(scope="session")
def client(server: arangolite.RunningServer) -> Iterator[ArangoClient]:
    client = ArangoClient(hosts=server.url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def system(server: arangolite.RunningServer, client: ArangoClient) -> StandardDatabase:
    return client.db("_system", username="root", password=server.password)


@pytest.fixture
def db(server: arangolite.RunningServer, client: ArangoClient, system: StandardDatabase) -> Iterator[StandardDatabase]:
    name = f"test{next(_NUMBERS)}"
    system.create_database(name)
    yield client.db(name, username="root", password=server.password)
    system.delete_database(name)
