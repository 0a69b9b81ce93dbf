from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_sim.windows import Window, select


class Times:
    """A series of nothing but moments."""

    symbol = "ABCUSDT"
    kind = "times"
    first = 0
    batch = 1000

    def __init__(self, times):
        self.times = times

    def end(self, now_us):
        return len(self.times)

    def settled(self, now_us):
        return len(self.times)

    def position_at(self, time_us):
        return bisect_left(self.times, time_us)

    def time_us(self, position):
        return self.times[position]

    def rows(self, first, end, now_us, unit):
        return [b"%d" % time for time in self.times[first:end]]


def asked_of_the_documentation(times, window):
    """The rule as the exchange's documentation puts it, over a plain list."""
    inside = [
        time
        for time in times
        if (window.start_us is None or time >= window.start_us) and (window.end_us is None or time <= window.end_us)
    ]
    return inside[: window.limit] if window.start_us is not None else inside[-window.limit :]


moments = st.integers(0, 60)


@given(
    times=st.lists(moments).map(sorted),
    window=st.builds(Window, st.none() | moments, st.none() | moments, st.integers(1, 20)),
)
def test_a_window_shows_what_the_documentation_says(times, window):
    series = Times(times)
    positions = select(series, window, now_us=0)
    assert [times[position] for position in positions] == asked_of_the_documentation(times, window)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (2, None, [2, 3, 4]),
        (None, 8, [6, 7, 8]),
        (2, 3, [2, 3]),
        (None, None, [7, 8, 9]),
        (5, 4, []),
    ],
)
def test_the_five_cases_of_the_rule(start, end, expected):
    assert list(select(Times(list(range(10))), Window(start, end, 3), now_us=0)) == expected
