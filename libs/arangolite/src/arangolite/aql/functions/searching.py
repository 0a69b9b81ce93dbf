"""The functions from before views that search a collection through a geo or a full-text index.

They want that index to be there, as in ArangoDB; here it only says which attributes are meant, and every document is
looked at.

Source:
    "Geo index functions" and "Fulltext functions" in ArangoDB 3.12's AQL reference, aql/functions/geo and
    aql/functions/fulltext; both are deprecated there.
"""

import heapq
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NoReturn

from arangolite.aql.context import Run
from arangolite.aql.functions import sphere
from arangolite.aql.functions.geo import NotGeoError, geometry_of, metres
from arangolite.aql.functions.registry import Needs, function
from arangolite.aql.operators import number, row_count, to_number
from arangolite.errors import ArangoError, Problem
from arangolite.storage.batch import Document, row_from_columns
from arangolite.storage.catalog import Collection, Index, lookup, parse_path
from arangolite.values import Value

_NEAREST = 100  # documents that NEAR gives when it is not told how many
_MAX_WORD = 40  # characters of a word that a full-text index keeps
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")  # with either apostrophe inside
_TERM = re.compile(r"(?P<sign>[+|-]?)(?:(?P<kind>prefix|complete):)?(?P<words>.*)", re.DOTALL)

Fits = Callable[[set[str]], bool]
"""Whether the words of a document are what a search is for."""


def _documents(run: Run, collection: Collection) -> Iterator[Document]:
    for row in run.connection.execute(f"SELECT id, key, rev, doc FROM {collection.table} ORDER BY id"):
        run.check()
        run.statistics.scanned(1, with_index=False)
        yield row_from_columns(row).full(collection.name)


def _named(run: Run, name: Value) -> Collection:
    return run.collection(name if type(name) is str else "")


def _geo_index(collection: Collection) -> Index:
    for index in collection.indexes:
        if index.type == "geo":
            return index
    message = f"AQL: no suitable geo index found for geo restriction on '{collection.name}' (while executing)"
    raise ArangoError(Problem.QUERY_GEO_INDEX_MISSING, message)


def _place(document: Document, index: Index) -> Value:
    """Take the place out of a document, as GeoJSON or `[longitude, latitude]`; anything else is no place."""
    values = [lookup(document, path) for path in index.fields]
    if index.extra["geoJson"]:
        return values[0]
    pair = values if len(values) > 1 else values[0]
    return pair[1::-1] if type(pair) is list else None


def _distances(run: Run, name: Value, latitude: Value, longitude: Value) -> Iterator[tuple[float, Document]]:
    """Measure how far every document of a collection is, in metres."""
    collection = _named(run, name)
    index = _geo_index(collection)
    if not all(type(value) in (int, float) for value in (latitude, longitude)):
        raise ArangoError(Problem.QUERY_ARGUMENT_TYPE)
    for document in _documents(run, collection):
        try:
            yield metres([longitude, latitude], _place(document, index)), document
        except NotGeoError:
            continue  # the index would not have it


def _told(found: list[tuple[float, Document]], distance_name: Value) -> list[Value]:
    if type(distance_name) is not str:
        return [document for _, document in found]
    return [{**document, distance_name: number(distance)} for distance, document in found]


def _nearest_first(item: tuple[float, Document]) -> float:
    return item[0]


@function("NEAR", 3, 5, needs=Needs.RUN, deterministic=False)
def _near(
    run: Run, name: Value, latitude: Value, longitude: Value, limit: Value = None, distance_name: Value = None
) -> Value:
    """Give the documents that are nearest to a place, nearest first."""
    wanted = _NEAREST if limit is None else row_count(limit)
    distances = _distances(run, name, latitude, longitude)
    return _told(heapq.nsmallest(wanted, distances, key=_nearest_first), distance_name)


@function("WITHIN", 4, 5, needs=Needs.RUN, deterministic=False)
def _within(
    run: Run, name: Value, latitude: Value, longitude: Value, radius: Value, distance_name: Value = None
) -> Value:
    """Give the documents that are at most so many metres from a place, nearest first."""
    radius_m = to_number(radius)
    found = [item for item in _distances(run, name, latitude, longitude) if item[0] <= radius_m]
    return _told(sorted(found, key=_nearest_first), distance_name)


@function("WITHIN_RECTANGLE", 5, needs=Needs.RUN, deterministic=False)
def _within_rectangle(
    run: Run, name: Value, latitude1: Value, longitude1: Value, latitude2: Value, longitude2: Value
) -> Value:
    """Give the documents that lie between two opposite corners; the sides are pieces of great circles."""
    collection = _named(run, name)
    index = _geo_index(collection)
    west, east = sorted((to_number(longitude1), to_number(longitude2)))
    south, north = sorted((to_number(latitude1), to_number(latitude2)))
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    try:
        rectangle = geometry_of({"type": "Polygon", "coordinates": [corners]})
    except NotGeoError as exc:
        raise ArangoError(Problem.QUERY_ARGUMENT_TYPE) from exc
    found = []
    for document in _documents(run, collection):
        try:
            if sphere.contains(rectangle, geometry_of(_place(document, index))):
                found.append(document)
        except NotGeoError:
            continue
    return found


@function("FULLTEXT", 3, 4, needs=Needs.RUN, deterministic=False)
def _fulltext(run: Run, name: Value, attribute: Value, query: Value, limit: Value = None) -> Value:
    """Give the documents with the words that a search asks for, oldest first.

    A limit of 0 gives none, against the reference: ArangoDB makes a LIMIT of it, as the tests of python-arango say.
    """
    collection = _named(run, name)
    if type(attribute) is not str or type(query) is not str:
        raise ArangoError(Problem.QUERY_ARGUMENT_TYPE)
    path = parse_path(attribute)
    index = next((index for index in collection.indexes if index.type == "fulltext" and index.fields == (path,)), None)
    if index is None:
        message = f"AQL: no suitable fulltext index found for fulltext query on '{collection.name}' (while executing)"
        raise ArangoError(Problem.QUERY_FULLTEXT_INDEX_MISSING, message)
    fits, least = _search(query), index.extra["minLength"]
    found = (document for document in _documents(run, collection) if fits(_words(lookup(document, path), least)))
    return list(islice(found, None if limit is None else row_count(limit)))


def _words(value: Value, least: int) -> set[str]:
    """Take a text apart, or the texts directly in an array or an object; words that are too short are left out."""
    texts = value if type(value) is list else value.values() if type(value) is dict else [value]
    words = (word for text in texts if type(text) is str for word in _WORD.findall(text.lower()))
    return {word[:_MAX_WORD] for word in words if len(word) >= least}


def _search(query: str) -> Fits:
    """Read a search: terms with commas between them, each `+` and (the default), `|` or, `-` and not.

    They are applied from left to right. A term is a word, or with `prefix:` how a word begins.
    """
    fits: Fits | None = None
    for text in query.split(","):
        term = _TERM.fullmatch(text.strip())
        assert term is not None, "every text is a term of some words"
        words = [word[:_MAX_WORD] for word in _WORD.findall(term["words"].lower())]
        if not words:
            _refuse_search(query)
        for word in words:
            fits = _combined(fits, term["sign"], _has_prefix(word) if term["kind"] == "prefix" else _has(word))
    assert fits is not None, "a search has a term"
    return fits


def _combined(before: Fits | None, sign: str, term: Fits) -> Fits:
    if sign == "-":
        return lambda words: (before is None or before(words)) and not term(words)
    if before is None:
        return term
    if sign == "|":
        return lambda words: before(words) or term(words)
    return lambda words: before(words) and term(words)


def _has(wanted: str) -> Fits:
    return lambda words: wanted in words


def _has_prefix(start: str) -> Fits:
    return lambda words: any(word.startswith(start) for word in words)


def _refuse_search(query: str) -> NoReturn:
    raise ArangoError(Problem.BAD_PARAMETER, f"AQL: invalid full-text query {query!r} (while executing)")
