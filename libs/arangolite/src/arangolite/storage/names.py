"""Which names and keys ArangoDB takes (its traditional naming rules, the default of 3.12)."""

import re

from arangolite.errors import ArangoError, Problem

SYSTEM_DATABASE = "_system"
MAX_KEY_BYTES = 254

_DATABASE = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}", re.ASCII)
_COLLECTION = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,255}", re.ASCII)
_SYSTEM_COLLECTION = re.compile(r"_[a-zA-Z0-9_-]{1,255}", re.ASCII)
_KEY = re.compile(r"[a-zA-Z0-9_:.@()+,=;$!*'%-]{1,254}", re.ASCII)
is_key = _KEY.fullmatch


def check_database_name(name: object) -> str:
    """Return the name, or refuse it with 1229."""
    if isinstance(name, str) and (name == SYSTEM_DATABASE or _DATABASE.fullmatch(name)):
        return name
    raise ArangoError(Problem.DATABASE_NAME_INVALID)


def check_collection_name(name: object, *, system: bool = False) -> str:
    """Return the name, or refuse it with 1208."""
    if isinstance(name, str) and (_COLLECTION.fullmatch(name) or (system and _SYSTEM_COLLECTION.fullmatch(name))):
        return name
    raise ArangoError(Problem.ILLEGAL_NAME)


def check_key(key: object) -> str:
    """Return the document key, or refuse it with 1221."""
    if isinstance(key, str) and is_key(key):
        return key
    raise ArangoError(Problem.DOCUMENT_KEY_BAD)


def split_id(document_id: object) -> tuple[str, str]:
    """Take `collection/key` apart, or refuse it with 1205."""
    if isinstance(document_id, str):
        collection, slash, key = document_id.partition("/")
        if slash and collection and is_key(key):
            return collection, key
    raise ArangoError(Problem.DOCUMENT_HANDLE_BAD)


def is_document_id(value: object) -> bool:
    """Tell whether a value can stand in `_from` and `_to`."""
    if not isinstance(value, str):
        return False
    collection, slash, key = value.partition("/")
    return bool(
        slash and (_COLLECTION.fullmatch(collection) or _SYSTEM_COLLECTION.fullmatch(collection)) and is_key(key)
    )
