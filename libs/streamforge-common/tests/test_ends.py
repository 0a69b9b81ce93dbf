"""The plan of ids against a model exchange with holes, quiet hours and the exchange's own rules for windows."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError, RejectedRecordError
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.exchanges.rest import End, Request
from streamforge_common.history.ends import find_ends, judge_first, judge_last
from streamforge_common.history.pages import PagePlan, find_gaps, join_gaps, judge_page

TRADES = SPOT.histories["agg_trades"]
RANGE = TimeRange(10_000, 20_000)


class Market:
    """Some aggregate trades, answered as Binance does."""

    def __init__(self, trades: Sequence[tuple[int, int]]) -> None:
        self.trades = sorted(trades)
        """(id, time), both rising."""

    def answer(self, request: Request) -> bytes:
        limit, bounds = int(request.params["limit"]), request.params
        if "fromId" in bounds:
            found = [it for it in self.trades if it[0] >= int(bounds["fromId"])][:limit]
        elif "startTime" in bounds:
            found = [it for it in self.trades if it[1] >= int(bounds["startTime"])][:limit]
        else:
            found = [it for it in self.trades if it[1] <= int(bounds["endTime"])][-limit:]
        rows = [{"a": at, "p": "1.5", "q": "2", "f": at, "l": at, "T": time, "m": False} for at, time in found]
        return json.dumps(rows).encode()

    async def ends(self) -> tuple[End | None, End | None]:
        ends = TRADES.ends
        assert ends is not None
        first = ends.parse_first(self.answer(ends.first("BTCUSDT", RANGE.start_ms)), "BTCUSDT")
        last = ends.parse_last(self.answer(ends.last("BTCUSDT", RANGE.end_ms)), "BTCUSDT")
        return judge_first(RANGE.start_ms, first), judge_last(RANGE.end_ms, last)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Times stand still or leap over hours, ids leap over holes."""
    steps = draw(
        st.lists(st.tuples(st.integers(1, 1) | st.integers(1, 40), st.integers(0, 3) | st.integers(0, 20_000)))
    )
    trades, at, time = [], draw(st.integers(0, 10**9)), draw(st.integers(0, 30_000))
    for id_step, time_step in steps:
        at, time = at + id_step, time + time_step
        trades.append((at, time))
    return Market(trades)


@given(markets(), st.integers(1, 12), st.data())
def test_the_pages_bring_every_trade_of_the_range_and_name_every_id_that_is_missing(
    market: Market, page_size: int, data: st.DataObject
) -> None:
    inside = [at for at, time in market.trades if RANGE.start_ms <= time < RANGE.end_ms]

    ends = asyncio.run(find_ends(RANGE, market.ends))

    assert ends == ((inside[0], inside[-1]) if inside else None)
    plan = PagePlan(TRADES.kind.grid, ends, page_size)
    pages = list(plan.pages_from(None))
    found: list[int] = []
    gaps = join_gaps([], [])
    for page in pages:
        body = market.answer(TRADES.request("BTCUSDT", page.first, page.last))
        content = judge_page(page, TRADES, TRADES.parse(body, "BTCUSDT"), list, 0)
        found += map(TRADES.kind.id_of, content.records)
        gaps = join_gaps(gaps, find_gaps(page, TRADES.kind, content.records))
    assert found == inside
    missing = [at for gap in gaps for at in range(gap.start, gap.end)]
    assert missing == ([at for at in range(inside[0], inside[-1] + 1) if at not in set(inside)] if inside else [])
    done = data.draw(st.integers(0, len(pages)))
    assert list(plan.pages_from(pages[done - 1].next if done else None)) == pages[done:]


@pytest.mark.parametrize("trades", [[], [(1, 9_999)], [(7, 20_000)], [(1, 9_999), (2, 20_000)]])
def test_a_range_without_trades_has_no_ends(trades: list[tuple[int, int]]) -> None:
    assert asyncio.run(find_ends(RANGE, Market(trades).ends)) is None


def test_an_empty_answer_to_one_of_the_two_is_not_believed() -> None:
    market = Market([(1, 12_000), (2, 13_000)])
    asked = 0

    async def ask() -> tuple[End | None, End | None]:
        nonlocal asked
        asked += 1
        first, last = await market.ends()
        return (None, last) if asked == 1 else (first, last)

    assert asyncio.run(find_ends(RANGE, ask)) == (1, 2)
    assert asked == 2


def test_an_exchange_that_goes_on_contradicting_itself_ends_the_load() -> None:
    market = Market([(1, 12_000), (2, 13_000)])

    async def ask() -> tuple[End | None, End | None]:
        return (await market.ends())[0], None

    with pytest.raises(FatalError) as refused:
        asyncio.run(find_ends(RANGE, ask))
    assert refused.value.code == "exchange_contradicts"


def test_trades_from_outside_of_what_was_asked_for_are_no_answer() -> None:
    with pytest.raises(RejectedRecordError, match="lies before"):
        judge_first(RANGE.start_ms, [End(1, 9_999)])
    with pytest.raises(RejectedRecordError, match="does not lie before"):
        judge_last(RANGE.end_ms, [End(2, 20_000)])
    with pytest.raises(RejectedRecordError, match="2 rows"):
        judge_last(RANGE.end_ms, [End(1, 9_999), End(2, 20_000)])
