"""The archives: the same items as over REST, in the archive's own columns, units and places."""

import csv
import hashlib
import io
import zipfile
import zlib
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest

from exchange_sim.exchange import OtherMarkets
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket

NOW = datetime(2025, 9, 2, tzinfo=UTC)
SPOT, UM = "/data/spot", "/data/futures/um"


def open_simulated(open_exchange, now=NOW):
    others = OtherMarkets(
        SimulatedDerivatives(0, "binance:um"), SimulatedMarket(0, "bybit:spot"), SimulatedDerivatives(0, "bybit:linear")
    )
    return open_exchange(SimulatedMarket(seed=0), others=others, clock=lambda: int(now.timestamp()) * 1_000_000)


@pytest.fixture
async def session(open_exchange):
    return await open_simulated(open_exchange)


async def get(session, path):
    async with session.get(path) as response:
        return response.status, await response.read()


async def unpack(session, path):
    _, packed = await get(session, path)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        [name] = archive.namelist()
        text = archive.read(name).decode()
    assert name == path.rpartition("/")[2].replace(".zip", ".csv")
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("path", "rest", "has_header", "unit"),
    [
        (f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2024-08-01.zip", "/api/v3/klines", False, 1),
        (f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2025-08-01.zip", "/api/v3/klines", False, 1_000),
        (f"{UM}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2025-08-01.zip", "/fapi/v1/klines", True, 1),
        (f"{UM}/daily/markPriceKlines/ADAUSDT/1h/ADAUSDT-1h-2025-08-01.zip", "/fapi/v1/markPriceKlines", True, 1),
    ],
)
async def test_candles_are_those_of_rest(session, path, rest, has_header, unit):
    rows = await unpack(session, path)
    if has_header:
        assert rows.pop(0)[0] == "open_time"
    start_ms = int(datetime.fromisoformat(f"{path[-14:-4]}T00:00:00+00:00").timestamp()) * 1000
    _, body = await get(session, f"{rest}?symbol=ADAUSDT&interval=1h&startTime={start_ms}&limit=24")
    candles = msgspec.json.decode(body)
    assert [[int(row[0]) // unit, *row[1:6], int(row[6]) // unit, row[7], int(row[8]), *row[9:]] for row in rows] == [
        [*candle[:8], candle[8], *candle[9:]] for candle in candles
    ]
    assert all(int(row[6]) % unit == unit - 1 for row in rows)


@pytest.mark.parametrize(
    ("path", "columns", "word"),
    [
        (f"{SPOT}/daily/aggTrades/LTCUSDT/LTCUSDT-aggTrades-2024-08-01.zip", 8, "True"),
        (f"{SPOT}/daily/trades/LTCUSDT/LTCUSDT-trades-2024-08-01.zip", 7, "True"),
        (f"{UM}/daily/aggTrades/LTCUSDT/LTCUSDT-aggTrades-2024-08-01.zip", 7, "true"),
        (f"{UM}/daily/trades/LTCUSDT/LTCUSDT-trades-2024-08-01.zip", 6, "true"),
    ],
)
async def test_trades_are_all_of_a_day_and_count_as_served(session, path, columns, word):
    rows = await unpack(session, path)
    if path.startswith(UM):
        rows = rows[1:]
    ids = [int(row[0]) for row in rows]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert {len(row) for row in rows} == {columns}
    assert word in {row[6 if "aggTrades" in path else 5] for row in rows}
    kind = "agg_trades" if "aggTrades" in path else "trades"
    market = "binance:um" if path.startswith(UM) else "binance:spot"
    _, served = await get(session, f"/_sim/served?symbol=LTCUSDT&kind={kind}&market={market}")
    items = [msgspec.json.decode(line)["item"] for line in served.splitlines()]
    assert [item["a" if kind == "agg_trades" else "id"] for item in items] == ids


@pytest.mark.parametrize(("day", "first", "last"), [("2026-06-23", 5, 1_440), ("2026-06-25", 0, 1_435)])
async def test_a_day_of_metrics_has_the_open_interest_that_rest_gives(open_exchange, day, first, last):
    session = await open_simulated(open_exchange, now=datetime(2026, 6, 27, tzinfo=UTC))
    header, *rows = await unpack(session, f"{UM}/daily/metrics/ADAUSDT/ADAUSDT-metrics-{day}.zip")
    assert header[:4] == ["create_time", "symbol", "sum_open_interest", "sum_open_interest_value"]
    start_ms = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1000
    query = (
        f"symbol=ADAUSDT&period=5m&startTime={start_ms + first * 60_000}&endTime={start_ms + last * 60_000}&limit=500"
    )
    _, body = await get(session, f"/futures/data/openInterestHist?{query}")
    measured = msgspec.json.decode(body)
    assert len(measured) == 288
    assert sorted(rows) == [
        [
            f"{datetime.fromtimestamp(it['timestamp'] / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            *("ADAUSDT", it["sumOpenInterest"], it["sumOpenInterestValue"]),
            *("1.50000000", "1.50000000", "1.50000000", "1"),
        ]
        for it in measured
    ]
    assert (await get(session, f"{UM}/monthly/metrics/ADAUSDT/ADAUSDT-metrics-2026-05.zip"))[0] == 404


async def test_a_month_of_funding_has_the_rates_that_rest_gives(session):
    header, *rows = await unpack(session, f"{UM}/monthly/fundingRate/ADAUSDT/ADAUSDT-fundingRate-2025-07.zip")
    assert header == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    start_ms = int(datetime(2025, 7, 1, tzinfo=UTC).timestamp()) * 1000
    window = f"startTime={start_ms}&endTime={start_ms + 31 * 86_400_000 - 1}&limit=1000"
    _, body = await get(session, f"/fapi/v1/fundingRate?symbol=ADAUSDT&{window}")
    paid = msgspec.json.decode(body)
    assert [(int(row[0]), row[2]) for row in rows] == [(it["fundingTime"], it["fundingRate"]) for it in paid]
    assert {24 * 31 // int(row[1]) for row in rows} == {len(paid)}
    assert (await get(session, f"{UM}/daily/fundingRate/ADAUSDT/ADAUSDT-fundingRate-2025-07-01.zip"))[0] == 404


async def test_a_file_is_the_same_for_everyone_and_its_checksum_is_beside_it(open_exchange):
    path = f"{SPOT}/monthly/klines/ADAUSDT/1h/ADAUSDT-1h-2024-08.zip"
    sessions = [await open_simulated(open_exchange) for _ in range(2)]
    first, second = [(await get(session, path))[1] for session in sessions]
    assert first == second
    _, told = await get(sessions[0], f"{path}.CHECKSUM")
    assert told.decode() == f"{hashlib.sha256(first).hexdigest()}  ADAUSDT-1h-2024-08.zip\n"


@pytest.mark.parametrize(
    "path",
    [
        f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2025-09-02.zip",  # the day of now
        f"{SPOT}/monthly/klines/ADAUSDT/1h/ADAUSDT-1h-2025-09.zip",
        f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2016-08-01.zip",
        f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2025-02-30.zip",
        f"{SPOT}/daily/klines/ADAUSDT/1w/ADAUSDT-1w-2025-08-04.zip",
        f"{SPOT}/daily/klines/NOSUCHUSDT/1h/NOSUCHUSDT-1h-2025-08-01.zip",
        f"{SPOT}/daily/aggTrades/LTCUSDT/LTCUSDT-trades-2025-08-01.zip",
        f"{SPOT}/daily/markPriceKlines/ADAUSDT/1h/ADAUSDT-1h-2025-08-01.zip",
        "/data/spot/",
    ],
)
async def test_what_is_not_in_the_archive_is_not_found(session, path):
    assert (await get(session, path))[0] == 404
    assert (await get(session, f"{path}.CHECKSUM"))[0] == 404


async def test_a_month_is_there_from_the_first_monday_behind_it(open_exchange):
    path = f"{SPOT}/monthly/klines/ADAUSDT/1h/ADAUSDT-1h-2025-07.zip"
    for now, status in ((datetime(2025, 8, 3, tzinfo=UTC), 404), (datetime(2025, 8, 4, tzinfo=UTC), 200)):
        session = await open_simulated(open_exchange, now)
        assert (await get(session, path))[0] == status


async def test_a_file_can_be_cut_off_in_its_middle(session):
    path = f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2024-08-01.zip"
    async with session.put("/_sim/faults", json=[{"path": f"{path}*", "kind": "cut_file"}]) as response:
        assert response.status == 200
    assert (await get(session, f"{path}.CHECKSUM"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await get(session, path)
    assert (await get(session, path))[0] == 200


async def test_faults_of_files_spoil_what_they_should(session):
    path = f"{SPOT}/daily/klines/ADAUSDT/1h/ADAUSDT-1h-2024-08-01.zip"
    _, good = await get(session, path)
    plan = [
        {"path": f"{path}.CHECKSUM", "kind": "wrong_checksum"},
        {"path": f"{path}*", "kind": "corrupt_zip", "count": 2, "after": 1},
        {"path": path, "kind": "missing_file", "after": 1},
        {"path": "/api/v3/klines", "kind": "corrupt_zip"},
    ]
    async with session.put("/_sim/faults", json=plan) as response:
        assert response.status == 200
    _, told = await get(session, f"{path}.CHECKSUM")
    assert told.split()[0].decode() != hashlib.sha256(good).hexdigest()
    _, spoilt = await get(session, path)
    _, told = await get(session, f"{path}.CHECKSUM")
    assert told.split()[0].decode() == hashlib.sha256(spoilt).hexdigest() != hashlib.sha256(good).hexdigest()
    with zipfile.ZipFile(io.BytesIO(spoilt)) as archive, pytest.raises((zipfile.BadZipFile, zlib.error)):
        archive.read("ADAUSDT-1h-2024-08-01.csv")
    assert (await get(session, path))[0] == 404
    assert (await get(session, "/api/v3/klines?symbol=ADAUSDT&interval=1h&limit=3"))[0] == 200
    assert (await get(session, path))[1] == good
