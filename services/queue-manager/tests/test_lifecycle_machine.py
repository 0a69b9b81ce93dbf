"""The controller in a world of crashes, duplicates, late events, twins and impatient people."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from queue_manager.app import wishes
from queue_manager.app.catalog import LOADERS
from queue_manager.app.controller import Controller
from queue_manager.app.ports import Job, JobStatus
from queue_manager.app.requests import WorkflowRequest
from queue_manager.app.wishes import NotPossibleError
from queue_manager.app.workflow import Wish, Workflow, WorkflowStatus
from queue_manager.testing import Crash, CrashError, MemoryLauncher, MemoryLog, MemoryStore
from streamforge_common.contract.events import Event, TaskError, TaskStatus

GRACE_S = 60
REQUEST = WorkflowRequest(symbol="BTCUSDT", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
REPAIR = partial(wishes.repair, missing={1: [(1_722_470_400_000, 1_722_471_000_000)]})
FINAL_EVENTS = (TaskStatus.COMPLETED, TaskStatus.STOPPED, TaskStatus.ERROR)


class WorkflowWorld(RuleBasedStateMachine):
    """One workflow, two replicas of queue-manager, and jobs that behave as they like."""

    request = REQUEST
    scales = False

    def __init__(self):
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.crash = Crash()
        self.store, self.log = MemoryStore(self.crash), MemoryLog(self.crash)
        self.launcher = MemoryLauncher(self.crash, self.scales)
        self.ended_as: WorkflowStatus | None = None
        self.restart()

    def clock(self) -> datetime:
        """No two readings are the same: a command that is decided again later is another one."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def restart(self):
        self.replicas = [
            Controller(self.store, self.log, self.launcher, clock=self.clock, stop_grace_s=GRACE_S, most_running=1)
            for _ in range(2)
        ]

    def survive(self, *coroutines):
        """Run side by side; a crash takes the processes with it and they start again."""

        async def together():
            return await asyncio.gather(*coroutines, return_exceptions=True)

        outcomes = asyncio.run(together())
        crashed = [outcome for outcome in outcomes if isinstance(outcome, CrashError)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, CrashError):
                raise outcome
        if crashed:
            self.restart()
        return not crashed

    @property
    def workflow(self) -> Workflow:
        return Workflow.model_validate_json(self.store.documents[self.queue_id][0])

    def live_jobs(self) -> list[Job]:
        return [job for job in self.launcher.by_name.values() if job.status.is_live]

    @initialize()
    def submit(self):
        workflow = asyncio.run(self.replicas[0].submit(self.request))
        self.queue_id = workflow.queue_id

    # --- what may happen ---

    @rule(replica=st.integers(0, 1))
    def look(self, replica):
        self.survive(self.replicas[replica].reconcile(self.queue_id))
        assert not (self.workflow.status.is_terminal and self.live_jobs())

    @rule()
    def both_look_at_once(self):
        self.survive(*(replica.reconcile(self.queue_id) for replica in self.replicas))

    @rule(side_effects=st.integers(0, 8), after=st.booleans())
    def look_and_be_killed(self, side_effects, after):
        self.crash.arm(side_effects, after=after)
        self.survive(self.replicas[0].reconcile(self.queue_id))
        self.crash.side_effects_left = None

    @rule(seconds=st.integers(1, 120))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(
        wish=st.sampled_from([wishes.stop, wishes.pause, wishes.resume, wishes.retry, REPAIR]),
        is_killed=st.sampled_from([None, "before", "after"]),
    )
    def steer(self, wish, is_killed):
        left_by = {
            wishes.retry: (WorkflowStatus.STOPPED, WorkflowStatus.ERROR),
            REPAIR: (WorkflowStatus.STOPPED, WorkflowStatus.ERROR, WorkflowStatus.COMPLETED),
        }
        may_leave_end = self.workflow.status in left_by.get(wish, ())
        if is_killed is not None:
            self.crash.arm(0, after=is_killed == "after")
        try:
            self.survive(self.replicas[1].steer(self.queue_id, wish))
        except NotPossibleError:
            return
        finally:
            self.crash.side_effects_left = None
        if may_leave_end:
            self.ended_as = None

    @rule(data=st.data())
    @precondition(lambda self: self.live_jobs())
    def job_speaks(self, data):
        job = data.draw(st.sampled_from(self.live_jobs()))
        if self.has_spoken_last(job) and job.ends_by_itself:
            self.launcher.end(job.name, JobStatus.SUCCEEDED)
            return
        statuses = [TaskStatus.STARTING, TaskStatus.LOADING, TaskStatus.PAUSED]
        self.speak(job, data.draw(st.sampled_from([*statuses, self.good_ending(job)])))

    @rule(data=st.data(), status=st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.RESTARTING]))
    @precondition(lambda self: self.live_jobs())
    def job_dies(self, data, status):
        job = data.draw(st.sampled_from(self.live_jobs()))
        self.launcher.end(job.name, status if job.ends_by_itself else JobStatus.RESTARTING)

    @rule(data=st.data(), is_stuck=st.booleans())
    @precondition(lambda self: self.live_jobs())
    def job_gets_nowhere(self, data, is_stuck):
        job = data.draw(st.sampled_from(self.live_jobs()))
        if is_stuck or not job.ends_by_itself:
            self.launcher.by_name[job.name] = replace(
                job, is_stuck=is_stuck, has_failed=not is_stuck, reason="so it is"
            )

    @rule(data=st.data())
    @precondition(lambda self: self.live_jobs())
    def job_vanishes(self, data):
        del self.launcher.by_name[data.draw(st.sampled_from(self.live_jobs())).name]

    @rule(data=st.data())
    @precondition(lambda self: self.live_jobs())
    def job_fails_for_good(self, data):
        job = data.draw(st.sampled_from(self.live_jobs()))
        if not self.has_spoken_last(job):
            self.speak(job, TaskStatus.ERROR)
        self.launcher.end(job.name, JobStatus.FAILED if job.ends_by_itself else JobStatus.RESTARTING)

    @rule(data=st.data())
    @precondition(lambda self: self.live_jobs())
    def job_stops_as_it_likes(self, data):
        job = data.draw(st.sampled_from(self.live_jobs()))
        if not self.has_spoken_last(job):
            self.speak(job, TaskStatus.STOPPED)

    @rule(status=st.sampled_from(list(TaskStatus)), attempt=st.integers(0, 1))
    def zombie_speaks(self, status, attempt):
        for task in self.workflow.tasks:
            if attempt < task.attempt:
                self.write_event(task.telemetry_id, attempt, status)

    @rule(again_from=st.integers(0, 30), replica=st.integers(0, 1))
    def events_are_delivered(self, again_from, replica):
        """A reader that was killed before its commit reads events again."""
        self.deliver(max(0, self.log.events_read - again_from), replica)

    # --- what must hold ---

    @invariant()
    def terminal_states_never_change(self):
        if not hasattr(self, "queue_id"):
            return
        status = self.workflow.status
        if self.ended_as is not None:
            assert status is self.ended_as
        elif status.is_terminal:
            self.ended_as = status

    @invariant()
    def a_job_is_created_at_most_once_and_after_its_start_command(self):
        vanished_and_made_again = len(self.launcher.ever_launched) - len(set(self.launcher.ever_launched))
        assert vanished_and_made_again <= self.crash_allowance()
        for job in self.launcher.by_name.values():
            assert self.log.wanted(job.telemetry_id, job.attempt).start is not None

    @invariant()
    def the_audit_trail_has_no_holes(self):
        if not hasattr(self, "queue_id"):
            return
        asyncio.run(self.store.get(self.queue_id))
        trail = self.store.audit[self.queue_id]
        assert sorted(trail) == list(range(1, self.workflow.control.next_seq))

    @invariant()
    def every_command_is_in_the_audit_trail_once(self):
        if not hasattr(self, "queue_id"):
            return
        noted = [item.data for item in self.store.audit[self.queue_id].values() if item.kind == "command"]
        told = [command.model_dump(mode="json", exclude_none=True) for command in self.log.commands]
        untold = [it.model_dump(mode="json", exclude_none=True) for it in self.workflow.control.untold]
        assert len(noted) == len({json.dumps(it) for it in noted})
        assert all(it in noted for it in told)
        assert all(it in told or it in untold for it in noted)

    @invariant()
    def every_delivered_event_is_in_the_audit_trail_once(self):
        if not hasattr(self, "queue_id"):
            return
        noted = [item for item in self.store.audit[self.queue_id].values() if item.kind == "event"]
        assert len(noted) == self.workflow.control.events_read.get("0", 0)

    def teardown(self):
        if not hasattr(self, "queue_id"):
            return
        for _ in range(40):
            if self.workflow.status.is_terminal and not self.live_jobs():
                break
            self.behave_well()
        assert self.workflow.status.is_terminal
        assert not self.live_jobs()
        self.behave_well()
        assert self.workflow.control.settled
        assert all(self.log.topics.values()), "the topic of an ended workflow forgets"

    # --- how the world works ---

    def crash_allowance(self) -> int:
        """A job that vanished before its creation was noted is made again under the same name: one per name."""
        return len(set(self.launcher.ever_launched))

    def behave_well(self):
        if self.workflow.control.wish is Wish.PAUSE and not self.workflow.status.is_terminal:
            self.survive(self.replicas[0].steer(self.queue_id, wishes.resume))
        for job in self.live_jobs():
            if self.has_spoken_last(job) and job.ends_by_itself:
                self.launcher.end(job.name, JobStatus.SUCCEEDED)
            elif self.good_ending(job) in FINAL_EVENTS:
                self.speak(job, self.good_ending(job))
        self.deliver(self.log.events_read, 0)
        self.survive(self.replicas[0].reconcile(self.queue_id))
        self.now += timedelta(seconds=10)

    def good_ending(self, job: Job) -> TaskStatus:
        wanted = self.log.wanted(job.telemetry_id, job.attempt)
        if job.target in LOADERS:
            return TaskStatus.STOPPED if wanted.stopped else TaskStatus.COMPLETED
        return TaskStatus.COMPLETED if wanted.end_offsets is not None else TaskStatus.LOADING

    def has_spoken_last(self, job: Job) -> bool:
        return any(
            event.finished and (event.producer, event.attempt) == (job.telemetry_id, job.attempt)
            for event in self.log.events
        )

    def speak(self, job: Job, status: TaskStatus):
        # Which one it is does not matter: each event is that of another one.
        instance = None if job.ends_by_itself else f"pod-{len(self.log.events) % 3}"
        self.write_event(job.telemetry_id, job.attempt, status, instance)

    def write_event(self, telemetry_id: str, attempt: int, status: TaskStatus, instance: str | None = None):
        final = status in FINAL_EVENTS
        self.log.events.append(
            Event(
                queue_id=self.queue_id,
                producer=telemetry_id,
                instance=instance,
                attempt=attempt,
                status=status,
                finished=final,
                timestamp=self.now.timestamp(),
                end_offsets={"0": 10} if final and telemetry_id.startswith(tuple(LOADERS)) else None,
                error=TaskError(code="x", detail="x", retryable=False) if status is TaskStatus.ERROR else None,
            )
        )

    def deliver(self, start: int, replica: int):
        batch = [(event, 0, offset) for offset, event in enumerate(self.log.events)][start:]
        if batch and self.survive(self.replicas[replica].take_events(self.queue_id, batch)):
            self.log.events_read = len(self.log.events)


class ScaledWorld(WorkflowWorld):
    """A live workflow whose connector is several instances, in a job that lives until it is deleted."""

    request = WorkflowRequest(symbol="BTCUSDT", type="ws_trades")
    scales = True


def explored(world, examples):
    case = world.TestCase
    case.pytestmark = [pytest.mark.timeout(600)]
    case.settings = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return case


TestWorkflowWorld = explored(WorkflowWorld, 150)
TestScaledWorld = explored(ScaledWorld, 50)
