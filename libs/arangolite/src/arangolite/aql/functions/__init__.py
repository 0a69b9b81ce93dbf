"""AQL's functions: importing this package fills the table."""

from arangolite.aql.functions import (
    arrays,
    bits,
    control,
    database,
    dates,
    geo,
    numbers,
    objects,
    searching,
    sets,
    similarity,
    statistics,
    strings,
    types,
    vectors,
)
from arangolite.aql.functions.registry import FUNCTIONS, Function, Needs, unknown_function

__all__ = [
    "FUNCTIONS",
    "Function",
    "Needs",
    "arrays",
    "bits",
    "control",
    "database",
    "dates",
    "geo",
    "numbers",
    "objects",
    "searching",
    "sets",
    "similarity",
    "statistics",
    "strings",
    "types",
    "unknown_function",
    "vectors",
]
