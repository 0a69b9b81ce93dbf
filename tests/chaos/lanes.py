"""Run trials side by side: most of them wait for something most of the time."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.chaos.arena import PATIENCE_S, Arena
from tests.chaos.kinds import KINDS
from tests.chaos.trial import Outcome, run_trial

Planned = tuple[str, int]
"""A kind, and the number of the trial in it."""


def run_lanes(
    trials: Sequence[Planned],
    seed: str,
    lanes: int,
    folder: Path,
    environment: Mapping[str, str],
    on_outcome: Callable[[Outcome], None],
    *,
    patience_s: float = PATIENCE_S,
) -> list[Outcome]:
    """Run all trials, each lane on a platform of its own, and return what came of them in the order given."""
    waiting: queue.SimpleQueue[Planned] = queue.SimpleQueue()
    for trial in trials:
        waiting.put(trial)
    outcomes: dict[Planned, Outcome] = {}
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _run_lane(waiting, Arena(folder, environment, patience_s=patience_s), seed, outcomes, on_outcome)
        except BaseException as error:  # raised again by the main thread
            failures.append(error)

    # A platform dies with the thread that started it, so each lane is one thread from begin to end.
    threads = [threading.Thread(target=run) for _ in range(min(lanes, len(trials)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [outcomes[trial] for trial in trials]


def _run_lane(
    waiting: "queue.SimpleQueue[Planned]",
    new_arena: Arena,
    seed: str,
    outcomes: dict[Planned, Outcome],
    on_outcome: Callable[[Outcome], None],
) -> None:
    with new_arena as arena:
        while True:
            try:
                kind, number = waiting.get_nowait()
            except queue.Empty:
                return
            outcome = run_trial(arena, kind, KINDS[kind](), seed, number)
            outcomes[kind, number] = outcome
            on_outcome(outcome)
            if outcome.verdict != "passed":
                # What is left of a trial must not reach the next.
                arena.renew()
