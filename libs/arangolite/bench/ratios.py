"""Measures arangolite against bare SQLite doing the same, in one run: `python bench/ratios.py [documents]`.

The server is a process of its own and is spoken to over HTTP; SQLite runs in this process. Each line
says how many times as long as SQLite the server takes, so that two machines can be compared.
"""

import base64
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec

BATCH = 2000
PASSWORD = "bench"  # noqa: S105 - of a database that lives for a minute
START_MS = 1_600_000_000_000
MINUTE_MS = 60_000
TURNS = 3


def candle(number: int) -> str:
    """Make one record as a loader sends it, about 200 bytes."""
    opened = START_MS + number * MINUTE_MS
    record = {
        "_key": f"spot:BTCUSDT:1m:{opened}",
        "symbol": "BTCUSDT",
        "open_time": opened,
        "open": 29000.0 + number % 977 * 0.01,
        "high": 29010.12,
        "low": 28990.5,
        "close": 29005.25,
        "volume": number % 101 * 0.125,
        "trades": number % 13,
    }
    return json.dumps(record, separators=(",", ":"))


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the server and give its URL and its process."""
    command = [sys.executable, "-m", "arangolite", "serve", "--port", "0", "--root-password", PASSWORD]
    with subprocess.Popen([*command, "--data-dir", str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1], process
        process.terminate()


@dataclass(frozen=True)
class Cost:
    """What work has cost: seconds on the clock, and seconds of processors here and in the server."""

    clock_s: float
    processor_s: float


def cost(work: Callable[[], Any], server_pid: int) -> Cost:
    """Measure one call."""
    processor, started = time.process_time() + processor_seconds(server_pid), time.perf_counter()
    work()
    clock_s = time.perf_counter() - started
    return Cost(clock_s, time.process_time() + processor_seconds(server_pid) - processor)


def processor_seconds(pid: int) -> float:
    """Tell how long a process has computed so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def best_of_both(bare: Callable[[], Any], remote: Callable[[], Any], server_pid: int) -> tuple[Cost, Cost]:
    """Measure two calls in turns and take the best of each, so that what else the machine does hits both."""
    pairs = [(cost(bare, server_pid), cost(remote, server_pid)) for _ in range(TURNS)]
    bares, remotes = zip(*pairs, strict=True)
    return best(bares), best(remotes)


def best(costs: Sequence[Cost]) -> Cost:
    """Take the least of each figure."""
    return Cost(min(one.clock_s for one in costs), min(one.processor_s for one in costs))


class Bare:
    """The same work in SQLite without anything around it."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")

    def clear(self) -> None:
        """Begin with no documents."""
        self.connection.execute("DROP TABLE IF EXISTS docs")
        self.connection.execute("CREATE TABLE docs (key TEXT PRIMARY KEY, doc TEXT NOT NULL)")

    def upsert(self, batches: list[list[tuple[str, str]]]) -> None:
        """Write all documents, one transaction a batch."""
        for batch in batches:
            self.connection.execute("BEGIN")
            statement = "INSERT INTO docs VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET doc = excluded.doc"
            self.connection.executemany(statement, batch)
            self.connection.execute("COMMIT")

    def read(self, statement: str, *values: object) -> int:
        """Read documents and decode their JSON."""
        return sum(1 for (text,) in self.connection.execute(statement, values) if msgspec.json.decode(text))


class Remote:
    """arangolite over HTTP, by the plainest of clients: what is measured is the server, not how a driver reads."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.connection = HTTPConnection(host, int(port), timeout=600)
        token = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}"}

    def post(self, path: str, *, json: object = None, data: bytes = b"", method: str = "POST") -> Any:
        """Call the API."""
        body = data if json is None else msgspec.json.encode(json)
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        return msgspec.json.decode(content)

    def clear(self) -> None:
        """Begin with no documents."""
        if any(there["name"] == "docs" for there in self.post("/_api/collection", method="GET")["result"]):
            self.post("/_api/collection/docs", method="DELETE")
        self.post("/_api/collection", json={"name": "docs"})

    def load(self, batches: list[bytes], mode: str) -> None:
        """Import all documents."""
        for batch in batches:
            path = f"/_api/import?collection=docs&type=documents&waitForSync=true&onDuplicate={mode}"
            assert self.post(path, data=batch)["errors"] == 0

    def query(self, text: str, **values: object) -> list[Any]:
        """Run a query and fetch all of its results; only the first batch is kept."""
        answer = self.post("/_api/cursor", json={"query": text, "bindVars": values, "batchSize": 5000})
        first: list[Any] = answer["result"]
        while answer["hasMore"]:
            answer = self.post(f"/_api/cursor/{answer['id']}")
        return first


def peak_kib(pid: int) -> int:
    """Tell how much memory a process has had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def report(what: str, bare: Cost, remote: Cost, count: int) -> None:
    """Print one line: the clock, and the processors, which other work on the machine does not change."""
    times, work = remote.clock_s / bare.clock_s, remote.processor_s / bare.processor_s
    speeds = f"{count / remote.clock_s:12,.0f}/s {times:5.2f} x SQLite's {count / bare.clock_s:12,.0f}/s"
    print(f"{what:44} {speeds}, computing {work:5.2f} x")


def report_imports(bare: Bare, remote: Remote, lines: list[str], server_pid: int) -> None:
    """Import everything in turns, new and again, and report the best of each; the documents of the last turn stay."""
    parts = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    keyed = [[(json.loads(line)["_key"], line) for line in part] for part in parts]
    bodies = ["\n".join(part).encode() for part in parts]
    kinds = [("new", "update"), ("again", "update"), ("again", "replace"), ("again", "ignore")]
    pairs: dict[tuple[str, str], list[tuple[Cost, Cost]]] = {kind: [] for kind in kinds}
    for _ in range(TURNS):
        bare.clear()
        remote.clear()
        for times, mode in kinds:
            bare_cost = cost(lambda: bare.upsert(keyed), server_pid)
            remote_cost = cost(lambda: remote.load(bodies, mode), server_pid)  # noqa: B023 - used at once
            pairs[times, mode].append((bare_cost, remote_cost))
    for (times, mode), both in pairs.items():
        bares, remotes = zip(*both, strict=True)
        report(f"import, {times}, onDuplicate={mode}", best(bares), best(remotes), len(lines))


def main() -> None:
    """Measure everything."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    lines = [candle(number) for number in range(count)]
    print(f"{count:,} documents of {len(lines[0])} bytes, batches of {BATCH:,}, waitForSync")
    with tempfile.TemporaryDirectory() as name, server(Path(name) / "data") as (url, process):
        bare, remote = Bare(Path(name)), Remote(url)
        report_imports(bare, remote, lines, process.pid)
        remote.post("/_api/index?collection=docs", json={"type": "persistent", "fields": ["symbol", "open_time"]})
        bare.connection.execute(
            "CREATE INDEX by_time ON docs (json_extract(doc, '$.symbol'), json_extract(doc, '$.open_time'))"
        )
        before_kib = peak_kib(process.pid)
        read = best_of_both(
            lambda: bare.read("SELECT doc FROM docs"), lambda: remote.query("FOR d IN docs RETURN d"), process.pid
        )
        report("read everything", *read, count)
        more_kib = peak_kib(process.pid) - before_kib
        print(
            f"{'':44} the server's memory: {before_kib // 1024:,} MiB at most before, {more_kib // 1024:,} more for it"
        )
        low, width = START_MS + count // 2 * MINUTE_MS, min(10_000, count // 4)
        opened = "json_extract(doc, '$.open_time')"
        where = f"json_extract(doc, '$.symbol') = ? AND {opened} >= ? AND {opened} < ?"
        sql = f"SELECT doc FROM docs WHERE {where} ORDER BY {opened}"
        text = (
            "FOR d IN docs FILTER d.symbol == @s AND d.open_time >= @a AND d.open_time < @b SORT d.open_time RETURN d"
        )
        ranged = best_of_both(
            lambda: bare.read(sql, "BTCUSDT", low, low + width * MINUTE_MS),
            lambda: remote.query(text, s="BTCUSDT", a=low, b=low + width * MINUTE_MS),
            process.pid,
        )
        report(f"an indexed range of {width:,}", *ranged, width)
        grouped_sql = """SELECT json_extract(doc, '$.trades') AS t, sum(json_extract(doc, '$.volume')),
                         max(json_extract(doc, '$.open')) FROM docs GROUP BY t"""
        grouped = "FOR d IN docs COLLECT t = d.trades AGGREGATE v = SUM(d.volume), m = MAX(d.open) RETURN [t, v, m]"
        collected = best_of_both(
            lambda: bare.connection.execute(grouped_sql).fetchall(), lambda: remote.query(grouped), process.pid
        )
        report("COLLECT AGGREGATE", *collected, count)
        remote.connection.close()
        bare.connection.close()


if __name__ == "__main__":
    main()
