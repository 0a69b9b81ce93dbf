"""Binance USDⓈ-M's answers, and how its pages are asked for."""

import gzip
import json
from pathlib import Path

import pytest

from streamforge_common.contract.records import AggTrade, FundingRate, OpenInterest, PriceCandle
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.binance_um import UM
from streamforge_common.exchanges.rest import RefusedError

SHARED = Path(__file__).parents[4] / "shared/data"
DECIMALS = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
PRICE_ROW = [1591256400000, "-0.00001", "0.5", "-1.25", "9653.07367333", "0", 1591256699999, "0", 60, "0", "0", "0"]


def test_every_recorded_decimal_is_read_as_the_nearest_double() -> None:
    recording = SHARED / "binance-candles/ALGOUSDT-1m-2025-02.csv.gz"
    if not recording.exists():
        pytest.skip("the recorded candles in ../shared/data are not here")
    with gzip.open(recording, "rt") as lines:
        rows = [line.rstrip("\n").split(",") for line in lines][1:]
    body = json.dumps([[int(row[0]), *row[1:6], int(row[6]), row[7], int(row[8]), *row[9:]] for row in rows]).encode()
    candles = UM.histories["candles_1m"].parse(body, "ALGOUSDT")
    assert candles[0].key == "binance:um:ALGOUSDT:candles_1m:1738368000000"
    for candle, row in zip(candles, rows, strict=True):
        assert UM.histories["candles_1m"].kind.fault_of(candle) is None
        for field, at in DECIMALS.items():
            assert getattr(candle, field) == float(row[at])


@pytest.mark.parametrize("price", ["mark", "index", "premium"])
def test_a_candle_of_a_price_has_no_volume(price: str) -> None:
    history = UM.histories[f"{price}_candles_5m"]
    assert history.parse(json.dumps([PRICE_ROW]).encode(), "BTCUSDT") == [
        PriceCandle(
            key=f"binance:um:BTCUSDT:{price}_candles_5m:1591256400000",
            exchange="binance",
            market="um",
            symbol="BTCUSDT",
            type=f"{price}_candles_5m",
            open_time=1591256400000,
            close_time=1591256699999,
            open=-0.00001,
            high=0.5,
            low=-1.25,
            close=9653.07367333,
        )
    ]


def test_candles_are_asked_for_in_pages_that_weigh_little() -> None:
    request = UM.histories["candles_1mo"].request("BTCUSDT_261225", 1, 2)
    assert dict(request.params) == {
        "symbol": "BTCUSDT_261225",
        "interval": "1M",
        "startTime": "1",
        "endTime": "2",
        "limit": "499",
    }
    assert (request.weight, request.pool.limit) == (2, 2_400)
    assert UM.histories["index_candles_1h"].request("BTCUSDT_261225", 1, 2).params["pair"] == "BTCUSDT"
    assert "candles_1s" not in UM.histories


def test_an_aggregate_trade_is_read_with_its_whole_quantity() -> None:
    row = {"a": 5, "p": "1.5", "q": "2.5", "nq": "1.0", "f": 7, "l": 9, "T": 1498793709153, "m": False}
    [trade] = UM.histories["agg_trades"].parse(json.dumps([row]).encode(), "BTCUSDT")
    assert isinstance(trade, AggTrade)
    assert (trade.key, trade.quantity) == ("binance:um:BTCUSDT:agg_trades:5", 2.5)


def test_a_symbol_that_is_not_listed_is_refused() -> None:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
    body = json.dumps({"rateLimits": [weight], "symbols": [{"symbol": "BTCUSDT"}]}).encode()
    assert UM.parse_limit(body, "BTCUSDT") == 2400
    with pytest.raises(RefusedError, match="'NOSUCHUSDT' is not listed"):
        UM.parse_limit(body, "NOSUCHUSDT")


def funding_row(**changes: object) -> dict[str, object]:
    row = {
        "symbol": "BTCUSDT",
        "fundingRate": "-0.03750000",
        "fundingTime": 1570608000003,
        "markPrice": "34287.54619963",
    }
    return {**row, "rateType": "later", **changes}


def test_a_funding_rate_is_stored_under_its_scheduled_time() -> None:
    history = UM.histories["funding_rate"]
    rows = [funding_row(fundingTime=1570607999998, markPrice=""), funding_row(fundingTime=1570636800017)]
    early, late = history.parse(json.dumps(rows).encode(), "BTCUSDT")
    assert early == FundingRate(
        key="binance:um:BTCUSDT:funding_rate:1570608000000",
        exchange="binance",
        market="um",
        symbol="BTCUSDT",
        type="funding_rate",
        funding_time=1570608000000,
        funding_rate=-0.0375,
    )
    assert isinstance(late, FundingRate)
    assert (late.funding_time, late.mark_price) == (1570636800000, 34287.54619963)


@pytest.mark.parametrize(
    "change",
    [{"symbol": "ETHUSDT"}, {"fundingRate": "nan"}, {"fundingTime": -1}, {"markPrice": "a lot"}, {"markPrice": "inf"}],
)
def test_a_row_that_is_no_funding_rate_spoils_the_page(change: dict[str, object]) -> None:
    with pytest.raises(RejectedRecordError):
        UM.histories["funding_rate"].parse(json.dumps([funding_row(), funding_row(**change)]).encode(), "BTCUSDT")


def test_the_funding_interval_is_eight_hours_unless_the_exchange_says_otherwise() -> None:
    spacing = UM.histories["funding_rate"].spacing
    assert spacing is not None
    body = b'[{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.025","fundingIntervalHours":4,"disclaimer":false}]'
    assert [spacing.parse(body, symbol) for symbol in ("BLZUSDT", "BTCUSDT")] == [4 * 3_600_000, 8 * 3_600_000]


@pytest.mark.parametrize("timestamp", [1583127900000, "1583127900000"])
def test_open_interest_is_read_whether_its_time_is_a_number_or_a_string(timestamp: object) -> None:
    sums = {"sumOpenInterest": "20403.63700000", "sumOpenInterestValue": "150570784.07809979"}
    body = json.dumps([{"symbol": "BTCUSDT", **sums, "timestamp": timestamp}]).encode()
    [measured] = UM.histories["open_interest_5m"].parse(body, "BTCUSDT")
    assert measured == OpenInterest(
        key="binance:um:BTCUSDT:open_interest_5m:1583127900000",
        exchange="binance",
        market="um",
        symbol="BTCUSDT",
        type="open_interest_5m",
        time=1583127900000,
        open_interest=20403.637,
        open_interest_value=150570784.07809979,
    )


def test_funding_and_open_interest_count_in_pools_of_their_own() -> None:
    funding = UM.histories["funding_rate"].request("BTCUSDT", 1_570_608_000_000, 1_570_608_060_000)
    assert (funding.params["startTime"], funding.params["endTime"]) == ("1570607970000", "1570608089999")
    measured = UM.histories["open_interest_1d"].request("BTCUSDT", 1, 2)
    assert (funding.pool.limit, funding.pool.window_s) == (500, 300)
    assert (measured.pool.limit, measured.pool.window_s, measured.params["period"]) == (1_000, 300, "1d")
    reaches = [UM.histories[kind].reach for kind in ("agg_trades", "open_interest_1d", "candles_1d", "funding_rate")]
    assert [reach and reach.instead for reach in reaches] == ["dump_agg_trades", None, None, None]
