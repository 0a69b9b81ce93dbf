"""Every kind of every market but Binance spot: what the exchange served is what is stored, loaded once or twice."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartPlatform, opened, read_documents
from tests.embedded.workflows import Workflows
from tests.platforms import Platform

Document = dict[str, Any]
ENDS_WITHIN_S = 200
MINUTE_MS = 60_000
HOURS = "2024-08-01T00:00:00Z/2024-08-01T05:00:00Z"
DAY_AND_A_HALF = "2024-08-10T12:00:00Z/2024-08-12T00:00:00Z"
DAYS = "2024-08-01:2024-08-31"
INTERVALS_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": 60 * MINUTE_MS}


def recent(ago: timedelta, length: timedelta) -> str:
    """A range that the exchange still reaches."""
    start = datetime.now(UTC).replace(second=0, microsecond=0) - ago
    return f"{start.isoformat()}/{(start + length).isoformat()}"


@dataclass(frozen=True)
class Case:
    exchange: str
    market: str
    kind: str
    time_range: str
    records: int
    """At least so many."""
    symbol: str = "BTCUSDT"
    source: str = "api"

    @property
    def type(self) -> str:
        return f"{self.source}_{self.kind}"

    @property
    def id(self) -> str:
        return f"{self.exchange}-{self.market}-{self.type}"


TRADES_AGO, TRADES_LENGTH = timedelta(hours=3), timedelta(minutes=5)
MEASURED_AGO, MEASURED_LENGTH = timedelta(days=3), timedelta(days=2)
CASES = [
    Case("binance", "um", "candles_1m", "2024-08-01T00:00:00Z/2024-08-01T09:00:00Z", 540),
    Case("binance", "um", "mark_candles_5m", HOURS, 60),
    Case("binance", "um", "index_candles_15m", HOURS, 20),
    Case("binance", "um", "premium_candles_1h", HOURS, 5),
    Case("binance", "um", "agg_trades", recent(TRADES_AGO, TRADES_LENGTH), 1_000),
    Case("binance", "um", "funding_rate", "2024-08-01:2024-09-20", 150),
    Case("binance", "um", "open_interest_5m", recent(MEASURED_AGO, MEASURED_LENGTH), 570),
    Case("binance", "um", "candles_1m", DAY_AND_A_HALF, 2_160, source="dump"),
    Case("binance", "um", "mark_candles_5m", DAY_AND_A_HALF, 432, source="dump"),
    Case("binance", "um", "index_candles_15m", DAY_AND_A_HALF, 144, source="dump"),
    Case("binance", "um", "premium_candles_1h", DAY_AND_A_HALF, 36, source="dump"),
    Case("binance", "um", "agg_trades", HOURS, 10_000, "LTCUSDT", source="dump"),
    Case("binance", "um", "trades", HOURS, 10_000, "LTCUSDT", source="dump"),
    Case("binance", "um", "funding_rate", "2024-08-15:2024-10-01", 140, source="dump"),
    Case("binance", "um", "open_interest_5m", DAY_AND_A_HALF, 432, source="dump"),
    Case("bybit", "spot", "candles_5m", "2024-08-01:2024-08-05", 1_152),
    Case("bybit", "linear", "candles_1h", DAYS, 720),
    Case("bybit", "linear", "mark_candles_5m", HOURS, 60),
    Case("bybit", "linear", "index_candles_5m", HOURS, 60),
    Case("bybit", "linear", "premium_candles_5m", HOURS, 60),
    Case("bybit", "linear", "funding_rate", DAYS, 90),
    Case("bybit", "linear", "open_interest_1h", DAYS, 720),
]


@dataclass(frozen=True)
class Loaded:
    document: Document
    quality: Document
    stored: dict[str, Document]


@pytest.fixture(scope="module")
def simulated(start_platform: StartPlatform) -> Iterator[Platform]:
    with start_platform("simulated") as platform:
        yield platform


@pytest.fixture(scope="module")
def twice(simulated: Platform) -> dict[str, tuple[Loaded, Loaded]]:
    """Load every case, and every case again into the same collection."""
    workflows = simulated.workflows()
    once, again = load_all(simulated, workflows), load_all(simulated, workflows)
    workflows.close()
    return {case.id: (once[case.id], again[case.id]) for case in CASES}


def load_all(simulated: Platform, workflows: Workflows) -> dict[str, Loaded]:
    submitted = [
        workflows.submit(
            {
                "exchange": case.exchange,
                "market": case.market,
                "symbol": case.symbol,
                "type": case.type,
                "time_range": case.time_range,
            }
        )
        for case in CASES
    ]
    loaded = {}
    for case, document in zip(CASES, submitted, strict=True):
        ended = workflows.wait_ended(document["queue_id"], ENDS_WITHIN_S)
        quality = workflows.find(ended["queue_id"], "/quality")
        for database in opened(simulated):
            stored = read_documents(database, ended["datasets"][0]["collection_name"])
        loaded[case.id] = Loaded(ended, quality, stored)
    return loaded


def served(platform: Platform, case: Case) -> Iterator[Any]:
    query = {"market": f"{case.exchange}:{case.market}", "symbol": case.symbol, "kind": case.kind}
    with httpx.stream("GET", f"{platform.exchange_url}/_sim/served", params=query, timeout=60) as lines:
        for line in lines.iter_lines():
            yield json.loads(line)["item"]


def candle(row: list[Any], case: Case) -> Document:
    opened_ms = int(row[0])
    document = {
        "open_time": opened_ms,
        "close_time": opened_ms + INTERVALS_MS[case.kind.rpartition("_")[2]] - 1,
        **dict(zip(("open", "high", "low", "close"), map(float, row[1:5]), strict=True)),
    }
    if case.kind.startswith("candles"):
        document["volume"] = float(row[5])
        if case.exchange == "bybit":
            document["quote_volume"] = float(row[6])
        else:
            document |= {"quote_volume": float(row[7]), "trades": row[8]}
            document |= {"taker_buy_volume": float(row[9]), "taker_buy_quote_volume": float(row[10])}
    return document


def trade(row: Document, _: Case) -> Document:
    return {
        "trade_id": row["id"],
        "price": float(row["price"]),
        "quantity": float(row["qty"]),
        "quote_quantity": float(row["quoteQty"]),
        "trade_time": row["time"],
        "is_buyer_maker": row["isBuyerMaker"],
    }


def agg_trade(row: Document, _: Case) -> Document:
    return {
        "agg_trade_id": row["a"],
        "price": float(row["p"]),
        "quantity": float(row["q"]),
        "first_trade_id": row["f"],
        "last_trade_id": row["l"],
        "trade_time": row["T"],
        "is_buyer_maker": row["m"],
    }


def funding(row: Document, case: Case) -> Document:
    if case.exchange == "bybit":
        return {"funding_time": int(row["fundingRateTimestamp"]), "funding_rate": float(row["fundingRate"])}
    scheduled_ms = round(row["fundingTime"] / MINUTE_MS) * MINUTE_MS
    paid = {"funding_time": scheduled_ms, "funding_rate": float(row["fundingRate"])}
    # The archives do not tell it.
    return paid if case.source == "dump" else {**paid, "mark_price": float(row["markPrice"])}


def measured(row: Document, case: Case) -> Document:
    if case.exchange == "bybit":
        return {"time": int(row["timestamp"]), "open_interest": float(row["openInterest"])}
    values = float(row["sumOpenInterest"]), float(row["sumOpenInterestValue"])
    return {"time": row["timestamp"], "open_interest": values[0], "open_interest_value": values[1]}


Translate = Callable[[Any, Case], Document]
TRANSLATIONS: dict[str, tuple[Translate, str, str]] = {
    "candles": (candle, "open_time", "open_time"),
    "agg_trades": (agg_trade, "agg_trade_id", "trade_time"),
    "trades": (trade, "trade_id", "trade_time"),
    "funding_rate": (funding, "funding_time", "funding_time"),
    "open_interest": (measured, "time", "time"),
}
"""Part of a kind's name to: how a row of the exchange is stored, which field is the id, and which the time."""


def documents(rows: Iterator[Any], case: Case, time_range: tuple[int, int]) -> dict[str, Document]:
    translate, id_field, time_field = next(it for part, it in TRANSLATIONS.items() if part in case.kind)
    identity = {"exchange": case.exchange, "market": case.market, "symbol": case.symbol, "type": case.kind}
    found = {}
    for document in (translate(row, case) for row in rows):
        if time_range[0] <= document[time_field] < time_range[1]:
            key = f"{case.exchange}:{case.market}:{case.symbol}:{case.kind}:{document[id_field]}"
            found[key] = {"_key": key, **identity, **document}
    return found


def bounds(time_range: str) -> tuple[int, int]:
    parts = time_range.split("/") if "/" in time_range else [f"{day}T00:00:00Z" for day in time_range.split(":")]
    start, end = (int(datetime.fromisoformat(part).timestamp() * 1000) for part in parts)
    return start, end


@pytest.mark.timeout(500)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_was_served_is_stored_and_loading_it_again_changes_nothing(simulated, twice, case):
    once, again = twice[case.id]
    for loaded in (once, again):
        assert (loaded.document["status"], loaded.quality["verdict"]) == ("completed", "complete"), loaded
        (dataset,) = loaded.quality["datasets"]
        assert (dataset["expected"], dataset["stored"], dataset["missing"]) == (len(once.stored), len(once.stored), 0)
        assert (dataset["gaps"], dataset["rejected"], dataset["out_of_range"]) == ([], 0, 0)
    assert len(once.stored) >= case.records
    assert once.stored == documents(served(simulated, case), case, bounds(case.time_range))
    assert again.stored == once.stored


def test_every_combination_of_the_catalog_has_a_case_of_its_family(simulated):
    entries = httpx.get(f"{simulated.url}/catalog").json()["entries"]
    # A book of the moment is another one the second time; `test_live.py` loads it.
    entries = [entry for entry in entries if not entry["live"] and entry["type"] != "api_depth_snapshot"]
    asked = {(entry["exchange"], entry["market"], family(entry["type"])) for entry in entries}
    loaded = {(case.exchange, case.market, family(case.type)) for case in CASES}
    assert loaded == {it for it in asked if it[:2] != ("binance", "spot")}


def family(data_type: str) -> str:
    """Cut the interval off, where there is one."""
    head, _, tail = data_type.rpartition("_")
    return head if tail[0].isdigit() else data_type
