"""One trial: work is under way, something breaks, everything ends; then nothing may be missing.

Everything random in a trial comes from its seed. A trial in which the fault did not show is aborted, not passed.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.chaos.arena import COMPONENTS, Arena, Order
from tests.chaos.oracle import Expectation, find_faults
from tests.embedded.workflows import ENDED, Document

_SUBMITTED_WITHIN_S = 240.0
"""Six deaths of queue-manager, and up to 15 s until it is started again after each."""


class NotFiredError(Exception):
    """The fault did not show, so the trial says nothing."""


@dataclass
class Scene:
    """What a fault sees of its trial."""

    arena: Arena
    rng: Random
    number: int
    """Of the trial within its kind, from 0."""
    orders: list[Order]
    submitted: list[Document] = field(default_factory=list)
    """The documents as they were answered to POST."""

    @property
    def queue_ids(self) -> list[str]:
        """Of the workflows that were submitted so far."""
        return [document["queue_id"] for document in self.submitted]

    def is_under_way(self) -> bool:
        """Say whether a workflow has not ended yet; what breaks later breaks nothing."""
        found = (self.arena.workflows.find(queue_id) for queue_id in self.queue_ids)
        return any(document["status"] not in ENDED for document in found)


class Fault:
    """One thing that goes wrong in one trial; kinds of faults override what they need."""

    expectation = Expectation()
    """What must hold at the end; what must hold always is not said here."""
    draw: Callable[[Random], Order] = Order.draw
    """Draws a workflow of the trial."""

    def arm(self, scene: Scene) -> None:
        """Prepare, before anything is submitted."""

    def strike(self, scene: Scene) -> None:
        """Break something, with the workflows under way."""

    def calm(self, scene: Scene) -> None:
        """Take back what lasts; called whatever came before."""

    def prove(self, scene: Scene) -> str:
        """Say how it is known that the fault has shown.

        Raises:
            NotFiredError: It has not.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    kind: str
    seed: str
    verdict: str
    """`passed`, `failed` or `aborted`."""
    proof: str
    detail: str
    seconds: float
    home: str
    """Where the platform's logs are."""


def run_trial(arena: Arena, kind: str, fault: Fault, seed: str, number: int) -> Outcome:
    """Run one trial; whatever happens in it is its outcome."""
    rng = Random(f"{kind}:{seed}:{number}")  # repeatable is what is wanted
    scene = Scene(arena, rng, number, [fault.draw(rng) for _ in range(rng.randint(2, 3))])
    home, began = str(arena.home), time.monotonic()
    verdict, proof, detail = "passed", "", ""
    try:
        faults = _play(scene, fault)
        proof = fault.prove(scene)
        if faults:
            verdict, detail = "failed", "; ".join(faults)
    except NotFiredError as error:
        verdict, detail = "aborted", str(error)
    except Exception as error:  # a trial that breaks is one that failed, and the others go on
        where = traceback.extract_tb(error.__traceback__)[-1]
        verdict, detail = "failed", f"{error!r} at {where.filename}:{where.lineno}"
    return Outcome(
        kind, f"{seed}:{number}", verdict, proof, detail.replace("\n", " "), round(time.monotonic() - began, 1), home
    )


def _play(scene: Scene, fault: Fault) -> list[str]:
    """Do the trial and return what is wrong in the end."""
    arena = scene.arena
    pids = _pids(arena)
    try:
        fault.arm(scene)
        for order in scene.orders:
            key = f"{order.symbol}-{scene.number}"
            document = arena.workflows.submit_through_outages(order.body, key, _SUBMITTED_WITHIN_S)
            scene.submitted.append(document)
        fault.strike(scene)
        ended = [arena.workflows.wait_ended(queue_id, arena.patience_s) for queue_id in scene.queue_ids]
    finally:
        fault.calm(scene)
    _wait_healthy(arena)
    now, spared = _pids(arena), pids.keys() - fault.expectation.killed
    died = [f"{component} died and was started again" for component in spared if now[component] != pids[component]]
    return died + find_faults(arena, scene.orders, ended, fault.expectation)


def _pids(arena: Arena) -> dict[str, int]:
    return {component: arena.platform.pid_of(component) for component in COMPONENTS}


def _wait_healthy(arena: Arena) -> None:
    deadline = time.monotonic() + arena.patience_s
    while time.monotonic() < deadline:
        try:
            if arena.workflows.http.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError("the platform did not become healthy again")
