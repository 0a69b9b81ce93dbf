"""COLLECT: groups, counts and aggregates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from arangolite.aql import tree
from arangolite.aql.context import Run, Share
from arangolite.aql.expressions import Expressions
from arangolite.aql.functions import FUNCTIONS
from arangolite.aql.operators import number
from arangolite.aql.options import read_options
from arangolite.aql.scope import Code, DocumentVariable, Frame, Scope, Stage
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, encode, encode_many


class _Count:
    """COUNT, LENGTH: the rows of the group, whatever their values."""

    keeps = False

    def __init__(self, _: Run) -> None:
        self.total = 0

    def add(self, _: Value) -> None:
        self.total += 1

    def result(self) -> Value:
        return self.total


class _Extreme:
    """MIN, MAX: nulls do not take part."""

    keeps = False

    def __init__(self, pick: Callable[[bytes, bytes], bool]) -> None:
        self._better = pick
        self._place: bytes | None = None
        self._value: Value = None

    def add(self, value: Value) -> None:
        if value is None:
            return
        place = encode(value)
        if self._place is None or self._better(place, self._place):
            self._place, self._value = place, value

    def result(self) -> Value:
        return self._value


class _Sum:
    """SUM, AVERAGE: nulls do not take part, anything else that is no number makes the result null; so does no row."""

    keeps = False

    def __init__(self, *, average: bool) -> None:
        self._average = average
        self._asked = False
        self._total: int | float = 0
        self._count = 0
        self._valid = True

    def add(self, value: Value) -> None:
        self._asked = True
        kind = type(value)
        if kind is int or kind is float:
            self._total += value
            self._count += 1
        elif value is not None:
            self._valid = False

    def result(self) -> Value:
        if not self._valid or not self._asked or (self._average and not self._count):
            return None
        return number(self._total / self._count if self._average else self._total)


class _Gathered:
    """Every other aggregate: the function of the same name over the values of the group."""

    keeps = True

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._function = FUNCTIONS[name].run
        self._values: list[Value] = []

    def add(self, value: Value) -> None:
        self._values.append(value)

    def result(self) -> Value:
        return self._function(self._run.warn, self._values)


class _Distinct:
    """UNIQUE, SORTED_UNIQUE, COUNT_DISTINCT: holds each value once."""

    keeps = True

    def __init__(self, form: Callable[[dict[bytes, Value]], Value]) -> None:
        self._form = form
        self._seen: dict[bytes, Value] = {}

    def add(self, value: Value) -> None:
        self._seen.setdefault(encode(value), value)

    def result(self) -> Value:
        return self._form(self._seen)


class _Push:
    """PUSH: all values of the group."""

    keeps = True

    def __init__(self, _: Run) -> None:
        self._values: list[Value] = []

    def add(self, value: Value) -> None:
        self._values.append(value)

    def result(self) -> Value:
        return self._values


Aggregator = _Count | _Extreme | _Sum | _Gathered | _Distinct | _Push

AGGREGATES: dict[str, Callable[[Run], Aggregator]] = {
    "COUNT": _Count,
    "LENGTH": _Count,
    "MIN": lambda _: _Extreme(lambda new, old: new < old),
    "MAX": lambda _: _Extreme(lambda new, old: new > old),
    "SUM": lambda _: _Sum(average=False),
    "AVERAGE": lambda _: _Sum(average=True),
    "AVG": lambda _: _Sum(average=True),
    "UNIQUE": lambda _: _Distinct(lambda seen: list(seen.values())),
    "SORTED_UNIQUE": lambda _: _Distinct(lambda seen: [seen[place] for place in sorted(seen)]),
    "COUNT_DISTINCT": lambda _: _Distinct(len),
    "COUNT_UNIQUE": lambda _: _Distinct(len),
    "PUSH": _Push,
    **{
        name: lambda run, name=name: _Gathered(run, name)  # type: ignore[misc]
        for name in (
            "STDDEV",
            "STDDEV_POPULATION",
            "STDDEV_SAMPLE",
            "VARIANCE",
            "VARIANCE_POPULATION",
            "VARIANCE_SAMPLE",
            "BIT_AND",
            "BIT_OR",
            "BIT_XOR",
        )
    },
}


@dataclass
class _Group:
    """One group: its values, its aggregates so far, its members, and how many rows it got."""

    values: list[Value]
    aggregators: list[Aggregator]
    members: list[Value] = field(default_factory=list)
    rows: int = 0


def compile_collect(node: tree.Collect, scope: Scope, left: Scope, expressions: Expressions) -> tuple[Stage, Scope]:
    """Compile a COLLECT; in the scope behind it only its own variables and those of the scope `left` are left."""
    run = scope.run
    read_options(node, scope, expressions)  # `method` is ArangoDB's choice of how; the groups come in order either way
    codes = [expressions.compile(group.value, scope) for group in node.groups]
    aggregates = [compile_aggregate(aggregate, scope, expressions) for aggregate in node.aggregates]
    member = None if node.into is None else _compile_member(node, scope, left, expressions)
    after = left.child()
    slots = [after.declare(part.variable) for part in (*node.groups, *node.aggregates)]
    last_slot = after.declare(name) if (name := node.count or node.into) else None

    def stage(rows: Iterator[Frame], template: Frame) -> Iterator[Frame]:
        with run.memory.share() as share:
            groups, row = _gather(rows, codes, aggregates, member, run, share)
            if not groups and not codes:
                groups[b""] = _Group(
                    [], [make(run) for make, _ in aggregates]
                )  # without groups there is always one row
            for place in sorted(groups):
                group = groups[place]
                frame = (row or template).copy()  # with what is left, which is the same in every row
                results = [aggregator.result() for aggregator in group.aggregators]
                for slot, value in zip(slots, (*group.values, *results), strict=True):
                    frame[slot] = value
                if last_slot is not None:
                    frame[last_slot] = group.rows if node.count else group.members
                yield frame

    return stage, after


def _gather(
    rows: Iterator[Frame],
    codes: Sequence[Code],
    aggregates: Sequence[tuple[Callable[[Run], Aggregator], Code]],
    member: Code | None,
    run: Run,
    share: Share,
) -> tuple[dict[bytes, _Group], Frame | None]:
    """Sort the rows into groups; returns one of the rows, too."""
    groups: dict[bytes, _Group] = {}
    frame: Frame | None = None
    for frame in rows:
        values = [code(frame) for code in codes]
        place = encode_many(values)
        group = groups.get(place)
        if group is None:
            group = groups[place] = _Group(values, [make(run) for make, _ in aggregates])
            share.hold([place, values])
        for aggregator, (_, code) in zip(group.aggregators, aggregates, strict=True):
            value = code(frame)
            aggregator.add(value)
            if aggregator.keeps:
                share.hold(value)
        if member is not None:
            group.members.append(member(frame))
            share.hold(group.members[-1])
        group.rows += 1
    return groups, frame


def compile_aggregate(
    node: tree.Let, scope: Scope, expressions: Expressions
) -> tuple[Callable[[Run], Aggregator], Code]:
    """Compile one assignment of AGGREGATE: how its aggregator is made, and what is added to it."""
    call = node.value
    if not isinstance(call, tree.Call) or call.name not in AGGREGATES or len(call.arguments) > 1:
        raise ArangoError(
            Problem.QUERY_INVALID_AGGREGATE,
            "AQL: aggregate expression must be a function call that can aggregate, e.g. MAX(doc.value) (while parsing)",
        )
    if not call.arguments:
        return AGGREGATES[call.name], lambda _: None
    return AGGREGATES[call.name], expressions.compile(call.arguments[0], scope)


def _compile_member(node: tree.Collect, scope: Scope, left: Scope, expressions: Expressions) -> Code:
    """Compile what INTO stores for each row: a projection, or an object of the variables that are not left."""
    if node.projection is not None:
        return expressions.compile(node.projection, scope)
    names = [name for name in scope.names if name not in left.names] if node.keep is None else list(node.keep)
    for name in names:
        if name not in scope.names:
            raise ArangoError(Problem.QUERY_VARIABLE_UNKNOWN, f"AQL: unknown variable '{name}' (while parsing)")
    slots: dict[str, int] = {}
    for name in names:
        binding = scope.names[name]
        slots[name] = binding.whole_slot() if isinstance(binding, DocumentVariable) else binding
    return lambda frame: {name: frame[slot] for name, slot in slots.items()}


def count_stage(count: Callable[[Frame], int], slot: int) -> Stage:
    """Make the stage of `COLLECT WITH COUNT INTO` where the storage can count without reading."""

    def stage(rows: Iterator[Frame], template: Frame) -> Iterator[Frame]:
        total, row = 0, template
        for row in rows:
            total += count(row)
        frame = row.copy()
        frame[slot] = total
        yield frame

    return stage
