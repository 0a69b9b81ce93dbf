"""The options of types whose pace and depth a user chooses: what is allowed, and what holds where nobody says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.records import OrderBook
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS
from streamforge_common.exchanges.rest import Poll
from streamforge_common.exchanges.streams import BookRules

_BOOK_LEVELS, _BOOK_EVERY_S = 20, 1.0
_POLL_EVERY_S = 60.0
_LONGEST_S = 86_400.0
_SHORTEST_POLL_S = 1.0
"""An answer takes a good part of a second."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    default: float
    fault_of: Callable[[object], str | None]
    """A value to what is wrong with it, None where nothing is."""


def options_of(exchange: str, market: str, data_type: DataType) -> dict[str, Option]:
    """Return the options of a type that there is, by name."""
    of = exchange, market
    if data_type.source is Source.WS and of in STREAM_MARKETS:
        stream = STREAM_MARKETS[of].streams.get(data_type.kind)
        if stream is not None and stream.book is not None and stream.kind.record is OrderBook:
            return _book_options(stream.book)
    if data_type.source in (Source.POLL, Source.API) and of in REST_MARKETS:
        poll = REST_MARKETS[of].polls.get(data_type.kind)
        if poll is not None:
            return _poll_options(poll, is_repeated=data_type.source is Source.POLL)
    return {}


def option_faults(known: Mapping[str, Option], given: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what is wrong with the values of known options: names, each with a sentence."""
    faults = [(name, option.fault_of(given[name])) for name, option in known.items() if name in given]
    return [(name, fault) for name, fault in faults if fault is not None]


def choose(exchange: str, market: str, data_type: DataType, given: Mapping[str, float]) -> dict[str, float]:
    """Return what is chosen of a type's options by name, or holds where nothing is.

    Raises:
        ValueError: A value is wrong.
    """
    known = options_of(exchange, market, data_type)
    for name, fault in option_faults(known, given):
        raise ValueError(f"option {name}: {fault}")
    return {name: given.get(name, option.default) for name, option in known.items()}


def _book_options(rules: BookRules) -> dict[str, Option]:
    def levels_fault(value: object) -> str | None:
        is_one = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= rules.levels_max
        return None if is_one else f"expected how many levels of each side, 1 to {rules.levels_max}"

    def every_fault(value: object) -> str | None:
        is_one = _is_number(value) and 0 <= value <= _LONGEST_S
        return (
            None if is_one else f"expected seconds from one book to the next, at most {_LONGEST_S:g}; 0 for every one"
        )

    return {"levels": Option(_BOOK_LEVELS, levels_fault), "every": Option(_BOOK_EVERY_S, every_fault)}


def _poll_options(poll: Poll, *, is_repeated: bool) -> dict[str, Option]:
    def limit_fault(value: object) -> str | None:
        is_one = isinstance(value, int) and not isinstance(value, bool) and value in poll.limits
        return None if is_one else f"expected how many levels of each side, {_told(poll.limits)}"

    def every_fault(value: object) -> str | None:
        least_s = max(_SHORTEST_POLL_S, poll.least_every_s(poll.default_limit))
        is_one = _is_number(value) and least_s <= value <= _LONGEST_S
        return None if is_one else f"expected seconds from one request to the next, {least_s:g} to {_LONGEST_S:g}"

    options = {"limit": Option(poll.default_limit, limit_fault)} if poll.limits else {}
    return options | ({"every": Option(_POLL_EVERY_S, every_fault)} if is_repeated else {})


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(limits: Sequence[int]) -> str:
    if isinstance(limits, range):
        return f"{limits.start} to {limits.stop - 1}"
    return f"one of {', '.join(map(str, limits))}"
