"""The simulated market behind the whole exchange."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange_sim.binance.interface import Call
from exchange_sim.binance.parameters import Parameters
from exchange_sim.binance.spot import Spot
from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import INTERVALS
from exchange_sim.market import TimeUnit
from exchange_sim.message_series import AnsweredMoments
from exchange_sim.pages import Selection, make_page
from exchange_sim.simulation.books import SimulatedBooks
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


values = st.one_of(
    st.sampled_from(["ABCUSDT", "BTCUSDT", "1m", "1M", "1d", "0", "1", "8", "-1:00", "05:45", "1722470400000"]),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=5),
)
names = ["symbol", "symbols", "interval", "startTime", "endTime", "timeZone", "limit", "fromId"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("mode", ["replay", "simulated"])
def test_whatever_is_asked_is_answered_or_refused(recorded, mode, data):
    market = recorded if mode == "replay" else SimulatedMarket(seed=0)
    endpoint = data.draw(
        st.sampled_from(list(Spot(market, 6000, SimulatedBooks(seed=0), AnsweredMoments()).endpoints.values()))
    )
    wanted = {name: data.draw(values) for name in endpoint.mandatory}
    wanted["symbol"] = data.draw(st.sampled_from(["ABCUSDT", "BTCUSDT", "?"]))
    extra = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=3))
    sent = list((wanted | extra).items())
    try:
        parameters = Parameters(sent, endpoint.parameters, endpoint.mandatory)
        answer = endpoint.answer(Call(parameters, TimeUnit.MILLISECOND, AUGUST_2024 * 1000))
    except ExchangeError:
        return
    if isinstance(answer, Selection):
        positions = answer.positions
        assert 0 <= len(positions) <= 1000
        assert positions.stop <= answer.series.end(answer.now_us) or not positions


async def test_a_page_is_the_same_in_batches_as_at_once():
    market = SimulatedMarket(seed=0)
    series = market.candles(market.symbol("ALGOUSDT"), INTERVALS["1d"], 0)
    now_us = (AUGUST_2024 + 3_600_000) * 1000
    positions = range(series.end(now_us) - 3 * series.batch - 1, series.end(now_us))
    page = await make_page(Selection(series, positions, now_us, TimeUnit.MILLISECOND))
    assert page.rows == series.rows(positions.start, positions.stop, now_us, TimeUnit.MILLISECOND)
    assert page.settled == positions.stop - 1
