"""Anomalies and cross-checks, asked of a real database, against what plain Python makes of the same records."""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, pairwise

import pytest

from queue_manager.adapters.findings import CHECKS, FINDINGS, ArangoFindings
from queue_manager.adapters.series import ArangoSeries
from queue_manager.adapters.store import ArangoWorkflowStore
from queue_manager.app import series as series_module
from queue_manager.app.anomalies import find_anomalies
from queue_manager.app.examining import Examiner
from queue_manager.app.quality import QualityReport, Verdict
from queue_manager.app.requests import WorkflowRequest, check_request
from queue_manager.app.workflow import Workflow, WorkflowStatus, new_workflow
from streamforge_common.ids import new_suffix

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = "2024-08-01:2024-08-02"
START_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_722_470_400_000, 60_000, 3_600_000, 86_400_000
IDENTITY = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(series_module, "_RECORDS_AT_ONCE", 500)


def workflow_of(data_type: str, time_range: str = DAY) -> Workflow:
    request = WorkflowRequest(symbol="BTCUSDT", type=data_type, time_range=time_range)
    workflow = new_workflow({}, check_request(request, NOW), new_suffix(), NOW)
    workflow.status, workflow.finished_at = WorkflowStatus.COMPLETED, "2026-01-01T00:00:00.000Z"
    return workflow


def trades_of(seed: int, jumps: int = 0) -> list[dict]:
    """Trades of a day and an hour before and behind it, with an hour and a half of silence, in order."""
    rng = random.Random(seed)
    times = sorted(rng.randrange(START_MS - HOUR_MS, START_MS + DAY_MS + HOUR_MS) for _ in range(4_000))
    times = [it for it in times if not 0 <= it - START_MS - 5 * HOUR_MS < 1.5 * HOUR_MS]
    jumping = {*rng.sample(range(len(times)), jumps)}
    price, trade_id, trades = Decimal("60000.00"), 1_000, []
    for number, time_ms in enumerate(times):
        step = Decimal(rng.choice(["0.5", "1.7", "0.79"])) if number in jumping else 1 + Decimal(rng.gauss(0, 0.001))
        price = max(Decimal("1"), (price * step).quantize(Decimal("0.01")))
        singles = rng.randint(1, 3)
        trades.append(
            {
                "_key": f"binance:spot:BTCUSDT:agg_trades:{number}",
                **IDENTITY,
                "type": "agg_trades",
                "agg_trade_id": number,
                "price": float(price),
                "quantity": float(Decimal(rng.randint(1, 10**6)).scaleb(-5)),
                "first_trade_id": trade_id,
                "last_trade_id": trade_id + singles - 1,
                "trade_time": time_ms,
                "is_buyer_maker": rng.random() < 0.5,
            }
        )
        trade_id += singles
    return trades


def candles_of(trades: list[dict], length_ms: int) -> list[dict]:
    """Make candles as the exchange does, in decimals; where nothing is traded the price before is repeated."""
    by_candle = groupby(trades, key=lambda it: it["trade_time"] // length_ms * length_ms)
    made = {open_time: [*part] for open_time, part in by_candle}
    close, candles = trades[0]["price"], []
    for open_time in range(START_MS, START_MS + DAY_MS, length_ms):
        rows = made.get(open_time, [])
        exact = [(Decimal(repr(it["price"])), Decimal(repr(it["quantity"])), it["is_buyer_maker"]) for it in rows]
        prices = [it["price"] for it in rows] or [close]
        close = prices[-1]
        candles.append(
            {
                "_key": f"binance:spot:BTCUSDT:candles:{open_time}",
                **IDENTITY,
                "type": "candles_5m" if length_ms == 300_000 else "candles_1d",
                "open_time": open_time,
                "open": prices[0],
                "high": max(prices),
                "low": min(prices),
                "close": close,
                "volume": float(sum((it[1] for it in exact), Decimal())),
                "quote_volume": float(sum((it[0] * it[1] for it in exact), Decimal())),
                "trades": sum(it["last_trade_id"] - it["first_trade_id"] + 1 for it in rows),
                "taker_buy_volume": float(sum((it[1] for it in exact if not it[2]), Decimal())),
                "taker_buy_quote_volume": float(sum((it[0] * it[1] for it in exact if not it[2]), Decimal())),
            }
        )
    return candles


def store_records(database, workflow: Workflow, records: list[dict]) -> None:
    shuffled = random.Random(0).sample(records, len(records))
    name = workflow.datasets[0].collection_name
    collection = database.collection(name) if database.has_collection(name) else database.create_collection(name)
    collection.import_bulk(shuffled, on_duplicate="replace")


@pytest.mark.parametrize(("seed", "jumps"), [(1, 0), (2, 3), (3, 300)])
async def test_the_jumps_are_those_of_the_records_in_order_of_time(database, seed, jumps):
    workflow, trades = workflow_of("api_agg_trades"), trades_of(seed, jumps)
    await asyncio.to_thread(store_records, database, workflow, trades)

    found = await find_anomalies(workflow.datasets[0], ArangoSeries(database))

    in_range = [it for it in trades if START_MS <= it["trade_time"] < START_MS + DAY_MS]
    expected = [
        (after["trade_time"], after["agg_trade_id"], before["price"], after["price"])
        for before, after in pairwise(in_range)
        if abs(after["price"] - before["price"]) > 0.2 * before["price"]
    ]
    assert bool(expected) == bool(jumps)
    assert found.total == len(expected)
    assert [(it.at, it.id, it.previous, it.price) for it in found.listed] == expected[:100]


async def test_kinds_without_a_price_and_collections_without_records_have_no_jumps(database):
    for data_type in ("ws_book_ticker", "ws_trades"):
        workflow = workflow_of(data_type, "")
        assert (await find_anomalies(workflow.datasets[0], ArangoSeries(database))).total == 0


class Case:
    """Workflows of one database, and who examines them."""

    def __init__(self, database):
        self.store, self.findings = ArangoWorkflowStore(database), ArangoFindings(database)
        self.examiner = Examiner(self.store, ArangoSeries(database), self.findings)
        self.database = database

    async def ended(self, data_type: str, records: list[dict], time_range: str = DAY) -> Workflow:
        await self.store.prepare()
        await self.findings.prepare()
        workflow = workflow_of(data_type, time_range)
        await self.store.insert(workflow)
        await asyncio.to_thread(store_records, self.database, workflow, records)
        return workflow

    async def report(self, workflow: Workflow) -> QualityReport:
        empty = QualityReport(queue_id=workflow.queue_id, verdict=Verdict.COMPLETE, datasets=[])
        await self.examiner.examine(workflow.queue_id)
        return await self.examiner.complete(empty, workflow)


@pytest.mark.parametrize(("interval", "length_ms", "compared"), [("5m", 300_000, 264), ("1d", DAY_MS, 0)])
async def test_candles_agree_with_the_trades_of_the_same_range(database, interval, length_ms, compared):
    case, trades = Case(database), trades_of(4)
    candles = await case.ended(f"api_candles_{interval}", candles_of(trades, length_ms))
    # The last candle of which all trades are there closes within the range.
    range_of_trades = "2024-08-01T00:00:00Z/2024-08-01T22:03:00Z"
    await case.ended("api_agg_trades", trades, range_of_trades)

    checks = (await case.report(candles)).cross_checks

    assert [(it.compared, it.differing, it.differences) for it in checks] == ([(compared, 0, [])] if compared else [])


async def test_what_differs_is_listed_in_the_reports_of_both(database):
    case, trades = Case(database), trades_of(5)
    rows = candles_of(trades, 300_000)
    rows[3] = {**rows[3], "low": rows[3]["low"] - 0.01}
    rows[7] = {**rows[7], "volume": rows[7]["volume"] * (1 + 1e-9)}
    rows[62] = {**rows[62], "quote_volume": 1.0}
    candles = await case.ended("api_candles_5m", rows)
    aggregated = await case.ended("dump_agg_trades", trades)

    report = await case.report(aggregated)

    (check,) = report.cross_checks
    assert (check.compared, check.differing) == (288, 3)
    assert [(it.open_time, it.field) for it in check.differences] == [
        (rows[3]["open_time"], "low"),
        (rows[7]["open_time"], "volume"),
        (rows[62]["open_time"], "quote_volume"),
    ]
    assert (await case.report(candles)).cross_checks == [check]


async def test_after_another_attempt_a_workflow_is_examined_anew_and_with_it_its_findings_go(database):
    case = Case(database)
    workflow = await case.ended("api_agg_trades", trades_of(6))
    await case.report(workflow)
    repaired = workflow.model_copy(update={"finished_at": "2026-01-02T00:00:00.000Z"})
    empty = QualityReport(queue_id=workflow.queue_id, verdict=Verdict.COMPLETE, datasets=[])
    assert (await case.examiner.complete(empty, repaired)).cross_checks is None

    await case.store.forget(workflow.queue_id)

    for name in (FINDINGS, CHECKS):
        assert await asyncio.to_thread(database.collection(name).count) == 0
