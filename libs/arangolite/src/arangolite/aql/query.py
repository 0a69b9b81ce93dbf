"""A query from its text to its results."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from arangolite.aql import tree
from arangolite.aql.binding import bind
from arangolite.aql.context import Run
from arangolite.aql.explain import describe_plan
from arangolite.aql.parse import parse
from arangolite.aql.pipeline import Compiler
from arangolite.aql.scope import Frames, Scope
from arangolite.errors import ArangoError, Problem
from arangolite.storage.catalog import Collection

_WAIT_FOR_SYNC = (tree.Literal("waitForSync"), tree.Literal(True))
_MODIFICATIONS = (tree.Insert, tree.Change, tree.Remove, tree.Upsert)


@dataclass(frozen=True)
class Statement:
    """A query with its bind parameters, checked as far as that goes without data."""

    query: tree.Query

    @property
    def writes(self) -> bool:
        """Whether it changes documents, so that it must run in a write transaction."""
        return any(isinstance(node, _MODIFICATIONS) for node in tree.walk(self.query))

    def wants_sync(self, collections: Mapping[str, Collection]) -> bool:
        """Whether a query that writes must have reached the disk: by its OPTIONS, or by a property of a collection."""
        for node in tree.walk(self.query):
            if not isinstance(node, _MODIFICATIONS):
                continue
            if isinstance(node.options, tree.Object) and _WAIT_FOR_SYNC in node.options.entries:
                return True
            target = collections.get(getattr(node.target, "name", ""))
            if target is not None and target.wait_for_sync:
                return True
        return False

    def explain(self, run: Run) -> dict[str, Any]:
        """Compile the query without running it, and describe its plan."""
        compiler = Compiler()
        try:
            compiler.query(self.query, Scope(run, Frames(), {}), top=True)
        except RecursionError as exc:
            raise too_deep() from exc
        return describe_plan(compiler.steps)

    def run(self, run: Run, *, full_count: bool = False) -> Iterator[Any]:
        """Start the query; results come one by one, and may hold documents as raw JSON."""
        frames = Frames()
        try:
            produce = Compiler(full_count=full_count).query(self.query, Scope(run, frames, {}), top=True)
        except RecursionError as exc:
            raise too_deep() from exc
        return produce([None] * frames.size)


def prepare(text: str, bind_values: Mapping[str, Any]) -> Statement:
    """Parse a query and put the values of its bind parameters in."""
    try:
        return Statement(bind(parse(text), bind_values))
    except RecursionError as exc:
        raise too_deep() from exc


def deadline(max_runtime_s: float) -> float | None:
    """Turn `maxRuntime` into the moment when it is over; 0 means no limit."""
    return time.monotonic() + max_runtime_s if max_runtime_s > 0 else None


def too_deep() -> ArangoError:
    """Say that Python's stack is not deep enough for a query or for a value in it."""
    return ArangoError(Problem.RESOURCE_LIMIT, "AQL: the query or its data is nested too deeply")
