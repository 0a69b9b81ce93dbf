"""The budget against a model of the exchange that counts weight per clock minute, in simulated time."""

import heapq
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from streamforge_common.history.budget import Budget, DividedBudget

WEIGHT, LIMIT = 2, 1_200


@dataclass
class Exchange:
    """Counts what arrives, by its own clock."""

    clock_offset_s: float
    minutes: dict[int, int] = field(default_factory=dict)

    def take(self, now_s: float) -> int:
        minute = int((now_s + self.clock_offset_s) // 60)
        self.minutes[minute] = self.minutes.get(minute, 0) + WEIGHT
        return self.minutes[minute]


def simulate(budget: Budget, exchange: Exchange, *, way_s: float, in_flight: int, until_s: float) -> None:
    """Send as fast as the budget allows, some requests at once, each `way_s` to the exchange and `way_s` back."""
    events: list[tuple[float, int, str, float, int]] = [(0.0, number, "turn", 0.0, 0) for number in range(in_flight)]
    while events:
        now_s, number, what, sent_s, used = heapq.heappop(events)
        if now_s > until_s:
            return
        if what == "turn":
            wait_s = budget.wait_s(WEIGHT, now_s)
            if wait_s > 0:
                heapq.heappush(events, (now_s + wait_s, number, "turn", 0.0, 0))
            else:
                budget.spend(WEIGHT, now_s)
                heapq.heappush(events, (now_s + way_s, number, "arrives", now_s, 0))
        elif what == "arrives":
            heapq.heappush(events, (now_s + way_s, number, "answered", sent_s, exchange.take(now_s)))
        else:
            budget.note_used(used, sent_s)
            heapq.heappush(events, (now_s, number, "turn", 0.0, 0))


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 3_600), st.floats(0.002, 0.02), st.floats(-0.2, 0.2))
def test_the_limit_is_nearly_used_and_never_passed(offset_s: float, way_s: float, clock_error_s: float) -> None:
    exchange = Exchange(offset_s)
    budget = Budget(LIMIT)
    budget.learn_clock(int((offset_s + clock_error_s) * 1_000), 0.0)
    simulate(budget, exchange, way_s=way_s, in_flight=4, until_s=300)
    whole_minutes = [exchange.minutes[minute] for minute in sorted(exchange.minutes)[1:-1]]
    assert max(exchange.minutes.values()) <= LIMIT
    assert min(whole_minutes) >= 0.9 * LIMIT


def test_the_count_of_others_behind_the_same_address_counts() -> None:
    budget = Budget(LIMIT)
    budget.learn_clock(0, 0.0)
    assert budget.wait_s(WEIGHT, 1.0) == 0
    budget.spend(WEIGHT, 1.0)
    assert budget.note_used(1_150, 1.0) == 1_150 / LIMIT
    assert 58 < budget.wait_s(WEIGHT, 1.5) < 60
    assert budget.wait_s(WEIGHT, 61.0) == 0


def test_nothing_goes_while_the_exchange_wants_to_be_left_alone() -> None:
    budget = Budget(LIMIT)
    budget.learn_clock(0, 0.0)
    budget.close(200.0)
    budget.close(100.0)
    assert budget.wait_s(WEIGHT, 70.0) == 130.0
    assert budget.wait_s(WEIGHT, 200.0) == 0


def test_a_request_that_costs_more_than_a_minute_allows_goes_alone() -> None:
    budget = Budget(10)
    budget.learn_clock(0, 0.0)
    assert budget.wait_s(50, 1.0) == 0
    budget.spend(50, 1.0)
    assert budget.wait_s(50, 2.0) > 0


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 5), st.floats(0.002, 0.02))
def test_where_no_count_is_told_no_stretch_of_a_window_has_more_than_the_limit(offset_s: float, way_s: float) -> None:
    arrived: list[float] = []
    budget = DividedBudget(600, 5.0, lambda _: 1.0)
    now_s = offset_s
    while now_s < 30:
        wait_s = budget.wait_s(1, now_s)
        if wait_s > 0:
            now_s += wait_s
        else:
            budget.spend(1, now_s)
            arrived.append(now_s + way_s)
            now_s += 0.001
    for first, at in enumerate(arrived):
        assert first + 600 >= len(arrived) or arrived[first + 600] >= at + 5
    assert len(arrived) > 0.9 * 600 * (30 - offset_s) / 5.5


def test_a_share_that_becomes_smaller_counts_what_was_sent_under_the_larger_one() -> None:
    share = 0.5
    budget = DividedBudget(100, 5.0, lambda _: share)
    for _ in range(47):
        assert budget.wait_s(1, 0.0) == 0
        budget.spend(1, 0.0)
    assert budget.wait_s(1, 1.0) == 4.5
    share = 0.25
    assert budget.wait_s(1, 1.0) == 4.5
    for _ in range(23):
        assert budget.wait_s(1, 5.5) == 0
        budget.spend(1, 5.5)
    assert budget.wait_s(1, 6.0) == 5.0


def test_a_process_with_a_bound_uses_no_more_of_a_limit_that_all_see() -> None:
    budget = Budget(LIMIT, bound=0.1)
    budget.learn_clock(0, 0.0)
    for _ in range(60):
        assert budget.wait_s(WEIGHT, 1.0) == 0
        budget.spend(WEIGHT, 1.0)
    assert 58 < budget.wait_s(WEIGHT, 1.5) < 60
    assert budget.wait_s(WEIGHT, 61.0) == 0
