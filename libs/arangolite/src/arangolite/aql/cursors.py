"""Open cursors: queries whose results are fetched batch by batch.

A cursor that is fetched from goes on where its query stands, so a result of any size needs the memory of one batch.
While it is open it keeps a read transaction of its own and sees the database as it was when the query began.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import msgspec

from arangolite.aql.context import Memory, Run
from arangolite.aql.profile import Profile
from arangolite.aql.query import Statement, deadline, too_deep
from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Session, Transaction

T = TypeVar("T")

_SPOOL_BYTES = 16 << 20
"""Results that must be complete before the first batch are kept in memory up to this size, then in a file."""
_encode = msgspec.json.encode


@dataclass(frozen=True)
class QueryOptions:
    """The options of a query, under ArangoDB's names."""

    batch_size: int = 1000
    count: bool = False
    full_count: bool = False
    ttl_s: float = 30.0
    fail_on_warning: bool = False
    max_runtime_s: float = 0.0
    memory_limit: int = 0
    """Bytes; 0 means no limit."""
    max_warnings: int = 10
    allow_retry: bool = False
    profile: bool = False
    """Whether to tell what each operation of the plan did."""
    stream: bool = False
    """Every query that only reads runs while it is fetched from; this says when it tells about itself."""


@dataclass
class Batch:
    """One batch: a JSON array of results, and whether more follow."""

    results: msgspec.Raw
    more: bool


@dataclass
class Cursor:
    """A query that is being fetched from."""

    id: str
    database: str
    options: QueryOptions
    run: Run
    results: Iterator[Any]
    """Values, in which documents may be raw JSON."""
    resources: contextlib.ExitStack
    count: int | None
    started: float
    """Monotonic seconds."""
    expires: float = 0.0
    batch_number: int = 1
    last_batch: Batch | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of what was done before the query ran, when its profile was asked for."""
    plan: dict[str, Any] = field(default_factory=dict)
    """How the query is run, when that was asked for."""
    final_statistics: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _ahead: list[Any] = field(default_factory=list)

    def fetch(self) -> Batch:
        """Take the next batch; reads one result ahead to know whether there are more."""
        wanted = self.options.batch_size
        try:
            available = self._ahead + list(itertools.islice(self.results, wanted + 1 - len(self._ahead)))
        except RecursionError as exc:
            raise too_deep() from exc
        results, self._ahead = available[:wanted], available[wanted:]
        self.expires = time.monotonic() + self.options.ttl_s
        if not self._ahead:
            self.close()
            self.settle()
        return Batch(msgspec.Raw(_encode(results)), bool(self._ahead))

    def fetch_locked(self) -> Batch:
        """Take the next batch and release the lock; after an error nothing is held any more.

        All of it on one thread: a request that is given up leaves the fetching, and the lock with it, to the thread.
        """
        try:
            return self.fetch()
        except BaseException:
            self.resources.__exit__(*sys.exc_info())
            raise
        finally:
            self.lock.release()

    def close(self) -> None:
        """End the query and let go of what it holds; its half-read statements go first."""
        self.results, self._ahead = iter(()), []
        self.resources.close()

    def settle(self) -> None:
        """Keep the statistics as they are: the query has run to its end, and nothing of it still counts."""
        self.final_statistics = self.final_statistics or self._statistics()

    def extra(self) -> dict[str, Any]:
        """Give what the query tells about itself so far: warnings, statistics, and on request its profile and plan."""
        statistics = self.final_statistics or self._statistics()
        told: dict[str, Any] = {"warnings": self.run.warnings, "stats": statistics}
        if self.phases:
            told["profile"] = {**self.phases, "executing": statistics["executionTime"]}
        if self.plan:
            told["plan"] = self.plan
        return told

    def _statistics(self) -> dict[str, Any]:
        seen = self.run.statistics
        statistics: dict[str, Any] = {
            "writesExecuted": seen.writes_executed,
            "writesIgnored": seen.writes_ignored,
            "documentLookups": 0,
            "seeks": 0,
            "scannedFull": seen.scanned_full,
            "scannedIndex": seen.scanned_index,
            "cursorsCreated": 0,
            "cursorsRearmed": 0,
            "cacheHits": 0,
            "cacheMisses": 0,
            "filtered": seen.filtered,
            "httpRequests": 0,
            "executionTime": time.monotonic() - self.started,
            "peakMemoryUsage": self.run.memory.peak,
            "intermediateCommits": 0,
        }
        if self.run.profile is not None:
            statistics["nodes"] = self.run.profile.describe()
        if seen.full_count is not None:
            statistics["fullCount"] = seen.full_count
        return statistics


class CursorStore:
    """All open cursors of a server."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._cursors: dict[str, Cursor] = {}
        self._ids = itertools.count(time.time_ns() // 1000)

    async def open(self, database: Session, statement: Statement, options: QueryOptions) -> tuple[Cursor, Batch]:
        """Start a query and take its first batch; the cursor stays open when there are more."""
        await self.expire()
        cursor_id = str(next(self._ids))
        if statement.writes:
            sync = statement.wants_sync(database.collections)
            cursor = await database.write(
                lambda transaction: _write(cursor_id, transaction, database, statement, options), sync=sync
            )
            batch = await self._on_thread(cursor.fetch)
        else:
            cursor, batch = await self._on_thread(lambda: _start(cursor_id, database, statement, options))
        if batch.more or options.allow_retry:
            cursor.last_batch = batch
            self._cursors[cursor.id] = cursor
        return cursor, batch

    async def next(self, database: Session, cursor_id: str, batch_number: int | None = None) -> tuple[Cursor, Batch]:
        """Take the next batch of a cursor, or with `batch_number` the last one again for a client that may retry.

        Raises:
            ArangoError: 1600 for a cursor or batch that is not there, 1601 while another request fetches, 400 for the
                last batch again without the option `allowRetry`.

        Source:
            "Read a batch from the cursor again" in ArangoDB 3.12's HTTP API, develop/http-api/queries/aql-queries.
        """
        cursor = self._find(database, cursor_id)
        last = cursor.last_batch
        if batch_number is not None and batch_number != cursor.batch_number + 1:
            if not cursor.options.allow_retry:
                raise ArangoError(Problem.HTTP_BAD_PARAMETER, "the query was started without the option 'allowRetry'")
            if batch_number != cursor.batch_number or last is None:
                raise ArangoError(Problem.CURSOR_NOT_FOUND)
            return cursor, last
        if last is not None and not last.more:
            raise ArangoError(Problem.CURSOR_NOT_FOUND)
        if not cursor.lock.acquire(blocking=False):
            raise ArangoError(Problem.CURSOR_BUSY)
        try:
            batch = await self._on_thread(cursor.fetch_locked)
        except Exception:
            self._cursors.pop(cursor_id, None)
            raise
        cursor.batch_number += 1
        cursor.last_batch = batch
        if not batch.more and not cursor.options.allow_retry:
            self._cursors.pop(cursor_id, None)
        return cursor, batch

    async def delete(self, database: Session, cursor_id: str) -> None:
        """Close a cursor before its end."""
        cursor = self._find(database, cursor_id)
        del self._cursors[cursor_id]
        await self._close([cursor])

    async def close_database(self, database: str) -> None:
        """Close every cursor of a database."""
        await self._close_where(lambda cursor: cursor.database == database)

    async def close_all(self) -> None:
        """Close every cursor."""
        await self._close_where(lambda _: True)

    async def expire(self) -> None:
        """Close the cursors that nobody has fetched from for their time to live."""
        now = time.monotonic()
        await self._close_where(lambda cursor: cursor.expires < now)

    async def _close_where(self, condition: Callable[[Cursor], bool]) -> None:
        ended = [cursor for cursor in self._cursors.values() if condition(cursor) and not cursor.lock.locked()]
        for cursor in ended:
            del self._cursors[cursor.id]
        if ended:
            await self._close(ended)

    async def _close(self, cursors: list[Cursor]) -> None:
        def close() -> None:
            for cursor in cursors:
                cursor.run.killed = True
                with cursor.lock:
                    cursor.close()

        await self._on_thread(close)

    def _find(self, database: Session, cursor_id: str) -> Cursor:
        cursor = self._cursors.get(cursor_id)
        if cursor is None or cursor.database != database.name:
            raise ArangoError(Problem.CURSOR_NOT_FOUND)
        return cursor

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _begin(
    options: QueryOptions,
    database: str,
    connection: sqlite3.Connection,
    collections: Mapping[str, Collection],
    transaction: Transaction | None = None,
) -> Run:
    return Run(
        connection,
        collections,
        transaction,
        database=database,
        fail_on_warning=options.fail_on_warning,
        max_warnings=options.max_warnings,
        deadline=deadline(options.max_runtime_s),
        memory=Memory(options.memory_limit),
        profile=Profile() if options.profile else None,
    )


def _start(cursor_id: str, database: Session, statement: Statement, options: QueryOptions) -> tuple[Cursor, Batch]:
    started = time.monotonic()
    with contextlib.ExitStack() as resources:
        connection = resources.enter_context(database.reader())
        run = _begin(options, database.name, connection, database.collections)
        results = statement.run(run, full_count=options.full_count)
        count = None
        if options.count or options.full_count or database.is_transaction:
            count, results = _complete(results, resources)
        cursor = Cursor(
            cursor_id,
            database.name,
            options,
            run,
            results,
            contextlib.ExitStack(),
            count if options.count else None,
            started,
        )
        if count is not None:
            cursor.settle()
        batch = cursor.fetch()
        if batch.more:
            cursor.resources = resources.pop_all()
        return cursor, batch


def _write(
    cursor_id: str, transaction: Transaction, database: Session, statement: Statement, options: QueryOptions
) -> Cursor:
    """Run a query that changes documents, to its end: its results are complete when its transaction is."""
    started = time.monotonic()
    run = _begin(options, database.name, transaction.connection, transaction.collections, transaction)
    with contextlib.ExitStack() as resources:
        count, results = _complete(statement.run(run, full_count=options.full_count), resources)
        shown = count if options.count else None
        cursor = Cursor(cursor_id, database.name, options, run, results, resources.pop_all(), shown, started)
        cursor.settle()
        return cursor


def _complete(results: Iterator[Any], resources: contextlib.ExitStack) -> tuple[int, Iterator[Any]]:
    """Run a query to its end before the first batch, because its count was asked for."""
    spool: IO[bytes] = resources.enter_context(tempfile.SpooledTemporaryFile(_SPOOL_BYTES))  # noqa: SIM115 - it is
    count = 0
    for result in results:
        count += 1
        spool.write(_encode(result).replace(b"\n", b" "))  # one line each; inside of strings JSON has no newlines
        spool.write(b"\n")
    spool.seek(0)
    return count, (msgspec.Raw(line) for line in spool)
