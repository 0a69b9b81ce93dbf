"""The store against the embedded database, through the real driver."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from queue_manager.adapters.store import ArangoWorkflowStore
from queue_manager.app.ports import ChangedMeanwhileError, Submission, SuffixTakenError, WorkflowFilter
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.shares import RunningLoader
from queue_manager.app.workflow import Workflow, WorkflowStatus, new_workflow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(database):
    store = ArangoWorkflowStore(database)
    await store.prepare()
    return store


def workflow(suffix: str = "abcdef", age_s: int = 0, symbol: str = "BTCUSDT") -> Workflow:
    request = WorkflowRequest(symbol=symbol, type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    return new_workflow({}, check_request(request, NOW), suffix, NOW - timedelta(seconds=age_s))


async def seqs(store, queue_id):
    return [item.seq for item in await store.audit_page(queue_id, 0, 100)]


async def test_six_digits_belong_to_one_workflow_only(store):
    await store.insert(workflow("abcdef"))
    assert await store.has_suffix("abcdef")
    with pytest.raises(SuffixTakenError):
        await store.insert(workflow("abcdef", symbol="ETHUSDT"))


async def test_of_two_who_change_the_same_revision_one_has_to_read_again(store):
    await store.insert(workflow())
    first, second = await store.get(workflow().queue_id), await store.get(workflow().queue_id)
    first.workflow.audit("status", {"by": "first"}, NOW)
    await store.replace(first)
    second.workflow.audit("status", {"by": "second"}, NOW)
    with pytest.raises(ChangedMeanwhileError):
        await store.replace(second)
    assert [item.data for item in await store.audit_page(workflow().queue_id, 1, 100)] == [{"by": "first"}]


async def test_audit_items_of_a_killed_writer_are_copied_by_the_next_reader(store, database):
    await store.insert(workflow())
    stored = await store.get(workflow().queue_id)
    stored.workflow.audit("status", {"n": 2}, NOW)
    document = {"_key": stored.workflow.queue_id, **stored.workflow.model_dump(mode="json")}
    database.collection("workflows").replace(document)
    assert await seqs(store, stored.workflow.queue_id) == [1]
    await ArangoWorkflowStore(database).prepare()
    assert await seqs(store, stored.workflow.queue_id) == [1, 2]


async def test_items_leave_the_document_once_they_are_copied(store):
    await store.insert(workflow())
    for number in range(2, 5):
        stored = await store.get(workflow().queue_id)
        stored.workflow.audit("status", {"n": number}, NOW)
        await store.replace(stored)
    assert await seqs(store, workflow().queue_id) == [1, 2, 3, 4]
    assert [item.seq for item in (await store.get(workflow().queue_id)).workflow.control.outbox] == [4]


async def test_pages_are_filtered_and_newest_first(store):
    for number in range(5):
        await store.insert(workflow(f"00000{number}", age_s=number, symbol="ETHUSDT" if number == 3 else "BTCUSDT"))
    newest = await store.page(WorkflowFilter(symbol="BTCUSDT"), None, 2)
    assert [item["queue_id"][-6:] for item in newest] == ["000000", "000001"]
    after = (newest[-1]["created_at"], newest[-1]["queue_id"])
    rest = await store.page(WorkflowFilter(symbol="BTCUSDT"), after, 10)
    assert [item["queue_id"][-6:] for item in rest] == ["000002", "000004"]
    assert await store.page(WorkflowFilter(status="loading"), None, 10) == []
    recent = await store.page(WorkflowFilter(created_after="2025-12-31T23:59:58.500Z"), None, 10)
    assert [item["queue_id"][-6:] for item in recent] == ["000000", "000001"]


async def test_what_is_settled_is_not_looked_at_again(store):
    await store.insert(workflow())
    assert await store.unsettled() == [(workflow().queue_id, WorkflowStatus.PENDING)]
    stored = await store.get(workflow().queue_id)
    stored.workflow.status = WorkflowStatus.COMPLETED
    stored.workflow.control.settled = True
    await store.replace(stored)
    assert await store.unsettled() == []
    assert await store.counts() == {"completed": 1}


async def test_a_forgotten_workflow_leaves_nothing(store, database):
    await store.insert(workflow())
    await store.insert(workflow("123456"))
    assert await store.others_storing_in(workflow().datasets[0].collection_name, workflow().queue_id) == [
        workflow("123456").queue_id
    ]
    await store.forget(workflow().queue_id)
    await store.forget(workflow().queue_id)
    assert await store.get(workflow().queue_id) is None
    assert await seqs(store, workflow().queue_id) == []
    assert await seqs(store, workflow("123456").queue_id) == [1]
    await store.drop_collection("never_there")


async def test_a_key_belongs_to_its_first_submission(store):
    first = Submission("digest", workflow())
    assert await store.claim_key("a key", first) == first
    assert (await store.claim_key("a key", Submission("other", workflow("123456")))).body_digest == "digest"
    await store.confirm_key("a key")
    assert await store.claim_key("a key", first) == replace(first, is_stored=True)


async def test_of_bans_the_latest_counts_also_where_an_older_one_is_noted_again(store):
    assert await store.bans() == {}
    for until_s in (5.5, 7.5, 6.0):
        await store.note_ban("binance", "spot", until_s)
    assert await store.bans() == {("binance", "spot"): 7.5}


async def test_how_far_trails_go_is_asked_for_many_at_once(store):
    first, second = workflow("aaaaaa"), workflow("bbbbbb")
    await store.insert(first)
    await store.insert(second)
    stored = await store.get(second.queue_id)
    stored.workflow.set_status(WorkflowStatus.LOADING, NOW)
    await store.replace(stored)
    asked = [first.queue_id, second.queue_id, "wf-none"]
    assert await store.last_seqs(asked) == {first.queue_id: 1, second.queue_id: 2}


async def test_the_loaders_that_run_are_those_that_were_started_and_have_not_ended(store):
    begun, ended, settled, waiting = (workflow(suffix) for suffix in ("aaaaaa", "bbbbbb", "cccccc", "dddddd"))
    for it in (begun, ended, settled):
        for task in it.tasks:
            task.started_since_ms = 1
    ended.tasks[0].finished = True
    settled.control.settled = True
    for it in (begun, ended, settled, waiting):
        await store.insert(it)

    assert await store.running_loaders() == [RunningLoader("binance", "spot", "candles_5m", is_live=False)]
