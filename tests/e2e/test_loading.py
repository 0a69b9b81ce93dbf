import httpx
import pytest

from tests.e2e.recordings import RECORDED_CANDLES, TIME_RANGE
from tests.embedded.offsets import ends_and_places
from tests.embedded.processes import wait_until

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": TIME_RANGE}
ENDS_WITHIN_S = 60


def test_a_workflow_stores_every_candle_of_its_range_to_the_last_digit(workflows, stored, recording):
    submitted = workflows.submit(CANDLES)

    ended = workflows.wait_ended(submitted["queue_id"], ENDS_WITHIN_S)

    assert (ended["status"], ended["error"]) == ("completed", None)
    documents = stored(ended["datasets"][0]["collection_name"])
    assert len(documents) == RECORDED_CANDLES
    assert documents == recording.documents()
    quality = workflows.find(ended["queue_id"], "/quality")
    (dataset,) = quality["datasets"]
    assert (quality["verdict"], dataset["expected"], dataset["stored"]) == ("complete", 9_792, 9_792)
    assert (dataset["missing"], dataset["rejected"], dataset["gaps"]) == (0, 0, [])


def test_the_place_of_a_completed_connector_is_the_end_of_its_topic(workflows, platform):
    ended = workflows.wait_ended(workflows.submit(CANDLES)["queue_id"], ENDS_WITHIN_S)

    ends, places = ends_and_places(
        platform.info["kafka_bootstrap_servers"],
        ended["datasets"][0]["kafka_topic"],
        next(task["telemetry_id"] for task in ended["tasks"] if task["target"] == "arango-connector"),
    )

    assert places == ends
    assert sum(ends.values()) == RECORDED_CANDLES


def test_the_same_workflow_twice_leaves_the_collection_as_it_was(workflows, stored):
    body = {**CANDLES, "collection_name": "twice"}
    first = workflows.wait_ended(workflows.submit(body)["queue_id"], ENDS_WITHIN_S)
    before = stored("twice")

    second = workflows.wait_ended(workflows.submit(body)["queue_id"], ENDS_WITHIN_S)

    assert first["queue_id"] != second["queue_id"]
    assert [first["status"], second["status"]] == ["completed", "completed"]
    assert stored("twice") == before


def test_two_workflows_at_once_both_complete(workflows, stored, recording):
    submitted = [workflows.submit({**CANDLES, "collection_name": f"at_once_{number}"}) for number in (1, 2)]

    ended = [workflows.wait_ended(each["queue_id"], ENDS_WITHIN_S) for each in submitted]

    assert [each["status"] for each in ended] == ["completed", "completed"]
    assert stored("at_once_1") == stored("at_once_2") == recording.documents()


def test_a_stopped_workflow_stores_what_was_published_and_leaves_no_job(workflows, platform, database, slow_exchange):
    queue_id = workflows.submit({**CANDLES, "collection_name": "stopped"})["queue_id"]
    wait_until(lambda: workflows.find(queue_id)["tasks"][0]["records_written"] > 0, 30, "the first page")

    workflows.steer(queue_id, "stop")
    ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    assert ended["status"] == "stopped"
    dataset = ended["datasets"][0]
    ends, _ = ends_and_places(platform.info["kafka_bootstrap_servers"], dataset["kafka_topic"], "nobody")
    assert 0 < database.collection("stopped").count() == sum(ends.values()) < RECORDED_CANDLES
    assert platform.jobs_alive(queue_id) == []


def test_the_audit_trail_has_no_holes_and_tells_the_way_from_pending_to_completed(workflows):
    queue_id = workflows.submit(CANDLES)["queue_id"]
    workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    trail = workflows.audit_trail(queue_id)

    assert [item["seq"] for item in trail] == list(range(1, len(trail) + 1))
    statuses = [item["data"]["status"] for item in trail if item["kind"] == "status"]
    assert statuses == ["pending", "starting", "loading", "completed"]
    assert {"start", "drain"} <= {item["data"]["command"] for item in trail if item["kind"] == "command"}


def test_a_symbol_that_the_exchange_refuses_ends_in_its_own_words(workflows):
    queue_id = workflows.submit({**CANDLES, "symbol": "NOSUCHUSDT"})["queue_id"]

    ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    assert ended["status"] == "error"
    assert "-1121" in ended["error"]["detail"]
    assert "Invalid symbol." in ended["error"]["detail"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"type": "api_horoscopes"}, "#/type"),
        ({"type": "api_candles_7m"}, "#/type"),
        ({"exchange": "nasdaq"}, "#/exchange"),
        ({"market": "moon"}, "#/market"),
        ({"symbol": "BTC/USDT"}, "#/symbol"),
        ({"symbol": "../../etc"}, "#/symbol"),
        ({"time_range": "2022-08-17:2022-07-14"}, "#/time_range"),
        ({"time_range": "2022-07-14:2999-01-01"}, "#/time_range"),
        ({"time_range": "2016-07-14:2022-01-01"}, "#/time_range"),
        ({"time_range": "yesterday"}, "#/time_range"),
        ({"collection_name": "Capital/Slash"}, "#/collection_name"),
        ({"volume": 11}, "#/volume"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused_by_field(workflows, platform, change, pointer):
    before = known(workflows)

    answer = workflows.http.post("/workflows", json={**CANDLES, **change})

    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert known(workflows) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"symbol": "BTCUSDT",', 400), (b"\xff\xfe", 400), (b'{"symbol":"' + b"A" * 1_100_000 + b'"}', 413)],
    ids=["cut off", "no text", "over 1 MiB"],
)
def test_a_body_that_is_no_request_is_refused(workflows, body, status):
    before = known(workflows)

    answer = workflows.http.post("/workflows", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert known(workflows) == before


def known(workflows) -> list[str]:
    """List what is stored, newest first: a refused request must not be among it."""
    answer: httpx.Response = workflows.http.get("/workflows", params={"limit": 1000})
    return [item["queue_id"] for item in answer.json()["items"]]
