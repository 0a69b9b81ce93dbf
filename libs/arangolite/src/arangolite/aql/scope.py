"""Which names a part of a query can see, and where their values are found while it runs.

A running query keeps its values in one list, the frame; every variable has a slot in it. A variable over a collection
is special: only what the
query uses of its documents is decoded, each attribute into a slot of its own, and a document that is only returned is
never decoded at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from arangolite.aql.context import Run
from arangolite.errors import ArangoError, Problem

Frame = list[Any]
Code = Callable[[Frame], Any]
"""A compiled expression."""
Stage = Callable[[Iterator[Frame], Frame], Iterator[Frame]]
"""A compiled operation: takes the frames of the operation before it and gives its own, often the same list with other
values in it. The second argument is the frame that the query began with, for operations that give a row for none."""


@dataclass
class Frames:
    """Hands out slots; shared by a query and its subqueries."""

    size: int = 0

    def slot(self) -> int:
        """Take a new slot."""
        self.size += 1
        return self.size - 1


@dataclass
class DocumentVariable:
    """A variable over a collection, and which parts of its documents the query turned out to use."""

    collection: str
    frames: Frames
    attributes: dict[str, int] = field(default_factory=dict)
    whole: int | None = None
    raw: int | None = None

    def attribute_slot(self, name: str) -> int:
        """Use one attribute."""
        if name not in self.attributes:
            self.attributes[name] = self.frames.slot()
        return self.attributes[name]

    def whole_slot(self) -> int:
        """Use the decoded document."""
        if self.whole is None:
            self.whole = self.frames.slot()
        return self.whole

    def raw_slot(self) -> int:
        """Use the document as JSON."""
        if self.raw is None:
            self.raw = self.frames.slot()
        return self.raw

    @property
    def slots(self) -> list[int]:
        """Every slot in use, for operations that keep frames."""
        return [slot for slot in (*self.attributes.values(), self.whole, self.raw) if slot is not None]


Binding = int | DocumentVariable
"""Where a variable's value is: in a slot, or in the slots of a document."""


@dataclass(frozen=True)
class Scope:
    """The names that can be seen at one place of a query."""

    run: Run
    frames: Frames
    names: dict[str, Binding]

    def child(self) -> "Scope":
        """Open a scope inside this one: it sees these names, and its own end with it."""
        return Scope(self.run, self.frames, dict(self.names))

    def declare(self, name: str) -> int:
        """Give a new variable a slot."""
        slot = self.frames.slot()
        self.bind(name, slot)
        return slot

    def bind(self, name: str, binding: Binding) -> None:
        """Give a new variable a binding, or refuse with 1511 when the name is taken."""
        if name in self.names:
            raise ArangoError(
                Problem.QUERY_VARIABLE_REDECLARED, f"AQL: variable '{name}' is assigned multiple times (while parsing)"
            )
        self.names[name] = binding

    def find(self, name: str) -> Binding | None:
        """Look a name up."""
        return self.names.get(name)
