"""What the report says of order books: differences prove each other by their ids, of the rest nobody can say."""

from datetime import UTC, datetime

import pytest

from queue_manager.adapters.evidence import ArangoEvidence
from queue_manager.app.lifecycle import note_event
from queue_manager.app.quality import DatasetQuality, Verdict, report_quality
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.workflow import Workflow, WorkflowStatus, new_workflow
from streamforge_common.contract.events import Event
from streamforge_common.ids import new_suffix

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def workflow_of(exchange: str, market: str, data_type: str) -> Workflow:
    request = WorkflowRequest(exchange=exchange, market=market, symbol="BTCUSDT", type=data_type)
    workflow = new_workflow({}, check_request(request, NOW), new_suffix(), NOW)
    workflow.status = WorkflowStatus.STOPPED
    return workflow


def tell(workflow: Workflow, **fields) -> None:
    loader = workflow.tasks[0].telemetry_id
    event = {"queue_id": workflow.queue_id, "producer": loader, "attempt": 1, "status": "loading", "timestamp": 1.0}
    offset = workflow.control.events_read.get("0", 0)
    note_event(workflow, Event.model_validate({**event, **fields}), 0, offset, NOW)


def differences(market: str, numbers: range | list[int]) -> list[dict]:
    """Ten updates in each, a hundred milliseconds apart; those of futures leave ids of others out."""
    identity = {"exchange": "binance", "market": market, "symbol": "BTCUSDT", "type": "depth"}
    documents = []
    for number in numbers:
        document = {"_key": f"binance:{market}:BTCUSDT:depth:{number * 10}", **identity, "event_time": number * 100}
        document |= {"first_update_id": number * 10 - 9, "last_update_id": number * 10, "bids": [], "asks": []}
        if market == "um":
            document |= {"first_update_id": number * 10 - 5, "previous_update_id": number * 10 - 10}
        documents.append(document)
    return documents


async def report(database, workflow: Workflow, documents: list[dict]) -> DatasetQuality:
    collection = database.create_collection(workflow.datasets[0].collection_name)
    collection.insert_many(documents)
    return (await report_quality(workflow, ArangoEvidence(database))).datasets[0]


@pytest.mark.parametrize("market", ["spot", "um"])
async def test_differences_that_all_follow_each_other_are_complete_whatever_else_is_stored_there(database, market):
    workflow = workflow_of("binance", market, "ws_depth")
    tell(workflow, first_id=1_000, last_id=3_000)
    # Another workflow's in the same collection, from before; and one that came late, after a gap had been told.
    tell(workflow, gaps=[{"from": 1_100, "to": 1_300}])
    found = await report(database, workflow, differences(market, [3, *range(10, 31)]))
    assert (found.verdict, found.expected, found.stored, found.gaps) == (Verdict.COMPLETE, 21, 21, [])


@pytest.mark.parametrize("market", ["spot", "um"])
async def test_where_one_is_missing_the_times_around_it_are_a_gap_also_if_nobody_has_told(database, market):
    workflow = workflow_of("binance", market, "ws_depth")
    tell(workflow, first_id=1_000, last_id=3_000)
    found = await report(database, workflow, differences(market, [*range(10, 15), *range(18, 20), *range(25, 31)]))
    assert (found.verdict, found.expected, found.stored) == (Verdict.INCOMPLETE, None, 13)
    assert [(gap.start, gap.end, gap.missing) for gap in found.gaps] == [(1_400, 1_800, None), (1_900, 2_500, None)]


@pytest.mark.parametrize(("exchange", "data_type"), [("binance", "ws_order_book"), ("bybit", "ws_depth")])
async def test_books_and_what_has_no_numbers_are_unproven_and_the_times_without_them_are_told(
    database, exchange, data_type
):
    workflow = workflow_of(exchange, "spot", data_type)
    tell(workflow, first_id=1_000, last_id=3_000, gaps=[{"from": 1_500, "to": 1_900}])
    found = await report(database, workflow, [])
    assert (found.verdict, found.expected, found.missing) == (Verdict.UNPROVEN, None, 0)
    assert [(gap.start, gap.end, gap.missing) for gap in found.gaps] == [(1_500, 1_900, None)]


@pytest.mark.parametrize("time_range", ["", "2024-08-01:2024-08-02"])
async def test_a_snapshot_is_of_its_moment_whatever_the_time_range_and_unproven(database, time_range):
    request = WorkflowRequest(symbol="BTCUSDT", type="api_depth_snapshot", time_range=time_range, options={"limit": 7})
    workflow = new_workflow({}, check_request(request, NOW), new_suffix(), NOW)
    workflow.status = WorkflowStatus.COMPLETED
    tell(workflow, end_offsets={"0": 1}, status="completed", finished=True)
    identity = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT", "type": "depth_snapshot"}
    found = await report(database, workflow, [{"_key": "k", **identity, "receipt_time": 5, "update_id": 1}])
    assert (found.verdict, found.expected, found.stored, found.out_of_range) == (Verdict.UNPROVEN, None, 1, 0)
