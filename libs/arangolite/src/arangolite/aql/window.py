"""WINDOW: aggregates over the neighbours of each row, counted in rows or by the distance of a value."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from arangolite.aql import tree
from arangolite.aql.collect import Aggregator, compile_aggregate
from arangolite.aql.context import Run
from arangolite.aql.expressions import Expressions
from arangolite.aql.functions.dates import InvalidDateError, move_by_duration, parse_moment, timestamp_of
from arangolite.aql.scope import Code, Frame, Scope, Stage
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value

_UNBOUNDED = "unbounded"
Aggregates = Sequence[tuple[Callable[[Run], Aggregator], Code]]
Reach = Callable[[int], tuple[int, int]]
"""From the position of a row to the positions of its neighbours: first, and one after the last."""


@dataclass(frozen=True)
class _Bounds:
    """How far a window reaches: numbers, durations, or unbounded."""

    preceding: Value
    following: Value


def compile_window(node: tree.Window, scope: Scope, expressions: Expressions) -> Stage:
    """Compile a WINDOW; behind it the scope has its aggregates beside everything from before."""
    run = scope.run
    bounds = _bounds(expressions.constant(node.bounds, scope), by_rows=node.place is None)
    place = None if node.place is None else expressions.compile(node.place, scope)
    aggregates = [compile_aggregate(aggregate, scope, expressions) for aggregate in node.aggregates]
    slots = [scope.declare(aggregate.variable) for aggregate in node.aggregates]

    def stage(rows: Iterator[Frame], _: Frame) -> Iterator[Frame]:
        kept = [frame.copy() for frame in rows]
        run.memory.see(kept)
        if place is None:
            reach = _reach_by_rows(bounds, len(kept))
        else:
            kept, reach = _reach_by_value(run, bounds, kept, place)
        for position, frame in enumerate(kept):
            run.check()
            first, end = reach(position)
            for slot, value in zip(slots, _aggregate(run, aggregates, kept[first:end]), strict=True):
                frame[slot] = value
            yield frame

    return stage


def _aggregate(run: Run, aggregates: Aggregates, frames: Sequence[Frame]) -> list[Value]:
    results = []
    for make, code in aggregates:
        aggregator = make(run)
        for frame in frames:
            aggregator.add(code(frame))
        results.append(aggregator.result())
    return results


def _bounds(given: Any, *, by_rows: bool) -> _Bounds:
    if type(given) is not dict or not given or not given.keys() <= {"preceding", "following"}:
        raise ArangoError(Problem.QUERY_PARSE, "AQL: WINDOW takes an object with 'preceding' and 'following'")
    bounds = _Bounds(given.get("preceding", 0), given.get("following", 0))
    for bound in (bounds.preceding, bounds.following):
        right_type = type(bound) is int or (not by_rows and type(bound) in (float, str))
        if bound != _UNBOUNDED and (not right_type or (type(bound) is not str and bound < 0)):
            raise ArangoError(Problem.QUERY_PARSE, f"AQL: invalid bound of WINDOW: {bound!r}")
    return bounds


def _reach_by_rows(bounds: _Bounds, count: int) -> Reach:
    def reach(position: int) -> tuple[int, int]:
        first = 0 if bounds.preceding == _UNBOUNDED else max(position - bounds.preceding, 0)
        end = count if bounds.following == _UNBOUNDED else position + bounds.following + 1
        return first, end

    return reach


def _reach_by_value(run: Run, bounds: _Bounds, frames: list[Frame], place: Code) -> tuple[list[Frame], Reach]:
    """Bring the rows in the order of their values and find neighbours by how far those are apart."""
    by_dates = any(type(bound) is str and bound != _UNBOUNDED for bound in (bounds.preceding, bounds.following))
    read = _read_moment if by_dates else _read_number
    placed = []
    for position, frame in enumerate(frames):
        found = read(place(frame))
        if found is None:
            run.warn(Problem.QUERY_INVALID_DATE if by_dates else Problem.QUERY_INVALID_ARITHMETIC)
        else:
            placed.append((found, position, frame))
    placed.sort(key=lambda item: item[:2])
    values = [value for value, _, _ in placed]
    move = _move_date if by_dates else _move_number

    def reach(position: int) -> tuple[int, int]:
        value = values[position]
        first = 0 if bounds.preceding == _UNBOUNDED else bisect_left(values, move(value, bounds.preceding, -1))
        end = len(values) if bounds.following == _UNBOUNDED else bisect_right(values, move(value, bounds.following, 1))
        return first, end

    return [frame for _, _, frame in placed], reach


def _read_number(value: Value) -> float | None:
    return value if type(value) in (int, float) else None


def _read_moment(value: Value) -> float | None:
    try:
        return timestamp_of(parse_moment(value))
    except InvalidDateError:
        return None


def _move_number(value: float, by: Value, sign: int) -> float:
    return value + sign * float(by)


def _move_date(value: float, by: Value, sign: int) -> float:
    try:
        return timestamp_of(move_by_duration(parse_moment(value), by if type(by) is str else "", sign)) if by else value
    except InvalidDateError as exc:
        raise ArangoError(Problem.QUERY_PARSE, f"AQL: invalid duration of WINDOW: {by!r}") from exc
