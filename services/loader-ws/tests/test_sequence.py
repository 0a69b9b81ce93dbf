"""What is new, what was there before, what is missing: for any order in which records come."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loader_ws.app.sequence import Mark, NumberedSequence, UnnumberedSequence
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import BookTicker, Candle, Trade

IDENTITY = {"exchange": "binance", "market": "spot", "symbol": "BTCUSDT"}
MINUTE_MS = 60_000


def trade(trade_id: int | str, trade_time: int = 0) -> Trade:
    return Trade(
        key=f"k{trade_id}",
        **IDENTITY,
        type="trades",
        trade_id=trade_id,
        price=1.0,
        quantity=1.0,
        trade_time=trade_time,
        is_buyer_maker=True,
    )


NOTHING = Mark()


def numbered(mark: Mark = NOTHING) -> NumberedSequence:
    kind = record_kind("trades")
    return NumberedSequence(kind, kind.grid, mark)


@given(ids=st.lists(st.integers(0, 60), min_size=1))
def test_each_id_is_new_once_and_what_never_came_is_missing(ids: list[int]) -> None:
    sequence = numbered()
    new, missing = [], set()
    for record_id in ids:
        is_new, gap = sequence.admit(trade(record_id), 0)
        new += [record_id] * is_new
        if gap is not None:
            assert gap.missing == gap.end - gap.start
            missing |= set(range(gap.start, gap.end))

    # What comes before the first is not part of the dataset.
    first, last = ids[0], max(ids)
    assert sequence.mark == (first, last)
    assert sorted(new) == sorted({record_id for record_id in ids if record_id >= first})
    assert missing - set(new) == set(range(first, last + 1)) - set(new)


def test_after_a_restart_what_was_missed_since_is_seen_with_the_first_record() -> None:
    sequence = numbered(Mark(5, 9))
    assert sequence.admit(trade(8), 0) == (False, None)
    is_new, gap = sequence.admit(trade(12), 0)
    assert is_new
    assert gap is not None
    assert (gap.start, gap.end, gap.missing) == (10, 12, 2)
    assert sequence.mark == (5, 12)


def test_an_id_that_is_passed_over_is_not_missing() -> None:
    sequence = numbered()
    sequence.admit(trade(1), 0)
    assert sequence.pass_over(2) is None
    assert sequence.admit(trade(3), 0) == (True, None)


def test_of_candles_the_grid_tells_how_many_are_missing() -> None:
    kind = record_kind("candles_1m")
    sequence = NumberedSequence(kind, kind.grid, Mark())
    prices = dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0)
    gaps = [
        sequence.admit(Candle(key="", **IDENTITY, type="", open_time=at, close_time=0, **prices), 0)[1]
        for at in (0, MINUTE_MS, 4 * MINUTE_MS)
    ]
    assert gaps[:2] == [None, None]
    assert gaps[2] is not None
    assert (gaps[2].start, gaps[2].end, gaps[2].missing) == (2 * MINUTE_MS, 4 * MINUTE_MS, 2)


def test_without_numbers_a_reconnect_is_a_gap_in_time_and_what_comes_again_is_dropped() -> None:
    sequence = UnnumberedSequence(record_kind("trades"), Mark())
    sequence.note_reconnect()
    assert sequence.admit(trade("a", 1_000), 0) == (True, None)
    assert sequence.admit(trade("b", 1_500), 0) == (True, None)
    sequence.note_reconnect()
    assert sequence.admit(trade("b", 1_500), 0) == (False, None)
    is_new, gap = sequence.admit(trade("c", 2_500), 0)
    assert is_new
    assert gap is not None
    assert (gap.start, gap.end, gap.missing) == (1_500, 2_500, None)
    assert sequence.admit(trade("d", 2_600), 0) == (True, None)


def test_records_without_a_time_lie_where_they_were_received() -> None:
    sequence = UnnumberedSequence(record_kind("book_ticker"), Mark())
    ticker = BookTicker(key="k", **IDENTITY, type="book_ticker", update_id=1, receipt_time=7)
    assert ticker.event_time is msgspec.UNSET
    sequence.admit(ticker, 7)
    assert sequence.mark == (7, 7)
