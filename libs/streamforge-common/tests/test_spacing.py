"""Silences against the plain definition: two neighbours further apart than the interval."""

from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.spacing import find_silences

HOUR = 60


@given(
    start=st.integers(0, 10_000),
    length=st.integers(1, 5_000),
    spacing=st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR]),
    places=st.sets(st.integers(0, 4_999), max_size=40),
)
def test_a_silence_is_where_no_schedule_of_the_interval_could_do_without_a_record(
    start: int, length: int, spacing: int, places: set[int]
) -> None:
    end = start + length
    ids = sorted(start + place for place in places if place < length)

    silences = list(find_silences(start, ids, end, spacing))

    # A stretch of `spacing` ids in a row that has no record, wholly inside of the range, is one with something missing.
    empty = {at for at in range(start, end - spacing + 1) if not any(at <= it < at + spacing for it in ids)}
    assert {at for it in silences for at in range(it.start, it.end - spacing + 1)} == empty
    for it in silences:
        assert it.missing == (it.end - it.start) // spacing
        assert not [found for found in ids if it.start <= found < it.end]


def test_a_schedule_that_is_kept_has_no_silence_and_one_record_less_makes_one() -> None:
    due = list(range(0, 48 * HOUR, 8 * HOUR))
    assert list(find_silences(0, due, 48 * HOUR, 8 * HOUR)) == []
    for at in due:
        [silence] = find_silences(0, [it for it in due if it != at], 48 * HOUR, 8 * HOUR)
        assert silence.missing == 1
        assert silence.start <= at < silence.end


def test_a_symbol_that_paid_more_often_than_it_does_now_has_no_silence() -> None:
    hourly, slower = list(range(0, 24 * HOUR, HOUR)), list(range(24 * HOUR, 48 * HOUR, 8 * HOUR))
    assert list(find_silences(0, hourly + slower, 48 * HOUR, 8 * HOUR)) == []
