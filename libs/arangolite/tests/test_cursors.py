import pytest
import requests
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, CursorCloseError, CursorNextError

from arangolite import RunningServer


@pytest.fixture
def numbers(db: StandardDatabase) -> StandardDatabase:
    db.create_collection("numbers").import_bulk([{"_key": f"{n:05}", "n": n} for n in range(2500)])
    return db


def test_results_come_in_batches_until_there_are_no_more(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers SORT d.n RETURN d.n", batch_size=700)
    assert len(cursor.batch()) == 700
    assert cursor.has_more()
    assert list(cursor) == list(range(2500))
    assert not cursor.has_more()
    assert cursor.id is not None
    with pytest.raises(CursorNextError) as gone:
        cursor.fetch()
    assert gone.value.error_code == 1600


def test_a_result_that_fits_has_no_cursor(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers LIMIT 3 RETURN d.n", batch_size=3)
    assert cursor.id is None
    assert len(list(cursor)) == 3


def test_a_cursor_sees_the_database_as_it_was(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers RETURN d.n", batch_size=10)
    numbers.collection("numbers").truncate()
    assert len(list(cursor)) == 2500


def test_count_and_full_count_are_told_with_the_first_batch(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute(
        "FOR d IN numbers FILTER d.n < 100 LIMIT 10, 20 RETURN d", count=True, batch_size=5, full_count=True
    )
    assert cursor.count() == 20
    assert cursor.statistics()["fullCount"] == 100
    assert len(list(cursor)) == 20


def test_sorted_with_limit_and_full_count_is_the_top(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers SORT d.n DESC LIMIT 2 RETURN d.n", full_count=True)
    assert list(cursor) == [2499, 2498]
    assert cursor.statistics()["fullCount"] == 2500


def test_a_cursor_can_be_closed_once(numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers RETURN d", batch_size=10)
    assert cursor.close()
    with pytest.raises(CursorCloseError) as gone:
        cursor.close()
    assert gone.value.error_code == 1600


def test_the_last_batch_can_be_asked_for_again_when_that_was_agreed(
    server: RunningServer, numbers: StandardDatabase
) -> None:
    url, auth = f"{server.url}/_db/{numbers.name}/_api/cursor", ("root", server.password)
    query = {"query": "FOR i IN 1..3 RETURN i", "batchSize": 2, "options": {"allowRetry": True}}
    first = requests.post(url, json=query, auth=auth, timeout=10).json()
    assert (first["result"], first["nextBatchId"]) == ([1, 2], "2")
    for _ in range(2):
        second = requests.post(f"{url}/{first['id']}/2", auth=auth, timeout=10).json()
        assert (second["result"], second["hasMore"], "id" in second) == ([3], False, False)


@pytest.mark.parametrize("count", [True, False])
def test_every_batch_tells_about_the_query(server: RunningServer, numbers: StandardDatabase, count: bool) -> None:
    url, auth = f"{server.url}/_db/{numbers.name}/_api/cursor", ("root", server.password)
    query = {"query": "FOR d IN numbers RETURN d.n / 0", "batchSize": 900, "count": count, "options": {"profile": 2}}
    batches = [requests.post(url, json=query, auth=auth, timeout=10).json()]
    while batches[-1]["hasMore"]:
        batches.append(requests.post(f"{url}/{batches[0]['id']}", auth=auth, timeout=10).json())
    extras = [batch["extra"] for batch in batches]
    assert len(extras) == 3
    for extra in extras:
        assert extra["profile"].keys() == {"initializing", "parsing", "executing"}
        assert extra["plan"]["collections"] == [{"name": "numbers", "type": "read"}]
        assert len(extra["warnings"]) == 10
    assert extras[-1]["stats"]["scannedFull"] == 2500
    assert not count or extras[0] == extras[1] == extras[2]


@pytest.mark.parametrize(
    ("query", "nodes"),
    [
        ("FOR d IN numbers RETURN d", [("EnumerateCollection", 2500, 0), ("Return", 2500, 0)]),
        (
            "FOR d IN numbers FILTER d.n % 2 == 0 LET e = d LET n = d.n FILTER n > 9 SORT n DESC LIMIT 3 RETURN e",
            [
                *[("EnumerateCollection", 2500, 0), ("Filter", 1250, 1250), ("Calculation", 1250, 0)],
                *[("Calculation", 1250, 0), ("Filter", 1245, 5), ("Sort", 3, 0), ("Limit", 3, 0), ("Return", 3, 0)],
            ],
        ),
        ("FOR d IN numbers COLLECT WITH COUNT INTO n RETURN n", [("EnumerateCollection", 1, 0), ("Return", 1, 0)]),
        (
            "FOR i IN 1..2 LET a = (FOR d IN numbers FILTER d.n < 5 RETURN d) RETURN DISTINCT LENGTH(a)",
            [("EnumerateList", 2, 0), ("Calculation", 2, 0), ("Return", 1, 0)],
        ),
        ("FOR i IN 1..2 INSERT {n: i} INTO numbers", [("EnumerateList", 2, 0), ("Insert", 2, 0)]),
    ],
)
def test_a_profile_tells_what_each_operation_did(
    numbers: StandardDatabase, query: str, nodes: list[tuple[str, int, int]]
) -> None:
    cursor = numbers.aql.execute(query, profile=2, count=True)
    plan, figures = cursor.plan()["nodes"], cursor.statistics()["nodes"]
    assert [node["id"] for node in plan] == [figure["id"] for figure in figures]
    told = [(n["type"].removesuffix("Node"), f["items"], f["filtered"]) for n, f in zip(plan, figures, strict=True)]
    assert told == [("Singleton", 1, 0), *nodes]
    assert all(figure["calls"] >= figure["items"] for figure in figures)
    assert 0 < figures[1]["runtime"] <= figures[-1]["runtime"] <= cursor.statistics()["execution_time"]


def test_a_streaming_query_tells_about_itself_with_its_last_batch(
    server: RunningServer, numbers: StandardDatabase
) -> None:
    url, auth = f"{server.url}/_db/{numbers.name}/_api/cursor", ("root", server.password)
    query = {
        "query": "FOR d IN numbers LIMIT 3 RETURN d",
        "batchSize": 2,
        "options": {"stream": True, "profile": 1},
    }
    first = requests.post(url, json=query, auth=auth, timeout=10).json()
    assert "extra" not in first
    last = requests.post(f"{url}/{first['id']}", auth=auth, timeout=10).json()
    assert last["extra"]["stats"]["scannedFull"] >= 3
    assert last["extra"]["profile"]["executing"] > 0
    refused = requests.post(url, json={**query, "count": True}, auth=auth, timeout=10).json()
    assert refused["errorNum"] == 10


def test_batches_are_asked_for_by_their_numbers(server: RunningServer, numbers: StandardDatabase) -> None:
    url, auth = f"{server.url}/_db/{numbers.name}/_api/cursor", ("root", server.password)

    def batches(allow_retry: bool, *wanted: int) -> list[list[int] | int]:
        query = {"query": "FOR i IN 1..9 RETURN i", "batchSize": 2, "options": {"allowRetry": allow_retry}}
        cursor = requests.post(url, json=query, auth=auth, timeout=10).json()["id"]
        answers = [requests.post(f"{url}/{cursor}/{number}", auth=auth, timeout=10).json() for number in wanted]
        return [answer.get("result") or answer["errorNum"] for answer in answers]

    assert batches(False, 2, 2, 3, 9, 4) == [[3, 4], 400, [5, 6], 400, [7, 8]]
    assert batches(True, 2, 2, 1, 9, 3) == [[3, 4], [3, 4], 1600, 1600, [5, 6]]


def test_cursors_of_another_database_are_not_found(server: RunningServer, numbers: StandardDatabase) -> None:
    cursor = numbers.aql.execute("FOR d IN numbers RETURN d", batch_size=10)
    answer = requests.put(
        f"{server.url}/_db/_system/_api/cursor/{cursor.id}", auth=("root", server.password), timeout=10
    )
    assert answer.json()["errorNum"] == 1600


def test_a_connection_of_a_query_that_ended_early_never_shows_the_past(numbers: StandardDatabase) -> None:
    collection = numbers.collection("numbers")
    for n in range(10):
        cursor = numbers.aql.execute("FOR d IN numbers FOR e IN numbers RETURN [d.n, e.n]", batch_size=2)
        if n % 2:
            cursor.close()
        else:
            with pytest.raises(AQLQueryExecuteError):
                numbers.aql.execute("FOR d IN numbers RETURN d.n > 100 ? FAIL() : d.n")
        collection.insert({"n": -1})
        for _ in range(3):
            assert list(
                numbers.aql.execute("FOR d IN numbers FILTER d.n == -1 COLLECT WITH COUNT INTO c RETURN c")
            ) == [n + 1]
