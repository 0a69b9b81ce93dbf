import asyncio
import gzip
from pathlib import Path

import msgspec
import pytest

from exchange_sim.recording.files import read_recording
from exchange_sim.recording.market import RecordedMarket

FIRST = 1_657_756_800_000
STEP = 300_000
DATA = Path(__file__).parents[3].parent / "shared" / "data" / "binance-candles"


async def get(session, path, **query):
    async with session.get(path, params=query) as response:
        return response.status, await response.json(), response.headers


async def get_body(session, path, **query):
    return (await get(session, path, **query))[1]


async def klines(session, **query):
    status, body, _ = await get(session, "/api/v3/klines", symbol="ABCUSDT", interval="5m", **query)
    assert status == 200, body
    return body


async def test_a_candle_is_answered_with_the_files_own_decimal_strings(recorded, open_exchange):
    session = await open_exchange(recorded)
    closed = FIRST + 4 * STEP - 1
    assert await klines(session, startTime=FIRST + 3 * STEP, limit=1) == [
        [FIRST + 3 * STEP, "1.03", "2.50000000", "0.50", "1.30", "10.3", closed, "12.3", 3, "5.3", "6.3", "0"]
    ]


async def test_limits_are_500_unless_asked_for_and_1000_at_most(recorded, open_exchange):
    session = await open_exchange(recorded)
    assert len(await klines(session)) == 500
    assert len(await klines(session, limit=1000)) == 1000
    assert len(await klines(session, limit=99999)) == 1000


async def test_the_end_time_is_inclusive_on_the_open_time(recorded, open_exchange):
    session = await open_exchange(recorded)
    page = await klines(session, startTime=FIRST, endTime=FIRST + 2 * STEP)
    assert [row[0] for row in page] == [FIRST, FIRST + STEP, FIRST + 2 * STEP]
    page = await klines(session, startTime=FIRST, endTime=FIRST + 2 * STEP - 1)
    assert [row[0] for row in page] == [FIRST, FIRST + STEP]


async def test_only_an_end_gives_the_most_recent_candles_in_order(recorded, open_exchange):
    session = await open_exchange(recorded)
    page = await klines(session, endTime=FIRST + 10 * STEP, limit=2)
    assert [row[0] for row in page] == [FIRST + 9 * STEP, FIRST + 10 * STEP]


async def test_a_hole_in_the_recording_is_a_hole_in_the_answer(recorded, open_exchange):
    session = await open_exchange(recorded)
    page = await klines(session, startTime=FIRST + 699 * STEP, limit=2)
    assert [row[0] for row in page] == [FIRST + 699 * STEP, FIRST + 701 * STEP]


async def test_times_come_and_go_in_microseconds_when_asked(recorded, open_exchange):
    session = await open_exchange(recorded)
    session.headers["X-MBX-TIME-UNIT"] = "MICROSECOND"
    [row] = await klines(session, startTime=(FIRST + STEP) * 1000, limit=1)
    assert row[0] == (FIRST + STEP) * 1000
    assert row[6] == (FIRST + 2 * STEP) * 1000 - 1
    _, body, _ = await get(session, "/api/v3/time")
    assert body["serverTime"] > 10**15


async def test_an_interval_that_was_not_recorded_has_no_candles(recorded, open_exchange):
    session = await open_exchange(recorded)
    assert await get_body(session, "/api/v3/klines", symbol="ABCUSDT", interval="1h") == []


@pytest.mark.parametrize(
    ("path", "code", "msg"),
    [
        ("klines?symbol=NOSUCH&interval=5m", -1121, "Invalid symbol."),
        ("klines?symbol=ABCUSDT&interval=7m", -1120, "Invalid interval."),
        (
            "klines?symbol=ABCUSDT",
            -1102,
            "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.",
        ),
        ("klines?fromId=1", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        (
            "klines?symbol=abcusdt&interval=5m",
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ),
        (
            "klines?symbol=ABCUSDT&interval=5m&startTime=yesterday",
            -1100,
            "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
        ),
        (
            "klines?symbol=ABCUSDT&interval=5m&limit=-1",
            -1100,
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        ),
        ("klines?symbol=ABCUSDT&interval=5m&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
        ("klines?symbol=ABCUSDT&symbol=ABCUSDT&interval=5m", -1101, "Duplicate values for a parameter detected."),
        ("time?now=1", -1101, "Too many parameters; expected '0' and received '1'."),
        (
            "klines?symbol=ABCUSDT&interval=5m&fromId=1",
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
        ),
        ("klines?symbol=&interval=5m", -1105, "Parameter 'symbol' was empty."),
        ("klines?symbol=ABCUSDT&interval=5m&timeZone=99", -1130, "Data sent for parameter 'timeZone' is not valid."),
        ("aggTrades?symbol=ABCUSDT&fromId=1&startTime=1", -1128, "Combination of optional parameters invalid."),
        ("exchangeInfo?symbol=NOSUCH", -1121, "Invalid symbol."),
    ],
)
async def test_a_mistake_is_refused_with_the_exchanges_own_code(recorded, open_exchange, path, code, msg):
    session = await open_exchange(recorded)
    status, body, headers = await get(session, f"/api/v3/{path}")
    assert (status, body) == (400, {"code": code, "msg": msg})
    assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 0


async def test_a_time_zone_is_refused_only_where_it_would_change_the_recorded_candles(recorded, open_exchange):
    session = await open_exchange(recorded)
    assert await klines(session, timeZone="05:45", limit=2) == await klines(session, limit=2)
    status, body, _ = await get(session, "/api/v3/klines", symbol="ABCUSDT", interval="1d", timeZone="8")
    assert (status, body["code"]) == (400, -1130)


async def test_trades_are_paged_by_id_and_by_time(recorded, open_exchange):
    session = await open_exchange(recorded)
    page = await get_body(session, "/api/v3/aggTrades", symbol="ABCUSDT", fromId=110, limit=2)
    assert page == [
        {"a": 110, "p": "0.11", "q": "3.10", "f": 10, "l": 10, "T": FIRST + 3, "m": True, "M": True},
        {"a": 111, "p": "0.12", "q": "3.11", "f": 11, "l": 11, "T": FIRST + 3, "m": True, "M": True},
    ]
    page = await get_body(session, "/api/v3/aggTrades", symbol="ABCUSDT", startTime=FIRST + 1, endTime=FIRST + 1)
    assert [trade["a"] for trade in page] == [103, 104, 105]
    page = await get_body(session, "/api/v3/aggTrades", symbol="ABCUSDT", limit=1)
    assert [trade["a"] for trade in page] == [129]


async def test_single_trades_are_paged_by_id_or_are_the_most_recent(recorded, open_exchange):
    session = await open_exchange(recorded)
    page = await get_body(session, "/api/v3/historicalTrades", symbol="ABCUSDT", fromId=901, limit=1)
    assert page == [
        {
            "id": 901,
            "price": "0.5",
            "qty": "2.0",
            "quoteQty": "1.00",
            "time": FIRST + 1,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }
    ]
    page = await get_body(session, "/api/v3/trades", symbol="ABCUSDT", limit=2)
    assert [trade["id"] for trade in page] == [903, 904]


async def test_the_listing_says_what_the_limits_and_the_steps_are(recorded, open_exchange):
    session = await open_exchange(recorded, weight_limit=1200)
    body = await get_body(session, "/api/v3/exchangeInfo", symbols='["ABCUSDT"]')
    assert body["rateLimits"][0]["limit"] == 1200
    [symbol] = body["symbols"]
    assert (symbol["baseAsset"], symbol["quoteAsset"]) == ("ABC", "USDT")


async def test_what_was_asked_and_served_can_be_read(recorded, open_exchange):
    session = await open_exchange(recorded)
    first = await klines(session, startTime=FIRST, limit=3)
    await klines(session, startTime=FIRST + 2 * STEP, limit=2)
    served = await lines(session, "/_sim/served?symbol=ABCUSDT&kind=candles_5m")
    assert [item["times"] for item in served] == [1, 1, 2, 1]
    assert [item["item"] for item in served[:3]] == first
    assert await lines(session, "/_sim/served?kind=agg_trades") == []
    requests = await lines(session, "/_sim/requests")
    assert [(request["seq"], request["status"], request["rows"], request["used_weight"]) for request in requests] == [
        (1, 200, 3, 2),
        (2, 200, 2, 4),
    ]


async def test_the_markets_page_says_what_can_be_asked_for(recorded, open_exchange):
    session = await open_exchange(recorded)
    candles, trades, _ = await lines(session, "/_sim/markets")
    assert candles == {
        "mode": "replay",
        "market": "binance:spot",
        "symbol": "ABCUSDT",
        "kind": "candles_5m",
        "first": FIRST,
        "last": FIRST + 2499 * STEP,
        "items": 2499,
    }
    assert (trades["kind"], trades["items"]) == ("agg_trades", 30)


async def lines(session, path):
    async with session.get(path) as response:
        assert response.status == 200
        return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]


@pytest.mark.skipif(not DATA.exists(), reason="the recorded candles of shared/data are not here")
async def test_a_real_recording_is_served_whole_and_to_the_digit(open_exchange):
    recording = await asyncio.to_thread(read_recording, DATA)
    session = await open_exchange(RecordedMarket(recording))
    rows, start = [], 0
    while page := await get_body(
        session, "/api/v3/klines", symbol="BTCUSDT", interval="5m", startTime=start, limit=1000
    ):
        rows += page
        start = page[-1][0] + 1
    [path] = DATA.glob("BTCUSDT-5m-*")
    recorded_lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert [",".join(map(str, row)) for row in rows] == recorded_lines
