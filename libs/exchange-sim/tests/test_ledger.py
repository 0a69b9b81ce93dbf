from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exchange_sim.ledger import Runs

spans = st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(spans))
def test_runs_count_as_a_plain_counter_does(added):
    runs, counter = Runs(), Counter()
    for first, end in added:
        runs.add(first, end)
        counter.update(range(first, end))
    assert Counter({position: times for first, end, times in runs for position in range(first, end)}) == counter


def test_serving_in_order_or_again_and_again_takes_no_room():
    runs = Runs()
    for _ in range(3):
        for page in range(1000):
            runs.add(page * 1000, (page + 1) * 1000)
    assert list(runs) == [(0, 1_000_000, 3)]
