"""Expressions to code: every node of the tree becomes a small Python function of the frame."""

from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from arangolite.aql import operators, tree
from arangolite.aql.functions import FUNCTIONS, unknown_function
from arangolite.aql.operators import ARITHMETIC, COMPARISONS, row_count, to_number, to_string
from arangolite.aql.parse import CURRENT
from arangolite.aql.scope import Code, DocumentVariable, Frame, Scope
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, truthy

CompileQuery = Callable[[tree.Query, Scope], Code]
"""Compiles a subquery to code that gives its results as a list."""

_NUMERIC = (int, float)


class Expressions:
    """Compiles expressions; `subquery` is how it gets at the pipeline without knowing it."""

    def __init__(self, subquery: CompileQuery) -> None:
        self._subquery = subquery

    def compile(self, node: tree.Expr, scope: Scope) -> Code:
        """Compile an expression to a function that gives its value."""
        code: Code = self._COMPILERS[type(node)](self, node, scope)
        return code

    def constant(self, node: tree.Expr, scope: Scope) -> Value:
        """Compute an expression that may use no variables."""
        if any(isinstance(part, tree.Variable | tree.Subquery) for part in tree.walk(node)):
            raise ArangoError(Problem.QUERY_PARSE, "AQL: a constant value is expected here (while parsing)")
        return self.compile(node, scope)([])

    def options(self, node: tree.Expr, scope: Scope) -> dict[str, Value]:
        """Compute the object behind OPTIONS."""
        if any(isinstance(part, tree.Variable | tree.Subquery) for part in tree.walk(node)):
            raise ArangoError(Problem.QUERY_COMPILE_TIME_OPTIONS)
        given: Value = self.compile(node, scope)([])
        if type(given) is not dict:
            raise ArangoError(Problem.QUERY_PARSE, "AQL: 'OPTIONS' have to be an object (while parsing)")
        return given

    def condition(self, node: tree.Expr, scope: Scope) -> Callable[[Frame], bool]:
        """Compile an expression that is only asked whether it holds."""
        code = self.compile(node, scope)
        if isinstance(node, tree.Binary) and node.operator in COMPARISONS:
            return code  # gives a bool already
        return lambda frame: truthy(code(frame))

    def _literal(self, node: tree.Literal, _: Scope) -> Code:
        value = node.value
        return lambda _: value

    def _variable(self, node: tree.Variable, scope: Scope) -> Code:
        binding = scope.find(node.name)
        if isinstance(binding, DocumentVariable):
            slot = binding.whole_slot()
        elif binding is None:
            return self._whole_collection(node.name, scope)
        else:
            slot = binding
        return lambda frame: frame[slot]

    def _collection(self, node: tree.CollectionName, scope: Scope) -> Code:
        return self._whole_collection(node.name, scope)

    def _whole_collection(self, name: str, scope: Scope) -> Code:
        if name not in scope.run.collections:
            raise _unknown_collection(name)
        everything = tree.Query(
            (tree.For("document", tree.CollectionName(name)), tree.Return(tree.Variable("document"), False))
        )
        return self._subquery(everything, Scope(scope.run, scope.frames, {}))

    def _array(self, node: tree.Array, scope: Scope) -> Code:
        items = [self.compile(item, scope) for item in node.items]
        return lambda frame: [item(frame) for item in items]

    def _object(self, node: tree.Object, scope: Scope) -> Code:
        entries = [(self.compile(name, scope), self.compile(value, scope)) for name, value in node.entries]
        return lambda frame: {to_string(name(frame)): value(frame) for name, value in entries}

    def _attribute(self, node: tree.Attribute, scope: Scope) -> Code:
        name = node.name
        assert isinstance(name, str), "bind parameters have their values by now"
        if isinstance(node.base, tree.Variable):
            binding = scope.find(node.base.name)
            if isinstance(binding, DocumentVariable):
                slot = binding.attribute_slot(name)
                return lambda frame: frame[slot]
        base = self.compile(node.base, scope)

        def attribute(frame: Frame) -> Value:
            value = base(frame)
            return value.get(name) if type(value) is dict else None

        return attribute

    def _index(self, node: tree.Index, scope: Scope) -> Code:
        base, index = self.compile(node.base, scope), self.compile(node.index, scope)

        def element(frame: Frame) -> Value:
            value, place = base(frame), index(frame)
            if type(value) is dict:
                return value.get(to_string(place))
            if type(value) is list and (type(place) in _NUMERIC or type(place) is str):
                position = int(to_number(place))
                return value[position] if -len(value) <= position < len(value) else None
            return None

        return element

    def _expand(self, node: tree.Expand, scope: Scope) -> Code:
        base = self.compile(node.base, scope)
        inner = Scope(
            scope.run, scope.frames, {name: binding for name, binding in scope.names.items() if name != CURRENT}
        )
        slot = inner.declare(CURRENT)
        condition = None if node.condition is None else self.condition(node.condition, inner)
        projection = None if node.projection is None else self.compile(node.projection, inner)
        offset = 0 if node.offset is None else row_count(self.constant(node.offset, scope))
        count = None if node.count is None else row_count(self.constant(node.count, scope))
        levels = node.levels

        def expand(frame: Frame) -> Value:
            value = base(frame)
            if type(value) is not list:
                return []
            items = operators.flatten(value, levels - 1)
            kept = []
            for item in items:
                frame[slot] = item
                if condition is None or condition(frame):
                    kept.append(item if projection is None or node.offset is not None else projection(frame))
            if node.offset is None:
                return kept
            kept = list(islice(kept, offset, None if count is None else offset + count))
            if projection is None:
                return kept
            results = []
            for item in kept:
                frame[slot] = item
                results.append(projection(frame))
            return results

        return expand

    def _unary(self, node: tree.Unary, scope: Scope) -> Code:
        operand = self.compile(node.operand, scope)
        match node.operator:
            case "!":
                return lambda frame: not truthy(operand(frame))
            case "-":
                return lambda frame: operators.negate(operand(frame))
            case _:
                return lambda frame: to_number(operand(frame))

    def _binary(self, node: tree.Binary, scope: Scope) -> Code:
        left, right = self.compile(node.left, scope), self.compile(node.right, scope)
        symbol, warn = node.operator, scope.run.warn
        match symbol:
            case "&&":

                def conjunction(frame: Frame) -> Value:
                    value = left(frame)
                    return right(frame) if truthy(value) else value

                return conjunction
            case "||":

                def disjunction(frame: Frame) -> Value:
                    value = left(frame)
                    return value if truthy(value) else right(frame)

                return disjunction
            case "=~":
                return lambda frame: operators.matches_regex(left(frame), right(frame), warn)
            case "!~":
                return lambda frame: operators.matches_regex(left(frame), right(frame), warn) is False
        if symbol in ARITHMETIC:
            compute = ARITHMETIC[symbol]
            return lambda frame: compute(left(frame), right(frame), warn)
        compare = COMPARISONS[symbol]
        return lambda frame: compare(left(frame), right(frame))

    def _quantified(self, node: tree.Quantified, scope: Scope) -> Code:
        left, right = self.compile(node.left, scope), self.compile(node.right, scope)
        if node.least is not None:
            least, compare = self.compile(node.least, scope), COMPARISONS[node.operator]

            def at_least(frame: Frame) -> Value:
                values, other = left(frame), right(frame)
                if type(values) is not list:
                    return False
                return sum(compare(value, other) for value in values) >= to_number(least(frame))

            return at_least
        return lambda frame: operators.quantified(node.quantifier, node.operator, left(frame), right(frame))

    def _question(self, node: tree.Question, scope: Scope) -> Code:
        inner = Scope(
            scope.run, scope.frames, {name: binding for name, binding in scope.names.items() if name != CURRENT}
        )
        base, slot = self.compile(node.base, scope), inner.declare(CURRENT)
        condition = None if node.condition is None else self.condition(node.condition, inner)
        enough = self._enough(node, scope)

        def question(frame: Frame) -> Value:
            values = base(frame)
            if type(values) is not list:
                values = []
            count = 0
            for value in values:
                frame[slot] = value
                count += condition is None or condition(frame)
            return enough(frame, count, len(values))

        return question

    def _enough(self, node: tree.Question, scope: Scope) -> Callable[[Frame, int, int], bool]:
        """Compile the quantity of `[? ]`: how many of how many elements must fit."""
        if node.quantity is None:
            return {
                "ANY": lambda _, count, __: count > 0,
                "NONE": lambda _, count, __: count == 0,
                "ALL": lambda _, count, total: count == total,
            }[node.kind]
        if isinstance(node.quantity, tree.Range):
            low, high = self.compile(node.quantity.low, scope), self.compile(node.quantity.high, scope)
            return lambda frame, count, _: to_number(low(frame)) <= count <= to_number(high(frame))
        wanted = self.compile(node.quantity, scope)
        if node.kind == "AT LEAST":
            return lambda frame, count, _: count >= to_number(wanted(frame))
        return lambda frame, count, _: count == to_number(wanted(frame))

    def _ternary(self, node: tree.Ternary, scope: Scope) -> Code:
        condition, no = self.compile(node.condition, scope), self.compile(node.no, scope)
        if node.yes is None:

            def shortcut(frame: Frame) -> Value:
                value = condition(frame)
                return value if truthy(value) else no(frame)

            return shortcut
        yes = self.compile(node.yes, scope)
        return lambda frame: yes(frame) if truthy(condition(frame)) else no(frame)

    def _range(self, node: tree.Range, scope: Scope) -> Code:
        low, high = self.compile(node.low, scope), self.compile(node.high, scope)
        memory = scope.run.memory

        def numbers(frame: Frame) -> Value:
            wanted = operators.check_range(low(frame), high(frame))
            memory.see(wanted)
            return operators.materialise(wanted)

        return numbers

    def _call(self, node: tree.Call, scope: Scope) -> Code:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise unknown_function(node.name)
        if not function.takes(len(node.arguments)):
            raise ArangoError(
                Problem.QUERY_ARGUMENT_COUNT,
                f"AQL: invalid number of arguments for function '{node.name}()', expected number of arguments: "
                f"minimum: {function.least}, maximum: {function.most} (while parsing)",
            )
        if node.name in _OF_COLLECTIONS:
            node = _with_collection_name(node, scope)
            function = FUNCTIONS[node.name]
        arguments = [self.compile(argument, scope) for argument in node.arguments]
        run = function.bound(scope.run)
        if len(arguments) == 1:
            only = arguments[0]
            return lambda frame: run(only(frame))
        return lambda frame: run(*[argument(frame) for argument in arguments])

    def _nested(self, node: tree.Subquery, scope: Scope) -> Code:
        return self._subquery(node.query, scope)

    _COMPILERS: ClassVar[dict[type, Callable[..., Any]]] = {
        tree.Literal: _literal,
        tree.Variable: _variable,
        tree.CollectionName: _collection,
        tree.Array: _array,
        tree.Object: _object,
        tree.Attribute: _attribute,
        tree.Index: _index,
        tree.Expand: _expand,
        tree.Question: _question,
        tree.Unary: _unary,
        tree.Binary: _binary,
        tree.Quantified: _quantified,
        tree.Ternary: _ternary,
        tree.Range: _range,
        tree.Call: _call,
        tree.Subquery: _nested,
    }


# Functions whose first argument may be a collection's bare name, and what they then become.
_OF_COLLECTIONS = {
    "DOCUMENT": "DOCUMENT",
    "COLLECTION_COUNT": "COLLECTION_COUNT",
    "SHARD_ID": "SHARD_ID",
    "LENGTH": "COLLECTION_COUNT",
    "COUNT": "COLLECTION_COUNT",
    **{name: name for name in ("NEAR", "WITHIN", "WITHIN_RECTANGLE", "FULLTEXT")},
}


def _with_collection_name(node: tree.Call, scope: Scope) -> tree.Call:
    """Take a bare collection name as the name that it is, not as all of its documents."""
    first = node.arguments[0]
    named = isinstance(first, tree.CollectionName) or (
        isinstance(first, tree.Variable) and first.name not in scope.names
    )
    if not named:
        return node
    assert isinstance(first, tree.CollectionName | tree.Variable)
    if first.name not in scope.run.collections:
        raise _unknown_collection(first.name)
    return tree.Call(_OF_COLLECTIONS[node.name], (tree.Literal(first.name), *node.arguments[1:]))


def _unknown_collection(name: str) -> ArangoError:
    return ArangoError(Problem.COLLECTION_NOT_FOUND, f"AQL: collection or view not found: {name} (while parsing)")
