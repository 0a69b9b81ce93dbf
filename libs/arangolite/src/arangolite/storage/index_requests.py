"""What a request to create an index may ask for, by the type of the index."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.storage.catalog import EXPANSION, MULTI_DIMENSIONAL, SORTED, Index, Json, Path, format_path, parse_path
from arangolite.storage.names import check_collection_name

_MAX_STORED_VALUES = 32
_MAX_GEO_FIELDS = 2
_SYSTEM_FIELDS = ("_id", "_rev")
_LEAST_WORD = 2
"""Characters of the shortest word in a full-text index that is not told otherwise."""


def index_from_request(request: Mapping[str, Any]) -> Index:
    """Check what a request to `POST /_api/index` wants; the index has no number yet, and perhaps no name.

    Raises:
        ArangoError: 10, 1208 or 1220 for what ArangoDB refuses, 501 for a type that arangolite does not have.
    """
    kind = request.get("type")
    if not isinstance(kind, str):
        raise ArangoError(Problem.BAD_PARAMETER, "an index needs a 'type', e.g. \"persistent\"")
    build = INDEX_TYPES.get(kind)
    if build is None:
        raise not_supported(f"indexes of type {kind!r}")
    name = request.get("name")
    if name is not None:
        check_collection_name(name)  # index names follow the same rules
    return replace(build(request), name=name or "")


def _fields(request: Mapping[str, Any]) -> tuple[Path, ...]:
    fields = request.get("fields")
    if not isinstance(fields, list) or not fields:
        raise ArangoError(Problem.BAD_PARAMETER, "an index needs 'fields', a list of attribute names")
    paths = tuple(parse_path(name) for name in fields)
    if len(set(paths)) != len(paths):
        raise ArangoError(Problem.BAD_PARAMETER, "duplicate attribute name in index fields list")
    for path in paths:
        if path[0] in _SYSTEM_FIELDS:
            raise ArangoError(Problem.BAD_PARAMETER, f"cannot create an index on {format_path(path)!r}")
    return paths


def _flag(request: Mapping[str, Any], name: str, default: bool) -> bool:
    value = request.get(name, default)
    if not isinstance(value, bool):
        raise ArangoError(Problem.BAD_PARAMETER, f"'{name}' must be a boolean")
    return value


def _persistent(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    if sum(path[-1] == EXPANSION for path in fields) > 1:
        raise ArangoError(Problem.BAD_PARAMETER, "an index may expand one array attribute only")
    extra: Json = {
        "deduplicate": _flag(request, "deduplicate", True),
        "estimates": _flag(request, "estimates", True),
        "cacheEnabled": _flag(request, "cacheEnabled", False),
    }
    if stored := request.get("storedValues"):
        extra["storedValues"] = _stored_values(stored)
    unique, sparse = _flag(request, "unique", False), _flag(request, "sparse", False)
    return Index(0, request["type"], "", fields, unique, sparse, extra)


def _ttl(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    seconds = request.get("expireAfter")
    if len(fields) != 1 or fields[0][-1] == EXPANSION:
        raise ArangoError(Problem.BAD_PARAMETER, "a ttl index has one field")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ArangoError(Problem.BAD_PARAMETER, "'expireAfter' must be a number of seconds that is not negative")
    return Index(0, "ttl", "", fields, sparse=True, extra={"expireAfter": seconds, "estimates": False})


def _stored_values(given: object) -> list[str]:
    """Check the attributes that an index keeps for projections; here the document itself is at hand for them."""
    if not isinstance(given, list) or len(given) > _MAX_STORED_VALUES or not all(isinstance(n, str) for n in given):
        raise ArangoError(Problem.BAD_PARAMETER, "'storedValues' must be a list of at most 32 attribute names")
    for name in given:
        if parse_path(name)[-1] == EXPANSION:
            raise ArangoError(Problem.BAD_PARAMETER, "'storedValues' cannot expand arrays")
    return list(given)


def _multi_dimensional(request: Mapping[str, Any]) -> Index:
    """Check an `mdi` index; here it is a persistent one that takes only numbers.

    Source:
        "Multi-dimensional indexes" in ArangoDB 3.12's documentation, index-and-search/indexing.
    """
    fields = _fields(request)
    if any(path[-1] == EXPANSION for path in fields):
        raise ArangoError(Problem.BAD_PARAMETER, "a multi-dimensional index cannot expand arrays")
    if request.get("fieldValueTypes") != "double":
        raise ArangoError(Problem.BAD_PARAMETER, "the 'fieldValueTypes' of a multi-dimensional index is \"double\"")
    extra: Json = {"fieldValueTypes": "double", "estimates": _flag(request, "estimates", True)}
    if stored := request.get("storedValues"):
        extra["storedValues"] = _stored_values(stored)
    unique, sparse = _flag(request, "unique", False), _flag(request, "sparse", False)
    return Index(0, request["type"], "", fields, unique, sparse, extra)


def _fulltext(request: Mapping[str, Any]) -> Index:
    """Check a full-text index, which says what `FULLTEXT` may search.

    Source:
        "Working with full-text indexes" in ArangoDB 3.12's HTTP API, develop/http-api/indexes/fulltext.
    """
    fields = _fields(request)
    if len(fields) != 1 or fields[0][-1] == EXPANSION:
        raise ArangoError(Problem.BAD_PARAMETER, "a full-text index has one field")
    if _flag(request, "unique", False):
        raise ArangoError(Problem.BAD_PARAMETER, "a full-text index cannot be unique")
    least = request.get("minLength", _LEAST_WORD)
    if type(least) is not int or least < 1:
        raise ArangoError(Problem.BAD_PARAMETER, "'minLength' must be a positive number of characters")
    return Index(0, "fulltext", "", fields, sparse=True, extra={"minLength": least})


def _geo(request: Mapping[str, Any]) -> Index:
    fields = _fields(request)
    if len(fields) > _MAX_GEO_FIELDS or any(path[-1] == EXPANSION for path in fields):
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index has one field, or one for the latitude and one more")
    geo_json = _flag(request, "geoJson", False)
    if geo_json and len(fields) > 1:
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index with 'geoJson' has one field")
    if _flag(request, "unique", False):
        raise ArangoError(Problem.BAD_PARAMETER, "a geo index cannot be unique")
    extra: Json = {
        "geoJson": geo_json,
        "legacyPolygons": _flag(request, "legacyPolygons", False),
        "bestIndexedLevel": 17,
        "worstIndexedLevel": 4,
        "maxNumCoverCells": 8,
        "estimates": True,
    }
    return Index(0, "geo", "", fields, sparse=True, extra=extra)


_INVERTED_DEFAULTS: Mapping[str, Any] = {
    "analyzer": "identity",
    "cleanupIntervalStep": 2,
    "commitIntervalMsec": 1000,
    "consolidationIntervalMsec": 1000,
    "consolidationPolicy": {"type": "tier", "segmentsBytesFloor": 25165824, "segmentsBytesMax": 8589934592},
    "features": ["frequency", "norm"],
    "includeAllFields": False,
    "optimizeTopK": [],
    "primaryKeyCache": False,
    "primarySort": {"fields": [], "compression": "lz4", "cache": False},
    "searchField": False,
    "storedValues": [],
    "trackListPositions": False,
    "writebufferActive": 0,
    "writebufferIdle": 64,
    "writebufferSizeMax": 33554432,
}


def _inverted(request: Mapping[str, Any]) -> Index:
    given = request.get("fields")
    everything = _flag(request, "includeAllFields", False)
    if not isinstance(given, list) or not (given or everything):
        raise ArangoError(Problem.BAD_PARAMETER, "an inverted index needs 'fields', or 'includeAllFields'")
    if _flag(request, "unique", False):
        raise ArangoError(Problem.BAD_PARAMETER, "an inverted index cannot be unique")
    fields = [_inverted_field(field) for field in given]
    extra: Json = {}
    for name, default in _INVERTED_DEFAULTS.items():
        value = request.get(name, default)
        if type(value) is not type(default):
            raise ArangoError(Problem.BAD_PARAMETER, f"invalid value for '{name}' of an inverted index")
        extra[name] = {**default, **value} if isinstance(default, dict) else value
    paths = tuple(parse_path(field["name"]) for field in fields)
    return Index(0, "inverted", "", paths, sparse=True, extra={"fields": fields, "version": 1, **extra})


def _inverted_field(given: object) -> Json:
    """Check one field of an inverted index: a name, or an object with a name and options."""
    field = {"name": given} if isinstance(given, str) else given
    if not isinstance(field, dict) or not isinstance(field.get("name"), str):
        raise ArangoError(Problem.BAD_PARAMETER, "a field of an inverted index is a name, or an object with one")
    parse_path(field["name"])
    return field


INDEX_TYPES: Mapping[str, Callable[[Mapping[str, Any]], Index]] = {
    **dict.fromkeys(SORTED, _persistent),
    **dict.fromkeys(MULTI_DIMENSIONAL, _multi_dimensional),
    "ttl": _ttl,
    "geo": _geo,
    "fulltext": _fulltext,
    "inverted": _inverted,
}
