"""Text to tree."""

import re
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import UnexpectedEOF, VisitError

from arangolite.aql import tree
from arangolite.errors import ArangoError, Problem

_CACHED_QUERIES = 256  # programs send few different texts; the values are in the bind parameters
_MAX_DEPTH_HINT = "the query is nested too deeply"

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[\s\S])")


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    # Surrogate pairs are written as two escapes; together they are one character.
    return _ESCAPE.sub(one, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@v_args(inline=True)
class _TreeBuilder(Transformer[Token, tree.Query]):
    """Makes the typed tree while the parser reduces."""

    def query(self, _with: None, *operations: tree.Operation) -> tree.Query:
        return tree.Query(_flat(operations))

    def with_(self, _with: Token, *_targets: object) -> None:
        """Skip the list of collections that a cluster wants to know beforehand."""

    def for_(
        self, _for: Token, names: tuple[str, ...], _in: Token, source: tree.Expr, options: tree.Expr | None
    ) -> tree.For:
        if len(names) != 1:
            raise ArangoError(
                Problem.QUERY_PARSE, "AQL: a FOR over a collection or an array has one variable (while parsing)"
            )
        return tree.For(names[0], source, options)

    def names(self, *names: str) -> tuple[str, ...]:
        return names

    def traversal(self, *parts: Any) -> tree.Traversal:
        _, names, _, depth, direction, start, graph, prune, options = parts
        prune_variable, condition = prune or (None, None)
        return tree.Traversal(
            _path_variables(names, 3), depth, direction, start, graph, condition, prune_variable, options
        )

    def path_search(self, *parts: Any) -> tree.PathSearch:
        _, names, _, depth, direction, kind, start, _, target, graph, options = parts
        variables = _path_variables(names, 2 if kind == "SHORTEST_PATH" else 1)
        if depth is not None and kind != "K_PATHS":
            raise ArangoError(Problem.QUERY_PARSE, f"AQL: {kind} takes no depth (while parsing)")
        return tree.PathSearch(kind, variables, depth, direction, start, target, graph, options)

    def direction(self, token: Token) -> str:
        return token.upper()

    def path_kind(self, token: Token) -> str:
        return token.upper()

    def named_graph(self, _graph: Token, name: tree.Expr) -> tree.Expr:
        return name

    def edges(self, *sources: tree.EdgeSource) -> tuple[tree.EdgeSource, ...]:
        return sources

    def edge_source(self, direction: str | None, target: Any) -> tree.EdgeSource:
        return tree.EdgeSource(direction, target)

    def prune(self, _prune: Token, variable: str | None, condition: tree.Expr) -> tuple[str | None, tree.Expr]:
        return variable, condition

    def let(self, _let: Token, *assignments: tree.Let) -> tuple[tree.Let, ...]:
        return assignments

    def assignment(self, name: str, value: tree.Expr) -> tree.Let:
        return tree.Let(name, value)

    def filter(self, _filter: Token, condition: tree.Expr) -> tree.Filter:
        return tree.Filter(condition)

    def sort(self, _sort: Token, *items: tree.SortItem) -> tree.Sort:
        return tree.Sort(items)

    def sort_item(self, value: tree.Expr, direction: Token | None) -> tree.SortItem:
        return tree.SortItem(value, direction is not None and direction.type == "DESC")

    def limit(self, _limit: Token, first: tree.Expr, second: tree.Expr | None) -> tree.Limit:
        return tree.Limit(tree.Literal(0), first) if second is None else tree.Limit(first, second)

    def return_(self, _return: Token, distinct: Token | None, value: tree.Expr) -> tree.Return:
        return tree.Return(value, distinct is not None)

    def collect(
        self,
        _collect: Token,
        groups: tuple[tree.Let, ...] | None,
        aggregates: tuple[tree.Let, ...] | None,
        into: tuple[Any, ...] | str | None,
        options: tree.Expr | None,
    ) -> tree.Collect:
        if isinstance(into, str):
            return tree.Collect(groups or (), aggregates or (), None, None, None, into, options)
        name, projection, keep = into or (None, None, None)
        return tree.Collect(groups or (), aggregates or (), name, projection, keep, None, options)

    def window(self, *parts: Any) -> tree.Window:
        _, place, *_, bounds, aggregates = parts
        return tree.Window(place, bounds, aggregates)

    def assignments(self, *assignments: tree.Let) -> tuple[tree.Let, ...]:
        return assignments

    def aggregate(self, _aggregate: Token, *assignments: tree.Let) -> tuple[tree.Let, ...]:
        return assignments

    def into(
        self, _into: Token, name: str, projection: tree.Expr | None, keep: tuple[str, ...] | None
    ) -> tuple[Any, ...]:
        return name, projection, keep

    def keep(self, _keep: Token, *names: str) -> tuple[str, ...]:
        return names

    def count_into(self, _with: Token, _count: Token, _into: Token, name: str) -> str:
        return name

    def options(self, _options: Token, value: tree.Expr) -> tree.Expr:
        return value

    def insert(
        self, _insert: Token, document: tree.Expr, _into: Token, target: Any, options: tree.Expr | None
    ) -> tree.Insert:
        return tree.Insert(document, target, options)

    def update(self, *parts: Any) -> tree.Change:
        return _change(parts, replaces=False)

    def replace(self, *parts: Any) -> tree.Change:
        return _change(parts, replaces=True)

    def remove(
        self, _remove: Token, selector: tree.Expr, _in: Token, target: Any, options: tree.Expr | None
    ) -> tree.Remove:
        return tree.Remove(selector, target, options)

    def upsert(self, *parts: Any) -> tree.Upsert:
        _, search, _, document, verb, change, _, target, options = parts
        return tree.Upsert(search, False, document, verb.type == "REPLACE", change, target, options)

    def upsert_filter(self, *parts: Any) -> tree.Upsert:
        _, _, search, _, document, verb, change, _, target, options = parts
        return tree.Upsert(search, True, document, verb.type == "REPLACE", change, target, options)

    def target_name(self, name: str) -> tree.CollectionName:
        return tree.CollectionName(name)

    def target_bind(self, token: Token) -> tree.CollectionBind:
        return tree.CollectionBind(token[2:])

    def ternary(self, condition: tree.Expr, yes: tree.Expr, no: tree.Expr) -> tree.Expr:
        return tree.Ternary(condition, yes, no)

    def shortcut(self, condition: tree.Expr, no: tree.Expr) -> tree.Expr:
        return tree.Ternary(condition, None, no)

    def or_(self, left: tree.Expr, *rest: Any) -> tree.Expr:
        return tree.Binary("||", left, rest[-1])

    def and_(self, left: tree.Expr, *rest: Any) -> tree.Expr:
        return tree.Binary("&&", left, rest[-1])

    def binary(self, left: tree.Expr, operator: Token, right: tree.Expr) -> tree.Expr:
        word = operator.type if operator[0].isalpha() else str(operator)
        return tree.Binary(word, left, right)

    def quantified(self, left: tree.Expr, operator: Token, right: tree.Expr) -> tree.Expr:
        quantifier, symbol = re.fullmatch(r"(ALL|ANY|NONE)\s*(.*)", operator.upper(), re.DOTALL).groups()  # type: ignore[union-attr]
        return tree.Quantified(quantifier, "_".join(symbol.split()), left, right)

    def at_least(self, left: tree.Expr, _at: Token, least: tree.Expr, operator: Token, right: tree.Expr) -> tree.Expr:
        symbol = operator.type if operator[0].isalpha() else str(operator)
        return tree.Quantified("AT LEAST", symbol, left, right, least)

    def quantity(self, value: tree.Expr) -> tuple[str, tree.Expr]:
        return "EXACTLY", value

    def quantity_word(self, word: Token) -> tuple[str, None]:
        return word.upper(), None

    def quantity_least(self, _at: Token, value: tree.Expr) -> tuple[str, tree.Expr]:
        return "AT LEAST", value

    def question(
        self, base: tree.Expr, quantity: tuple[str, tree.Expr | None] | None, condition: tree.Expr | None
    ) -> tree.Expr:
        if quantity is not None and condition is None:
            raise ArangoError(Problem.QUERY_PARSE, "AQL: a quantity in [? ] needs a FILTER (while parsing)")
        kind, value = quantity or ("ANY", None)
        return _extend(base, lambda inner: tree.Question(inner, kind, value, condition))

    def range(self, low: tree.Expr, high: tree.Expr) -> tree.Expr:
        return tree.Range(low, high)

    def unary(self, operator: Token, operand: tree.Expr) -> tree.Expr:
        symbol = "!" if operator.type in ("NOT", "BANG") else str(operator)
        if symbol == "-" and isinstance(operand, tree.Literal) and type(operand.value) in (int, float):
            return tree.Literal(-operand.value)
        return tree.Unary(symbol, operand)

    def attribute(self, base: tree.Expr, name: str) -> tree.Expr:
        return _extend(base, lambda inner: tree.Attribute(inner, name))

    def attribute_bind(self, base: tree.Expr, token: Token) -> tree.Expr:
        return _extend(base, lambda inner: tree.Attribute(inner, tree.Bind(token[1:])))

    def index(self, base: tree.Expr, index: tree.Expr) -> tree.Expr:
        return _extend(base, lambda inner: tree.element(inner, index))

    def expand(
        self, base: tree.Expr, levels: int, condition: tree.Expr | None, limit: Any, projection: tree.Expr | None
    ) -> tree.Expr:
        offset, count = limit or (None, None)
        return _extend(base, lambda inner: tree.Expand(inner, levels, condition, offset, count, projection))

    def stars(self, *stars: Token) -> int:
        return len(stars)

    def inline_filter(self, _filter: Token, condition: tree.Expr) -> tree.Expr:
        return condition

    def inline_limit(self, _limit: Token, first: tree.Expr, second: tree.Expr | None) -> tuple[tree.Expr, tree.Expr]:
        return (tree.Literal(0), first) if second is None else (first, second)

    def inline_return(self, _return: Token, value: tree.Expr) -> tree.Expr:
        return value

    def number(self, token: Token) -> tree.Expr:
        text = str(token).lower()
        if text[:2] in ("0x", "0b"):
            return tree.Literal(int(text, 0))
        if text.isdecimal():
            number = int(text)
            return tree.Literal(number if number < 1 << 63 else float(number))
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ArangoError(Problem.QUERY_NUMBER_OUT_OF_RANGE)
        return tree.Literal(value)

    def string(self, token: Token) -> tree.Expr:
        return tree.Literal(_unescape(token[1:-1]))

    def null(self, _token: Token) -> tree.Expr:
        return tree.Literal(None)

    def true(self, _token: Token) -> tree.Expr:
        return tree.Literal(True)

    def false(self, _token: Token) -> tree.Expr:
        return tree.Literal(False)

    def variable(self, name: str) -> tree.Expr:
        return tree.Variable(name)

    def bind(self, token: Token) -> tree.Expr:
        return tree.Bind(token[1:])

    def bind_collection(self, token: Token) -> tree.Expr:
        return tree.CollectionBind(token[2:])

    def function(self, token: Token) -> str:
        return token.upper()

    def call(self, name: str, arguments: tuple[tree.Expr, ...] | None) -> tree.Expr:
        return tree.Call(name, arguments or ())

    def arguments(self, *arguments: tree.Expr) -> tuple[tree.Expr, ...]:
        return arguments

    def items(self, *items: tree.Expr) -> tuple[tree.Expr, ...]:
        return items

    def array(self, items: tuple[tree.Expr, ...] | None) -> tree.Expr:
        return tree.Array(items or ())

    def object(self, entries: tuple[tuple[tree.Expr, tree.Expr], ...] | None) -> tree.Expr:
        return tree.Object(entries or ())

    def entries(self, *entries: tuple[tree.Expr, tree.Expr]) -> tuple[tuple[tree.Expr, tree.Expr], ...]:
        return entries

    def entry(self, name: str, value: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
        return tree.Literal(name), value

    def entry_string(self, token: Token, value: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
        return tree.Literal(_unescape(token[1:-1])), value

    def entry_bind(self, token: Token, value: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
        return tree.Bind(token[1:]), value

    def entry_computed(self, name: tree.Expr, value: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
        return name, value

    def entry_variable(self, name: str) -> tuple[tree.Expr, tree.Expr]:
        return tree.Literal(name), tree.Variable(name)

    def subquery(self, query: tree.Query) -> tree.Expr:
        return tree.Subquery(query)

    def name(self, token: Token) -> str:
        return _unescape(token[1:-1]) if token.type == "QUOTED_NAME" else str(token)


def _path_variables(names: tuple[str, ...], most: int) -> tuple[str, ...]:
    if len(names) > most:
        raise ArangoError(Problem.QUERY_PARSE, f"AQL: this FOR has at most {most} variables (while parsing)")
    return names


def _flat(operations: tuple[Any, ...]) -> tuple[tree.Operation, ...]:
    flat: list[tree.Operation] = []
    for operation in operations:
        flat.extend(operation if isinstance(operation, tuple) else (operation,))
    return tuple(flat)


def _change(parts: tuple[Any, ...], *, replaces: bool) -> tree.Change:
    _, selector, *middle, _, target, options = parts
    document = middle[-1] if middle else None
    return tree.Change(replaces, selector, document, target, options)


def _extend(base: tree.Expr, access: Any) -> tree.Expr:
    """Put one more access behind an expression; behind `[*]` it belongs to the elements."""
    if isinstance(base, tree.Expand):
        inner = base.projection or tree.Variable(CURRENT)
        return replace(base, projection=_extend(inner, access))
    return cast("tree.Expr", access(base))


CURRENT = "CURRENT"
"""The element inside `[* …]`."""

_PARSER = Lark(
    resources.files("arangolite.aql").joinpath("grammar.lark").read_text(),
    parser="lalr",
    start="query",
    maybe_placeholders=True,
    propagate_positions=False,
    transformer=_TreeBuilder(),
)


@lru_cache(_CACHED_QUERIES)
def parse(text: str) -> tree.Query:
    """Parse a query.

    Raises:
        ArangoError: 1501 with the place, 1502 for an empty query.
    """
    if not text.strip():
        raise ArangoError(Problem.QUERY_EMPTY)
    try:
        return cast("tree.Query", _PARSER.parse(text))
    except UnexpectedInput as exc:
        raise _syntax_error(text, exc) from exc
    except VisitError as exc:
        if isinstance(exc.orig_exc, ArangoError):
            raise exc.orig_exc from exc
        raise
    except RecursionError as exc:
        raise ArangoError(Problem.QUERY_PARSE, _MAX_DEPTH_HINT) from exc


def _syntax_error(text: str, error: UnexpectedInput) -> ArangoError:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        near, line, column = "end of query", text.count("\n") + 1, len(text) - text.rfind("\n")
    else:
        line, column = error.line, error.column
        start = error.pos_in_stream or 0
        near = f"'{text[start : start + 40]}'"
    return ArangoError(
        Problem.QUERY_PARSE,
        f"AQL: syntax error, unexpected input near {near} at position {line}:{column} (while parsing)",
    )
