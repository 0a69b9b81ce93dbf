import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from queue_manager.app.lifecycle import note_event
from queue_manager.app.missing import Cause
from queue_manager.app.quality import Verdict, report_quality
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.workflow import Span, Workflow, WorkflowStatus, new_workflow
from streamforge_common.contract.events import Event
from streamforge_common.contract.time_range import TimeRange

MINUTE_MS = 60_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Collection:
    """What is stored, and what was rejected."""

    def __init__(self, ids, rejected=0, field="open_time", in_time=0):
        self.stored = sorted(ids)
        self.number_rejected = rejected
        self.field = field
        self.in_time = in_time

    async def count(self, dataset, field, start, end):
        if field == "trade_time":
            return self.in_time
        return len(await self.ids(dataset, field, start, end))

    async def count_all(self, dataset):
        return len(self.stored)

    async def ids(self, dataset, field, start, end):
        assert field == self.field
        return [it for it in self.stored if start <= it < end]

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


def trades_workflow(first_id=None, last_id=None, end_offsets=None):
    request = WorkflowRequest(symbol="BTCUSDT", type="api_agg_trades", time_range="2024-07-01:2024-07-02")
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    workflow.status = WorkflowStatus.COMPLETED
    loader = workflow.tasks[0]
    loader.first_id, loader.last_id, loader.end_offsets = first_id, last_id, end_offsets
    return workflow


def trades(ids, **counts):
    return Collection(ids, field="agg_trade_id", **counts)


@given(
    first=st.integers(0, 10**12),
    length=st.integers(1, 12_000),
    missing=st.sets(st.integers(0, 11_999), max_size=30),
    known=st.sets(st.integers(0, 11_999), max_size=30),
)
def test_trades_are_judged_by_their_ids(first, length, missing, known):
    missing = {index for index in missing if index < length}
    workflow = trades_workflow(first, first + length - 1, {"0": length})
    for index in known:
        workflow.note_exchange_gap(Span(n=1, start=first + index, end=first + index + 1))
    neighbours = [first - 1, first + length]
    found = report(workflow, trades([*(first + it for it in range(length) if it not in missing), *neighbours]))
    listed = {(it - first, gap.cause) for gap in found.gaps for it in range(gap.start, gap.end)}
    assert listed == {(it, Cause.EXCHANGE if it in known else Cause.UNEXPLAINED) for it in missing}
    assert (found.expected, found.missing, found.stored) == (length, len(missing), length - len(missing))
    assert found.verdict is (Verdict.COMPLETE if missing <= known else Verdict.INCOMPLETE)


def test_trades_of_which_nobody_knows_the_ends_are_counted_by_time_and_never_complete():
    found = report(trades_workflow(), trades([], in_time=7))
    assert (found.expected, found.missing, found.stored) == (None, 0, 7)
    assert (found.verdict, found.gaps) == (Verdict.INCOMPLETE, [])


def test_a_range_in_which_nothing_was_traded_is_complete():
    found = report(trades_workflow(end_offsets={"0": 0}), trades([]))
    assert (found.expected, found.missing, found.verdict) == (0, 0, Verdict.COMPLETE)


def test_trades_that_a_stopped_loader_did_not_load_are_listed_once_the_ends_are_known():
    workflow = trades_workflow(1_000, 1_999)
    workflow.status = WorkflowStatus.STOPPED
    found = report(workflow, trades(range(1_000, 1_400)))
    assert (found.verdict, found.expected, found.stored) == (Verdict.INCOMPLETE, 1_000, 400)
    assert [(gap.start, gap.end, gap.cause) for gap in found.gaps] == [(1_400, 2_000, Cause.UNEXPLAINED)]


HOUR_MS = 60 * MINUTE_MS


def funding_workflow(spacing_hours=8):
    request = WorkflowRequest(
        exchange="binance", market="um", symbol="BTCUSDT", type="api_funding_rate", time_range="2024-07-01:2024-07-03"
    )
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    workflow.status = WorkflowStatus.COMPLETED
    start_ms = TimeRange.parse("2024-07-01:2024-07-03").start_ms
    loader = workflow.tasks[0]
    loader.first_id, loader.last_id = start_ms, start_ms + 48 * HOUR_MS - MINUTE_MS
    loader.spacing_ms, loader.end_offsets = spacing_hours and spacing_hours * HOUR_MS, {"0": 6}
    return workflow, start_ms


def fundings(start_ms, hours):
    return Collection((start_ms + hour * HOUR_MS for hour in hours), field="funding_time")


def test_funding_is_complete_when_no_silence_is_longer_than_the_interval():
    workflow, start_ms = funding_workflow()
    found = report(workflow, fundings(start_ms, [0, 8, 12, 16, 24, 32, 40]))
    assert (found.verdict, found.expected, found.stored, found.missing) == (Verdict.COMPLETE, 7, 7, 0)


def test_a_silence_is_unexplained_unless_the_loader_saw_it_in_the_exchanges_answers():
    workflow, start_ms = funding_workflow()
    silence = Span(n=1, start=start_ms + 8 * HOUR_MS + 1, end=start_ms + 32 * HOUR_MS)
    stored = fundings(start_ms, [0, 8, 32, 40])
    lost = report(workflow, stored)
    workflow.note_exchange_gap(silence)
    explained, more_lost = report(workflow, stored), report(workflow, fundings(start_ms, [0, 8, 40]))
    assert [(gap.start, gap.end, gap.missing, gap.cause) for gap in lost.gaps] == [
        (silence.start, silence.end, 2, Cause.UNEXPLAINED)
    ]
    assert (lost.verdict, lost.expected) == (Verdict.INCOMPLETE, 6)
    assert (explained.verdict, explained.gaps[0].cause) == (Verdict.COMPLETE, Cause.EXCHANGE)
    assert (more_lost.verdict, more_lost.gaps[0].cause) == (Verdict.INCOMPLETE, Cause.UNEXPLAINED)


def test_funding_without_a_single_record_is_missing_from_end_to_end():
    workflow, start_ms = funding_workflow()
    found = report(workflow, fundings(start_ms, []))
    assert (found.verdict, found.missing, found.stored) == (Verdict.INCOMPLETE, 5, 0)


def test_funding_of_which_nobody_named_the_interval_is_never_complete():
    workflow, start_ms = funding_workflow(spacing_hours=None)
    found = report(workflow, fundings(start_ms, range(48)))
    assert (found.verdict, found.expected, found.stored) == (Verdict.INCOMPLETE, None, 48)


def live_workflow(data_type: str, **told: object) -> Workflow:
    request = WorkflowRequest(symbol="BTCUSDT", type=data_type)
    workflow = new_workflow({}, check_request(request, NOW), "abcdef", NOW)
    workflow.status = WorkflowStatus.STOPPED
    event = {"queue_id": workflow.queue_id, "producer": "loader-ws__abcdef", "attempt": 1, "timestamp": 0.0}
    note_event(workflow, Event.model_validate({**event, "status": "loading", **told}), 0, 0, NOW)
    return workflow


def test_live_trades_are_counted_from_the_first_to_the_last_that_came_and_a_hole_is_unexplained():
    hole = {"from": 13, "to": 15, "missing": 2}
    passed_over = {"from": 17, "to": 18, "missing": 1}
    workflow = live_workflow("ws_trades", first_id=10, last_id=19, gaps=[hole], exchange_gaps=[passed_over])
    found = report(workflow, Collection([10, 11, 12, 15, 16, 18, 19, 20], field="trade_id"))
    assert (found.verdict, found.expected, found.stored, found.missing) == (Verdict.INCOMPLETE, 10, 7, 3)
    assert [(gap.start, gap.end, gap.cause) for gap in found.gaps] == [
        (13, 15, Cause.UNEXPLAINED),
        (17, 18, Cause.EXCHANGE),
    ]


def test_live_candles_without_a_hole_are_complete():
    workflow = live_workflow("ws_candles_1m", first_id=MINUTE_MS, last_id=3 * MINUTE_MS)
    found = report(workflow, Collection(number * MINUTE_MS for number in (1, 2, 3)))
    assert (found.verdict, found.expected) == (Verdict.COMPLETE, 3)


def test_a_live_report_counts_reconnects_and_what_was_filled_and_one_of_history_does_not():
    workflow = live_workflow("ws_trades", first_id=1, last_id=2, reconnects=3, filled=70)
    live = report(workflow, Collection([1, 2], field="trade_id"))
    assert (live.reconnects, live.filled) == (3, 70)
    history, start_ms = funding_workflow()
    found = report(history, fundings(start_ms, range(48)))
    assert (found.reconnects, found.filled) == (None, None)


def test_where_nothing_is_numbered_nothing_is_proven_and_the_times_of_a_reconnect_are_listed():
    workflow = live_workflow("ws_book_ticker", first_id=5, last_id=90, gaps=[{"from": 20, "to": 30}])
    found = report(workflow, Collection([7, 8, 9]))
    assert (found.verdict, found.expected, found.stored) == (Verdict.UNPROVEN, None, 3)
    assert [(gap.start, gap.end, gap.missing) for gap in found.gaps] == [(20, 30, None)]
    assert report(workflow, Collection([7], rejected=1)).verdict is Verdict.INCOMPLETE


def test_of_ever_so_many_reconnects_the_latest_are_kept():
    gaps = [{"from": number, "to": number + 1} for number in range(1_500)]
    found = report(live_workflow("ws_book_ticker", gaps=gaps), Collection([]))
    assert (len(found.gaps), found.gaps_total, found.gaps[-1].end) == (1_000, 1_500, 1_500)


def test_a_live_workflow_that_received_nothing_proves_nothing():
    assert report(live_workflow("ws_trades"), Collection([])).verdict is Verdict.UNPROVEN
