import asyncio
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from queue_manager.app.missing import Cause, Gap
from queue_manager.app.repairs import find_missing, ranges_of
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.workflow import Span, new_workflow
from streamforge_common.contract.repair import RANGES_MAX
from streamforge_common.contract.time_range import TimeRange

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
START_MS = TimeRange.parse("2024-08-01:2024-08-02").start_ms
HOLES = [
    (START_MS + 10 * MINUTE_MS, START_MS + 12 * MINUTE_MS),
    (START_MS + 600 * MINUTE_MS, START_MS + 601 * MINUTE_MS),
]


class Collection:
    """The candles of a day but those in some ranges."""

    def __init__(self, holes):
        self.holes = holes

    async def ids(self, dataset, field, start, end):
        times = (START_MS + minute * MINUTE_MS for minute in range(1440))
        return [it for it in times if start <= it < end and not any(a <= it < b for a, b in self.holes)]

    async def count(self, dataset, field, start, end):
        return len(await self.ids(dataset, field, start, end))

    async def rejected(self, queue_id, dataset):
        return 0


def test_what_the_database_lacks_is_found_as_ranges_of_ids_whatever_the_cause():
    request = WorkflowRequest(symbol="BTCUSDT", type="api_candles_1m", time_range="2024-08-01:2024-08-02")
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    workflow.note_exchange_gap(Span(n=1, start=HOLES[0][0], end=HOLES[0][0] + MINUTE_MS))
    assert asyncio.run(find_missing(workflow, Collection(HOLES))) == {1: HOLES}
    assert asyncio.run(find_missing(workflow, Collection([]))) == {1: []}


def test_of_trades_whose_ends_nobody_knows_nobody_can_say_what_is_missing():
    request = WorkflowRequest(symbol="BTCUSDT", type="api_agg_trades", time_range="2024-08-01:2024-08-02")
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    assert asyncio.run(find_missing(workflow, Collection([]))) == {1: None}


@given(st.sets(st.integers(0, 5_000), max_size=900))
def test_the_ranges_of_a_repair_are_few_in_order_and_leave_nothing_out(numbers):
    gaps = [Gap(start=it, end=it + 1, missing=1, cause=Cause.UNEXPLAINED) for it in sorted(numbers)]
    ranges = ranges_of(gaps)
    covered = {it for start, end in ranges for it in range(start, end)}
    assert numbers <= covered
    assert len(ranges) <= RANGES_MAX
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    if len(ranges) < RANGES_MAX:
        assert covered == numbers
