"""Requests that are worked on after they have been answered."""

import time

import pytest
import requests
from arango import ArangoClient
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, AsyncJobCancelError, AsyncJobResultError, AsyncJobStatusError
from arango.job import AsyncJob

import arangolite

_SLOW = "FOR i IN 1..40000000 FILTER i < 0 RETURN i"


def wait(job: AsyncJob) -> None:
    while job.status() == "pending":
        time.sleep(0.01)


def test_results_are_kept_until_they_are_asked_for(db: StandardDatabase) -> None:
    db.create_collection("c")
    later = db.begin_async_execution(return_result=True)
    inserted, found, wrong = (
        later.collection("c").insert({"_key": "a"}),
        later.aql.execute("RETURN 1"),
        later.aql.execute("NONSENSE"),
    )
    for job in (inserted, found, wrong):
        wait(job)
    assert set(db.async_jobs("done")) == {inserted.id, found.id, wrong.id}
    assert inserted.result()["_key"] == "a"
    assert list(found.result()) == [1]
    with pytest.raises(AQLQueryExecuteError) as refused:
        wrong.result()
    assert refused.value.error_code == 1501
    assert db.async_jobs("done") == []
    for call in (inserted.result, inserted.status):
        with pytest.raises((AsyncJobResultError, AsyncJobStatusError)) as gone:
            call()
        assert gone.value.http_code == 404


def test_a_job_that_runs_is_pending_and_can_be_cancelled(db: StandardDatabase) -> None:
    later = db.begin_async_execution(return_result=True)
    job = later.aql.execute(_SLOW, max_runtime=20)
    assert job.status() == "pending"
    assert db.async_jobs("pending") == [job.id]
    with pytest.raises(AsyncJobResultError) as early:
        job.result()
    assert early.value.http_code == 204
    running = db.aql.queries()
    assert [query["query"] for query in running] == [_SLOW]
    assert job.cancel()
    with pytest.raises(AsyncJobCancelError):
        job.cancel()
    assert db.async_jobs("pending") == []
    for query in db.aql.queries():
        db.aql.kill(query["id"])


def test_a_killed_query_is_410(db: StandardDatabase) -> None:
    job = db.begin_async_execution(return_result=True).aql.execute(_SLOW, max_runtime=60)
    while not (running := db.aql.queries()):
        time.sleep(0.01)
    assert db.aql.kill(running[0]["id"])
    wait(job)
    with pytest.raises(AQLQueryExecuteError) as killed:
        job.result()
    assert (killed.value.http_code, killed.value.error_code) == (410, 1500)


def test_results_are_cleared(db: StandardDatabase) -> None:
    later = db.begin_async_execution(return_result=True)
    jobs = [later.version() for _ in range(3)]
    for job in jobs:
        wait(job)
    assert jobs[0].clear()
    assert len(db.async_jobs("done")) == 2
    assert db.clear_async_jobs(threshold=1)
    assert len(db.async_jobs("done")) == 2
    assert db.clear_async_jobs()
    assert db.async_jobs("done") == []


def test_without_a_result_nothing_is_kept(db: StandardDatabase) -> None:
    c = db.create_collection("c")
    assert db.begin_async_execution(return_result=False).collection("c").insert({"_key": "a"}) is None
    while c.get("a") is None:
        time.sleep(0.01)
    assert db.async_jobs("done") == db.async_jobs("pending") == []


def test_jobs_belong_to_whoever_started_them(
    system: StandardDatabase, client: ArangoClient, db: StandardDatabase
) -> None:
    system.create_user("ann", "a")
    system.update_permission("ann", "rw", db.name)
    job = db.begin_async_execution(return_result=True).version()
    wait(job)
    assert client.db(db.name, "ann", "a").async_jobs("done") == []
    system.delete_user("ann")


@pytest.mark.filterwarnings("ignore:The batch request API is deprecated:FutureWarning")
def test_batches_of_the_driver_work(db: StandardDatabase) -> None:
    db.create_collection("c")
    with db.begin_batch_execution(return_result=True) as batch:
        jobs = [batch.collection("c").insert({"_key": key}) for key in ("a", "b", "a")]
    assert [job.status() for job in jobs] == ["done"] * 3
    assert jobs[0].result()["_key"] == "a"
    with pytest.raises(Exception, match="unique constraint"):
        jobs[2].result()


@pytest.mark.parametrize("path", ["nonsense", "done?count=x", "pending?count=-1"])
def test_wrong_questions_are_400(server: arangolite.RunningServer, path: str) -> None:
    answer = requests.get(f"{server.url}/_api/job/{path}", auth=("root", server.password), timeout=10)
    assert (answer.status_code, answer.json()["errorNum"]) == (400, 400)
