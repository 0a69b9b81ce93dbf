"""The simulated market behind the whole exchange."""

import msgspec

from exchange_sim.simulation.market import SimulatedMarket

AUGUST_2024 = 1_722_470_400_000


async def get(session, path, **query):
    async with session.get(path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def lines(session, path):
    async with session.get(path) as response:
        return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]


async def test_trades_are_paged_from_a_time_on_by_id_and_all_of_them_are_in_the_ledger(open_exchange):
    session = await open_exchange(SimulatedMarket(seed=0))
    [first] = await get(session, "/api/v3/aggTrades", symbol="BTCUSDT", startTime=AUGUST_2024, limit=1)
    pages = [
        await get(session, "/api/v3/aggTrades", symbol="BTCUSDT", fromId=first["a"] + 1000 * page, limit=1000)
        for page in range(3)
    ]
    trades = [trade for page in pages for trade in page]
    assert [trade["a"] - first["a"] for trade in trades] == list(range(3000))
    served = await lines(session, "/_sim/served?symbol=BTCUSDT&kind=agg_trades")
    assert [line["item"] for line in served] == trades
    assert [line["times"] for line in served] == [2] + [1] * 2999


async def test_the_candle_of_now_is_served_open_and_then_closed(open_exchange):
    now_us = (AUGUST_2024 + 90_000) * 1000
    session = await open_exchange(SimulatedMarket(seed=0), clock=lambda: now_us)
    query = {"symbol": "ALGOUSDT", "interval": "1m", "startTime": AUGUST_2024}
    _, open_candle = await get(session, "/api/v3/klines", **query)
    first, second = await lines(session, "/_sim/served")
    assert (first["open"], second["open"], second["item"]) == (False, True, open_candle)
    now_us += 60_000_000
    _, closed_candle, _ = await get(session, "/api/v3/klines", **query)
    assert closed_candle[8] > open_candle[8]
    served = await lines(session, "/_sim/served")
    assert [line["times"] for line in served] == [2, 2, 1]
    assert [line["open"] for line in served] == [False, False, True]
    assert served[1]["item"] == closed_candle


async def test_a_symbol_that_is_not_listed_has_markets_too(open_exchange):
    session = await open_exchange(SimulatedMarket(seed=0))
    listed = await lines(session, "/_sim/markets")
    assert {line["symbol"] for line in listed} > {"BTCUSDT", "ETHBTC"}
    of_hello = await lines(session, "/_sim/markets?symbol=HELLOEUR")
    assert {line["kind"] for line in of_hello} == {line["kind"] for line in listed}
    assert await lines(session, "/_sim/markets?symbol=NOSUCHUSDT") == []
    assert (await get(session, "/api/v3/exchangeInfo", symbol="HELLOEUR"))["symbols"][0]["quoteAsset"] == "EUR"
