import base64
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
import requests
from arango import ArangoClient
from arango.exceptions import ServerConnectionError

import arangolite


class Process:
    """`arangolite serve` as a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "arangolite", "serve", "--port", "0", "--data-dir", str(folder), *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"ARANGO_ROOT_PASSWORD": "secret"},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().rpartition(" ")[2].strip()

    def end(self, signum: int) -> int:
        self.process.send_signal(signum)
        return self.process.wait(timeout=20)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def start(*arguments: str) -> Process:
        running.append(Process(tmp_path, *arguments))
        return running[-1]

    yield start
    for process in running:
        process.process.kill()
        process.process.wait()
        for pipe in (process.process.stdout, process.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_exit_code_0_and_the_data_stays(
    launch: Callable[..., Process], signum: int
) -> None:
    first = launch()
    auth = ("root", "secret")
    requests.post(f"{first.url}/_api/collection", json={"name": "things"}, auth=auth, timeout=10).raise_for_status()
    requests.post(f"{first.url}/_api/document/things", json={"_key": "a"}, auth=auth, timeout=10).raise_for_status()
    query = {"query": "FOR i IN 1..10 RETURN i", "batchSize": 1}
    requests.post(f"{first.url}/_api/cursor", json=query, auth=auth, timeout=10).raise_for_status()
    assert first.end(signum) == 0
    second = launch()
    assert requests.get(f"{second.url}/_api/document/things/a", auth=auth, timeout=10).json()["_key"] == "a"


def test_a_folder_in_use_is_refused_with_one_line(launch: Callable[..., Process]) -> None:
    launch()
    second = launch()
    _, error = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert error.count("\n") == 1
    assert "in use by another arangolite" in error


def test_a_port_in_use_is_refused_with_one_line(
    launch: Callable[..., Process], server: arangolite.RunningServer
) -> None:
    second = launch("--port", server.url.rpartition(":")[2])
    _, error = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert "cannot listen on" in error


def test_many_clients_read_and_write_without_errors(server: arangolite.RunningServer, system: object) -> None:
    client = ArangoClient(hosts=server.url)
    db = client.db("_system", username="root", password=server.password)
    if not db.has_collection("crowd"):
        db.create_collection("crowd").add_index({"type": "persistent", "fields": ["who", "n"]})
    failures: list[BaseException] = []

    def visit(who: int) -> None:
        try:
            crowd = client.db("_system", username="root", password=server.password).collection("crowd")
            for n in range(10):
                crowd.import_bulk(
                    [{"_key": f"{who}-{n}-{part}", "who": who, "n": n} for part in range(20)], on_duplicate="update"
                )
                query = "FOR d IN crowd FILTER d.who == @who AND d.n <= @n COLLECT WITH COUNT INTO c RETURN c"
                assert list(db.aql.execute(query, bind_vars={"who": who, "n": n})) == [20 * (n + 1)]
                assert crowd.get(f"{who}-{n}-0")["n"] == n
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=visit, args=(who,)) for who in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert failures == []


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"root:wrong").decode(),
        "Basic " + base64.b64encode(b"nobody:x").decode(),
        "bearer x.y.z",
        "Digest x",
    ],
)
def test_wrong_credentials_are_401(server: arangolite.RunningServer, header: str | None) -> None:
    answer = requests.get(
        f"{server.url}/_api/version", headers={"Authorization": header} if header is not None else {}, timeout=10
    )
    assert answer.status_code == 401
    assert answer.json()["errorNum"] == 11
    assert "WWW-Authenticate" in answer.headers


def test_the_driver_logs_in_with_tokens(server: arangolite.RunningServer, client: ArangoClient) -> None:
    db = client.db("_system", username="root", password=server.password, auth_method="jwt", verify=True)
    assert db.version().startswith("3.12")
    token = jwt.encode({"iss": "arangodb", "server_id": "trial", "exp": 2**33}, server.jwt_secret, algorithm="HS256")
    assert "_system" in client.db("_system", superuser_token=token).databases()
    with pytest.raises(ServerConnectionError):
        client.db("_system", username="root", password="wrong", verify=True)
    forged = jwt.encode({"iss": "arangodb", "server_id": "trial"}, "x" * 40, algorithm="HS256")
    answer = requests.get(f"{server.url}/_api/version", headers={"Authorization": f"bearer {forged}"}, timeout=10)
    assert answer.status_code == 401
    stale = jwt.encode(
        {"iss": "arangodb", "preferred_username": "root", "exp": 1}, server.jwt_secret, algorithm="HS256"
    )
    answer = requests.get(f"{server.url}/_api/version", headers={"Authorization": f"bearer {stale}"}, timeout=10)
    assert answer.status_code == 401


def test_the_server_tells_what_it_is(system: object, client: ArangoClient, server: arangolite.RunningServer) -> None:
    db = client.db("_system", username="root", password=server.password)
    assert db.details()["server"] == "arango" if "server" in db.details() else db.details()
    assert db.role() == "SINGLE"
    assert db.mode() == "default"
    assert db.engine()["name"]
    assert db.status()["version"] == db.version()
    assert abs(db.time().timestamp() - time.time()) < 5


def test_an_unknown_database_is_1228(server: arangolite.RunningServer) -> None:
    answer = requests.get(f"{server.url}/_db/nowhere/_api/version", auth=("root", server.password), timeout=10)
    assert (answer.status_code, answer.json()["errorNum"]) == (404, 1228)


@pytest.fixture
def faulty() -> Iterator[arangolite.RunningServer]:
    with arangolite.start(faults=True) as running:
        yield running


def test_faults_do_what_was_asked_for_and_end(faulty: arangolite.RunningServer) -> None:
    session = requests.Session()
    session.auth = ("root", faulty.password)
    session.post(f"{faulty.url}/_api/collection", json={"name": "c"}, timeout=10).raise_for_status()
    faults = [
        {"kind": "status", "path": "/_api/import*", "after": 1, "count": 1},
        {"kind": "reset", "path": "/_api/document/c", "method": "POST", "count": 1},
        {"kind": "refuse", "key": "bad-*"},
    ]
    session.put(f"{faulty.url}/_lite/faults", json=faults, timeout=10).raise_for_status()
    url = f"{faulty.url}/_db/_system/_api/import?collection=c&type=documents"
    first = session.post(url, data='{"_key":"bad-1"}\n{"_key":"good"}', timeout=10).json()
    assert (first["created"], first["errors"]) == (1, 1)
    assert [session.post(url, data="{}", timeout=10).status_code for _ in range(3)] == [503, 201, 201]
    with pytest.raises(requests.ConnectionError):
        session.post(f"{faulty.url}/_api/document/c", json={"_key": "lost"}, timeout=10)
    assert session.get(f"{faulty.url}/_api/document/c/lost", timeout=10).status_code == 200
    assert [fault["hits"] for fault in session.get(f"{faulty.url}/_lite/faults", timeout=10).json()] == [1, 1, 1]
    session.delete(f"{faulty.url}/_lite/faults", timeout=10)
    assert session.post(f"{faulty.url}/_api/document/c", json={"_key": "bad-2"}, timeout=10).status_code == 202
    session.close()


def test_there_are_no_faults_unless_asked_for(server: arangolite.RunningServer) -> None:
    answer = requests.put(f"{server.url}/_lite/faults", json=[], auth=("root", server.password), timeout=10)
    assert answer.status_code == 404
