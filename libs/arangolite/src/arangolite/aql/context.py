"""What one run of a query carries: where it reads, what it counts, what it warns about, when it must stop."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Run:
    """One run of a query."""

    connection: sqlite3.Connection
    collections: Mapping[str, Collection]
    transaction: Transaction | None = None
    """What a query that changes documents writes in."""
    statistics: Statistics = field(default_factory=Statistics)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    database: str = ""
    user: str | None = None
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
