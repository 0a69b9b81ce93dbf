"""The ends of a dataset that no grid tells: the exchange is asked for its first and its last record.

Both are asked for by time and apart from the pages between them, which are asked for by id: so a loader that loses its
way among the pages does not move the ends, by which completeness is judged. The two answers check each other.
"""

from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from loader_producer.app.pages import Ends
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError, RejectedRecordError

SETTLED_AFTER_MS = 5_000
"""How long after the end of a range its last trades may still be on their way into the exchange's answers."""
_ATTEMPTS = 3

AskForEnds = Callable[[], Awaitable[tuple[Record | None, Record | None]]]
"""Asks for the first record at or after the start and the last one before the end, None where there is none."""


def judge_first(kind: RecordKind, start_ms: int, records: Sequence[Record]) -> Record | None:
    """Return the record of an answer to the request for the first one.

    Raises:
        RejectedRecordError: The answer is no answer to that.
    """
    record = _only(records)
    if record is not None and kind.time_of(record) < start_ms:
        raise RejectedRecordError(f"{record.key!r}, which lies before {start_ms}")
    return record


def judge_last(kind: RecordKind, end_ms: int, records: Sequence[Record]) -> Record | None:
    """Return the record of an answer to the request for the last one.

    Raises:
        RejectedRecordError: The answer is no answer to that.
    """
    record = _only(records)
    if record is not None and kind.time_of(record) >= end_ms:
        raise RejectedRecordError(f"{record.key!r}, which does not lie before {end_ms}")
    return record


async def find_ends(kind: RecordKind, time_range: TimeRange, ask: AskForEnds) -> Ends | None:
    """Return the first and last id of a time range, None where it holds no record.

    Raises:
        FatalError: The exchange's two answers contradict each other, however often it is asked.
    """
    for _ in range(_ATTEMPTS):
        first, last = await ask()
        starts_inside = first is not None and kind.time_of(first) < time_range.end_ms
        ends_inside = last is not None and kind.time_of(last) >= time_range.start_ms
        if not starts_inside and not ends_inside:
            return None
        if starts_inside and ends_inside:
            assert first is not None
            assert last is not None
            ends = kind.id_of(first), kind.id_of(last)
            if ends[0] <= ends[1]:
                return ends
        logger.warning("the exchange contradicts itself about the ends of the range: {} and {}", first, last)
    raise FatalError(
        "the exchange contradicts itself about the first and the last record of the range; ask again later",
        code="exchange_contradicts",
    )


def _only(records: Sequence[Record]) -> Record | None:
    if len(records) > 1:
        raise RejectedRecordError(f"{len(records)} rows where one was asked for")
    return records[0] if records else None
