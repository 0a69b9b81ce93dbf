"""Binance USDⓈ-M futures as the simulator serves them: limits, reach, shapes, and that nothing depends on the page."""

import msgspec
import pytest

from exchange_sim.binance.futures import Futures
from exchange_sim.clock import SECOND_US
from exchange_sim.exchange import Exchange, OtherMarkets
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.simulation.books import SimulatedBooks
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket

AUGUST_2024 = 1_722_470_400_000
NOW_MS = AUGUST_2024 + 30 * 86_400_000 + 7_000
HOUR_MS, MINUTE_MS = 3_600_000, 60_000


def others() -> OtherMarkets:
    return OtherMarkets(
        SimulatedDerivatives(0, "binance:um"), SimulatedMarket(0, "bybit:spot"), SimulatedDerivatives(0, "bybit:linear")
    )


@pytest.fixture
async def session(open_exchange):
    return await open_exchange(SimulatedMarket(seed=0), others=others(), clock=lambda: NOW_MS * 1000)


async def ask(session, path, **query):
    async with session.get(path, params=query) as response:
        return response.status, await response.json(content_type=None)


async def lines(session, path):
    async with session.get(path) as response:
        return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]


@pytest.mark.parametrize("path", ["klines", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines"])
async def test_candles_of_all_prices_are_the_sums_of_smaller_ones(session, path):
    named = {"pair" if path.startswith("index") else "symbol": "BTCUSDT", "startTime": AUGUST_2024}
    _, minutes = await ask(session, f"/fapi/v1/{path}", interval="1m", limit=60, **named)
    _, [hour] = await ask(session, f"/fapi/v1/{path}", interval="1h", limit=1, **named)
    assert (minutes[0][1], minutes[-1][4]) == (hour[1], hour[4])
    assert max(float(row[2]) for row in minutes) == float(hour[2])
    assert min(float(row[3]) for row in minutes) == float(hour[3])


async def test_every_price_and_market_is_another(session):
    query = {"symbol": "BTCUSDT", "interval": "5m", "startTime": AUGUST_2024, "limit": 3}
    paths = ["/api/v3/klines", "/fapi/v1/klines", "/fapi/v1/markPriceKlines", "/fapi/v1/premiumIndexKlines"]
    closes = [[row[4] for row in (await ask(session, path, **query))[1]] for path in paths]
    assert len({close for of_path in closes for close in of_path}) == 12
    served = await lines(session, "/_sim/served?symbol=BTCUSDT&market=binance:um")
    assert {line["kind"] for line in served} == {"candles_5m", "mark_candles_5m", "premium_candles_5m"}


@pytest.mark.parametrize(("limit", "weight"), [(99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10)])
async def test_candles_weigh_by_how_many_are_asked_for(session, limit, weight):
    await ask(session, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=limit)
    [request] = await lines(session, "/_sim/requests")
    assert request["used_weight"] == weight


async def test_trades_older_than_48_hours_are_not_given(session):
    oldest_ms = NOW_MS - 48 * HOUR_MS
    _, [first] = await ask(session, "/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=AUGUST_2024, limit=1)
    assert oldest_ms <= first["T"] < oldest_ms + MINUTE_MS
    assert "M" not in first
    _, by_id = await ask(session, "/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=first["a"] - 5, limit=2)
    assert [row["a"] for row in by_id] == [first["a"], first["a"] + 1]
    _, before = await ask(session, "/fapi/v1/aggTrades", symbol="BTCUSDT", endTime=oldest_ms - HOUR_MS, limit=1)
    assert before == []
    query = {"startTime": NOW_MS - 2 * HOUR_MS, "endTime": NOW_MS}
    status, refusal = await ask(session, "/fapi/v1/aggTrades", symbol="BTCUSDT", **query)
    assert (status, refusal["code"]) == (400, -1127)


async def test_only_what_is_listed_can_be_asked_for(session):
    _, info = await ask(session, "/fapi/v1/exchangeInfo")
    assert info["rateLimits"][0]["limit"] == 2400
    assert "BTCUSDT" in {symbol["symbol"] for symbol in info["symbols"]}
    status, refusal = await ask(session, "/fapi/v1/klines", symbol="HELLOUSDT", interval="1m")
    assert (status, refusal["code"]) == (400, -1121)
    status, refusal = await ask(session, "/fapi/v1/klines", symbol="BTCUSDT", interval="1s")
    assert (status, refusal["code"]) == (400, -1120)


async def test_a_recording_knows_no_futures(recorded, open_exchange):
    session = await open_exchange(recorded)
    status, refusal = await ask(session, "/fapi/v1/klines", symbol="ABCUSDT", interval="5m")
    assert (status, refusal["code"]) == (400, -1121)


async def test_the_funding_times_of_a_symbol_jitter_around_its_schedule(session):
    query = {"symbol": "BTCUSDT", "startTime": AUGUST_2024 - HOUR_MS, "endTime": AUGUST_2024 + 24 * HOUR_MS}
    _, rows = await ask(session, "/fapi/v1/fundingRate", **query)
    late_ms = [row["fundingTime"] - AUGUST_2024 - number * 8 * HOUR_MS for number, row in enumerate(rows)]
    assert 3 <= len(rows) <= 4
    assert all(0 <= late < 20 for late in late_ms)
    assert len(set(late_ms)) > 1
    _, [alone] = await ask(session, "/fapi/v1/fundingRate", **query, limit=1)
    assert alone == rows[0]


async def test_open_interest_reaches_back_one_month_only(session):
    query = {"symbol": "ETHUSDT", "period": "5m"}
    _, rows = await ask(session, "/futures/data/openInterestHist", **query, startTime=NOW_MS - 20 * HOUR_MS, limit=500)
    times = [row["timestamp"] for row in rows]
    assert times == [times[0] + number * 5 * MINUTE_MS for number in range(240)]
    _, hourly = await ask(
        session, "/futures/data/openInterestHist", symbol="ETHUSDT", period="1h", startTime=NOW_MS - 3 * HOUR_MS
    )
    assert all(row in rows for row in hourly)
    status, _ = await ask(session, "/futures/data/openInterestHist", **query, startTime=NOW_MS - 32 * 24 * HOUR_MS)
    assert status == 400


def test_each_pool_has_a_limit_of_its_own():
    now_us = NOW_MS * 1000
    venue = Futures(others().um, SimulatedBooks(0), AnsweredMoments()).interface()
    info, data = "/fapi/v1/fundingInfo", "/futures/data/openInterestHist"
    assert [venue.admit(info, 1, now_us).status for _ in range(501)] == [200] * 500 + [429]
    assert [venue.admit(data, 1, now_us).status for _ in range(1_001)] == [200] * 1_000 + [429]
    assert [venue.admit("/fapi/v1/klines", 10, now_us).status for _ in range(241)] == [200] * 240 + [429]
    assert venue.admit(info, 1, now_us + 300 * SECOND_US).status == 200
    venue.ban(10 * SECOND_US, now_us + 300 * SECOND_US)
    assert venue.admit(info, 1, now_us + 301 * SECOND_US).status == 418


def test_the_exchange_answers_below_these_roots_only():
    exchange = Exchange(SimulatedMarket(0), weight_limit=1, clock=lambda: 0)
    assert exchange.roots == ("/api/", "/fapi/", "/futures/", "/v5/", "/data/")


async def test_of_single_trades_the_latest_are_given_and_no_others(session):
    _, latest = await ask(session, "/fapi/v1/trades", symbol="BTCUSDT", limit=2_000)
    assert len(latest) == 1_000
    assert [row["id"] for row in latest] == list(range(latest[0]["id"], latest[0]["id"] + 1_000))
    assert latest[-1]["time"] <= NOW_MS < latest[-1]["time"] + MINUTE_MS
    status, refusal = await ask(session, "/fapi/v1/trades", symbol="BTCUSDT", fromId=1)
    assert (status, refusal["code"]) == (400, -1104)


async def test_what_is_held_now_is_the_latest_measurement(open_exchange):
    session = await open_exchange(SimulatedMarket(0), clock=lambda: NOW_MS * 1000, others=others())
    async with session.get("/fapi/v1/openInterest", params={"symbol": "BTCUSDT"}) as response:
        held = await response.json()
    query = {"symbol": "BTCUSDT", "period": "5m", "limit": "1"}
    async with session.get("/futures/data/openInterestHist", params=query) as response:
        (measured,) = await response.json()
    assert held == {"openInterest": measured["sumOpenInterest"], "symbol": "BTCUSDT", "time": NOW_MS}
    async with session.get("/v5/market/tickers", params={"category": "linear", "symbol": "BTCUSDT"}) as response:
        assert {"openInterest", "openInterestValue"} < (await response.json())["result"]["list"][0].keys()
