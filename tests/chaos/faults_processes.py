"""Processes that die, stand still, or are there twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from streamforge_local.guard import guarded
from tests.chaos.arena import Order
from tests.chaos.oracle import Expectation
from tests.chaos.trial import Fault, NotFiredError, Scene
from tests.chaos.up import gate_of
from tests.embedded.processes import Process, is_running, jobs_of, kill, wait_until

_JOB_WITHIN_S = 30.0
_ABSENCE_S = (0.5, 60.0)
_FREEZE_S = (5.0, 60.0)


class KillJob(Fault):
    """`kill -9` of jobs of one target, one to three times, at random moments."""

    def __init__(self, target: str, draw: Callable[[Random], Order] = Order.draw) -> None:
        self.draw = draw
        self._target = target
        self._killed: list[str] = []

    def strike(self, scene: Scene) -> None:
        """Kill."""
        for _ in range(scene.rng.randint(1, 3)):
            first = _a_job(scene, self._target)
            time.sleep(scene.rng.uniform(0.0, 3.0))
            victims = _jobs(scene, self._target)
            if first is None or not victims:
                return
            victim = scene.rng.choice(victims)
            try:
                kill(victim.pid)
            except ProcessLookupError:
                continue
            self._killed.append(f"{victim.pid} of {victim.is_job_of}")

    def prove(self, scene: Scene) -> str:
        """Every pid was that of such a job and is gone; the launcher counts its restarts."""
        jobs = [job for queue_id in scene.queue_ids for job in scene.arena.workflows.find(queue_id, "/jobs")["items"]]
        restarts = sum(job["restarts"] for job in jobs if job["target"] == self._target)
        if not self._killed:
            raise NotFiredError(f"no {self._target} lived at the chosen moment")
        return f"killed {', '.join(self._killed)}; restarts counted: {restarts}"


class KillQueueManager(Fault):
    """`kill -9` of queue-manager, at moments swept from the first POST on over the life of a workflow."""

    def __init__(self, within_s: float) -> None:
        """Set up.

        Args:
            within_s: The kill comes at most this long after the first POST was begun.
        """
        self.expectation = Expectation(killed=frozenset({"queue-manager"}))
        self._within_s = within_s
        self._killers: list[threading.Timer] = []
        self._killed: list[str] = []

    def arm(self, scene: Scene) -> None:
        """Let kills come while this side is still submitting."""
        for _ in range(scene.rng.randint(1, 2)):
            after_s = scene.rng.uniform(0.0, self._within_s)
            killer = threading.Timer(after_s, self._kill, [scene, after_s])
            killer.start()
            self._killers.append(killer)

    def _kill(self, scene: Scene, after_s: float) -> None:
        pid = scene.arena.platform.pid_of("queue-manager")
        kill(pid)
        self._killed.append(f"{pid} after {after_s:.3f} s")

    def calm(self, scene: Scene) -> None:
        """Wait for the kills."""
        for killer in self._killers:
            killer.join()

    def prove(self, scene: Scene) -> str:
        """The process has another id than those that were killed."""
        now = scene.arena.platform.pid_of("queue-manager")
        if not self._killed or any(text.startswith(f"{now} ") for text in self._killed):
            raise NotFiredError(f"killed {self._killed}, and {now} runs")
        return f"killed {', '.join(self._killed)}; now {now}"


class KillComponent(Fault):
    """`kill -9` of broker or database, which stays away for 0.5 to 60 s."""

    def __init__(self, component: str, away_s: tuple[float, float] = _ABSENCE_S) -> None:
        self.expectation = Expectation(killed=frozenset({component}))
        self._component = component
        self._away_s = away_s
        self._proof = ""

    def strike(self, scene: Scene) -> None:
        """Kill, wait, let it come back."""
        away_s = _mostly_short(scene, self._away_s)
        time.sleep(scene.rng.uniform(0.0, 4.0))
        gate = gate_of(scene.arena.home, self._component)
        if not scene.is_under_way():
            return
        pid = scene.arena.platform.pid_of(self._component)
        gate.touch()
        kill(pid)
        time.sleep(away_s)
        gate.unlink()
        back = scene.arena.platform.pid_of(self._component)
        self._proof = f"killed {self._component} {pid}, kept away {away_s:.1f} s, back as {back}"

    def calm(self, scene: Scene) -> None:
        """Open the gate."""
        gate_of(scene.arena.home, self._component).unlink(missing_ok=True)

    def prove(self, scene: Scene) -> str:
        """Another process is there, and a workflow was under way when the old one died."""
        if not self._proof:
            raise NotFiredError("every workflow had ended before the kill")
        return self._proof


class FreezeComponent(Fault):
    """SIGSTOP of broker or database, SIGCONT 5 to 60 s later."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._proof = ""

    def strike(self, scene: Scene) -> None:
        """Stop, wait, let go on."""
        time.sleep(scene.rng.uniform(0.0, 4.0))
        frozen_s = _mostly_short(scene, _FREEZE_S)
        if not scene.is_under_way():
            return
        pid = scene.arena.platform.pid_of(self._component)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(frozen_s)
            state = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "State:" in line)
        finally:
            os.kill(pid, signal.SIGCONT)
        if "T (stopped)" in state:
            self._proof = f"{self._component} {pid} stood still for {frozen_s:.1f} s"

    def prove(self, scene: Scene) -> str:
        """The kernel said that it stood still."""
        if not self._proof:
            raise NotFiredError("every workflow had ended before, or it did not stop")
        return self._proof


class Twin(Fault):
    """A second process of a job, with the same environment, beside the first or after the workflow's end."""

    def __init__(self, target: str, *, late: bool = False) -> None:
        self.expectation = Expectation(writers_after_the_end=target == "loader-producer")
        self._target = target
        self._late = late
        self._twins: list[subprocess.Popen[bytes]] = []
        self._proof = ""

    def strike(self, scene: Scene) -> None:
        """Start the twins, at once or once all workflows have ended."""
        originals = [_a_job(scene, self._target, queue_id) for queue_id in scene.queue_ids]
        found = [original for original in originals if original is not None]
        if self._late:
            for queue_id in scene.queue_ids:
                scene.arena.workflows.wait_ended(queue_id, scene.arena.patience_s)
        else:
            time.sleep(scene.rng.uniform(0.0, 2.0))
        for original in found:
            side_by_side = is_running(original.pid)
            twin = self._start(scene, original)
            if side_by_side is not self._late:
                self._proof += f"{twin.pid} beside {original.pid}; " if side_by_side else f"{twin.pid} after the end; "
        if self._late:
            for twin in self._twins:
                twin.wait(120)

    def _start(self, scene: Scene, original: Process) -> "subprocess.Popen[bytes]":
        log = scene.arena.home / "logs" / f"twin-{original.pid}.log"
        command = [sys.executable, "-m", self._target.replace("-", "_")]
        with log.open("ab") as output:
            twin = subprocess.Popen(guarded(command), env=original.environment, stdout=output, stderr=output)
        self._twins.append(twin)
        return twin

    def calm(self, scene: Scene) -> None:
        """Let the twins end, or end them."""
        for twin in self._twins:
            try:
                twin.wait(30)
            except subprocess.TimeoutExpired:
                twin.kill()
                twin.wait()

    def prove(self, scene: Scene) -> str:
        """Both lived at once, or the zombie ran when all was over."""
        if not self._proof:
            raise NotFiredError("no twin ran when it should")
        codes = [twin.returncode for twin in self._twins]
        return f"{self._proof}exit codes {codes}"


def _jobs(scene: Scene, target: str, queue_id: str | None = None) -> list[Process]:
    wanted = set(scene.queue_ids)
    return [job for job in jobs_of(scene.arena.home, target, queue_id) if job.is_job_of in wanted]


def _a_job(scene: Scene, target: str, queue_id: str | None = None) -> Process | None:
    """Wait for a job of the trial to run; None where none came."""
    try:
        wait_until(lambda: bool(_jobs(scene, target, queue_id)), _JOB_WITHIN_S, f"a {target}")
    except TimeoutError:
        return None
    return next(iter(_jobs(scene, target, queue_id)), None)


def _mostly_short(scene: Scene, bounds: tuple[float, float]) -> float:
    """Draw from a range in which short times matter as much as long ones: evenly by its logarithm."""
    low, high = bounds
    drawn: float = low * (high / low) ** scene.rng.random()
    return drawn
