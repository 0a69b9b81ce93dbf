"""What holds for every market that is declared, whichever exchange it is of."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import History, Poll, Reach, RestMarket
from streamforge_common.settings import ExchangeSettings

MARKETS = [pytest.param(market, id=f"{market.exchange}-{market.market}") for market in REST_MARKETS.values()]
HISTORIES = [
    pytest.param(market, history, id=f"{market.exchange}-{market.market}-{kind}")
    for market in REST_MARKETS.values()
    for kind, history in market.histories.items()
    if DataType.parse(f"api_{kind}").family is None or kind.endswith("_5m")
]
"""One interval stands for all of its family."""

POLLS = [
    pytest.param(market, poll, id=f"{market.exchange}-{market.market}-{kind}")
    for market in REST_MARKETS.values()
    for kind, poll in market.polls.items()
]
NAMES = ["result", "list", "retCode", "symbol", "time", "lastUpdateId", "bids", "asks", "s", "b", "a", "u", "ts"]

bodies = st.binary() | st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda it: st.lists(it) | st.dictionaries(st.sampled_from(NAMES), it),
    max_leaves=8,
).map(lambda it: json.dumps(it).encode())


@pytest.mark.parametrize(("market", "history"), HISTORIES)
@given(body=bodies)
def test_any_body_is_a_page_or_rejected(market: RestMarket, history: History, body: bytes) -> None:
    try:
        records = history.parse(body, "BTCUSDT")
    except RejectedRecordError:
        return
    assert len(history.rows(body)) == len(records)


@pytest.mark.parametrize("market", MARKETS)
@given(body=bodies, status=st.sampled_from([400, 403, 404, 418, 429, 500]))
def test_any_body_tells_the_time_the_limit_and_a_refusal_or_nothing(
    market: RestMarket, body: bytes, status: int
) -> None:
    for read in (market.parse_time, lambda it: market.parse_limit(it, "BTCUSDT")):
        with suppress(RejectedRecordError):
            read(body)
    market.parse_refusal(status, body)
    for history in market.histories.values():
        if history.ends is not None:
            for parse in (history.ends.parse_first, history.ends.parse_last):
                with suppress(RejectedRecordError):
                    parse(body, "BTCUSDT")
    for latest in market.latest.values():
        with suppress(RejectedRecordError):
            latest.parse(body, "BTCUSDT")
    for history in market.histories.values():
        if history.spacing is not None:
            with suppress(RejectedRecordError):
                assert history.spacing.parse(body, "BTCUSDT") > 0


@pytest.mark.parametrize(("market", "history"), HISTORIES)
def test_every_request_counts_in_a_pool_of_the_market(market: RestMarket, history: History) -> None:
    pools = {market.pool, *market.other_pools}
    first = history.kind.grid.ceil(1_722_470_400_000)
    last = history.kind.grid.advance(first, history.page_size - 1)
    requests = [history.request("BTCUSDT", first, last), market.time_request, market.symbol_request("BTCUSDT")]
    if history.ends is not None:
        requests += [history.ends.first("BTCUSDT", first), history.ends.last("BTCUSDT", last)]
    if history.spacing is not None:
        requests.append(history.spacing.request("BTCUSDT"))
    assert {request.pool for request in requests} <= pools
    assert all(0 < request.weight <= request.pool.limit for request in requests)


@pytest.mark.parametrize(("market", "poll"), POLLS)
@given(body=bodies)
def test_any_body_is_what_there_is_now_or_rejected(market: RestMarket, poll: Poll, body: bytes) -> None:
    check = RecordCheck(market.exchange, market.market, "BTCUSDT", poll.kind)
    with suppress(RejectedRecordError):
        record = poll.parse(body, "BTCUSDT", 5, 1_722_470_400_000)
        if poll.kind.fault_of(record) is None:
            assert check.check(msgspec.json.encode(record)) == record


@pytest.mark.parametrize(("market", "poll"), POLLS)
def test_what_is_polled_counts_in_a_pool_of_the_market_with_every_limit(market: RestMarket, poll: Poll) -> None:
    assert market.polls[poll.kind.name] is poll
    assert record_kind(poll.kind.name) is poll.kind
    assert not poll.limits or poll.default_limit in poll.limits
    for limit in poll.limits or [0]:
        request = poll.request("BTCUSDT", limit)
        assert request.pool in {market.pool, *market.other_pools}
        assert 0 < request.weight <= request.pool.limit


@pytest.mark.parametrize("market", MARKETS)
def test_the_latest_records_are_asked_for_where_there_is_no_history(market: RestMarket) -> None:
    assert not market.latest.keys() & market.histories.keys()
    for kind, latest in market.latest.items():
        assert record_kind(kind) is latest.kind
        assert latest.request("BTCUSDT").pool is market.pool


@pytest.mark.parametrize("market", MARKETS)
def test_every_market_has_an_address_and_kinds_that_the_platform_knows(market: RestMarket) -> None:
    assert getattr(ExchangeSettings(), market.base_url_setting).startswith("https://")
    for kind, history in market.histories.items():
        assert DataType.parse(f"api_{kind}").kind == kind
        assert record_kind(kind) is history.kind
        assert history.kind.is_spaced == (history.spacing is not None) == (history.rows_max is not None)


def test_what_lies_behind_the_reach_is_refused_with_what_to_ask_for_instead() -> None:
    reach = Reach(1_000, "second", "dump_agg_trades")
    assert reach.fault_of("agg_trades", 9_000, 10_000) is None
    fault = reach.fault_of("agg_trades", 8_999, 10_000)
    assert fault is not None
    assert "dump_agg_trades" in fault


def polled(exchange: str, market: str, kind: str, body: object, limit: int = 5) -> dict[str, object]:
    """Read an answer, and return the record as it is published, without its identity."""
    poll = REST_MARKETS[exchange, market].polls[kind]
    record = poll.parse(json.dumps(body).encode(), "BTCUSDT", limit, 1_722_470_400_000)
    assert poll.kind.fault_of(record) is None
    fields = json.loads(msgspec.json.encode(record))
    return {name: fields[name] for name in fields if name not in ("exchange", "market", "symbol", "type")}


def test_documented_answers_of_what_there_is_now_are_read_under_the_names_of_the_contract() -> None:
    sides = {"bids": [["4.00000000", "431.00000000"]], "asks": [["4.00000200", "12.00000000"]]}
    levels = {"limit": 5, "bids": [[4.0, 431.0]], "asks": [[4.000002, 12.0]]}
    assert polled("binance", "spot", "depth_snapshot", {"lastUpdateId": 1027024, **sides}) == {
        "_key": "binance:spot:BTCUSDT:depth_snapshot:1027024-5",
        "update_id": 1027024,
        **levels,
        "receipt_time": 1_722_470_400_000,
    }
    of_futures = {"lastUpdateId": 7, "E": 1589436922972, "T": 1589436922959, **sides}
    assert polled("binance", "um", "depth_snapshot", of_futures)["event_time"] == 1589436922972
    assert polled("binance", "spot", "depth_snapshot", {"lastUpdateId": -1, "bids": [], "asks": []})["update_id"] == -1
    book = {"s": "BTCUSDT", "b": sides["bids"], "a": sides["asks"], "ts": 1709891679000, "u": 1234567, "seq": 9876543}
    assert polled("bybit", "linear", "depth_snapshot", {"retCode": 0, "retMsg": "OK", "result": book}) == {
        "_key": "bybit:linear:BTCUSDT:depth_snapshot:1234567-5",
        "update_id": 1234567,
        **levels,
        "event_time": 1709891679000,
    }
    held = {"openInterest": "10659.509", "symbol": "BTCUSDT", "time": 1589437530011}
    assert polled("binance", "um", "open_interest", held) == {
        "_key": "binance:um:BTCUSDT:open_interest:1589437530011",
        "time": 1589437530011,
        "open_interest": 10659.509,
    }
    ticker = {"symbol": "BTCUSDT", "openInterest": "59891.732", "openInterestValue": "3899996265.01"}
    answer = {"retCode": 0, "result": {"category": "linear", "list": [ticker]}, "time": 1786310818183}
    assert polled("bybit", "linear", "open_interest", answer) == {
        "_key": "bybit:linear:BTCUSDT:open_interest:1786310818183",
        "time": 1786310818183,
        "open_interest": 59891.732,
        "open_interest_value": 3899996265.01,
    }
