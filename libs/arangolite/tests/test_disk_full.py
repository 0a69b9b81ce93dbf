"""No room: a clear answer, nothing half written, and all is well again when there is room."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from arango import ArangoClient
from arango.exceptions import ArangoServerError

import arangolite
from arangolite.storage import database

_PAGES = 100  # of 16 KiB


class Room:
    """How many pages the files may have; SQLite itself answers as it does on a full disk."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []

    def give(self, pages: int) -> None:
        for connection in self.connections:
            connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    room, connect = Room(), database.connect

    def connect_with_limit(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = connect(path, read_only=read_only)
        if not read_only:
            room.connections.append(connection)
            connection.execute(f"PRAGMA max_page_count = {_PAGES}")
        return connection

    monkeypatch.setattr(database, "connect", connect_with_limit)
    return room


@pytest.fixture
def server(room: Room, tmp_path: Path) -> Iterator[arangolite.RunningServer]:
    with arangolite.start(tmp_path) as running:
        yield running


def test_a_full_disk_is_507_and_damages_nothing(server: arangolite.RunningServer, room: Room, tmp_path: Path) -> None:
    client = ArangoClient(server.url)
    db = client.db("_system", "root", server.password)
    c = db.create_collection("c")
    c.add_index({"type": "persistent", "fields": ["n"]})
    stored = 0
    full = None
    while full is None:
        try:
            c.insert_many([{"_key": str(stored + n), "n": n, "text": "x" * 900} for n in range(50)], sync=True)
            stored += 50
        except ArangoServerError as error:
            full = error
    assert (full.http_code, full.error_code) == (507, 1104)
    assert stored >= 50
    with pytest.raises(ArangoServerError) as refused:
        c.import_bulk([{"text": "x" * 100_000}] * 9)
    assert (refused.value.http_code, refused.value.error_code) == (507, 1104)
    assert c.count() == stored
    query = "FOR d IN c FILTER d.n >= 0 COLLECT WITH COUNT INTO n RETURN n"
    assert list(db.aql.execute(query)) == [stored]
    assert c.get("0")["n"] == 0
    c.delete_many([{"_key": str(n)} for n in range(50)])
    assert c.count() == stored - 50
    transaction = db.begin_transaction(write="c")
    transaction.collection("c").insert_many([{"text": "x" * 900_000} for _ in range(2)])
    with pytest.raises(ArangoServerError) as refused:
        transaction.commit_transaction()
    assert (refused.value.http_code, refused.value.error_code) == (507, 1104)
    room.give(10_000)
    c.insert({"_key": "late", "n": 1, "text": "x" * 100_000})
    client.close()
    server.stop()
    connection = sqlite3.connect(tmp_path / "_system.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
