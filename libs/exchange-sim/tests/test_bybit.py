"""Bybit as the simulator serves it: the envelope, newest first, its refusals and its one limit."""

import msgspec
import pytest

from exchange_sim.bybit.interface import Bybit
from exchange_sim.clock import MINUTE_US, SECOND_US
from exchange_sim.exchange import OtherMarkets
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.simulation.books import SimulatedBooks
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket

AUGUST_2024 = 1_722_470_400_000
NOW_MS = AUGUST_2024 + 30 * 86_400_000 + 7_000
STEP = 300_000
KLINE = {"symbol": "BTCUSDT", "interval": "5"}


@pytest.fixture
async def session(open_exchange):
    others = OtherMarkets(
        SimulatedDerivatives(0, "binance:um"), SimulatedMarket(0, "bybit:spot"), SimulatedDerivatives(0, "bybit:linear")
    )
    return await open_exchange(SimulatedMarket(seed=0), others=others, clock=lambda: NOW_MS * 1000)


async def ask(session, path, **query):
    async with session.get(f"/v5/market/{path}", params=query) as response:
        assert response.status == 200
        answer = await response.json()
    assert answer["time"] == NOW_MS
    return answer


async def rows(session, path, **query):
    answer = await ask(session, path, **query)
    assert answer["retCode"] == 0, answer
    return answer["result"]["list"]


async def test_candles_come_newest_first_with_seven_columns_of_strings(session):
    window = {"start": AUGUST_2024, "end": AUGUST_2024 + 2 * STEP}
    of_linear = await rows(session, "kline", **KLINE, **window)
    of_spot = await rows(session, "kline", category="spot", **KLINE, **window)
    assert [row[0] for row in of_linear] == [str(AUGUST_2024 + number * STEP) for number in (2, 1, 0)]
    assert all(len(row) == 7 and all(isinstance(it, str) for it in row) for row in of_linear + of_spot)
    assert not [row for row in of_linear if row in of_spot]
    newest = await rows(session, "kline", **KLINE, **window, limit=1)
    assert newest == of_linear[:1]
    marks = await rows(session, "mark-price-kline", **KLINE, **window)
    assert [len(row) for row in marks] == [5, 5, 5]


async def test_the_candle_of_now_is_open_and_comes_first(session):
    newest, *_ = await rows(session, "kline", **KLINE)
    assert newest[0] == str(NOW_MS - NOW_MS % STEP)
    async with session.get("/_sim/served?market=bybit:linear") as response:
        served = [msgspec.json.decode(line) for line in (await response.read()).splitlines()]
    assert [line["open"] for line in served] == [False] * 199 + [True]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("kline", {"interval": "5"}),
        ("kline", {**KLINE, "symbol": "NOSUCHUSDT"}),
        ("kline", {**KLINE, "interval": "5m"}),
        ("kline", {**KLINE, "limit": "1001"}),
        ("kline", {**KLINE, "start": "yesterday"}),
        ("kline", {**KLINE, "category": "moon"}),
        ("mark-price-kline", {**KLINE, "category": "spot"}),
        ("funding/history", {"category": "linear", "symbol": "BTCUSDT", "startTime": str(AUGUST_2024)}),
        ("open-interest", {"symbol": "BTCUSDT", "intervalTime": "5m"}),
        ("instruments-info", {"category": "moon"}),
    ],
)
async def test_a_wrong_parameter_is_refused_with_status_200(session, path, query):
    answer = await ask(session, path, **query)
    assert (answer["retCode"], answer["result"]) == (10001, {})


async def test_funding_follows_the_interval_that_the_instrument_names(session):
    for symbol in ("BTCUSDT", "XRPUSDT", "DOTUSDT"):
        [instrument] = await rows(session, "instruments-info", category="linear", symbol=symbol)
        window = {"startTime": AUGUST_2024, "endTime": AUGUST_2024 + 86_400_000 - 1}
        paid = await rows(session, "funding/history", category="linear", symbol=symbol, **window)
        assert len(paid) == 24 * 60 // instrument["fundingInterval"]
        assert [int(row["fundingRateTimestamp"]) % 60_000 for row in paid] == [0] * len(paid)
    assert await rows(session, "instruments-info", category="spot", symbol="NOSUCHUSDT") == []


async def test_open_interest_is_paged_by_its_cursor(session):
    query = {"category": "linear", "symbol": "ETHUSDT", "intervalTime": "1h", "limit": 10}
    query |= {"startTime": AUGUST_2024, "endTime": AUGUST_2024 + 24 * 3_600_000}
    times, cursor = [], ""
    while True:
        result = (await ask(session, "open-interest", **query, cursor=cursor))["result"]
        times += [int(row["timestamp"]) for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    assert times == [AUGUST_2024 + hour * 3_600_000 for hour in range(24, -1, -1)]


async def test_faults_speak_bybits_language(session):
    async with session.put("/_sim/faults", json=[{"path": "/v5/*", "kind": "429"}]) as response:
        assert response.status == 200
    assert (await ask(session, "kline", **KLINE))["retCode"] == 10006
    async with session.put("/_sim/faults", json=[{"path": "/v5/*", "kind": "418"}]) as response:
        assert response.status == 200
    for _ in range(2):
        async with session.get("/v5/market/time") as response:
            assert (response.status, (await response.json())["retMsg"]) == (403, "access too frequent")
    async with session.get("/api/v3/ping") as response:
        assert response.status == 200


def test_who_asks_too_often_is_shut_out_for_ten_minutes():
    venue, now_us = Bybit(None, None, SimulatedBooks(0), AnsweredMoments()), NOW_MS * 1000
    path = "/v5/market/time"
    assert [venue.admit(path, 1, now_us).status for _ in range(601)] == [200] * 600 + [418]
    assert venue.admit(path, 1, now_us + 9 * MINUTE_US).status == 418
    assert venue.admit(path, 1, now_us + 10 * MINUTE_US + SECOND_US).status == 200


@pytest.mark.parametrize(("category", "most"), [("spot", 60), ("linear", 1_000)])
async def test_of_trades_the_latest_are_given_and_no_others(session, category, most):
    latest = await rows(session, "recent-trade", category=category, symbol="BTCUSDT", limit=most)
    newest = int(latest[0]["execId"])
    assert [int(row["execId"]) for row in latest] == list(range(newest, newest - most, -1))
    assert int(latest[0]["time"]) <= NOW_MS
    too_many = await ask(session, "recent-trade", category=category, symbol="BTCUSDT", limit=most + 1)
    assert too_many["retCode"] == 10001
