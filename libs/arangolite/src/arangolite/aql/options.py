"""OPTIONS: which attributes an operation knows; an unknown one is warned about, as in ArangoDB."""

from collections.abc import Mapping
from dataclasses import dataclass

from arangolite.aql import tree
from arangolite.aql.context import Run
from arangolite.aql.expressions import Expressions
from arangolite.aql.scope import Scope
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.values import Value, truthy

_HINTS = frozenset(("indexHint", "forceIndexHint", "disableIndex", "useCache", "maxProjections", "lookahead"))
_WRITES = frozenset(("waitForSync", "ignoreErrors", "exclusive", "refillIndexCaches", "versionAttribute"))
_CHANGES = _WRITES | {"keepNull", "mergeObjects", "ignoreRevs"}
_WEIGHTS = frozenset(("weightAttribute", "defaultWeight"))
_WALKS = frozenset(("order", "bfs", "uniqueVertices", "uniqueEdges", "edgeCollections", "vertexCollections"))
_KNOWN: dict[type, frozenset[str]] = {
    tree.For: _HINTS,
    tree.Traversal: _WALKS | _WEIGHTS | {"parallelism", "maxProjections", "indexHint", "useCache"},
    tree.PathSearch: _WEIGHTS,
    tree.Collect: frozenset(("method", "disableIndex")),
    tree.Insert: _CHANGES | {"overwrite", "overwriteMode"},
    tree.Change: _CHANGES,
    tree.Remove: _WRITES | {"ignoreRevs"},
    tree.Upsert: _CHANGES | _HINTS | {"readOwnWrites"},
}
Operation = (
    tree.For | tree.Traversal | tree.PathSearch | tree.Collect | tree.Insert | tree.Change | tree.Remove | tree.Upsert
)


def read_options(node: Operation, scope: Scope, expressions: Expressions) -> dict[str, Value]:
    """Compute the OPTIONS of an operation, and warn about those that it does not know."""
    if node.options is None:
        return {}
    given = expressions.options(node.options, scope)
    if given.get("versionAttribute") is not None:
        raise not_supported("the option 'versionAttribute'")
    _warn_about_unknown(scope.run, given, _KNOWN[type(node)])
    return given


def _warn_about_unknown(run: Run, given: Mapping[str, Value], known: frozenset[str]) -> None:
    for name in given:
        if name not in known:
            problem = Problem.QUERY_INVALID_OPTIONS_ATTRIBUTE
            run.warn(problem, f"{problem.text}: '{name}'")


@dataclass(frozen=True)
class IndexHint:
    """Which indexes a FOR should use."""

    names: tuple[str, ...] = ()
    forced: bool = False
    disabled: bool = False
    """Whether it should use none."""


def read_hint(given: Mapping[str, Value]) -> IndexHint:
    """Read the index hint out of OPTIONS."""
    names = given.get("indexHint") or ()
    names = (names,) if type(names) is str else tuple(names)
    return IndexHint(names, truthy(given.get("forceIndexHint")), truthy(given.get("disableIndex")))


def unusable(hint: IndexHint) -> ArangoError:
    """Say that none of the indexes of a forced hint serves the query."""
    names = ", ".join(str(name) for name in hint.names)
    message = f"AQL: could not use index hint to serve query; forced index hint: {names} (while optimizing plan)"
    return ArangoError(Problem.QUERY_FORCED_INDEX_HINT, message)
