"""Schema validation: a collection's JSON Schema (draft 4, as in ArangoDB) and when it is applied."""

from collections.abc import Mapping
from typing import Any, NoReturn

import jsonschema_rs

from arangolite.errors import ArangoError, Problem

Json = dict[str, Any]

_LEVELS = ("none", "new", "moderate", "strict")
_SYSTEM = frozenset(("_key", "_id", "_rev", "_from", "_to"))
"""Attributes that a rule need not speak of."""


class Validation:
    """The rule of one collection."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile a rule, or refuse it with 1621.

        Args:
            schema: What `check_schema` gives.
        """
        self._level = schema["level"]
        self.message = schema["message"]
        try:
            self._validator = jsonschema_rs.Draft4Validator(schema["rule"], retriever=_refuse_remote)
        except ValueError as exc:
            reason = str(exc).partition("\n")[0]
            raise ArangoError(Problem.VALIDATION_BAD_PARAMETER, f"invalid schema: {reason}") from exc

    def check_new(self, document: Mapping[str, Any]) -> None:
        """Refuse a new document that breaks the rule with 1620."""
        if self._level != "none" and not self.is_valid(document):
            self._refuse()

    def check_change(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Refuse a change to a document with 1620; `moderate` lets a document stay wrong that was wrong before."""
        if self._level in ("none", "new") or self.is_valid(after):
            return
        if self._level == "strict" or self.is_valid(before):
            self._refuse()

    def is_valid(self, document: Mapping[str, Any]) -> bool:
        """Whether a document fulfils the rule; its system attributes are not looked at."""
        return self._validator.is_valid({name: value for name, value in document.items() if name not in _SYSTEM})

    def _refuse(self) -> NoReturn:
        raise ArangoError(Problem.VALIDATION_FAILED, self.message)


def check_schema(given: object) -> Json | None:
    """Check what a request wants as `schema` and fill in ArangoDB's defaults; null and {} mean none.

    Raises:
        ArangoError: 1621 for anything that is no rule.
    """
    if given is None or given == {}:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("rule"), dict):
        raise ArangoError(Problem.VALIDATION_BAD_PARAMETER, "a schema is an object with a 'rule', which is an object")
    level, message = given.get("level", "strict"), given.get("message", Problem.VALIDATION_FAILED.text)
    if level not in _LEVELS:
        raise ArangoError(Problem.VALIDATION_BAD_PARAMETER, f"the level of a schema is one of {', '.join(_LEVELS)}")
    if not isinstance(message, str) or given.get("type", "json") != "json":
        raise ArangoError(Problem.VALIDATION_BAD_PARAMETER, 'the message of a schema is a string, its type "json"')
    schema = {"rule": given["rule"], "level": level, "message": message, "type": "json"}
    Validation(schema)
    return schema


def _refuse_remote(uri: str) -> NoReturn:
    raise ValueError(f"a rule may not refer to {uri}")
