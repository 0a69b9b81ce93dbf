"""AQL's functions: importing this package fills the table."""

from arangolite.aql.functions import arrays, control, database, dates, numbers, objects, statistics, strings, types
from arangolite.aql.functions.registry import FUNCTIONS, Function, Needs

__all__ = [
    "FUNCTIONS",
    "Function",
    "Needs",
    "arrays",
    "control",
    "database",
    "dates",
    "numbers",
    "objects",
    "statistics",
    "strings",
    "types",
]
