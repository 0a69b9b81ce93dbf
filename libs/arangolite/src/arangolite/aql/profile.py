"""What each operation of a query did, for queries that are asked to tell it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")

_END: Any = object()


@dataclass
class Probe:
    """One operation: how often it was asked for a row, and how many it gave."""

    before: Self | None
    """The operation that it takes its rows from."""
    filters: bool = False
    calls: int = 0
    items: int = 0
    runtime_s: float = 0.0
    """Also of the operations before it, as in ArangoDB."""

    @property
    def filtered(self) -> int:
        """How many rows it took and did not pass on, when that is what it is for."""
        return self.before.items - self.items if self.filters and self.before is not None else 0

    def watch(self, rows: Iterator[T]) -> Iterator[T]:
        """Pass the operation's rows on, and count them."""
        while True:
            self.calls += 1
            started = time.perf_counter()
            row = next(rows, _END)
            self.runtime_s += time.perf_counter() - started
            if row is _END:
                return
            self.items += 1
            yield row


class Profile:
    """The operations of a query itself, in their order; subqueries are part of the operation that they are in."""

    def __init__(self) -> None:
        self._probes = [Probe(None, calls=1, items=1)]  # what every plan begins with: one empty row

    def probe(self, *, filters: bool = False) -> Probe:
        """Begin to watch the next operation."""
        self._probes.append(Probe(self._probes[-1], filters))
        return self._probes[-1]

    def describe(self) -> list[dict[str, Any]]:
        """Give the figures by the numbers that the plan has for the operations.

        Source:
            `extra.stats.nodes` of "Create a cursor" in ArangoDB 3.12's HTTP API, develop/http-api/queries/aql-queries.
        """
        return [
            {
                "id": number,
                "calls": probe.calls,
                "items": probe.items,
                "filtered": probe.filtered,
                "runtime": probe.runtime_s,
            }
            for number, probe in enumerate(self._probes, 1)
        ]
