import json
from datetime import UTC, datetime

import httpx
import pytest

from queue_manager.adapters.api import create_api
from queue_manager.app.controller import Controller
from queue_manager.app.examining import Examiner
from queue_manager.testing import Crash, MemoryLauncher, MemoryLog, MemoryStore, open_keyring
from streamforge_common.errors import TransientError
from streamforge_common.outages import Neighbour

GOOD = {"symbol": "btcusdt", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
LIVE = {"type": "ws_trades", "time_range": ""}
UM_TRADES = {"market": "um", "type": "api_agg_trades"}


class NothingStored:
    async def count(self, dataset, field, start, end):
        return 0

    async def count_all(self, dataset):
        return 0

    async def ids(self, dataset, field, start, end):
        return []

    async def rejected(self, queue_id, dataset):
        return 0


class Platform:
    def __init__(self):
        crash = Crash()
        self.store, self.launcher, self.log = MemoryStore(crash), MemoryLauncher(crash), MemoryLog(crash)
        self.broker_is_away = False
        self.neighbour = Neighbour("kafka", self.probe, 600)
        controller = Controller(
            self.store,
            self.log,
            self.launcher,
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            stop_grace_s=60,
            most_running=2,
        )
        examiner = Examiner(self.store, None, None)  # nothing ends here
        app = create_api(
            controller, self.store, self.launcher, NothingStored(), examiner, [self.neighbour], open_keyring()
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://queue-manager")

    async def probe(self):
        if self.broker_is_away:
            raise TransientError("connection refused")

    async def post(self, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body)
        return await self.client.post(
            "/workflows", content=content, headers={"Content-Type": "application/json", **headers}
        )


@pytest.fixture
async def platform():
    platform = Platform()
    async with platform.client:
        yield platform


async def test_a_workflow_is_created_shown_and_listed(platform):
    created = await platform.post(GOOD)
    document = created.json()
    assert created.status_code == 201
    assert created.headers["Location"] == f"/workflows/{document['queue_id']}"
    assert document["queue_id"].startswith("wf-btcusdt-api_candles_5m-20240801-")
    assert document["datasets"][0]["collection_name"] == "btcusdt_api_candles_5m_2024_08_01"
    assert document["request"] == GOOD
    assert (await platform.client.get(created.headers["Location"])).json() == document
    assert (await platform.client.get("/workflows")).json() == {"items": [document], "next_cursor": None}


async def test_lists_are_paged_without_holes_or_repeats(platform):
    created = {(await platform.post(GOOD)).json()["queue_id"] for _ in range(7)}
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await platform.client.get("/workflows", params=params)).json()
        seen += [item["queue_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert set(seen) == created


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"symbol": "B TC"}, "#/symbol"),
        ({"symbol": 5}, "#/symbol"),
        ({"type": "api_poetry"}, "#/type"),
        ({"type": "api_candles_7m"}, "#/type"),
        ({"type": "api_candles_1M"}, "#/type"),
        ({"type": "ws_trades"}, "#/time_range"),
        ({"exchange": "kraken"}, "#/exchange"),
        ({"market": "moon"}, "#/market"),
        ({"time_range": "2024-08-02:2024-08-01"}, "#/time_range"),
        ({"time_range": "2024-08-02:2024-08-02"}, "#/time_range"),
        ({"time_range": "2024-08-01:2034-08-02"}, "#/time_range"),
        ({"time_range": "2016-08-01:2024-08-02"}, "#/time_range"),
        ({"time_range": "yesterday"}, "#/time_range"),
        ({"time_range": "2024-02-30:2024-03-01"}, "#/time_range"),
        ({"collection_name": "1st"}, "#/collection_name"),
        ({"options": {"speed": 3}}, "#/options/speed"),
        ({"surprise": True}, "#/surprise"),
        ({"image": "evil/image:1"}, "#/image"),
        ({"command": ["sh", "-c", "id"]}, "#/command"),
        ({"env": {"KAFKA_BOOTSTRAP_SERVERS": "evil:9092"}}, "#/env"),
        ({"service_account": "admin"}, "#/service_account"),
        ({"options": {"image": "evil/image:1"}}, "#/options/image"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_stored(platform, change, pointer):
    answer = await platform.post(GOOD | change)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert platform.store.documents == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"symbol"', 400), (b"", 422), (b"[]", 422), (b"null", 422), (b" " * (1024 * 1024 + 1), 413)],
)
async def test_what_is_no_request_is_refused(platform, body, status):
    answer = await platform.post(body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_all_faults_are_named_at_once(platform):
    answer = await platform.post(GOOD | {"symbol": "!", "type": "x", "time_range": "x"})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/symbol", "#/type", "#/time_range"]


@pytest.mark.parametrize("path", ["", "/events", "/quality", "/jobs", "/logs"])
async def test_an_unknown_workflow_is_a_404(platform, path):
    answer = await platform.client.get(f"/workflows/wf-none{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_wish_that_holds_already_changes_nothing_and_an_impossible_one_is_a_409(platform):
    path = f"/workflows/{(await platform.post(GOOD)).json()['queue_id']}"
    assert (await platform.client.delete(path)).status_code == 409
    assert (await platform.client.post(f"{path}/retry")).status_code == 409
    first = await platform.client.post(f"{path}/stop")
    again = await platform.client.post(f"{path}/stop")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["status"] == "stopping"
    assert (await platform.client.post(f"{path}/resume")).status_code == 409
    assert (await platform.client.post(f"{path}/explode")).status_code == 422


async def test_the_audit_trail_is_paged(platform):
    queue_id = (await platform.post(GOOD)).json()["queue_id"]
    await platform.client.post(f"/workflows/{queue_id}/stop")
    first = (await platform.client.get(f"/workflows/{queue_id}/events", params={"limit": 1})).json()
    assert [(item["seq"], item["kind"]) for item in first["items"]] == [(1, "status")]
    params = {"limit": 1, "cursor": first["next_cursor"]}
    second = (await platform.client.get(f"/workflows/{queue_id}/events", params=params)).json()
    assert second["items"][0]["data"]["status"] == "stopping"


async def test_quality_has_the_fields_of_the_contract(platform):
    queue_id = (await platform.post(GOOD)).json()["queue_id"]
    report = (await platform.client.get(f"/workflows/{queue_id}/quality")).json()
    assert report["verdict"] == "running"
    dataset = report["datasets"][0]
    assert (dataset["expected"], dataset["stored"], dataset["missing"]) == (288, 0, 288)
    assert set(dataset["gaps"][0]) == {"from", "to", "missing", "cause"}


async def test_the_same_idempotency_key_gets_the_same_answer_and_another_body_a_422(platform):
    first = await platform.post(GOOD, **{"Idempotency-Key": "mine"})
    again = await platform.post(GOOD, **{"Idempotency-Key": "mine"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await platform.post(GOOD | {"symbol": "ETHUSDT"}, **{"Idempotency-Key": "mine"})).status_code == 422
    assert (await platform.post(GOOD, **{"Idempotency-Key": "x" * 256})).status_code == 422


async def test_health_names_the_component_that_is_away(platform):
    await platform.neighbour.check()
    assert (await platform.client.get("/health")).status_code == 200
    platform.broker_is_away = True
    await platform.neighbour.check()
    answer = await platform.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["components"] == {"kafka": "connection refused"}


async def test_the_catalog_lists_every_combination_with_its_targets(platform):
    catalog = (await platform.client.get("/catalog")).json()
    assert catalog["targets"] == ["loader-producer", "loader-ws", "arango-connector"]
    assert {
        "exchange": "bybit",
        "market": "linear",
        "type": "ws_liquidations",
        "live": True,
        "targets": ["loader-ws", "arango-connector"],
    } in catalog["entries"]
    assert {
        "exchange": "binance",
        "market": "spot",
        "type": "api_candles_1mo",
        "live": False,
        "targets": ["loader-producer", "arango-connector"],
    } in catalog["entries"]


@pytest.mark.parametrize(
    ("change", "pointer", "advice"),
    [
        ({"type": "api_mark_candles_5m"}, "#/type", "market um"),
        ({"market": "um", "type": "api_candles_1s"}, "#/type", "1m, 3m"),
        ({"market": "um", "type": "api_trades"}, "#/type", "dump_trades"),
        ({"market": "um", "type": "dump_open_interest_1h"}, "#/type", "ask for api_open_interest_1h"),
        ({"type": "dump_candles_1w"}, "#/type", "ask for api_candles_1w"),
        ({"type": "dump_mark_candles_5m"}, "#/type", "market um"),
        ({"exchange": "bybit", "type": "dump_candles_5m"}, "#/type", "ask for api_candles_5m"),
        ({"market": "um", "type": "ws_agg_trades"}, "#/time_range", "leave it out"),
        (LIVE | {"type": "ws_mark_price"}, "#/type", "market um"),
        (LIVE | {"type": "ws_order_book", "options": {"levels": 501}}, "#/options/levels", "1 to 500"),
        (LIVE | {"type": "ws_order_book", "options": {"every": -1}}, "#/options/every", "0 for every one"),
        (LIVE | {"type": "ws_depth", "options": {"levels": 5}}, "#/options/levels", "such types take duration"),
        (LIVE | {"market": "um", "type": "ws_candles_1s"}, "#/type", "1m, 3m"),
        (LIVE | {"market": "um", "type": "ws_open_interest_5m"}, "#/type", "ask for api_open_interest_5m"),
        (LIVE | {"market": "um", "type": "poll_agg_trades"}, "#/type", "api_agg_trades or dump_agg_trades or ws_agg"),
        (LIVE | {"exchange": "bybit", "type": "ws_agg_trades"}, "#/type", "ask for ws_trades"),
        (LIVE | {"options": {"duration": 0}}, "#/options/duration", "more than 0"),
        (LIVE | {"options": {"duration": True}}, "#/options/duration", "expected seconds"),
        (LIVE | {"options": {"every": 1}}, "#/options/every", "duration"),
        (LIVE | {"options": {"backfill": "1d"}}, "#/options/backfill", "RFC 3339"),
        (LIVE | {"options": {"backfill": 0}}, "#/options/backfill", "more than 0"),
        (LIVE | {"options": {"backfill": "2999-01-01T00:00:00Z"}}, "#/options/backfill", "before the end"),
        (LIVE | {"market": "um", "options": {"backfill": 60}}, "#/options/backfill", "dump_trades"),
        (LIVE | {"type": "ws_book_ticker", "options": {"backfill": 60}}, "#/options/backfill", "no history"),
        (
            LIVE | {"market": "um", "type": "ws_agg_trades", "options": {"backfill": 200_000}},
            "#/options/backfill",
            "dump_agg_trades",
        ),
        ({"options": {"duration": 5}}, "#/options/duration", "take rate, and source"),
        ({"options": {"rate": 0}}, "#/options/rate", "more than 0 and at most 1"),
        ({"options": {"rate": True}}, "#/options/rate", "at most 1"),
        (LIVE | {"options": {"rate": 1.5}}, "#/options/rate", "at most 1"),
        ({"time_range": ""}, "#/time_range", "YYYY-MM-DD"),
        ({"exchange": "bybit", "type": "api_trades"}, "#/type", "api_candles_1m"),
        ({"exchange": "bybit", "type": "api_funding_rate"}, "#/type", "market linear"),
        ({"exchange": "bybit", "market": "linear", "type": "api_open_interest_2h"}, "#/type", "30m, 1h, 4h"),
        ({"exchange": "bybit", "market": "um"}, "#/market", "linear, spot"),
        ({"exchange": "kraken"}, "#/exchange", "binance, bybit"),
        ({"market": "um", "type": "api_poetry"}, "#/type", "api_premium_candles_<interval>"),
        ({"market": "um", "type": "api_open_interest_1h"}, "#/time_range", "does not load it"),
        (UM_TRADES | {"options": {"source": "rest"}}, "#/time_range", "ask for dump_agg_trades"),
        ({"options": {"source": "best"}}, "#/options/source", "auto, rest, dump"),
        ({"options": {"source": ["rest"]}}, "#/options/source", "auto, rest, dump"),
        ({"type": "dump_trades", "options": {"source": "rest"}}, "#/options/source", "ask for the api type"),
        ({"exchange": "bybit", "options": {"source": "dump"}}, "#/options/source", "leave it out"),
        (
            {"market": "um", "type": "api_candles_1w", "options": {"source": "dump"}},
            "#/options/source",
            "no candles_1w",
        ),
        (LIVE | {"options": {"source": "rest"}}, "#/options/source", "duration"),
    ],
)
async def test_what_cannot_be_had_is_refused_with_what_to_ask_for_instead(platform, change, pointer, advice):
    answer = await platform.post(GOOD | change)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert advice in error["detail"]


async def test_what_the_exchange_still_reaches_or_has_in_its_archives_is_accepted(platform):
    recent = {"time_range": "2025-12-30T00:00:00Z/2025-12-31T00:00:00Z", "options": {"source": "rest"}}
    assert (await platform.post(GOOD | UM_TRADES | recent)).status_code == 201
    for choice in ({}, {"source": "auto"}, {"source": "dump"}):
        document = (await platform.post(GOOD | UM_TRADES | {"options": choice})).json()
        assert document["datasets"][0]["options"] == choice


async def test_the_catalog_shows_every_market_with_its_intervals_spelt_out(platform):
    entries = (await platform.client.get("/catalog")).json()["entries"]
    types = {}
    for entry in entries:
        is_live = entry["type"].startswith(("ws_", "poll_"))
        loader = "loader-ws" if is_live else "loader-producer"
        assert (entry["live"], entry["targets"]) == (is_live, [loader, "arango-connector"])
        types.setdefault((entry["exchange"], entry["market"]), set()).add(entry["type"])
    assert {market: len(found) for market, found in types.items()} == {
        ("binance", "spot"): 34 + 21 + 1,
        ("binance", "um"): 124 + 22 + 2,
        ("bybit", "spot"): 14 + 17 + 1,
        ("bybit", "linear"): 60 + 19 + 2,
    }
    assert {"api_funding_rate", "api_open_interest_5m", "api_index_candles_1mo"} <= types["bybit", "linear"]
    assert {"dump_trades", "dump_agg_trades", "dump_premium_candles_1d"} <= types["binance", "um"]


async def test_a_live_workflow_has_no_range_its_own_loader_and_is_named_after_today(platform):
    body = {"symbol": "btcusdt", "type": "ws_agg_trades", "options": {"duration": 3.5}}
    document = (await platform.post(body)).json()
    [dataset] = document["datasets"]
    assert (dataset["time_range"], dataset["options"]) == ("", {"duration": 3.5})
    assert dataset["collection_name"].startswith("btcusdt_ws_agg_trades_20")
    assert [task["target"] for task in document["tasks"]] == ["loader-ws", "arango-connector"]
    report = (await platform.client.get(f"/workflows/{document['queue_id']}/quality")).json()
    assert (report["verdict"], report["datasets"][0]["expected"]) == ("running", None)
