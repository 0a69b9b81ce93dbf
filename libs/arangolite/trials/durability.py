"""Kills a server in the middle of imports, again and again, and looks whether all that it has acknowledged is there.

`python trials/durability.py [--trials 50] [--seed N]`; the exit code is 1 when a trial fails; its folder then stays.

A trial starts the server on what the last one has left, lets several clients import with `waitForSync`, and sends
`kill -9` at a random moment, of every second trial right at the start, else after the first acknowledgement. What must
hold then:

- every document of an acknowledged import is there in the version that was acknowledged, or in that of the one import
  that was on its way, and that one is there as a whole or not at all;
- no document is torn: each has a checksum of its content;
- each index has exactly the entries that the documents ask for, and SQLite finds no fault with the file.

Killing a process says nothing about the loss of power: the kernel keeps what was written.
"""

import argparse
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests

from arangolite.storage.database import connect, load_catalog

AUTH = ("root", "trial")
CLIENTS = 3
KEYS = 1500
"""Of each client; so few that most imports change documents that are there."""
MAX_BATCH = 300
_LOOK_S = 0.005  # between two looks at whether an import has been acknowledged
INDEXES = (
    {"type": "persistent", "fields": ["version"]},
    {"type": "persistent", "fields": ["mark"], "unique": True, "sparse": True},
    {"type": "persistent", "fields": ["tags[*]", "client"]},
)
Versions = dict[str, int]
"""Of documents, by key."""


class TrialError(Exception):
    """Something acknowledged is not there, or something is there that must not be."""


def document(client: int, key: str, version: int) -> dict[str, object]:
    """Make a version of a document; its checksum is wrong for a mixture of two."""
    content = {
        "_key": key,
        "client": client,
        "version": version,
        "mark": f"{key} {version}" if version % 3 else None,
        "tags": [f"t{version % 7}", f"t{version % 5}"],
        "text": f"{key}-{version}-" * (version % 40),
    }
    return {**content, "checksum": checksum(content)}


def checksum(content: dict[str, object]) -> int:
    """Sum up everything but the checksum itself."""
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


@dataclass
class Client:
    """Imports documents of its own keys until the server is gone."""

    number: int
    dice: random.Random
    acknowledged: Versions = field(default_factory=dict)
    on_its_way: Versions = field(default_factory=dict)
    version: int = 0
    imports: int = 0
    """Acknowledged ones."""

    def run(self, url: str) -> None:
        """Import until the connection breaks."""
        with requests.Session() as session:
            session.auth = AUTH
            try:
                while True:
                    self._import(session, url)
            except requests.ConnectionError:
                return

    def _import(self, session: requests.Session, url: str) -> None:
        self.version += 1
        numbers = self.dice.sample(range(KEYS), self.dice.randint(1, MAX_BATCH))
        self.on_its_way = {f"{self.number}-{number}": self.version for number in numbers}
        lines = [json.dumps(document(self.number, key, version)) for key, version in self.on_its_way.items()]
        where = f"{url}/_api/import?collection=c&type=documents&onDuplicate=update&waitForSync=true"
        answer = session.post(where, data="\n".join(lines), timeout=60)
        if answer.status_code != requests.codes.created or answer.json()["errors"]:
            raise TrialError(f"an import was answered {answer.status_code} {answer.text[:200]}")
        self.acknowledged |= self.on_its_way
        self.on_its_way = {}
        self.imports += 1

    def settle(self, stored: Versions) -> None:
        """Compare with what is stored, and go on from there."""
        if stored != self.acknowledged and stored != {**self.acknowledged, **self.on_its_way}:
            wrong = [key for key, version in self.acknowledged.items() if stored.get(key) != version]
            unknown = [key for key in stored if key not in self.acknowledged and key not in self.on_its_way]
            raise TrialError(
                f"client {self.number}: {len(wrong)} not as acknowledged, e.g. {wrong[:3]}; {unknown[:3]} unknown"
            )
        self.acknowledged, self.on_its_way = stored, {}


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Run the server; returns its process and URL."""
    command = [sys.executable, "-m", "arangolite", "serve", "--port", "0", "--root-password", AUTH[1]]
    process = subprocess.Popen([*command, "--data-dir", str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().rpartition(" ")[2].strip()
    if not url:
        process.wait()
        raise TrialError(f"the server did not start again: exit code {process.returncode}")
    return process, url


def prepare(url: str) -> None:
    """Make the collection and its indexes."""
    requests.post(f"{url}/_api/collection", json={"name": "c"}, auth=AUTH, timeout=60).raise_for_status()
    for index in INDEXES:
        requests.post(f"{url}/_api/index?collection=c", json=index, auth=AUTH, timeout=60).raise_for_status()


def stored_versions(url: str) -> Versions:
    """Ask the server for all documents, check that they are whole and that its own counts agree."""
    query = {"query": "FOR d IN c RETURN d", "batchSize": CLIENTS * KEYS + 1}
    answer = requests.post(f"{url}/_api/cursor", json=query, auth=AUTH, timeout=60).json()
    found: Versions = {}
    for whole in answer["result"]:
        content = {name: value for name, value in whole.items() if name not in ("_id", "_rev", "checksum")}
        if checksum(content) != whole["checksum"]:
            raise TrialError(f"torn: {whole}")
        found[whole["_key"]] = whole["version"]
    if len(found) != len(answer["result"]):
        raise TrialError("a key is there twice")
    counted = requests.get(f"{url}/_api/collection/c/count", auth=AUTH, timeout=60).json()["count"]
    query = {"query": "FOR d IN c FILTER d.version >= 0 COLLECT WITH COUNT INTO n RETURN n"}
    by_index = requests.post(f"{url}/_api/cursor", json=query, auth=AUTH, timeout=60).json()["result"][0]
    if not len(found) == counted == by_index:
        raise TrialError(f"{len(found)} documents, counted as {counted}, by index as {by_index}")
    return found


def check_file(folder: Path) -> None:
    """Compare every index, entry by entry, with the documents in the file, and let SQLite check the file."""
    connection = connect(folder / "_system.sqlite", read_only=True)
    try:
        collection = load_catalog(connection)["c"]
        documents = [
            (row_id, json.loads(text)) for row_id, text in rows(connection, f"SELECT id, doc FROM {collection.table}")
        ]
        for table in collection.index_tables:
            expected = sorted((entry, row_id) for row_id, content in documents for entry in table.entries(content))
            if expected != rows(connection, f"SELECT k, id FROM {table.name} ORDER BY k, id"):
                raise TrialError(f"the index {table.paths} has other entries than its documents ask for")
        if (verdict := rows(connection, "PRAGMA integrity_check")) != [(b"ok",)]:
            raise TrialError(f"SQLite finds {verdict}")
    finally:
        connection.close()


def rows(connection: sqlite3.Connection, statement: str) -> list[tuple]:
    """Read everything."""
    return connection.execute(statement).fetchall()


def run_trial(folder: Path, clients: list[Client], dice: random.Random, *, at_once: bool) -> str:
    """Kill a server that is written to and look at what it has left; returns what happened, in words."""
    before = imports_of(clients)
    process, url = start(folder)
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(client.run, url) for client in clients]
        while not at_once and imports_of(clients) == before and not any(client.done() for client in running):
            time.sleep(_LOOK_S)
        delay = dice.uniform(0, 0.1 if at_once else 1.5)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            raise TrialError(f"the server had ended by itself: {process.returncode}")
        for client in running:
            client.result()
    interrupted = sum(bool(client.on_its_way) for client in clients)
    imports = imports_of(clients) - before
    process, url = start(folder)
    try:
        found = stored_versions(url)
    finally:
        process.terminate()
        process.wait()
    for client in clients:
        client.settle({key: version for key, version in found.items() if key.startswith(f"{client.number}-")})
    check_file(folder)
    moment = f"killed {delay:.3f} s after the {'start' if at_once else 'first import'}"
    return f"{moment}: {imports} imports acknowledged, {interrupted} interrupted, {len(found)} documents"


def imports_of(clients: list[Client]) -> int:
    """Count the imports that were acknowledged."""
    return sum(client.imports for client in clients)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="durability-"))
    print(f"seed {arguments.seed}, folder {folder}", flush=True)
    process, url = start(folder)
    prepare(url)
    process.terminate()
    process.wait()
    clients = [Client(number, random.Random(dice.random())) for number in range(CLIENTS)]
    for number in range(1, arguments.trials + 1):
        try:
            print(f"{number}: {run_trial(folder, clients, dice, at_once=number % 2 == 0)}", flush=True)
        except TrialError as exc:
            sys.exit(f"{number}: FAILED: {exc}; seed {arguments.seed}, folder {folder}")
    shutil.rmtree(folder)
    print(f"{arguments.trials} trials, 0 failed, {imports_of(clients)} imports acknowledged")


if __name__ == "__main__":
    main()
