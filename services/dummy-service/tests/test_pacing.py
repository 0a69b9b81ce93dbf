"""The pacer with a clock of our own: it is never early, and lateness never adds up."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dummy_service.app.pacing import Pacer

RATES = st.one_of(st.floats(0.001, 1e6), st.integers(1, 1_000_000).map(float))
STEPS_NS = st.lists(st.integers(0, 10**11), min_size=1, max_size=30)


def due_by(rate: float, elapsed_ns: int) -> int:
    """Records 0, 1, 2 … that are due at i / rate seconds, up to then."""
    return elapsed_ns * Fraction(rate) // 10**9 + 1


@given(rate=RATES, began_ns=st.integers(0, 10**18), steps_ns=STEPS_NS)
def test_what_was_taken_depends_on_the_time_alone_and_not_on_how_it_went(rate, began_ns, steps_ns):
    pacer, now_ns, taken = Pacer(rate, began_ns), began_ns, 0
    for step_ns in steps_ns:
        now_ns += step_ns
        taken += pacer.take(now_ns, most=10**12)
        assert taken == due_by(rate, now_ns - began_ns)


@given(rate=RATES, steps_ns=STEPS_NS, most=st.integers(1, 1_000), total=st.integers(0, 5_000))
def test_it_is_never_early_and_never_more_than_asked_for_or_there_is(rate, steps_ns, most, total):
    pacer, now_ns, taken = Pacer(rate, 0, total), 0, 0
    for step_ns in steps_ns:
        now_ns += step_ns
        number = pacer.take(now_ns, most)
        taken += number
        assert 0 <= number <= most
        assert taken <= min(total, due_by(rate, now_ns))
        assert pacer.is_through == (taken == total)


@given(rate=RATES, steps_ns=STEPS_NS, most=st.integers(1, 1_000))
def test_who_waits_as_long_as_it_says_finds_exactly_the_next_record_due(rate, steps_ns, most):
    pacer, now_ns = Pacer(rate, 0), 0
    for step_ns in steps_ns:
        now_ns += step_ns
        pacer.take(now_ns, most)
        early_ns = pacer.early_ns(now_ns)
        if early_ns > 0:
            assert pacer.take(now_ns + early_ns - 1, 1) == 0
        now_ns += max(0, early_ns)
        assert pacer.take(now_ns, 1) == 1


@given(rate=RATES, before_ns=st.integers(0, 10**10), pause_ns=st.integers(0, 10**12), after_ns=st.integers(0, 10**9))
def test_a_pause_is_not_caught_up_with(rate, before_ns, pause_ns, after_ns):
    pacer = Pacer(rate, 0)
    pacer.take(before_ns, most=10**12)
    resumed_ns = before_ns + pause_ns
    pacer.begin_anew(resumed_ns)
    assert pacer.take(resumed_ns + after_ns, most=10**12) == due_by(rate, after_ns)
