"""Lines of archive files: read exactly, whatever their form, and refused one by one where they are none."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import Trade
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS
from streamforge_common.exchanges.archives import Archive, ArchiveMarket, LineReader, Lines, Period
from streamforge_common.exchanges.binance_archives import SPOT, UM
from streamforge_common.settings import ExchangeSettings

SHARED = Path(__file__).parents[4] / "shared/data"
AUGUST_2024_MS, DAY_MS = 1_722_470_400_000, 86_400_000
DAY = Period(AUGUST_2024_MS, AUGUST_2024_MS + DAY_MS, is_month=False)
MONTH = Period(AUGUST_2024_MS, AUGUST_2024_MS + 31 * DAY_MS, is_month=True)
ANY_TIME = Period(0, 2**62, is_month=True)
TRADE = f"28457,4.00000100,12.00000000,48.000012,{AUGUST_2024_MS + 7},True,True"
ARCHIVES = [
    pytest.param(market, archive, id=f"{market.market}-{kind}")
    for market in ARCHIVE_MARKETS.values()
    for kind, archive in market.archives.items()
    if DataType.parse(f"dump_{kind}").family is None or kind.endswith("_5m")
]
"""One interval stands for all of its family."""


def read(text: str | bytes, archive: Archive = SPOT.archives["trades"], period: Period = DAY) -> Lines:
    body = text.encode() if isinstance(text, str) else text
    reader = LineReader(archive, "BTCUSDT", period, body)
    return reader.read(body[reader.begin :])


def fields_of(records: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [(it.key, it.price, it.quantity, it.quote_quantity, it.trade_time, it.is_buyer_maker) for it in records]


def test_a_line_is_the_same_record_as_the_row_of_an_answer() -> None:
    row = {"id": 28457, "price": "4.00000100", "qty": "12.00000000", "quoteQty": "48.000012"}
    body = json.dumps([{**row, "time": AUGUST_2024_MS + 7, "isBuyerMaker": True}]).encode()
    assert read(TRADE).records == REST_MARKETS["binance", "spot"].histories["trades"].parse(body, "BTCUSDT")


@pytest.mark.parametrize(
    "text",
    [
        TRADE,
        TRADE + "\n",
        TRADE + "\r\n",
        TRADE.replace("True", "true"),
        TRADE.rpartition(",")[0],
        "id,price,qty,quote_qty,time,is_buyer_maker\n" + TRADE,
        "id,price,qty,quote_qty,time,is_buyer_maker\r\n" + TRADE + "\r\n",
        TRADE.replace(str(AUGUST_2024_MS + 7), f"{AUGUST_2024_MS + 7}999"),
    ],
)
def test_header_line_ends_words_and_the_unit_of_times_make_no_difference(text: str) -> None:
    lines = read(text)
    assert lines.refused == ()
    [record] = lines.records
    assert isinstance(record, Trade)
    expected = ("binance:spot:BTCUSDT:trades:28457", 4.000001, 12.0, 48.000012, AUGUST_2024_MS + 7, True)
    assert fields_of([record]) == [expected]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (TRADE.replace("28457", "28457x"), "trades"),
        (TRADE.replace("4.00000100", "nan"), "trades"),
        (TRADE.replace("4.00000100", ""), "trades"),
        (TRADE.replace("28457", '28457","1'), "quotation mark"),
        (TRADE.replace(",True", "\\u002cTrue"), "quotation mark"),
        ("28457,4.0", "trades"),
        ("", "trades"),
        (TRADE.replace(str(AUGUST_2024_MS + 7), str(AUGUST_2024_MS - 1)), "outside of 2024-08-01"),
        (TRADE.replace(str(AUGUST_2024_MS + 7), f"{AUGUST_2024_MS + 7}000"), "outside of 2024-08-01"),
    ],
)
def test_a_line_that_is_no_record_of_the_file_is_refused_alone(line: str, why: str) -> None:
    lines = read(f"{TRADE}\n{line}\n{TRADE.replace('28457', '28458')}\n")
    assert [record.key.rpartition(":")[2] for record in lines.records] == ["28457", "28458"]
    [(refused, reason)] = lines.refused
    assert refused == line.encode()
    assert why in reason


def test_a_candle_off_the_grid_is_refused() -> None:
    row = f"{AUGUST_2024_MS + 1},1,2,0.5,1.5,10,{AUGUST_2024_MS + 299_999},15,7,5,7.5,0"
    [(_, reason)] = read(row, SPOT.archives["candles_5m"]).refused
    assert "grid" in reason


def test_every_recorded_candle_is_read_as_the_nearest_doubles() -> None:
    recording = SHARED / "binance-candles/BTCUSDT-5m-2022-07-14_2022-08-16.csv.gz"
    if not recording.exists():
        pytest.skip("the recorded candles in ../shared/data are not here")
    body = gzip.decompress(recording.read_bytes())
    lines = read(body, SPOT.archives["candles_5m"], ANY_TIME)
    rows = [line.split(",") for line in body.decode().splitlines()]
    assert lines.refused == ()
    assert len(lines.records) == len(rows)
    for candle, row in zip(lines.records, rows, strict=True):
        assert (candle.open_time, candle.close_time, candle.trades) == (int(row[0]), int(row[6]), int(row[8]))
        assert [candle.open, candle.high, candle.low, candle.close] == [float(text) for text in row[1:5]]
        assert [candle.volume, candle.quote_volume] == [float(row[5]), float(row[7])]
        assert [candle.taker_buy_volume, candle.taker_buy_quote_volume] == [float(row[9]), float(row[10])]


cells = st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=8) | st.from_regex(
    r"-?\d{1,16}(\.\d{1,8})?", fullmatch=True
)
files = st.binary() | st.lists(st.lists(cells, max_size=13).map(",".join), max_size=6).map("\n".join).map(str.encode)


@pytest.mark.parametrize(("market", "archive"), ARCHIVES)
@given(body=files)
def test_of_any_bytes_each_line_is_a_record_or_refused(market: ArchiveMarket, archive: Archive, body: bytes) -> None:
    reader = LineReader(archive, "BTCUSDT", ANY_TIME, body)
    rest = body[reader.begin :]
    lines = reader.read(rest)
    one_by_one = rest.replace(b"\r\n", b"\n").removesuffix(b"\n")
    assert len(lines.records) + len(lines.refused) == (one_by_one.count(b"\n") + 1 if one_by_one else 0)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_any_decimal_is_read_as_the_nearest_double(number: object) -> None:
    [record] = read(TRADE.replace("4.00000100", f"{number:f}")).records
    assert isinstance(record, Trade)
    assert record.price == float(f"{number:f}")


@pytest.mark.parametrize("market", ARCHIVE_MARKETS.values(), ids=lambda market: market.market)
def test_every_market_has_an_address_and_kinds_that_the_platform_knows(market: ArchiveMarket) -> None:
    assert getattr(ExchangeSettings(), market.base_url_setting).startswith("https://")
    assert (market.exchange, market.market) in REST_MARKETS
    for kind, archive in market.archives.items():
        assert record_kind(kind) is archive.kind
        assert archive.has_days or archive.has_months


@pytest.mark.parametrize(
    ("kind", "market", "line"),
    [
        ("agg_trades", SPOT, "0,0.20000000,50.00000000,0,0,1608872400000,False,True"),
        ("trades", SPOT, "51175358,17.80180000,5.69000000,101.29224200,1583709433583,True,True"),
        ("agg_trades", UM, "26129,0.01633102,4.70443515,27781,27781,1498793709153,true"),
        ("trades", UM, "28457,4.00000100,12.00000000,48.00,1499865549590,true"),
        (
            "candles_1m",
            SPOT,
            "1601510340000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1601510399999,2240.39860900,13,"
            "401.82000000,1669.98121300,0",
        ),
        ("funding_rate", UM, "1751328000007,8,0.00008191"),
        (
            "open_interest_5m",
            UM,
            "2025-11-02 00:05:00,BTCUSDT,76643.1910000000000000,8430743345.6809000000000000,2.05109210,1.90989100,"
            "1.87546479,0.76060100",
        ),
    ],
)
def test_the_documented_samples_are_read(kind: str, market: ArchiveMarket, line: str) -> None:
    lines = read(line, market.archives[kind], ANY_TIME)
    assert (len(lines.records), lines.refused) == (1, ())


def test_a_line_of_funding_is_the_answers_row_without_its_mark_price() -> None:
    row = {"symbol": "BTCUSDT", "fundingRate": "0.00008191", "fundingTime": AUGUST_2024_MS + 7, "markPrice": ""}
    body = json.dumps([row]).encode()
    asked = REST_MARKETS["binance", "um"].histories["funding_rate"].parse(body, "BTCUSDT")
    archive = UM.archives["funding_rate"]
    header = "calc_time,funding_interval_hours,last_funding_rate\n"
    assert read(f"{header}{AUGUST_2024_MS + 7},8,0.00008191\n", archive, MONTH).records == asked


def test_a_day_of_metrics_may_end_with_the_midnight_behind_it_and_is_in_no_order() -> None:
    times = ["2024-08-02 00:00:00", "2024-08-01 00:05:00", "2024-08-01 00:00:00", "2024-08-02 00:05:00"]
    lines = read(
        "".join(f"{time},BTCUSDT,1.5,3,,,,\n" for time in [*times, "2024-08-01", "2024-08-01 00:05:01"]),
        UM.archives["open_interest_5m"],
    )
    assert [record.time for record in lines.records] == [AUGUST_2024_MS + at for at in (DAY_MS, 300_000, 0)]
    assert [line.partition(b",")[0].decode() for line, _ in lines.refused] == [
        *("2024-08-02 00:05:00", "2024-08-01", "2024-08-01 00:05:01")
    ]
    asked = (
        REST_MARKETS["binance", "um"]
        .histories["open_interest_5m"]
        .parse(
            json.dumps(
                [
                    {
                        "symbol": "BTCUSDT",
                        "sumOpenInterest": "1.5",
                        "sumOpenInterestValue": "3",
                        "timestamp": AUGUST_2024_MS,
                    }
                ]
            ).encode(),
            "BTCUSDT",
        )
    )
    assert lines.records[-1:] == asked


def test_files_are_where_the_exchange_puts_them() -> None:
    paths = [
        SPOT.archives["candles_5m"].path("BTCUSDT", DAY),
        SPOT.archives["agg_trades"].path("BTCUSDT", MONTH),
        UM.archives["trades"].path("BTCUSDT", DAY),
        UM.archives["premium_candles_1h"].path("BTCUSDT", MONTH),
        UM.archives["funding_rate"].path("BTCUSDT", MONTH),
        UM.archives["open_interest_5m"].path("BTCUSDT", DAY),
    ]
    assert paths == [
        "/data/spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2024-08-01.zip",
        "/data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08.zip",
        "/data/futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-01.zip",
        "/data/futures/um/monthly/premiumIndexKlines/BTCUSDT/1h/BTCUSDT-1h-2024-08.zip",
        "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-08.zip",
        "/data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-08-01.zip",
    ]


def test_a_checksum_is_that_of_its_own_file() -> None:
    told = b"ab" * 32 + b"  BTCUSDT-5m-2024-08.zip\n"
    assert SPOT.parse_checksum(told, "/data/BTCUSDT-5m-2024-08.zip") == "ab" * 32
    for body in (told.replace(b"08", b"09"), b"", b"ab", told + told, b"<html>"):
        with pytest.raises(RejectedRecordError):
            SPOT.parse_checksum(body, "/data/BTCUSDT-5m-2024-08.zip")


@given(st.binary())
def test_any_bytes_are_a_checksum_or_rejected(body: bytes) -> None:
    with pytest.raises(RejectedRecordError):
        SPOT.parse_checksum(body, "/data/BTCUSDT-5m-2024-08.zip")
