"""Operations to stages: a query becomes a chain of generators through which frames flow, one by one where they can."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from arangolite.aql import operators, tree
from arangolite.aql.access import Access, count, raw_documents, scan
from arangolite.aql.collect import compile_collect, count_stage
from arangolite.aql.context import Memory
from arangolite.aql.explain import Step
from arangolite.aql.expressions import Expressions
from arangolite.aql.modify import compile_modification
from arangolite.aql.operators import row_count
from arangolite.aql.options import read_hint, read_options
from arangolite.aql.paths import compile_path_search
from arangolite.aql.plan import plan_scan
from arangolite.aql.profile import Profile
from arangolite.aql.scope import Code, DocumentVariable, Frame, Scope, Stage
from arangolite.aql.sorting import sort_groups, sort_key, sorted_rows
from arangolite.aql.traversal import compile_traversal
from arangolite.aql.window import compile_window
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, encode, type_rank

_TYPE_NAMES = ("null", "bool", "number", "string", "array", "object")

Producer = Callable[[Frame], Iterator[Any]]
"""A compiled query: from a frame to its results."""


@dataclass
class Block:
    """A query while it is compiled: the stages so far and the scope behind them."""

    outer: Scope
    scope: Scope
    stages: list[Stage]
    top: bool = False
    before_loops: Scope | None = None
    """What could be seen before the first FOR; a COLLECT takes everything else away."""
    many_rows: bool = False
    """Whether an operation so far gives more than one row."""
    last_limit: tree.Limit | None = None
    """The LIMIT that `fullCount` is about."""
    only_scan: tuple[Access, DocumentVariable] | None = None
    """How a FOR over a collection reads it, when that is all that the query has done so far."""

    def enter_loop(self) -> None:
        """Note that what follows is done for each of several rows."""
        self.many_rows = True
        if self.before_loops is None:
            self.before_loops = self.scope.child()


class Compiler:
    """Compiles queries for one run."""

    def __init__(self, *, full_count: bool = False) -> None:
        self.expressions = Expressions(self.subquery)
        self.steps: list[Step] = []
        """The operations of the query itself, as they are run."""
        self._full_count = full_count
        self._depth = 0
        self._read_at: dict[str, int] = {}
        """How deep in subqueries a collection is first read."""
        self._modified: set[str] = set()

    def query(self, query: tree.Query, scope: Scope, *, top: bool) -> Producer:
        """Compile a query; the results of the top one may hold documents as raw JSON."""
        self._depth += 1
        try:
            return self._query(query, scope, top=top)
        finally:
            self._depth -= 1

    def _query(self, query: tree.Query, scope: Scope, *, top: bool) -> Producer:
        block = Block(scope, scope.child(), [], top)
        profile = scope.run.profile if top else None
        operations = list(query.operations)
        block.last_limit = _last_limit(operations) if top and self._full_count else None
        while operations:
            operation = operations.pop(0)
            if top:
                self.steps.append((operation, None))
            if isinstance(operation, tree.Return):
                if operations:
                    raise ArangoError(Problem.QUERY_PARSE, "AQL: RETURN must be the last operation (while parsing)")
                produce = self._return(operation, block)
                return produce if profile is None else _watched(produce, profile)
            done = len(block.stages)
            operations = self._operation(operation, operations, block)
            if profile is not None:
                _watch(profile, operation, block.stages, done)
        if not isinstance(query.operations[-1], tree.Insert | tree.Change | tree.Remove | tree.Upsert):
            message = "AQL: the query must end with RETURN or a data-modification operation (while parsing)"
            raise ArangoError(Problem.QUERY_PARSE, message)
        return _producer(block.stages, _drain)

    def _operation(
        self, operation: tree.Operation, following: list[tree.Operation], block: Block
    ) -> list[tree.Operation]:
        """Add the stage of one operation; returns those that are left to compile."""
        block.only_scan = None
        match operation:
            case tree.For():
                return self._for(operation, following, block)
            case tree.Traversal() | tree.PathSearch():
                self._walk(operation, block)
            case tree.Let():
                self._let(operation, block)
            case tree.Filter():
                block.stages.append(self._filter(operation, block.scope))
            case tree.Sort():
                block.stages.append(self._sort(operation, following, block))
            case tree.Limit():
                block.stages.append(self._limit(operation, block.scope, counts=operation is block.last_limit))
            case tree.Collect():
                self._collect(operation, block)
            case tree.Window():
                block.stages.append(self._window(operation, block.scope))
            case tree.Insert() | tree.Change() | tree.Remove() | tree.Upsert():
                block.stages.append(self._modification(operation, block.scope))
        return following

    def _walk(self, node: tree.Traversal | tree.PathSearch, block: Block) -> None:
        if self._modified:
            raise _after_modification("a traversal")
        block.enter_loop()
        if isinstance(node, tree.Traversal):
            block.stages.append(compile_traversal(node, block.scope, self.expressions))
        else:
            block.stages.append(compile_path_search(node, block.scope, self.expressions))

    def _collect(self, node: tree.Collect, block: Block) -> None:
        block.many_rows = True
        left = block.before_loops or block.outer
        stage, block.scope = compile_collect(node, block.scope, left, self.expressions)
        block.stages.append(stage)

    def _window(self, node: tree.Window, scope: Scope) -> Stage:
        if self._modified:
            raise ArangoError(Problem.QUERY_WINDOW_AFTER_MODIFICATION)
        return compile_window(node, scope, self.expressions)

    def _modification(self, node: tree.Modification, scope: Scope) -> Stage:
        """Compile a modification; a query may change a collection once, and not read it later or further outside."""
        name = getattr(node.target, "name", "")
        if name in self._modified or self._read_at.get(name, self._depth) < self._depth:
            raise _after_modification(f"collection '{name}'")
        stage = compile_modification(node, scope, self.expressions)
        self._modified.add(name)
        return stage

    def subquery(self, query: tree.Query, scope: Scope) -> Code:
        """Compile a query inside another one."""
        produce, memory = self.query(query, scope, top=False), scope.run.memory

        def results(frame: Frame) -> Value:
            found = list(produce(frame))
            memory.see(found)
            return found

        return results

    def _for(self, node: tree.For, following: list[tree.Operation], block: Block) -> list[tree.Operation]:
        only_once, first = not block.many_rows, not block.stages
        block.enter_loop()
        name = _collection_name(node.source, block.scope)
        if name is None:
            block.stages.append(self._for_values(node, block.scope))
            return following
        run = block.scope.run
        collection = run.collection(name)
        if name in self._modified:
            raise _after_modification(f"collection '{name}'")
        self._read_at.setdefault(name, self._depth)
        hint = read_hint(read_options(node, block.scope, self.expressions))
        access, left = plan_scan(
            collection, node.variable, following, block.scope, self.expressions, only_once=only_once, hint=hint
        )
        if block.top:
            self.steps[-1] = (node, access)
        following = list(left)
        if following and _only_counts(following[0]):
            counted = following.pop(0)
            assert isinstance(counted, tree.Collect)
            assert counted.count is not None
            assert block.before_loops is not None
            block.scope = block.before_loops.child()
            block.stages.append(
                count_stage(lambda frame: count(run, access, frame), block.scope.declare(counted.count))
            )
            return following
        variable = DocumentVariable(collection.name, block.scope.frames)
        block.scope.bind(node.variable, variable)
        block.stages.append(lambda rows, _: scan(run, access, variable, rows))
        block.only_scan = (access, variable) if first and run.profile is None else None
        return following

    def _for_values(self, node: tree.For, scope: Scope) -> Stage:
        run = scope.run
        values: Code
        if isinstance(node.source, tree.Range):
            values = self._range(node.source, scope)
        else:
            values = self.expressions.compile(node.source, scope)
        slot = scope.declare(node.variable)

        def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
            for frame in rows:
                items = values(frame)
                if type(items) is not list and type(items) is not range:
                    raise ArangoError(
                        Problem.QUERY_ARRAY_EXPECTED,
                        "AQL: collection or array expected as operand to FOR loop; "
                        f"you provided a value of type '{_TYPE_NAMES[type_rank(items)]}' (while executing)",
                    )
                for item in items:
                    frame[slot] = item
                    run.check()
                    yield frame

        return stage

    def _range(self, node: tree.Range, scope: Scope) -> Code:
        """Compile a range that is only gone through, so that it needs no array."""
        low, high = self.expressions.compile(node.low, scope), self.expressions.compile(node.high, scope)
        return lambda frame: operators.check_range(low(frame), high(frame))

    def _let(self, node: tree.Let, block: Block) -> None:
        scope = block.scope
        if isinstance(node.value, tree.Variable) and (binding := scope.find(node.value.name)) is not None:
            scope.bind(node.variable, binding)  # another name for the same value
            return
        code = self.expressions.compile(node.value, scope)
        slot = scope.declare(node.variable)

        def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
            for frame in rows:
                frame[slot] = code(frame)
                yield frame

        block.stages.append(stage)

    def _filter(self, node: tree.Filter, scope: Scope) -> Stage:
        condition, statistics = self.expressions.condition(node.condition, scope), scope.run.statistics

        def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
            for frame in rows:
                if condition(frame):
                    yield frame
                else:
                    statistics.filtered += 1

        return stage

    def _sort(self, node: tree.Sort, following: list[tree.Operation], block: Block) -> Stage:
        scope = block.scope
        keys = [(self.expressions.compile(item.value, scope), item.descending) for item in node.items]
        if node.presorted:
            return sort_groups(sort_key(keys[: node.presorted]), sort_key(keys[node.presorted :]), scope.run.memory)
        key = sort_key(keys)
        limit = following[0] if following and isinstance(following[0], tree.Limit) else None
        if limit is None or limit is block.last_limit:
            return lambda rows, _: sorted_rows(rows, key, None, scope.run.memory)
        offset, count = self._bounds(limit, scope)
        wanted = None if count is None else offset + count
        return lambda rows, _: sorted_rows(rows, key, wanted, scope.run.memory)

    def _limit(self, node: tree.Limit, scope: Scope, *, counts: bool) -> Stage:
        offset, count = self._bounds(node, scope)
        end = None if count is None else offset + count
        if not counts:
            return lambda rows, _: iter(()) if count == 0 else islice(rows, offset, end)
        statistics = scope.run.statistics

        def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
            total = 0
            for frame in rows:
                total += 1
                if offset < total and (end is None or total <= end):
                    yield frame
            statistics.full_count = total

        return stage

    def _bounds(self, node: tree.Limit, scope: Scope) -> tuple[int, int | None]:
        """Compute the offset and the count of a LIMIT; a count of null means all."""
        count = self.expressions.constant(node.count, scope)
        offset = row_count(self.expressions.constant(node.offset, scope))
        return offset, None if count is None else row_count(count)

    def _return(self, node: tree.Return, block: Block) -> Producer:
        scope = block.scope
        if node.distinct:
            return _producer(block.stages, _distinct(self.expressions.compile(node.value, scope), scope.run.memory))
        if not block.top:
            inner = self.expressions.compile(node.value, scope)
            return _producer(block.stages, lambda rows: (inner(frame) for frame in rows))
        if block.only_scan is not None and isinstance(node.value, tree.Variable):
            access, variable = block.only_scan
            if scope.find(node.value.name) is variable:
                return lambda frame: raw_documents(scope.run, access, frame)
        code = self._output(node.value, scope)
        return _producer(block.stages, lambda rows: (code(frame) for frame in rows))

    def _output(self, node: tree.Expr, scope: Scope) -> Code:
        """Compile what goes straight to the client: documents in it stay the JSON that they are stored as."""
        match node:
            case tree.Variable():
                binding = scope.find(node.name)
                if isinstance(binding, DocumentVariable):
                    slot = binding.raw_slot()
                    return lambda frame: frame[slot]
            case tree.Object():
                entries = [
                    (self.expressions.compile(name, scope), self._output(value, scope)) for name, value in node.entries
                ]
                return lambda frame: {operators.to_string(name(frame)): value(frame) for name, value in entries}
            case tree.Array():
                items = [self._output(item, scope) for item in node.items]
                return lambda frame: [item(frame) for item in items]
        return self.expressions.compile(node, scope)


def _after_modification(what: str) -> ArangoError:
    return ArangoError(
        Problem.QUERY_ACCESS_AFTER_MODIFICATION, f"AQL: access after data-modification by {what} (while parsing)"
    )


def _producer(stages: list[Stage], finish: Callable[[Iterator[Frame]], Iterator[Any]]) -> Producer:
    def produce(frame: Frame) -> Iterator[Any]:
        rows: Iterator[Frame] = iter((frame,))
        for stage in stages:
            rows = stage(rows, frame)
        return finish(rows)

    return produce


def _watch(profile: Profile, operation: tree.Operation, stages: list[Stage], done: int) -> None:
    """Watch the stage of an operation, also of one that needed none."""
    if len(stages) == done:
        stages.append(lambda rows, _: rows)
    stage, probe = stages[-1], profile.probe(filters=isinstance(operation, tree.Filter))
    stages[-1] = lambda rows, frame: probe.watch(stage(rows, frame))


def _watched(produce: Producer, profile: Profile) -> Producer:
    probe = profile.probe()
    return lambda frame: probe.watch(produce(frame))


def _drain(rows: Iterator[Frame]) -> Iterator[Any]:
    """Run a query that ends with a modification: it has effects and no results."""
    for _ in rows:
        pass
    return iter(())


def _collection_name(source: tree.Expr, scope: Scope) -> str | None:
    if isinstance(source, tree.CollectionName):
        return source.name
    if isinstance(source, tree.Variable) and scope.find(source.name) is None:
        return source.name
    return None


def _only_counts(operation: tree.Operation) -> bool:
    return isinstance(operation, tree.Collect) and operation.count is not None and not operation.groups


def _last_limit(operations: list[tree.Operation]) -> tree.Limit | None:
    return next((operation for operation in reversed(operations) if isinstance(operation, tree.Limit)), None)


def _distinct(code: Code, memory: Memory) -> Callable[[Iterator[Frame]], Iterator[Value]]:
    def finish(rows: Iterator[Frame]) -> Iterator[Value]:
        seen: set[bytes] = set()
        with memory.share() as share:
            for frame in rows:
                value = code(frame)
                place = encode(value)
                if place not in seen:
                    seen.add(place)
                    share.hold(place)
                    yield value

    return finish
