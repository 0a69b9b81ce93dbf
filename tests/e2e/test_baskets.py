"""Several symbols on the whole platform: what was served of each is stored, once or twice; a dead one stops none."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from tests.e2e.conftest import opened, read_documents
from tests.e2e.test_markets import Case, bounds, documents, served
from tests.embedded.platform import EmbeddedPlatform
from tests.embedded.workflows import Workflows

DEAD = "NOSUCHUSDT"
SYMBOLS = ["BTCUSDT", DEAD, "LTCUSDT", "ETHUSDT", "SOLUSDT"]
CASES = [
    Case("binance", "spot", "candles_1m", "2024-08-01T00:00:00Z/2024-08-02T10:00:00Z", 4 * 34 * 60),
    Case("binance", "spot", "agg_trades", "2024-08-01T00:00:00Z/2024-08-01T00:04:00Z", 2_000),
    Case("binance", "um", "funding_rate", "2024-08-01:2024-09-20", 4 * 150),
    Case("binance", "spot", "candles_1m", "2024-08-10T12:00:00Z/2024-08-12T00:00:00Z", 4 * 2_160, source="dump"),
]
ENDS_WITHIN_S = 100


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPlatform]:
    with EmbeddedPlatform(tmp_path_factory.mktemp("baskets") / "home", "simulated") as platform:
        yield platform


@pytest.mark.timeout(300)
def test_every_symbol_of_a_basket_is_stored_as_served_and_loading_it_again_changes_nothing(simulated):
    workflows = Workflows(simulated.url)
    for again in (False, True):
        submitted = [
            workflows.submit(
                {
                    "exchange": case.exchange,
                    "market": case.market,
                    "symbols": SYMBOLS,
                    "type": case.type,
                    "time_range": case.time_range,
                }
            )
            for case in CASES
        ]
        for case, document in zip(CASES, submitted, strict=True):
            ended = workflows.wait_ended(document["queue_id"], ENDS_WITHIN_S)
            [dataset] = workflows.find(ended["queue_id"], "/quality")["datasets"]
            for database in opened(simulated):
                stored = read_documents(database, ended["datasets"][0]["collection_name"])
            wanted = {
                symbol: documents(served(simulated, of), of, bounds(case.time_range))
                for symbol in SYMBOLS
                for of in [replace(case, symbol=symbol)]
            }
            assert (ended["status"], dataset["verdict"]) == ("completed", "incomplete"), (case, again)
            assert len(stored) >= case.records
            assert stored == {key: it for of_symbol in wanted.values() for key, it in of_symbol.items()}
            judged = {it["symbol"]: it for it in dataset["symbols"]}
            assert list(judged) == SYMBOLS
            dead = judged.pop(DEAD)
            # Of archives the ends are told before it turns out that there is not one file.
            assert dead["expected"] in (None, dead["missing"])
            assert (dead["verdict"], dead["stored"]) == ("incomplete", 0)
            assert dead["error"]["code"] == "exchange_refused"
            for symbol, it in judged.items():
                number = len(wanted[symbol])
                assert (it["verdict"], it["expected"], it["stored"]) == ("complete", number, number), (case, it)
            assert dataset["expected"] - dataset["missing"] == dataset["stored"] == len(stored)
            assert (dataset["repeated"], dataset["out_of_range"], dataset["rejected"]) == (0, 0, 0)
    workflows.close()


@pytest.mark.timeout(200)
def test_a_live_basket_is_proven_symbol_by_symbol_and_the_dead_one_says_why(simulated):
    workflows = Workflows(simulated.url)
    body = {"symbols": SYMBOLS, "type": "ws_agg_trades", "options": {"duration": 10}}

    ended = workflows.wait_ended(workflows.submit(body)["queue_id"], ENDS_WITHIN_S)

    [dataset] = workflows.find(ended["queue_id"], "/quality")["datasets"]
    workflows.close()
    for database in opened(simulated):
        stored = read_documents(database, ended["datasets"][0]["collection_name"]).values()
    judged = {it["symbol"]: it for it in dataset["symbols"]}
    dead = judged.pop(DEAD)
    assert (dead["verdict"], dead["stored"], dead["error"]["code"]) == ("incomplete", 0, "exchange_refused")
    numbers = Counter(it["symbol"] for it in stored)
    assert set(numbers) == set(judged)
    for symbol, it in judged.items():
        number = numbers[symbol]
        assert (it["verdict"], it["expected"], it["stored"]) == ("complete", number, number)
    assert (ended["status"], dataset["verdict"], dataset["stored"]) == ("completed", "incomplete", len(stored))


@pytest.mark.timeout(200)
def test_streams_of_all_symbols_are_stored_with_every_symbol_and_without_those_of_another_margin(simulated):
    workflows = Workflows(simulated.url)
    asked = {"symbol": "ALL", "market": "um", "options": {"duration": 6}}
    submitted = {kind: workflows.submit({**asked, "type": f"ws_{kind}"}) for kind in ("mark_price", "liquidations")}
    for kind, document in submitted.items():
        ended = workflows.wait_ended(document["queue_id"], ENDS_WITHIN_S)
        [dataset] = workflows.find(ended["queue_id"], "/quality")["datasets"]
        for database in opened(simulated):
            documents_stored = read_documents(database, ended["datasets"][0]["collection_name"]).values()
        stored = {(it["symbol"], it["event_time"]) for it in documents_stored}
        query = {"market": "binance:um", "symbol": "ALL", "kind": kind}
        lines = httpx.get(f"{simulated.exchange_url}/_sim/served", params=query, timeout=60).text.splitlines()
        messages = [json.loads(line)["item"] for line in lines]
        items = [item for message in messages for item in (message if isinstance(message, list) else [message])]
        sent = {(it.get("o", it)["s"], it["E"]) for it in items if it["st"] == 1}
        # What is sent while the loader is leaving may not reach it.
        assert stored == {it for it in sent if it[1] <= max(time_ms for _, time_ms in stored)}
        assert len(stored) == len(documents_stored) >= 30
        assert (ended["status"], dataset["verdict"], dataset["expected"]) == ("completed", "unproven", None)
        assert {it["symbol"]: it["stored"] for it in dataset["symbols"]} == Counter(symbol for symbol, _ in stored)
        assert (dataset["stored"], dataset["rejected"], dataset["gaps"]) == (len(stored), 0, [])
    workflows.close()
