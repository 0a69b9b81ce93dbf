"""What is new, what was there before, what is missing: for any order in which records come."""

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loader_ws.app.holes import Holes
from loader_ws.app.sequence import Mark, NumberedSequence, Sequence, UnnumberedSequence
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import BookTicker, Candle, Record, Trade

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


def unnumbered() -> UnnumberedSequence:
    return UnnumberedSequence(record_kind("trades"), Mark())


def is_new(sequence: Sequence, record: Record) -> bool:
    """Whether a record is new; of these sequences nothing is missing for good as long as it may be filled."""
    found, gap = sequence.admit(record, 0)
    assert gap is None
    return found


def inside(holes: Holes) -> set[int]:
    return {place for hole in holes for place in range(*hole)}


runs = st.tuples(st.booleans(), st.integers(0, 300), st.integers(1, 9))


@given(st.lists(runs, max_size=150))
def test_holes_are_what_was_added_and_not_removed_in_order_and_apart(steps: list[tuple[bool, int, int]]) -> None:
    holes, expected = Holes(), set[int]()
    for is_added, start, length in steps:
        run = set(range(start, start + length))
        if is_added:
            holes.add(start, start + length)
            expected |= run
        else:
            assert {it for hole in holes.remove(start, start + length) for it in range(*hole)} == expected & run
            expected -= run
        assert all(before.end < after.start for before, after in pairwise(holes))
        assert inside(holes) == expected


def test_too_many_holes_are_joined_where_they_lie_closest_and_none_is_forgotten() -> None:
    holes, added = Holes(), set[int]()
    for number in range(1_000):
        holes.add(number**2, number**2 + 1)
        added.add(number**2)
    assert len(holes) == 64
    assert added <= inside(holes)
    assert list(holes)[-1] == (998_001, 998_002)


@given(ids=st.lists(st.integers(0, 60), min_size=1))
def test_each_id_is_new_once_and_what_never_came_is_a_hole(ids: list[int]) -> None:
    sequence = numbered()
    new = [record_id for record_id in ids if is_new(sequence, trade(record_id))]

    # What comes before the first is not part of the dataset.
    first, last = ids[0], max(ids)
    assert sequence.mark[:2] == (first, last)
    assert sorted(new) == sorted({record_id for record_id in ids if record_id >= first})
    assert inside(sequence.holes) == set(range(first, last + 1)) - set(new)


@given(ids=st.lists(st.integers(0, 60), min_size=1), asked=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_what_is_filled_was_missing_and_what_is_not_given_is_told(ids: list[int], asked: tuple[int, int]) -> None:
    sequence = numbered()
    for record_id in ids:
        is_new(sequence, trade(record_id))
    missing = inside(sequence.holes)
    # Every other one of a page is given.
    start, end = sorted(asked)
    given_ids = set(range(start, end, 2))
    filled = {record_id for record_id in given_ids if sequence.fill(trade(record_id))}
    assert filled == given_ids & missing
    gaps = {place for gap in sequence.settle(start, end) for place in range(gap.start, gap.end)}
    assert gaps == (missing - filled) & set(range(start, end))
    assert inside(sequence.holes) == missing - filled - gaps
    assert all(is_new(sequence, trade(record_id)) for record_id in gaps), "a late record is welcome all the same"


def test_after_a_restart_what_was_missed_since_is_seen_with_the_first_record() -> None:
    sequence = numbered(Mark(5, 9))
    assert not is_new(sequence, trade(8))
    assert is_new(sequence, trade(12))
    assert list(sequence.holes) == [(10, 12)]
    assert sequence.mark == Mark(5, 12, ((10, 12),))


def test_an_id_that_is_passed_over_is_not_missing() -> None:
    sequence = numbered()
    is_new(sequence, trade(1))
    sequence.pass_over(2)
    assert is_new(sequence, trade(3))
    assert not sequence.holes


def test_of_candles_the_grid_tells_how_many_are_missing() -> None:
    kind = record_kind("candles_1m")
    sequence = NumberedSequence(kind, kind.grid, Mark())
    prices = dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0)
    for at in (0, MINUTE_MS, 4 * MINUTE_MS):
        assert is_new(sequence, Candle(key="", **IDENTITY, type="", open_time=at, close_time=0, **prices))
    (gap,) = sequence.give_up(0, 9 * MINUTE_MS)
    assert (gap.start, gap.end, gap.missing) == (2 * MINUTE_MS, 4 * MINUTE_MS, 2)


def test_the_latest_records_cover_a_hole_from_the_first_to_the_last_of_them() -> None:
    sequence = numbered()
    for record_id in (1, 20):
        is_new(sequence, trade(record_id))
    (hole,) = sequence.holes
    assert sequence.covered(hole, [trade(5), trade(30)]) == (5, 20)
    assert sequence.covered(hole, [trade(1), trade(18)]) == (2, 19)
    assert sequence.covered(hole, [trade(25), trade(30)]) == (20, 20)
    assert sequence.covered(hole, []) == (2, 2)


def test_without_numbers_a_reconnect_is_a_hole_in_time_and_what_comes_again_is_dropped() -> None:
    sequence = unnumbered()
    sequence.note_break(None)
    assert is_new(sequence, trade("a", 1_000))
    assert is_new(sequence, trade("b", 1_500))
    sequence.note_break(1_500)
    assert not is_new(sequence, trade("b", 1_500))
    assert is_new(sequence, trade("c", 2_500))
    assert is_new(sequence, trade("d", 2_600))
    assert list(sequence.holes) == [(1_500, 2_500)]
    assert [sequence.fill(it) for it in (trade("e", 2_000), trade("e", 2_000), trade("f", 2_700))] == [
        True,
        False,
        False,
    ]
    (gap,) = sequence.give_up(0, 9_000)
    assert (gap.start, gap.end, gap.missing) == (1_500, 2_500, None)


def test_without_numbers_the_latest_records_reach_a_hole_s_end_where_they_are_known_or_lie_behind() -> None:
    sequence = unnumbered()
    for known in (trade("a", 1_000), trade("b", 1_500)):
        sequence.admit(known, 0)
    sequence.note_break(1_500)
    is_new(sequence, trade("z", 2_500))
    (hole,) = sequence.holes
    assert sequence.covered(hole, [trade("b", 1_500), trade("x", 2_000), trade("z", 2_500)]) == hole
    assert sequence.covered(hole, [trade("a", 1_000), trade("y", 2_600)]) == hole
    # Of the same time as the last that came before, and not known: others may lie before it.
    assert sequence.covered(hole, [trade("c", 1_500), trade("z", 2_500)]) == (1_501, 2_500)
    assert sequence.covered(hole, [trade("x", 2_000), trade("y", 2_500)]) == (2_000, 2_500)
    assert sequence.covered(hole, [trade("b", 1_500), trade("x", 2_000)]) == (1_500, 2_000)


def test_records_without_a_time_lie_where_they_were_received() -> None:
    sequence = UnnumberedSequence(record_kind("book_ticker"), Mark())
    ticker = BookTicker(key="k", **IDENTITY, type="book_ticker", update_id=1, receipt_time=7)
    assert ticker.event_time is msgspec.UNSET
    sequence.admit(ticker, 7)
    assert sequence.mark == Mark(7, 7)
