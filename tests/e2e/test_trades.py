"""Trades and candles of the simulated market: what was served is stored, and the two agree with each other."""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartPlatform, opened, read_documents
from tests.embedded.workflows import Workflows
from tests.platforms import Platform

RANGE = "2024-03-05T00:00:00Z/2024-03-05T03:00:00Z"
MINUTES = "2024-03-06T00:00:00.500Z/2024-03-06T00:20:00Z"
"""On another day, and so stored elsewhere."""
TRADES, FIVE_MINUTES_MS = 100_000, 300_000
ENDS_WITHIN_S = 100
IDENTITY = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT"}


@pytest.fixture(scope="module")
def simulated(start_platform: StartPlatform) -> Iterator[Platform]:
    with start_platform("simulated") as platform:
        yield platform


def load(
    platform: Platform, workflows: Workflows, data_type: str, time_range: str = RANGE, **fields: str
) -> dict[str, dict[str, Any]]:
    body = {"symbol": "BTCUSDT", "type": data_type, "time_range": time_range, **fields}
    ended = workflows.wait_ended(workflows.submit(body)["queue_id"], ENDS_WITHIN_S)
    quality = workflows.find(ended["queue_id"], "/quality")
    for database in opened(platform):
        documents = read_documents(database, ended["datasets"][0]["collection_name"])
    assert (ended["status"], quality["verdict"]) == ("completed", "complete")
    (dataset,) = quality["datasets"]
    assert (dataset["expected"], dataset["stored"], dataset["out_of_range"]) == (len(documents), len(documents), 0)
    return documents


def served(platform: Platform, kind: str) -> Iterator[dict[str, Any]]:
    query = {"symbol": "BTCUSDT", "kind": kind}
    with httpx.stream("GET", f"{platform.exchange_url}/_sim/served", params=query, timeout=60) as lines:
        for line in lines.iter_lines():
            yield json.loads(line)["item"]


def agg_trade(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "_key": f"binance:spot:BTCUSDT:agg_trades:{row['a']}",
        **IDENTITY,
        "type": "agg_trades",
        "agg_trade_id": row["a"],
        "price": float(row["p"]),
        "quantity": float(row["q"]),
        "first_trade_id": row["f"],
        "last_trade_id": row["l"],
        "trade_time": row["T"],
        "is_buyer_maker": row["m"],
    }


def candle(trades: Sequence[dict[str, Any]]) -> dict[str, float]:
    """In whole hundred-millionths, which all prices and quantities are."""
    scale = 10**8
    rows = [(round(it["price"] * scale), round(it["quantity"] * scale), it["is_buyer_maker"]) for it in trades]
    bought = [(ticks, lots) for ticks, lots, is_buyer_maker in rows if not is_buyer_maker]
    return {
        "open": trades[0]["price"],
        "high": max(it["price"] for it in trades),
        "low": min(it["price"] for it in trades),
        "close": trades[-1]["price"],
        "volume": float(Fraction(sum(lots for _, lots, _ in rows), scale)),
        "quote_volume": float(Fraction(sum(ticks * lots for ticks, lots, _ in rows), scale**2)),
        "trades": trades[-1]["last_trade_id"] - trades[0]["first_trade_id"] + 1,
        "taker_buy_volume": float(Fraction(sum(lots for _, lots in bought), scale)),
        "taker_buy_quote_volume": float(Fraction(sum(ticks * lots for ticks, lots in bought), scale**2)),
    }


def trade(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "_key": f"binance:spot:BTCUSDT:trades:{row['id']}",
        **IDENTITY,
        "type": "trades",
        "trade_id": row["id"],
        "price": float(row["price"]),
        "quantity": float(row["qty"]),
        "quote_quantity": float(row["quoteQty"]),
        "trade_time": row["time"],
        "is_buyer_maker": row["isBuyerMaker"],
    }


@pytest.mark.timeout(300)
def test_a_hundred_thousand_trades_are_stored_as_served_and_make_up_the_candles_of_their_range(simulated):
    workflows = simulated.workflows()

    trades = load(simulated, workflows, "api_agg_trades")
    candles = load(simulated, workflows, "api_candles_5m")

    workflows.close()
    assert len(trades) > TRADES
    assert trades == {it["_key"]: it for it in map(agg_trade, served(simulated, "agg_trades"))}
    in_order = sorted(trades.values(), key=lambda it: it["agg_trade_id"])
    by_candle = groupby(in_order, key=lambda it: it["trade_time"] - it["trade_time"] % FIVE_MINUTES_MS)
    made = {open_time: candle(list(part)) for open_time, part in by_candle}
    assert made == {it["open_time"]: {name: it[name] for name in candle(in_order[:1])} for it in candles.values()}


@pytest.mark.timeout(200)
def test_single_trades_are_stored_as_served_and_are_those_that_the_aggregated_ones_name(simulated):
    workflows = simulated.workflows()

    trades = load(simulated, workflows, "api_trades", MINUTES)
    aggregated = load(simulated, workflows, "api_agg_trades", MINUTES)

    workflows.close()
    assert trades
    assert trades == {it["_key"]: it for it in map(trade, served(simulated, "trades"))}
    ids = {it["trade_id"] for it in trades.values()}
    named = {at for it in aggregated.values() for at in range(it["first_trade_id"], it["last_trade_id"] + 1)}
    assert ids == named


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["candles_1m", "agg_trades", "trades"])
def test_the_archives_and_rest_leave_the_same_documents_in_any_order(simulated, kind):
    workflows = simulated.workflows()
    day = {"symbol": "LTCUSDT", "time_range": "2025-03-05T22:00:00Z/2025-03-06T01:00:00Z"}

    archived = load(simulated, workflows, f"dump_{kind}", **day, collection_name=f"archive_first_{kind}")
    asked = load(simulated, workflows, f"api_{kind}", **day, collection_name=f"rest_first_{kind}")
    both = [
        load(simulated, workflows, f"api_{kind}", **day, collection_name=f"archive_first_{kind}"),
        load(simulated, workflows, f"dump_{kind}", **day, collection_name=f"rest_first_{kind}"),
    ]

    workflows.close()
    assert archived
    assert archived == asked
    assert both == [archived, archived]
