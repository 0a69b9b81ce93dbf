"""What holds for every market that is declared, whichever exchange it is of."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import record_kind
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import History, Reach, RestMarket
from streamforge_common.settings import ExchangeSettings

MARKETS = [pytest.param(market, id=f"{market.exchange}-{market.market}") for market in REST_MARKETS.values()]
HISTORIES = [
    pytest.param(market, history, id=f"{market.exchange}-{market.market}-{kind}")
    for market in REST_MARKETS.values()
    for kind, history in market.histories.items()
    if DataType.parse(f"api_{kind}").family is None or kind.endswith("_5m")
]
"""One interval stands for all of its family."""

bodies = st.binary() | st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda it: st.lists(it) | st.dictionaries(st.sampled_from(["result", "list", "retCode", "symbol", "time"]), it),
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
