"""The typed tree of an AQL query. Names are as written; what they mean is decided when the query is compiled."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, Union


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, also a bind parameter once its value is known."""

    value: Any


@dataclass(frozen=True, slots=True)
class Bind:
    """`@name`."""

    name: str


@dataclass(frozen=True, slots=True)
class CollectionName:
    """A collection given by its name where the grammar wants one, or by `@@name` once its value is known."""

    name: str


@dataclass(frozen=True, slots=True)
class CollectionBind:
    """`@@name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, or a collection where no variable has that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """`[a, b]`."""

    items: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class Object:
    """`{name: value}`; a name may be computed."""

    entries: tuple[tuple["Expr", "Expr"], ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """`base.name`; the name may be a bind parameter."""

    base: "Expr"
    name: "str | Bind"


@dataclass(frozen=True, slots=True)
class Index:
    """`base[index]`."""

    base: "Expr"
    index: "Expr"


@dataclass(frozen=True, slots=True)
class Expand:
    """`base[* FILTER … LIMIT … RETURN …]`; `levels` is the number of stars. In the parts, `CURRENT` is the element."""

    base: "Expr"
    levels: int
    condition: "Expr | None"
    offset: "Expr | None"
    count: "Expr | None"
    projection: "Expr | None"


@dataclass(frozen=True, slots=True)
class Question:
    """`base[? quantity FILTER …]`; `kind` is `ANY`, `ALL`, `NONE`, `AT LEAST`, or `EXACTLY` for a number or a range."""

    base: "Expr"
    kind: str
    quantity: "Expr | None"
    condition: "Expr | None"


@dataclass(frozen=True, slots=True)
class Unary:
    """`+a`, `-a`, `!a`."""

    operator: str
    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands; `operator` is one of `&& || == != < <= > >= IN NOT_IN LIKE NOT_LIKE =~ !~ + - * / %`."""

    operator: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True)
class Quantified:
    """`left ALL|ANY|NONE operator right`: the operator on the elements of the left array."""

    quantifier: str
    operator: str
    left: "Expr"
    right: "Expr"
    least: "Expr | None" = None
    """With the quantifier `AT LEAST`, for how many elements it must hold."""


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`; without `yes` the condition's own value."""

    condition: "Expr"
    yes: "Expr | None"
    no: "Expr"


@dataclass(frozen=True, slots=True)
class Range:
    """`low..high`."""

    low: "Expr"
    high: "Expr"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; the name is upper case."""

    name: str
    arguments: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class Subquery:
    """`(FOR … RETURN …)` as a value."""

    query: "Query"


@dataclass(frozen=True, slots=True)
class For:
    """`FOR variable IN source OPTIONS options`."""

    variable: str
    source: "Expr"
    options: "Expr | None" = None


@dataclass(frozen=True, slots=True)
class EdgeSource:
    """An edge collection of a traversal, with a direction of its own or None for the traversal's."""

    direction: str | None
    target: "CollectionName | CollectionBind"


@dataclass(frozen=True, slots=True)
class Traversal:
    """`FOR vertex, edge, path IN depth direction start GRAPH graph`, or with edge collections instead of a graph."""

    variables: tuple[str, ...]
    depth: "Expr | None"
    direction: str
    start: "Expr"
    graph: "Expr | tuple[EdgeSource, ...]"
    prune: "Expr | None"
    prune_variable: str | None
    options: "Expr | None"


@dataclass(frozen=True, slots=True)
class PathSearch:
    """`FOR vertex, edge IN depth direction kind start TO target GRAPH graph`; only K_PATHS has a depth."""

    kind: str
    variables: tuple[str, ...]
    depth: "Expr | None"
    direction: str
    start: "Expr"
    target: "Expr"
    graph: "Expr | tuple[EdgeSource, ...]"
    options: "Expr | None"


@dataclass(frozen=True, slots=True)
class Let:
    """`LET variable = value`."""

    variable: str
    value: "Expr"


@dataclass(frozen=True, slots=True)
class Filter:
    """`FILTER condition`."""

    condition: "Expr"


@dataclass(frozen=True, slots=True)
class SortItem:
    """One key of a SORT."""

    value: "Expr"
    descending: bool


@dataclass(frozen=True, slots=True)
class Sort:
    """`SORT items`; the planner says how many of them an index has already brought into order."""

    items: tuple[SortItem, ...]
    presorted: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """`LIMIT offset, count`."""

    offset: "Expr"
    count: "Expr"


@dataclass(frozen=True, slots=True)
class Collect:
    """`COLLECT groups AGGREGATE aggregates INTO into = projection KEEP keep`, or `… WITH COUNT INTO count`."""

    groups: tuple[Let, ...]
    aggregates: tuple[Let, ...]
    into: str | None
    projection: "Expr | None"
    keep: tuple[str, ...] | None
    count: str | None
    options: "Expr | None" = None


@dataclass(frozen=True, slots=True)
class Window:
    """`WINDOW place WITH bounds AGGREGATE aggregates`; without a place the bounds count rows."""

    place: "Expr | None"
    bounds: "Expr"
    aggregates: tuple[Let, ...]


@dataclass(frozen=True, slots=True)
class Return:
    """`RETURN [DISTINCT] value`."""

    value: "Expr"
    distinct: bool


@dataclass(frozen=True, slots=True)
class Insert:
    """`INSERT document INTO target`."""

    document: "Expr"
    target: "CollectionName | CollectionBind"
    options: "Expr | None"


@dataclass(frozen=True, slots=True)
class Change:
    """`UPDATE|REPLACE selector WITH document IN target`; without `WITH` the selector is the document."""

    replace: bool
    selector: "Expr"
    document: "Expr | None"
    target: "CollectionName | CollectionBind"
    options: "Expr | None"


@dataclass(frozen=True, slots=True)
class Remove:
    """`REMOVE selector IN target`."""

    selector: "Expr"
    target: "CollectionName | CollectionBind"
    options: "Expr | None"


@dataclass(frozen=True, slots=True)
class Upsert:
    """`UPSERT search INSERT document UPDATE|REPLACE change IN target`.

    With `by_filter` the search is a condition on `CURRENT`, otherwise an object literal of what must be equal.
    """

    search: "Expr"
    by_filter: bool
    document: "Expr"
    replace: bool
    change: "Expr"
    target: "CollectionName | CollectionBind"
    options: "Expr | None"


Expr: TypeAlias = (
    Literal
    | Bind
    | CollectionName
    | CollectionBind
    | Variable
    | Array
    | Object
    | Attribute
    | Index
    | Expand
    | Question
    | Unary
    | Binary
    | Quantified
    | Ternary
    | Range
    | Call
    | Subquery
)
Modification: TypeAlias = Insert | Change | Remove | Upsert
Operation: TypeAlias = (
    For | Traversal | PathSearch | Let | Filter | Sort | Limit | Collect | Window | Return | Modification
)
Node: TypeAlias = Union[Expr, Operation, SortItem, EdgeSource, "Query"]


@dataclass(frozen=True, slots=True)
class Query:
    """Operations one after the other; the last one is a RETURN or a modification."""

    operations: tuple[Operation, ...]


def element(base: Expr, index: Expr) -> Expr:
    """Make `base[index]`; a name is an attribute, unless it looks like a place in an array."""
    name = index.value if isinstance(index, Literal) else None
    if type(name) is str and not name[:1].isdigit():
        return Attribute(base, name)
    return Index(base, index)


def children(node: Node) -> Iterator[Node]:
    """Go through the nodes directly below a node."""
    for part in fields(node):
        yield from _nodes(getattr(node, part.name))


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)
    elif hasattr(value, "__dataclass_fields__"):
        yield value


def walk(node: Node) -> Iterator[Node]:
    """Go through a node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def declared_names(query: Query) -> frozenset[str]:
    """Tell which names a query gives to something, wherever in it."""
    names: set[str | None] = {"CURRENT", "OLD", "NEW"}
    for part in walk(query):
        match part:
            case For() | Let():
                names.add(part.variable)
            case Traversal():
                names |= {*part.variables, part.prune_variable}
            case PathSearch():
                names |= {*part.variables}
            case Collect():
                names |= {part.into, part.count}
    return frozenset(name for name in names if name is not None)


def free_names(node: Node) -> frozenset[str]:
    """Tell which variable names occur in a node, also those bound inside of it."""
    return frozenset(part.name for part in walk(node) if isinstance(part, Variable))
