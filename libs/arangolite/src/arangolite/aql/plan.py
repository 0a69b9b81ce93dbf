"""Chooses how a FOR over a collection reads it, from the FILTERs and the SORT that follow.

A condition that an index answers exactly is taken out of its FILTER, and a SORT that the index's order answers is taken
out, too; because index
entries are in AQL's own order, both are exact for every type of value.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from arangolite.aql import tree
from arangolite.aql.access import Access, FullScan, IndexScan, KeyLookup, KeyRange
from arangolite.aql.expressions import Expressions
from arangolite.aql.functions import FUNCTIONS
from arangolite.aql.options import IndexHint, unusable
from arangolite.aql.scope import Code, Frame, Scope
from arangolite.storage.catalog import EXPANSION, PRIMARY, Collection, Index, IndexTable, Path
from arangolite.values import AFTER_ANY, encode

_FLIPPED = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_KEY, _ID = ("_key",), ("_id",)


@dataclass(frozen=True)
class _Condition:
    """`path operator value`, where the value is known before the document is.

    The operator `ELEMENT` stands for `value IN path[*]`.
    """

    node: tree.Expr
    path: Path
    operator: str
    value: tree.Expr


@dataclass(frozen=True)
class _Candidate:
    """One way to read, and what it answers."""

    access: Access
    used: tuple[tree.Expr, ...]
    presorted: int
    score: float


def plan_scan(
    collection: Collection,
    variable: str,
    following: Sequence[tree.Operation],
    scope: Scope,
    expressions: Expressions,
    *,
    only_once: bool,
    hint: IndexHint,
) -> tuple[Access, tuple[tree.Operation, ...]]:
    """Choose the access for `FOR variable IN collection`; returns it and what is left of the operations that follow.

    A FOR that is run once for each of several rows cannot answer a SORT, which is about all of its rounds together.
    """
    conditions = list(_conditions(variable, following, scope))
    sort = _first_sort(following) if only_once else None
    builder = _RangeBuilder(scope, expressions, conditions)
    candidates = [
        _Candidate(FullScan(collection), (), 0, 0),
        *_by_key(collection, conditions, builder),
        *_in_key_order(collection, variable, sort),
    ]
    for index in collection.indexes:
        for table in index.tables:
            candidate = _by_index(collection, index, table, variable, sort, builder)
            if candidate is not None:
                candidates.append(candidate)
    best = _best(candidates, hint)
    return best.access, tuple(_without(following, best, sort))


def _best(candidates: Sequence[_Candidate], hint: IndexHint) -> _Candidate:
    """Choose by what is saved, unless a hint says otherwise."""
    if hint.disabled:
        candidates = [candidate for candidate in candidates if not candidate.access.uses_index]
    hinted = [candidate for name in hint.names for candidate in candidates if _index_name(candidate.access) == name]
    if hint.forced and not hinted:
        raise unusable(hint)
    return hinted[0] if hinted else max(candidates, key=lambda candidate: candidate.score)


def _index_name(access: Access) -> str | None:
    match access:
        case IndexScan():
            return access.index.name
        case KeyLookup():
            return PRIMARY.name
        case _:
            return None


def _conditions(variable: str, following: Sequence[tree.Operation], scope: Scope) -> Iterator[_Condition]:
    """Collect what the FILTERs that follow say about the variable, up to where a FILTER means something else."""
    for operation in following:
        if isinstance(operation, tree.Filter):
            for node in _conjuncts(operation.condition):
                condition = _as_condition(node, variable, scope)
                if condition is not None:
                    yield condition
        elif not isinstance(operation, tree.Let | tree.Sort | tree.For):
            return


def _conjuncts(node: tree.Expr) -> Iterator[tree.Expr]:
    if isinstance(node, tree.Binary) and node.operator == "&&":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node


def _as_condition(node: tree.Expr, variable: str, scope: Scope) -> _Condition | None:
    if not isinstance(node, tree.Binary):
        return None
    if node.operator in _FLIPPED or node.operator == "IN":
        path = _path(node.left, variable)
        if path is not None and _is_known(node.right, scope):
            return _Condition(node, path, node.operator, node.right)
    if node.operator == "IN" and (array := _expanded_path(node.right, variable)) and _is_known(node.left, scope):
        return _Condition(node, array, "ELEMENT", node.left)
    if node.operator in _FLIPPED:
        path = _path(node.right, variable)
        if path is not None and _is_known(node.left, scope):
            return _Condition(node, path, _FLIPPED[node.operator], node.left)
    return None


def _path(node: tree.Expr, variable: str) -> Path | None:
    names: list[str] = []
    while isinstance(node, tree.Attribute):
        assert isinstance(node.name, str)
        names.append(node.name)
        node = node.base
    if names and isinstance(node, tree.Variable) and node.name == variable:
        return tuple(reversed(names))
    return None


def _expanded_path(node: tree.Expr, variable: str) -> Path | None:
    """Read `variable.path[*]`."""
    if node != tree.Expand(getattr(node, "base", node), 1, None, None, None, None):
        return None
    path = _path(node.base, variable)
    return None if path is None else (*path, EXPANSION)


def _is_known(node: tree.Expr, scope: Scope) -> bool:
    """Whether an expression has one value for all documents of the FOR: only variables from before it, no dice."""
    for part in tree.walk(node):
        if isinstance(part, tree.Variable) and part.name not in scope.names:
            return False
        if isinstance(part, tree.Subquery):
            return False
        if isinstance(part, tree.Call) and not (part.name in FUNCTIONS and FUNCTIONS[part.name].deterministic):
            return False
    return True


def _first_sort(following: Sequence[tree.Operation]) -> tree.Sort | None:
    for operation in following:
        if isinstance(operation, tree.Sort):
            return operation
        if not isinstance(operation, tree.Filter | tree.Let):
            return None
    return None


class _RangeBuilder:
    """Turns conditions on the fields of an index into code that gives its ranges."""

    def __init__(self, scope: Scope, expressions: Expressions, conditions: Sequence[_Condition]) -> None:
        self._scope = scope
        self._expressions = expressions
        self.conditions = conditions

    def on(self, path: Path, *operators: str) -> list[_Condition]:
        """Find the conditions on a path."""
        return [
            condition for condition in self.conditions if condition.path == path and condition.operator in operators
        ]

    def value(self, condition: _Condition) -> Code:
        """Compile what a condition compares with."""
        return self._expressions.compile(condition.value, self._scope)

    def ranges(self, prefix: Sequence[_Condition], bounds: Sequence[_Condition]) -> Callable[[Frame], list[KeyRange]]:
        """Make the code for `==` and `IN` on the first fields and bounds on the next one."""
        points = [(self.value(condition), condition.operator == "IN") for condition in prefix]
        lows = [
            (self.value(bound), AFTER_ANY if bound.operator == ">" else b"")
            for bound in bounds
            if bound.operator in (">", ">=")
        ]
        highs = [
            (self.value(bound), AFTER_ANY if bound.operator == "<=" else b"")
            for bound in bounds
            if bound.operator in ("<", "<=")
        ]

        def ranges(frame: Frame) -> list[KeyRange]:
            starts = [b""]
            for value, many in points:
                found = value(frame)
                if many:
                    parts = {encode(item) for item in found} if type(found) is list else set()
                else:
                    parts = {encode(found)}
                starts = [start + part for start in starts for part in sorted(parts)]
            low = max((encode(value(frame)) + end for value, end in lows), default=b"")
            high = min((encode(value(frame)) + end for value, end in highs), default=AFTER_ANY)
            return [(start + low, start + high) for start in starts] if low < high else []

        return ranges


def _by_index(
    collection: Collection,
    index: Index,
    table: IndexTable,
    variable: str,
    sort: tree.Sort | None,
    builder: _RangeBuilder,
) -> _Candidate | None:
    prefix: list[_Condition] = []
    constant_fields = 0  # fields that have one value in the whole scan, so that they do not matter to the order
    for path in table.paths:
        points = builder.on(path, "==", "ELEMENT") or builder.on(path, "IN")
        if not points:
            break
        if points[0].operator != "IN" and constant_fields == len(prefix):
            constant_fields += 1
        prefix.append(points[0])
    rest = table.paths[len(prefix) :]
    if any(path[-1] == EXPANSION for path in rest):
        return None  # a document stands there once for each of its elements, so one of them must be given
    bounds = builder.on(rest[0], "<", "<=", ">", ">=") if rest else []
    if table.sparse and not _leaves_out_null(table, prefix, bounds):
        return None
    presorted, descending = _presorted(
        table.paths[constant_fields:], set(table.paths[:constant_fields]), variable, sort
    )
    if not prefix and not bounds and not presorted:
        return None
    score = (
        10.0 * len(prefix)
        + (6 if bounds else 0)
        + (4 * presorted / len(sort.items) if sort else 0)
        + (1 if index.unique else 0)
    )
    used = tuple(condition.node for condition in (*prefix, *bounds))
    access = IndexScan(collection, index, table.name, builder.ranges(prefix, bounds), descending)
    return _Candidate(access, used, presorted, score)


def _leaves_out_null(table: IndexTable, prefix: Sequence[_Condition], bounds: Sequence[_Condition]) -> bool:
    """Whether no document with a null in a field, which a sparse index does not have, could be wanted."""
    sure = {condition.path for condition in (*prefix, *bounds) if _never_null(condition)}
    return sure == set(table.paths)


def _never_null(condition: _Condition) -> bool:
    value = condition.value
    if condition.operator == ">":
        return True
    if not isinstance(value, tree.Literal) or condition.operator in ("<", "<="):
        return False
    if condition.operator == "IN":
        return type(value.value) is list and None not in value.value
    return value.value is not None


def _presorted(paths: Sequence[Path], constant: set[Path], variable: str, sort: tree.Sort | None) -> tuple[int, bool]:
    """Tell how many keys of the SORT the order of these fields answers, and whether backwards."""
    if sort is None:
        return 0, False
    descending = next((item.descending for item in sort.items if _path(item.value, variable) not in constant), False)
    left = list(paths)
    answered = 0
    for item in sort.items:
        path = _path(item.value, variable)
        if path in constant:
            answered += 1
        elif left and path == left[0] and item.descending is descending:
            left.pop(0)
            answered += 1
        else:
            break
    return answered, descending


def _by_key(collection: Collection, conditions: Sequence[_Condition], builder: _RangeBuilder) -> Iterator[_Candidate]:
    for condition in conditions:
        if condition.operator in ("==", "IN") and condition.path in (_KEY, _ID):
            keys = _keys(
                builder.value(condition),
                collection.name,
                many=condition.operator == "IN",
                from_id=condition.path == _ID,
            )
            yield _Candidate(
                KeyLookup(collection, keys), (condition.node,), 0, 100 if condition.operator == "==" else 15
            )


def _keys(value: Code, collection: str, *, many: bool, from_id: bool) -> Callable[[Frame], list[str]]:
    def keys(frame: Frame) -> list[str]:
        found = value(frame)
        wanted = (found if type(found) is list else []) if many else [found]
        texts = [text for text in wanted if type(text) is str]
        if from_id:
            head = f"{collection}/"
            texts = [text.removeprefix(head) for text in texts if text.startswith(head)]
        return sorted(set(texts))

    return keys


def _in_key_order(collection: Collection, variable: str, sort: tree.Sort | None) -> Iterator[_Candidate]:
    if sort is not None and _path(sort.items[0].value, variable) == _KEY:
        # Keys are unique: whatever follows in the SORT has nothing left to decide.
        access = FullScan(collection, by_key=True, descending=sort.items[0].descending)
        yield _Candidate(access, (), len(sort.items), 3)


def _without(
    following: Sequence[tree.Operation], chosen: _Candidate, sort: tree.Sort | None
) -> Iterator[tree.Operation]:
    """Leave out of the operations what the access answers already."""
    for operation in following:
        if isinstance(operation, tree.Filter):
            left = [node for node in _conjuncts(operation.condition) if not any(node is used for used in chosen.used)]
            if left:
                yield tree.Filter(_conjunction(left))
        elif operation is sort and chosen.presorted:
            if chosen.presorted < len(operation.items):
                yield replace(operation, presorted=chosen.presorted)
        else:
            yield operation


def _conjunction(nodes: Sequence[tree.Expr]) -> tree.Expr:
    joined = nodes[0]
    for node in nodes[1:]:
        joined = tree.Binary("&&", joined, node)
    return joined
