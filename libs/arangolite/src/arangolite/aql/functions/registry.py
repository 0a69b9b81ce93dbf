"""The table of AQL's functions, and how functions get into it.

Each module of this package enters its functions when it is imported. What a function cannot use makes null and a
warning, as in ArangoDB.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from arangolite.aql.context import Run
from arangolite.aql.operators import Warn
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.values import Value

Implementation = Callable[..., Value]
ANY_NUMBER = 1000
"""As many arguments as one likes."""


class Needs(Enum):
    """What a function gets before its arguments."""

    NOTHING = "nothing"
    WARN = "warn"
    """Where to complain about arguments it cannot use."""
    RUN = "run"
    """The run of the query, to read from the database."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes and what it does."""

    name: str
    least: int
    most: int
    run: Implementation
    needs: Needs
    deterministic: bool

    def bound(self, run: Run) -> Implementation:
        """Give the implementation with what it needs of a run of a query; the arguments are left."""
        match self.needs:
            case Needs.NOTHING:
                return self.run
            case Needs.WARN:
                return partial(self.run, lambda problem: run.warn(problem, function=self.name))
            case Needs.RUN:
                return partial(self.run, run)

    def takes(self, arguments: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= arguments <= self.most


FUNCTIONS: dict[str, Function] = {}


def function(
    name: str, least: int, most: int | None = None, *, needs: Needs = Needs.NOTHING, deterministic: bool = True
) -> Callable[[Implementation], Implementation]:
    """Enter a function into the table."""

    def enter(run: Implementation) -> Implementation:
        FUNCTIONS[name] = Function(name, least, least if most is None else most, run, needs, deterministic)
        return run

    return enter


def strict_function(name: str, least: int, most: int | None = None) -> Callable[[Implementation], Implementation]:
    """Enter a function that complains about arguments it cannot use."""
    return function(name, least, most, needs=Needs.WARN)


def alias(name: str, other: str) -> None:
    """Give a function a second name."""
    FUNCTIONS[name] = replace(FUNCTIONS[other], name=name)


def wrong_argument(warn: Warn) -> None:
    """Complain about an argument's type; the function's result is null."""
    warn(Problem.QUERY_ARGUMENT_TYPE)


def no_array(warn: Warn) -> None:
    """Complain that an argument is no array; the function's result is null."""
    warn(Problem.QUERY_ARRAY_EXPECTED)


# Functions that ArangoDB has and arangolite has not: they are refused as missing here, not as unknown.
_MISSING_FUNCTIONS = frozenset(
    (
        *("ANALYZER", "APPROX_NEAR_COSINE", "APPROX_NEAR_INNER_PRODUCT", "APPROX_NEAR_L2", "BM25", "BOOST", "EXISTS"),
        *("MINHASH", "MINHASH_MATCH", "NGRAM_MATCH", "OFFSET_INFO", "PHRASE", "TFIDF", "TOKENS"),
    )
)
_NAMESPACE = "::"


def unknown_function(name: str) -> ArangoError:
    """Say that there is no function of this name: 1582 for a user-defined one, 501 for one that only ArangoDB has.

    Source:
        "Conventions" in ArangoDB 3.12's AQL reference, aql/user-defined-functions/conventions.
    """
    if _NAMESPACE in name:
        return ArangoError(Problem.QUERY_FUNCTION_NOT_FOUND, f"AQL: user function '{name}()' not found")
    if name in _MISSING_FUNCTIONS:
        return not_supported(f"the AQL function {name}()")
    return ArangoError(Problem.QUERY_FUNCTION_UNKNOWN, f"AQL: usage of unknown function '{name}()'")
