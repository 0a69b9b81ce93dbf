from decimal import Decimal
from hashlib import sha256
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from exchange_sim.clock import MINUTE_US, SECOND_US
from exchange_sim.intervals import INTERVALS
from exchange_sim.market import TimeUnit
from exchange_sim.simulation.instruments import LISTED, REFUSED_WORDS, find_instrument
from exchange_sim.simulation.market import SimulatedMarket
from exchange_sim.windows import Window, select

MS = TimeUnit.MILLISECOND
NOW = 1_790_000_000 * SECOND_US
AUGUST_2024 = 1_722_470_400 * SECOND_US

MARKET = SimulatedMarket(seed=0)

symbols = st.sampled_from(["BTCUSDT", "ETHBTC", "SHIBUSDT", "ALGOUSDT", "HELLOEUR", "1000SATSTRY"])
minutes = st.integers(1_620_000_000 // 60, 1_789_000_000 // 60)


def candles_of(symbol, interval, start_us, end_us, now_us=NOW, offset_us=0):
    series = MARKET.candles(MARKET.symbol(symbol), INTERVALS[interval], offset_us)
    positions = select(series, Window(start_us, end_us - 1, limit=10**6), now_us)
    return [msgspec.json.decode(row) for row in series.rows(positions.start, positions.stop, now_us, MS)]


def trades_of(symbol, start_us, end_us, kind="agg_trades"):
    series = getattr(MARKET, kind)(MARKET.symbol(symbol))
    rows = series.rows(series.position_at(start_us), series.position_at(end_us), NOW, MS)
    return [msgspec.json.decode(row) for row in rows]


def as_candle(trades):
    """What a reader makes of trades, with the exactness of decimals."""
    prices = [Decimal(trade["p"]) for trade in trades]
    quantities = [Decimal(trade["q"]) for trade in trades]
    amounts = [price * quantity for price, quantity in zip(prices, quantities, strict=True)]
    bought = [not trade["m"] for trade in trades]
    return [
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(quantities),
        sum(amounts),
        sum(trade["l"] - trade["f"] + 1 for trade in trades),
        sum(quantity for quantity, buy in zip(quantities, bought, strict=True) if buy),
        sum(amount for amount, buy in zip(amounts, bought, strict=True) if buy),
    ]


def values(row):
    return [Decimal(row[column]) for column in (1, 2, 3, 4, 5, 7, 8, 9, 10)]


def joined(rows):
    """What a reader makes of smaller candles."""
    columns = list(zip(*map(values, rows), strict=True))
    return [columns[0][0], max(columns[1]), min(columns[2]), columns[3][-1], *map(sum, columns[4:])]


@settings(max_examples=40, deadline=None)
@given(symbols, minutes)
def test_a_minute_is_the_aggregate_of_its_trades_and_of_its_seconds(symbol, minute):
    start, end = minute * MINUTE_US, (minute + 1) * MINUTE_US
    [candle] = candles_of(symbol, "1m", start, end)
    assert values(candle) == as_candle(trades_of(symbol, start, end))
    seconds = candles_of(symbol, "1s", start, end)
    assert len(seconds) == 60
    assert values(candle) == joined(seconds)


@settings(max_examples=10, deadline=None)
@given(symbols, minutes)
def test_a_second_is_the_aggregate_of_its_trades_or_stands_still(symbol, minute):
    start = minute * MINUTE_US
    close = None
    for number, second in enumerate(candles_of(symbol, "1s", start, start + MINUTE_US)):
        trades = trades_of(symbol, start + number * SECOND_US, start + (number + 1) * SECOND_US)
        assert values(second) == (as_candle(trades) if trades else [close] * 4 + [0] * 5)
        close = values(second)[3]


@pytest.mark.parametrize(
    ("small", "large", "count"),
    [("1m", "3m", 3), ("1m", "5m", 5), ("5m", "1h", 12), ("1h", "12h", 12), ("4h", "1d", 6), ("1d", "1w", 7)],
)
def test_larger_candles_are_the_aggregates_of_smaller_ones(small, large, count):
    monday = 1_722_816_000 * SECOND_US
    end = monday + 2 * INTERVALS[large].length_us
    smaller, larger = (candles_of("ALGOUSDT", interval, monday, end) for interval in (small, large))
    assert [values(row) for row in larger] == [joined(smaller[:count]), joined(smaller[count:])]
    assert [(row[0], row[6]) for row in larger] == [
        (smaller[0][0], smaller[count - 1][6]),
        (smaller[count][0], smaller[-1][6]),
    ]


def test_a_month_is_the_aggregate_of_its_days():
    [month] = candles_of("ALGOUSDT", "1M", AUGUST_2024, AUGUST_2024 + MINUTE_US)
    days = candles_of("ALGOUSDT", "1d", AUGUST_2024, AUGUST_2024 + 31 * 86_400 * SECOND_US)
    assert (month[0], month[6], len(days)) == (days[0][0], days[-1][6], 31)
    assert values(month) == joined(days)


def test_a_day_of_another_time_zone_is_the_aggregate_of_its_own_hours():
    offset = -3 * 3600 * SECOND_US - 30 * MINUTE_US
    [day] = candles_of("ALGOUSDT", "1d", AUGUST_2024, AUGUST_2024 + 86_400 * SECOND_US, offset_us=offset)
    assert day[0] == (AUGUST_2024 - offset) // 1000
    half_hours = candles_of("ALGOUSDT", "30m", AUGUST_2024 - offset, AUGUST_2024 - offset + 86_400 * SECOND_US)
    assert values(day) == joined(half_hours)


@settings(max_examples=30, deadline=None)
@given(symbols, minutes, st.integers(0, 5 * MINUTE_US - 1), st.sampled_from(["1s", "1m", "5m"]))
def test_an_open_candle_is_the_aggregate_of_the_trades_so_far(symbol, minute, passed_us, interval):
    start = minute // 5 * 5 * MINUTE_US
    now = start + passed_us
    rows = candles_of(symbol, interval, start, start + 5 * MINUTE_US, now_us=now)
    trades = trades_of(symbol, start, now + 1)
    assert bool(rows) == bool(trades)
    if rows:
        assert joined(rows) == as_candle(trades)


@settings(max_examples=20, deadline=None)
@given(symbols, minutes)
def test_trades_follow_each_other_without_holes_in_either_id(symbol, minute):
    trades = trades_of(symbol, minute * MINUTE_US, (minute + 3) * MINUTE_US)
    for before, after in pairwise(trades):
        assert after["a"] == before["a"] + 1
        assert after["f"] == before["l"] + 1
        assert after["T"] >= before["T"]
    assert all(trade["f"] <= trade["l"] and Decimal(trade["q"]) > 0 for trade in trades)


@settings(max_examples=20, deadline=None)
@given(symbols, minutes)
def test_single_trades_divide_the_aggregated_ones(symbol, minute):
    start, end = minute * MINUTE_US, (minute + 1) * MINUTE_US
    single = {trade["id"]: trade for trade in trades_of(symbol, start, end, kind="trades")}
    for trade in trades_of(symbol, start, end):
        fills = [single.pop(trade_id) for trade_id in range(trade["f"], trade["l"] + 1)]
        assert sum(Decimal(fill["qty"]) for fill in fills) == Decimal(trade["q"])
        for fill in fills:
            assert 0 < Decimal(fill["qty"]) * Decimal(fill["price"]) == Decimal(fill["quoteQty"])
            assert (fill["price"], fill["time"], fill["isBuyerMaker"]) == (trade["p"], trade["T"], trade["m"])
    assert single == {}


@settings(max_examples=20, deadline=None)
@given(symbols, minutes, st.integers(0, MINUTE_US), st.sampled_from(["agg_trades", "trades"]))
def test_ids_are_found_by_time_and_times_by_id(symbol, minute, passed_us, kind):
    series = getattr(MARKET, kind)(MARKET.symbol(symbol))
    moment = minute * MINUTE_US + passed_us
    position = series.position_at(moment)
    assert series.time_us(position) >= moment
    assert series.time_us(position - 1) < moment
    assert series.end(moment) == series.position_at(moment + 1)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ALGOUSDT", "HELLOEUR"])
def test_before_its_first_minute_a_symbol_has_nothing(symbol):
    listed = find_instrument(symbol, seed=0).listed_minute * MINUTE_US
    assert candles_of(symbol, "1m", listed - 3600 * SECOND_US, listed) == []
    assert trades_of(symbol, 0, listed) == []
    [first, *_] = trades_of(symbol, listed, listed + MINUTE_US)
    assert (first["a"], first["f"]) == (0, 0)
    assert candles_of(symbol, "1M", 0, listed - 31 * 86_400 * SECOND_US) == []
    series = MARKET.candles(MARKET.symbol(symbol), INTERVALS["1M"], 0)
    [month] = series.rows(series.first, series.first + 1, NOW, MS)
    days = candles_of(symbol, "1d", listed - 86_399 * SECOND_US, series.time_us(series.first + 1))
    assert values(msgspec.json.decode(month)) == joined(days)


@pytest.mark.parametrize("name", ["NOSUCHUSDT", "BTCXYZ", "USDTUSDT", "USDT", "ELEVENCHARSUSDT", "BTC-USDT", "XXXUSDT"])
def test_what_is_not_a_symbol_is_not_found(name):
    assert MARKET.symbol(name) is None


@given(st.sampled_from(REFUSED_WORDS))
def test_invented_words_are_no_bases(word):
    assert MARKET.symbol(f"{word[:10]}USDT") is None


def test_everything_that_is_listed_can_be_asked_for():
    assert [symbol.name for symbol in MARKET.symbols()] == list(LISTED)
    for symbol in MARKET.symbols():
        [candle] = candles_of(symbol.name, "1m", AUGUST_2024, AUGUST_2024 + MINUTE_US)
        low, open_, high = Decimal(candle[3]), Decimal(candle[1]), Decimal(candle[2])
        assert 0 < low <= open_ <= high
        assert open_ % Decimal(symbol.tick_size) == 0
        assert Decimal(candle[5]) % Decimal(symbol.lot_size) == 0


def test_the_market_is_the_same_for_everyone():
    # Whoever changes these lines changes the market of everybody who compares with an earlier run.
    trades = trades_of("BTCUSDT", AUGUST_2024, AUGUST_2024 + MINUTE_US)
    assert trades[0] == snapshot(
        {
            "a": 2191908545,
            "p": "94445.45000000",
            "q": "0.00742000",
            "f": 3266855469,
            "l": 3266855469,
            "T": 1722470400013,
            "m": False,
            "M": True,
        }
    )
    assert sha256(msgspec.json.encode(trades)).hexdigest() == snapshot(
        "713b49832143533902a53edae8d7a5210c440bc8883b3735000cb91c096455c4"
    )
    assert candles_of("BTCUSDT", "1d", AUGUST_2024, AUGUST_2024 + MINUTE_US) == snapshot(
        [
            [
                1722470400000,
                "94445.45000000",
                "94682.29000000",
                "91337.54000000",
                "91398.72000000",
                "12721.74393000",
                1722556799999,
                "1177999138.60501330",
                1468464,
                "6304.30693000",
                "583787537.73892310",
                "0",
            ]
        ]
    )


def test_another_seed_is_another_market():
    ours, other = (
        SimulatedMarket(seed).agg_trades(MARKET.symbol("BTCUSDT")).position_at(AUGUST_2024) for seed in (0, 1)
    )
    assert ours != other


def test_volatility_comes_in_clusters_and_hours_are_quiet_or_busy():
    hours = candles_of("ALGOUSDT", "1h", AUGUST_2024, AUGUST_2024 + 90 * 86_400 * SECOND_US)
    ranges = [(row[2] - row[3]) / row[3] for row in (list(map(float, row)) for row in hours)]
    mean = sum(ranges) / len(ranges)
    variance = sum((value - mean) ** 2 for value in ranges)
    followed = sum((before - mean) * (after - mean) for before, after in pairwise(ranges))
    assert followed / variance > 0.3
    trades = [row[8] for row in hours]
    assert max(trades) > 3 * min(trades)
