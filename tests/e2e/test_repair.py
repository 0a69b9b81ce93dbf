"""What went missing is found, asked for again and stored: that, and nothing else."""

import json
from urllib.parse import parse_qsl

import httpx

from tests.e2e.recordings import RECORDED_CANDLES, TIME_RANGE

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": TIME_RANGE, "collection_name": "repaired"}
ENDS_WITHIN_S = 60
STEP_MS = 300_000
HOLES = [(1, 2), (3_000, 4_200), (RECORDED_CANDLES - 1, RECORDED_CANDLES)]
"""Candles that are removed: one, more than a page, the last."""


def test_a_repair_loads_what_was_removed_and_nothing_else(workflows, stored, database, platform, recording):
    queue_id = workflows.wait_ended(workflows.submit(CANDLES)["queue_id"], ENDS_WITHIN_S)["queue_id"]
    whole = stored("repaired")
    times = sorted(it["open_time"] for it in whole.values())
    removed = [time for first, end in HOLES for time in times[first:end]]
    remove = "FOR it IN repaired FILTER it.open_time IN @times REMOVE it IN repaired"
    database.aql.execute(remove, bind_vars={"times": removed})
    incomplete = workflows.find(queue_id, "/quality")
    asked_before = len(requests(platform))

    workflows.steer(queue_id, "repair")
    ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)

    assert (incomplete["verdict"], incomplete["datasets"][0]["missing"]) == ("incomplete", len(removed))
    assert (ended["status"], ended["error"]) == ("completed", None)
    assert stored("repaired") == whole == recording.documents()
    quality = workflows.find(queue_id, "/quality")
    assert (quality["verdict"], quality["datasets"][0]["gaps"]) == ("complete", [])
    pages = [dict(parse_qsl(it["query"])) for it in requests(platform)[asked_before:] if it["path"].endswith("/klines")]
    wanted = [(1, 2), (3_000, 4_000), (4_000, 4_200), HOLES[-1]]
    assert sorted(int(page["startTime"]) for page in pages) == [times[first] for first, _ in wanted]
    assert sorted(int(page["endTime"]) // STEP_MS * STEP_MS for page in pages) == [times[end - 1] for _, end in wanted]
    assert [(task["attempt"], task["records_written"]) for task in ended["tasks"]] == [(2, len(removed))] * 2
    trail = workflows.audit_trail(queue_id)
    assert [item["seq"] for item in trail] == list(range(1, len(trail) + 1))

    workflows.steer(queue_id, "repair")

    assert workflows.find(queue_id) == ended, "nothing is missing, so nothing is launched"


def requests(platform) -> list[dict[str, str]]:
    """List what the exchange was asked for so far."""
    return [json.loads(line) for line in httpx.get(f"{platform.exchange_url}/_sim/requests").text.splitlines()]
