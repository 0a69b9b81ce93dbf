"""The division of limits, told late and obeyed by greedy loaders, against a model of an exchange that counts."""

from bisect import bisect_left
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from queue_manager.app.shares import RunningLoader, Shares
from streamforge_common.contract.commands import SHARE_MARGIN_S, Command, CommandKind, Wanted
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.history.budget import DividedBudget

BYBIT = RunningLoader.of("bybit", "linear", "api_candles_1m")
(POOL,) = BYBIT.pools
STEP_S, UNTIL_S, LOOK_EVERY_S = 0.1, 90.0, 5.0


@dataclass
class Loader:
    """Sends all that it may, as soon as it may."""

    begins_s: float
    ends_s: float
    lag_s: float
    """How long a command is on its way to it."""
    now_s: float = 0.0
    told: float | None = None
    wanted: Wanted = field(default_factory=Wanted)
    on_the_way: list[tuple[float, Command]] = field(default_factory=list)

    def __post_init__(self):
        self.budget = DividedBudget(POOL.limit, POOL.window_s, lambda window_s: self.wanted.share(window_s, self.now_s))

    def tell(self, share: float, now_s: float, *, arrives_s: float) -> None:
        self.told = share
        ids = {"queue_id": "q", "target": "t", "telemetry_id": "t__q", "attempt": 1}
        command = Command(command=CommandKind.START, **ids, options={"share": share}, timestamp=now_s)
        self.on_the_way.append((arrives_s, command))

    def send(self, now_s: float) -> int:
        self.now_s = now_s
        for arrives_s, command in [*self.on_the_way]:
            if arrives_s <= now_s:
                self.wanted = self.wanted.fold(command)
                self.on_the_way.remove((arrives_s, command))
        sent = 0
        while self.budget.wait_s(1, now_s) <= 0:
            self.budget.spend(1, now_s)
            sent += 1
        return sent


lives = st.tuples(st.floats(0, 60), st.floats(0.5, 90), st.floats(0, SHARE_MARGIN_S - LOOK_EVERY_S))


def simulate(loaders: list[Loader], looks_at_s: float = 0.0) -> list[float]:
    """Let them live beside each other; return when each request was sent."""
    shares, sent_s, running, waiting = Shares(), [], [], [*loaders]
    for step in range(int(UNTIL_S / STEP_S)):
        now_s = step * STEP_S
        for loader in [it for it in running if it.ends_s <= now_s]:
            shares.note_ended(BYBIT, str(id(loader)), {POOL.name: loader.budget.used(now_s)}, now_s)
            running.remove(loader)
        for loader in [it for it in waiting if it.begins_s <= now_s]:
            if (share := shares.share_of(BYBIT, now_s)).may_begin:
                loader.tell(share.at_first, now_s, arrives_s=now_s)
                shares.note_begun(BYBIT, str(id(loader)), share.at_first, now_s)
                waiting.remove(loader)
                running.append(loader)
        if (now_s - looks_at_s) % LOOK_EVERY_S < STEP_S:
            shares.count([BYBIT] * len(running))
            for loader in running:
                if (share := shares.share_of(BYBIT, now_s).now) != loader.told:
                    loader.tell(share, now_s, arrives_s=now_s + loader.lag_s)
        sent_s += [now_s for loader in running for _ in range(loader.send(now_s))]
    return sent_s


@settings(max_examples=40, deadline=None)
@given(st.lists(lives, min_size=1, max_size=16), st.floats(0, LOOK_EVERY_S))
def test_all_together_leave_to_live_loaders_and_to_another_replica_what_is_theirs(drawn, looks_at_s):
    loaders = [Loader(begins_s, begins_s + lasts_s, lag_s) for begins_s, lasts_s, lag_s in drawn]
    sent_s = simulate(loaders, looks_at_s)
    for first, at_s in enumerate(sent_s):
        assert bisect_left(sent_s, at_s + POOL.window_s, first) - first <= 0.65 * POOL.limit


def test_however_many_run_they_use_nearly_half_of_the_limit():
    for number in (1, 4):
        sent_s = simulate([Loader(0.0, UNTIL_S, 1.0) for _ in range(number)])
        later = len(sent_s) - bisect_left(sent_s, 30.0)
        assert later > 0.85 * 0.5 * POOL.limit * (UNTIL_S - 30.0) / POOL.window_s


def test_only_loaders_of_limits_that_nobody_counts_have_a_share():
    shares = Shares()
    funding, measured = (
        RunningLoader.of("binance", "um", name) for name in ("api_funding_rate", "dump_open_interest_5m")
    )
    for name in ("api_candles_1m", "dump_agg_trades", "ws_depth"):
        assert shares.share_of(RunningLoader.of("binance", "um", name), 0) is None
        assert shares.share_of(RunningLoader.of("binance", "spot", name), 0) is None
    live = RunningLoader.of("bybit", "spot", "ws_trades")
    shares.count([funding, funding, BYBIT, live, live])
    assert [shares.share_of(it, 0).now for it in (funding, measured, BYBIT, live)] == [0.25, 0.5, 0.5, 0.1]
    shares.note_begun(funding, "first", 0.075, 0)
    assert [shares.share_of(it, 1).at_first for it in (funding, measured, live)] == [0.0375, 0.075, 0.075]
    assert shares.share_of(funding, 311).at_first == 0.075


def test_a_newcomer_that_ends_gives_back_what_it_has_not_spent_and_others_wait_for_that():
    shares, funding = Shares(), RunningLoader.of("binance", "um", "api_funding_rate")
    began = 0
    while (share := shares.share_of(funding, 0)).may_begin:
        shares.note_begun(funding, f"job-{began}", share.at_first, 0)
        began += 1
    assert began == 3
    shares.note_ended(funding, "job-0", {"um_funding": 5}, 2)
    assert shares.share_of(funding, 2).at_first > 0.04
    shares.note_ended(funding, "job-1", {"um_funding": 400}, 2)
    assert shares.share_of(funding, 309).at_first < 0.06
    assert shares.share_of(funding, 313).at_first == 0.075


def test_without_anybody_running_half_is_to_be_had():
    shares = Shares()
    shares.count([])
    assert shares.share_of(RunningLoader.of("bybit", "spot", "api_candles_1m"), 0).now == 0.5


def test_the_limits_that_are_divided_are_these():
    markets = REST_MARKETS.values()
    pools = {pool for market in markets for kind in market.histories for pool in market.untold_pools_of(kind)}
    assert {(pool.name, pool.window_s) for pool in pools} == {("bybit", 5), ("um_funding", 300), ("um_data", 300)}
