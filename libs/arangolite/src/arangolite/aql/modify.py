"""INSERT, UPDATE, REPLACE, REMOVE and UPSERT.

The rows that a modification works on are all collected before it changes anything, so that a query never meets its own
changes while it still reads. Only UPSERT looks for what rows before it have written, as in ArangoDB.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from arangolite.aql import tree
from arangolite.aql.context import Run
from arangolite.aql.expressions import Expressions
from arangolite.aql.options import read_options
from arangolite.aql.parse import CURRENT
from arangolite.aql.scope import Code, Frame, Scope, Stage
from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Row
from arangolite.storage.catalog import Collection
from arangolite.storage.documents import Documents, WriteOptions, Written, read_overwrite_mode
from arangolite.storage.names import check_key
from arangolite.values import Value, truthy

Apply = Callable[[Documents, Frame], Written]
"""What a modification does with one row."""

_FLUSH_ROWS = 10_000  # changes held in memory before they go to the tables
_FOUND = "$found"


@dataclass(frozen=True)
class _Target:
    """The collection that a modification changes, and its OPTIONS."""

    collection: Collection
    options: WriteOptions
    ignore_errors: bool
    reads_own_writes: bool = False


def compile_modification(node: tree.Modification, scope: Scope, expressions: Expressions) -> Stage:
    """Compile a modification; behind it the scope has its OLD and NEW."""
    target = _target(node, scope, expressions)
    apply = _compile_apply(node, target, scope, expressions)
    slots = {name: scope.frames.slot() for name in ("OLD", "NEW")}
    scope.names.update(slots)
    run = scope.run

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        waiting = [frame.copy() for frame in rows]
        run.memory.see(waiting)
        for frame, written in _apply_all(run, target, apply, waiting):
            frame[slots["OLD"]] = _shown(target.collection, written.old)
            frame[slots["NEW"]] = _shown(target.collection, written.new)
            yield frame

    return stage


def _apply_all(run: Run, target: _Target, apply: Apply, waiting: list[Frame]) -> list[tuple[Frame, Written]]:
    assert run.transaction is not None, "a query that writes runs in a transaction"
    done: list[tuple[Frame, Written]] = []
    documents = Documents(run.transaction, target.collection)
    for position, frame in enumerate(waiting, 1):
        run.check()
        try:
            done.append((frame, apply(documents, frame)))
            run.statistics.writes_executed += 1
        except ArangoError:
            if not target.ignore_errors:
                raise
            run.statistics.writes_ignored += 1
        if target.reads_own_writes or position % _FLUSH_ROWS == 0:
            documents.flush()
            documents = Documents(run.transaction, target.collection)
    documents.flush()
    return done


def _shown(collection: Collection, row: Row | None) -> Value:
    return None if row is None else row.full(collection.name)


def _target(node: tree.Modification, scope: Scope, expressions: Expressions) -> _Target:
    assert isinstance(node.target, tree.CollectionName), "bind parameters have their values by now"
    given = read_options(node, scope, expressions)
    mode = given.get("overwriteMode", "replace" if truthy(given.get("overwrite")) else "conflict")
    options = WriteOptions(
        overwrite_mode=read_overwrite_mode(mode),
        keep_null=truthy(given.get("keepNull", True)),
        merge_objects=truthy(given.get("mergeObjects", True)),
        ignore_revs=truthy(given.get("ignoreRevs", True)),
    )
    collection = scope.run.collection(node.target.name)
    return _Target(collection, options, truthy(given.get("ignoreErrors")), isinstance(node, tree.Upsert))


def _compile_apply(node: tree.Modification, target: _Target, scope: Scope, expressions: Expressions) -> Apply:
    options = target.options
    match node:
        case tree.Insert():
            document = expressions.compile(node.document, scope)
            return lambda documents, frame: documents.insert(document(frame), options)
        case tree.Remove():
            selector = expressions.compile(node.selector, scope)
            return lambda documents, frame: _remove(documents, selector(frame), options)
        case tree.Change():
            selector = expressions.compile(node.selector, scope)
            changed = selector if node.document is None else expressions.compile(node.document, scope)
            return lambda documents, frame: _change(documents, node.replace, selector(frame), changed(frame), options)
        case tree.Upsert():
            return _compile_upsert(node, target, scope, expressions)


def _key_of(selector: Value) -> str:
    if type(selector) is dict:
        selector = selector.get("_key")
        if selector is None:
            raise ArangoError(Problem.DOCUMENT_KEY_MISSING)
    return check_key(selector)


def _remove(documents: Documents, selector: Value, options: WriteOptions) -> Written:
    return documents.remove(_key_of(selector), selector if type(selector) is dict else None, options)


def _change(documents: Documents, replace: bool, selector: Value, changed: Value, options: WriteOptions) -> Written:
    key = _key_of(selector)
    revision = selector.get("_rev") if type(selector) is dict and not options.ignore_revs else None
    change = documents.replace if replace else documents.update
    return change(key, changed, options, expected=cast("str | None", revision))


def _compile_upsert(node: tree.Upsert, target: _Target, scope: Scope, expressions: Expressions) -> Apply:
    find = _compile_search(node, target.collection, scope, expressions)
    document = expressions.compile(node.document, scope)
    inner = scope.child()
    old_slot = inner.names["OLD"] = scope.frames.slot()
    change = expressions.compile(node.change, inner)

    def apply(documents: Documents, frame: Frame) -> Written:
        found: list[Any] = find(frame)
        if not found:
            return documents.insert(document(frame), target.options)
        frame[old_slot] = found[0]
        return _change(documents, node.replace, found[0], change(frame), target.options)

    return apply


def _compile_search(node: tree.Upsert, collection: Collection, scope: Scope, expressions: Expressions) -> Code:
    """Compile the search of an UPSERT to a query, so that it uses indexes like any other."""
    name = CURRENT if node.by_filter else _FOUND
    operations: tuple[tree.Operation, ...] = (
        tree.For(name, tree.CollectionName(collection.name), _hints(node.options)),
        *([tree.Filter(node.search)] if node.by_filter else _equalities(node.search)),
        tree.Limit(tree.Literal(0), tree.Literal(1)),
        tree.Return(tree.Variable(name), False),
    )
    return expressions.compile(tree.Subquery(tree.Query(operations)), scope)


def _hints(options: tree.Expr | None) -> tree.Expr | None:
    """Leave of the OPTIONS of an UPSERT what is about its search."""
    if not isinstance(options, tree.Object):
        return None
    hints = ("indexHint", "forceIndexHint", "disableIndex")
    return tree.Object(tuple(entry for entry in options.entries if getattr(entry[0], "value", "") in hints))


def _equalities(search: tree.Expr) -> list[tree.Operation]:
    """Turn the object that a document must be like into conditions."""
    if not isinstance(search, tree.Object) or not all(
        isinstance(name, tree.Literal) and isinstance(name.value, str) for name, _ in search.entries
    ):
        raise ArangoError(Problem.QUERY_PARSE, "AQL: the search expression of UPSERT must be an object literal")
    return [
        tree.Filter(tree.Binary("==", tree.Attribute(tree.Variable(_FOUND), name.value), value))
        for name, value in search.entries
        if isinstance(name, tree.Literal)
    ]
