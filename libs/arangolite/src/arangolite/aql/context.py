"""What one run of a query carries: where it reads, what it counts, what it warns about, when it must stop."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from arangolite.aql.profile import Profile
from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Transaction, find_collection


@dataclass
class Statistics:
    """What a query reports about itself, under ArangoDB's names."""

    writes_executed: int = 0
    writes_ignored: int = 0
    scanned_full: int = 0
    scanned_index: int = 0
    filtered: int = 0
    full_count: int | None = None

    def scanned(self, documents: int, *, with_index: bool) -> None:
        """Count documents that were looked at."""
        if with_index:
            self.scanned_index += documents
        else:
            self.scanned_full += documents


_NODE_BYTES = 64  # about what Python keeps beside the content of a value


def footprint(value: Any) -> int:
    """Estimate the bytes that a value takes, with all that is in it."""
    kind = type(value)
    if kind is str or kind is bytes:
        return _NODE_BYTES + len(value)
    if kind is list:
        return _NODE_BYTES + sum(footprint(item) for item in value)
    if kind is dict:
        return _NODE_BYTES + sum(len(name) + footprint(item) for name, item in value.items())
    if kind is range:
        return _NODE_BYTES * int(abs(value.stop - value.start))  # it may be too long for len()
    return len(bytes(value)) if kind is msgspec.Raw else _NODE_BYTES // 2


@dataclass
class Memory:
    """What a query holds at a time: rows that wait to be sorted, groups, arrays."""

    limit: int = 0
    """Bytes; 0 means no limit, and then nothing is counted."""
    used: int = 0
    peak: int = 0

    def take(self, value: Any) -> int:
        """Count a value that is kept, and end the query with 32 when it is too much; returns what to give back."""
        if not self.limit:
            return 0
        size = footprint(value)
        self.used += size
        self.peak = max(self.peak, self.used)
        if self.used > self.limit:
            message = "AQL: query would use more memory than allowed (while executing)"
            raise ArangoError(Problem.RESOURCE_LIMIT, message)
        return size

    def see(self, value: Any) -> None:
        """Count a value that is there for the moment."""
        self.used -= self.take(value)

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """Count what one operation keeps until it is done."""
        share = Share(self)
        try:
            yield share
        finally:
            self.used -= share.size


@dataclass
class Share:
    """What one operation of a query keeps."""

    memory: Memory
    size: int = 0

    def hold(self, value: Any) -> None:
        """Keep one more value."""
        self.size += self.memory.take(value)


@dataclass
class Run:
    """One run of a query."""

    connection: sqlite3.Connection
    collections: Mapping[str, Collection]
    transaction: Transaction | None = None
    """What a query that changes documents writes in."""
    statistics: Statistics = field(default_factory=Statistics)
    memory: Memory = field(default_factory=Memory)
    profile: Profile | None = None
    """What each operation does, when that was asked for."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    database: str = ""
    user: str | None = None
    """Who asks; None for a superuser token."""
    fail_on_warning: bool = False
    max_warnings: int = 10
    """As many as ArangoDB keeps by default."""
    deadline: float | None = None
    """Monotonic seconds at which `maxRuntime` is over."""
    killed: bool = False

    def collection(self, name: str) -> Collection:
        """Find a collection, or refuse with 1203."""
        return find_collection(self.collections, name)

    def warn(self, problem: Problem, message: str = "", *, function: str = "") -> None:
        """Note that a value could not be used, where there is one by which function; the query goes on with null."""
        text = message or problem.text
        if function and problem is Problem.QUERY_ARGUMENT_TYPE:
            text += f" in call to function '{function}()'"
        if self.fail_on_warning:
            raise ArangoError(problem, f"AQL: {text} (while executing)")
        if len(self.warnings) < self.max_warnings:
            self.warnings.append({"code": problem.number, "message": text})

    def check(self) -> None:
        """Stop when the query was killed or its time is over."""
        if self.killed or (self.deadline is not None and time.monotonic() > self.deadline):
            raise ArangoError(Problem.QUERY_KILLED)
