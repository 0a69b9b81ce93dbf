import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from queue_manager.app.quality import Cause, Verdict, report_quality
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.workflow import Span, Workflow, WorkflowStatus, new_workflow
from streamforge_common.contract.time_range import TimeRange

MINUTE_MS = 60_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Collection:
    """What is stored, and what was rejected."""

    def __init__(self, open_times, rejected=0):
        self.stored = sorted(open_times)
        self.number_rejected = rejected

    async def count(self, dataset, start_ms, end_ms):
        return len(await self.open_times(dataset, start_ms, end_ms))

    async def open_times(self, dataset, start_ms, end_ms):
        return [time for time in self.stored if start_ms <= time < end_ms]

    async def rejected(self, queue_id, dataset):
        return self.number_rejected


def workflow_of(time_range: str, interval: str = "1m") -> Workflow:
    request = WorkflowRequest(symbol="BTCUSDT", type=f"api_candles_{interval}", time_range=time_range)
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    workflow.status = WorkflowStatus.COMPLETED
    return workflow


def report(workflow, collection):
    return asyncio.run(report_quality(workflow, collection)).datasets[0]


@given(
    missing=st.sets(st.integers(0, 14 * 1440 - 1), max_size=60),
    known=st.sets(st.integers(0, 14 * 1440 - 1), max_size=60),
    blocks=st.lists(st.tuples(st.integers(0, 14 * 1440 - 1), st.integers(1, 9_000)), max_size=2),
)
def test_gaps_are_exactly_what_is_missing_with_its_cause(missing, known, blocks):
    workflow = workflow_of("2024-07-01:2024-07-15")
    start_ms = TimeRange.parse("2024-07-01:2024-07-15").start_ms
    for first, length in blocks:
        missing |= set(range(first, min(first + length, 14 * 1440)))
    for index in known:
        workflow.note_exchange_gap(
            Span(n=1, start=start_ms + index * MINUTE_MS, end=start_ms + (index + 1) * MINUTE_MS)
        )
    found = report(workflow, Collection(start_ms + index * MINUTE_MS for index in set(range(14 * 1440)) - missing))
    listed = {
        (index, gap.cause)
        for gap in found.gaps
        for index in range((gap.start - start_ms) // MINUTE_MS, (gap.end - start_ms) // MINUTE_MS)
    }
    assert listed == {(index, Cause.EXCHANGE if index in known else Cause.UNEXPLAINED) for index in missing}
    assert (found.expected, found.missing, found.stored) == (14 * 1440, len(missing), 14 * 1440 - len(missing))
    assert found.verdict is (Verdict.COMPLETE if missing <= known else Verdict.INCOMPLETE)


def test_a_loader_that_stopped_half_way_and_claims_to_be_complete_is_found_out():
    workflow = workflow_of("2024-07-01:2024-07-02")
    start_ms = TimeRange.parse("2024-07-01:2024-07-02").start_ms
    found = report(workflow, Collection(start_ms + index * MINUTE_MS for index in range(720)))
    assert found.verdict is Verdict.INCOMPLETE
    assert [(gap.start, gap.end, gap.missing) for gap in found.gaps] == [
        (start_ms + 720 * MINUTE_MS, start_ms + 1440 * MINUTE_MS, 720)
    ]


def test_anything_rejected_makes_it_incomplete():
    workflow = workflow_of("2024-07-01:2024-07-02")
    start_ms = TimeRange.parse("2024-07-01:2024-07-02").start_ms
    found = report(workflow, Collection((start_ms + index * MINUTE_MS for index in range(1440)), rejected=1))
    assert (found.verdict, found.rejected) == (Verdict.INCOMPLETE, 1)


def test_repeated_counts_the_messages_beyond_those_that_are_stored():
    workflow = workflow_of("2024-07-01:2024-07-02")
    start_ms = TimeRange.parse("2024-07-01:2024-07-02").start_ms
    workflow.tasks[0].end_offsets = {"0": 1500, "1": 0}
    workflow.tasks[0].last_id = start_ms + 1439 * MINUTE_MS
    found = report(workflow, Collection(start_ms + index * MINUTE_MS for index in range(1440)))
    assert (found.verdict, found.repeated) == (Verdict.COMPLETE, 60)


def test_the_candle_that_was_open_when_the_loader_looked_is_not_expected():
    workflow = workflow_of("2024-07-01:2024-07-02")
    start_ms = TimeRange.parse("2024-07-01:2024-07-02").start_ms
    workflow.tasks[0].end_offsets = {"0": 10}
    workflow.tasks[0].last_id = start_ms + 9 * MINUTE_MS
    found = report(workflow, Collection(start_ms + index * MINUTE_MS for index in range(10)))
    assert (found.expected, found.verdict) == (10, Verdict.COMPLETE)


def test_where_no_candle_was_closed_yet_none_is_expected():
    workflow = workflow_of("2024-07-01:2024-07-02")
    workflow.tasks[0].end_offsets = {"0": 0}
    found = report(workflow, Collection([]))
    assert (found.expected, found.verdict) == (0, Verdict.COMPLETE)


def test_nothing_is_judged_before_the_end():
    workflow = workflow_of("2024-07-01:2024-07-02")
    workflow.status = WorkflowStatus.LOADING
    assert report(workflow, Collection([])).verdict is Verdict.RUNNING
