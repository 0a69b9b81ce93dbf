"""Measures arangolite against bare SQLite doing the same, in one run: `python bench/ratios.py [documents]`.

The server is a process of its own and is spoken to over HTTP; SQLite runs in this process. Each line
says how many times as long as SQLite the server takes, so that two machines can be compared.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests

BATCH = 2000
PASSWORD = "bench"  # noqa: S105 - of a database that lives for a minute
START_MS = 1_600_000_000_000
MINUTE_MS = 60_000


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
def server(folder: Path) -> Iterator[str]:
    """Run the server and give its URL."""
    command = [sys.executable, "-m", "arangolite", "serve", "--port", "0", "--root-password", PASSWORD]
    with subprocess.Popen([*command, "--data-dir", str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def seconds(work: Callable[[], Any]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Bare:
    """The same work in SQLite without anything around it."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
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
    """arangolite over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.auth = ("root", PASSWORD)

    def post(self, path: str, **content: Any) -> Any:
        """Call the API."""
        answer = self.session.post(self.url + path, timeout=600, **content)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)

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


def report(what: str, bare_s: float, remote_s: float, count: int) -> None:
    """Print one line."""
    print(f"{what:44} {count / remote_s:12,.0f}/s  {remote_s / bare_s:5.2f} x SQLite's {count / bare_s:12,.0f}/s")


def main() -> None:
    """Measure everything."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    lines = [candle(number) for number in range(count)]
    parts = [lines[start : start + BATCH] for start in range(0, count, BATCH)]
    keyed = [[(json.loads(line)["_key"], line) for line in part] for part in parts]
    bodies = ["\n".join(part).encode() for part in parts]
    print(f"{count:,} documents of {len(lines[0])} bytes, batches of {BATCH:,}, waitForSync")
    with tempfile.TemporaryDirectory() as name, server(Path(name) / "data") as url:
        bare, remote = Bare(Path(name)), Remote(url)
        remote.post("/_api/collection", json={"name": "docs"})
        for times, mode in (("new", "update"), ("again", "update"), ("again", "ignore")):
            what = f"import, {times}, onDuplicate={mode}"
            bare_s = seconds(lambda: bare.upsert(keyed))
            report(what, bare_s, seconds(lambda: remote.load(bodies, mode)), count)  # noqa: B023 - used at once
        remote.post("/_api/index?collection=docs", json={"type": "persistent", "fields": ["symbol", "open_time"]})
        bare.connection.execute(
            "CREATE INDEX by_time ON docs (json_extract(doc, '$.symbol'), json_extract(doc, '$.open_time'))"
        )
        bare_s = seconds(lambda: bare.read("SELECT doc FROM docs"))
        report("read everything", bare_s, seconds(lambda: remote.query("FOR d IN docs RETURN d")), count)
        low, width = START_MS + count // 2 * MINUTE_MS, min(10_000, count // 4)
        opened = "json_extract(doc, '$.open_time')"
        where = f"json_extract(doc, '$.symbol') = ? AND {opened} >= ? AND {opened} < ?"
        ranged = f"SELECT doc FROM docs WHERE {where} ORDER BY {opened}"
        bare_s = seconds(lambda: bare.read(ranged, "BTCUSDT", low, low + width * MINUTE_MS))
        text = (
            "FOR d IN docs FILTER d.symbol == @s AND d.open_time >= @a AND d.open_time < @b SORT d.open_time RETURN d"
        )
        remote_s = seconds(lambda: remote.query(text, s="BTCUSDT", a=low, b=low + width * MINUTE_MS))
        report(f"an indexed range of {width:,}", bare_s, remote_s, width)
        grouped = """SELECT json_extract(doc, '$.trades') AS t, sum(json_extract(doc, '$.volume')),
                     max(json_extract(doc, '$.open')) FROM docs GROUP BY t"""
        bare_s = seconds(lambda: bare.connection.execute(grouped).fetchall())
        text = "FOR d IN docs COLLECT t = d.trades AGGREGATE v = SUM(d.volume), m = MAX(d.open) RETURN [t, v, m]"
        report("COLLECT AGGREGATE", bare_s, seconds(lambda: remote.query(text)), count)
        remote.session.close()
        bare.connection.close()


if __name__ == "__main__":
    main()
