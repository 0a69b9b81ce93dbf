"""The ends of a dataset that no grid tells: the exchange is asked for its first and its last record.

Both are asked for by time and apart from the pages between them, which are asked for by id: so a loader that loses its
way among the pages does not move the ends, by which completeness is judged. The two answers check each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError, RejectedRecordError
from streamforge_common.exchanges.rest import End
from streamforge_common.history.pages import Ends

SETTLED_AFTER_MS = 5_000
"""How long after the end of a range its last trades may still be on their way into the exchange's answers."""
_ATTEMPTS = 3

AskForEnds = Callable[[], Awaitable[tuple[End | None, End | None]]]
"""Asks for the first record at or after the start and the last one before the end, None where there is none."""


def judge_first(start_ms: int, found: Sequence[End]) -> End | None:
    """Return the one record of an answer to the request for the first one.

    Raises:
        RejectedRecordError: The answer is no answer to that.
    """
    end = _only(found)
    if end is not None and end.time_ms < start_ms:
        raise RejectedRecordError(f"{end}, which lies before {start_ms}")
    return end


def judge_last(end_ms: int, found: Sequence[End]) -> End | None:
    """Return the one record of an answer to the request for the last one.

    Raises:
        RejectedRecordError: The answer is no answer to that.
    """
    end = _only(found)
    if end is not None and end.time_ms >= end_ms:
        raise RejectedRecordError(f"{end}, which does not lie before {end_ms}")
    return end


async def find_ends(time_range: TimeRange, ask: AskForEnds) -> Ends | None:
    """Return the first and last id of a time range, None where it holds no record.

    Raises:
        FatalError: The exchange's two answers contradict each other, however often it is asked.
    """
    for _ in range(_ATTEMPTS):
        first, last = await ask()
        starts_inside = first is not None and first.time_ms < time_range.end_ms
        ends_inside = last is not None and last.time_ms >= time_range.start_ms
        if not starts_inside and not ends_inside:
            return None
        if starts_inside and ends_inside:
            assert first is not None
            assert last is not None
            if first.id <= last.id:
                return first.id, last.id
        logger.warning("the exchange contradicts itself about the ends of the range: {} and {}", first, last)
    raise FatalError(
        "the exchange contradicts itself about the first and the last record of the range; ask again later",
        code="exchange_contradicts",
    )


async def find_settled_ends(time_range: TimeRange, exchange_time_ms: int, ask: AskForEnds) -> Ends | None:
    """Do the same once no trade of the range can be on its way any more; raises as `find_ends` does."""
    settles_in_ms = time_range.end_ms + SETTLED_AFTER_MS - exchange_time_ms
    await asyncio.sleep(max(0, settles_in_ms) / 1000)
    return await find_ends(time_range, ask)


def _only(found: Sequence[End]) -> End | None:
    if len(found) > 1:
        raise RejectedRecordError(f"{len(found)} rows where one was asked for")
    return found[0] if found else None
