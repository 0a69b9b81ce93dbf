import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from queue_manager.app import wishes
from queue_manager.app.controller import Controller, UnknownWorkflowError
from queue_manager.app.ports import Job, JobStatus
from queue_manager.app.requests import InvalidRequestError, WorkflowRequest
from queue_manager.app.shares import RunningLoader
from queue_manager.app.wishes import NotPossibleError
from queue_manager.app.workflow import Deletion, Workflow, WorkflowStatus
from queue_manager.testing import Crash, CrashError, MemoryLauncher, MemoryLog, MemoryStore
from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import Event, TaskError, TaskStatus
from streamforge_common.contract.repair import Repair

LOADER, CONNECTOR = 0, 1
LIVE_TRADES = {"symbol": "btcusdt", "type": "ws_trades"}
HISTORY = {"symbol": "btcusdt", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}


class Platform:
    """One workflow on the in-memory twins; every call ends with a look at it."""

    def __init__(self, most_running=16, request=None, *, scales=False):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        crash = Crash()
        self.store, self.launcher, self.log = MemoryStore(crash), MemoryLauncher(crash, scales), MemoryLog(crash)
        self.controller = Controller(
            self.store, self.log, self.launcher, clock=lambda: self.now, stop_grace_s=60, most_running=most_running
        )
        self.queue_id = asyncio.run(self.controller.submit(WorkflowRequest(**(request or HISTORY)))).queue_id
        self.look()

    @property
    def workflow(self) -> Workflow:
        return Workflow.model_validate_json(self.store.documents[self.queue_id][0])

    def look(self):
        asyncio.run(self.controller.reconcile(self.queue_id))

    def steer(self, wish):
        asyncio.run(self.controller.steer(self.queue_id, wish))
        self.look()

    def says(self, task: int, status: TaskStatus, **fields):
        workflow_task = self.workflow.tasks[task]
        event = Event(
            queue_id=self.queue_id,
            producer=workflow_task.telemetry_id,
            attempt=fields.pop("attempt", workflow_task.attempt),
            status=status,
            finished=fields.pop("finished", status in (TaskStatus.COMPLETED, TaskStatus.STOPPED)),
            timestamp=fields.pop("timestamp", 0),
            **fields,
        )
        self.log.events.append(event)
        self.log.events_read = len(self.log.events)
        asyncio.run(self.controller.take_events(self.queue_id, [(event, 0, len(self.log.events) - 1)]))
        self.look()

    def ends(self, task: int, status: JobStatus = JobStatus.SUCCEEDED):
        self.launcher.end(self.workflow.tasks[task].job_name, status)
        self.look()

    def told(self) -> list[tuple[CommandKind, str, int]]:
        return [(command.command, command.target, command.attempt) for command in self.log.commands]

    def live(self) -> list[Job]:
        return [job for job in self.launcher.by_name.values() if job.status.is_live]


@pytest.fixture
def platform() -> Platform:
    return Platform()


def test_a_new_workflow_gets_its_topic_then_commands_then_jobs(platform):
    assert platform.log.topics == {platform.workflow.datasets[0].kafka_topic: False}
    assert [kind for kind, _, _ in platform.told()] == [CommandKind.START, CommandKind.START]
    assert platform.launcher.ever_launched == [task.job_name for task in platform.workflow.tasks]
    assert platform.workflow.status is WorkflowStatus.STARTING


def test_the_end_of_the_loader_drains_the_connector_and_completes_the_workflow(platform):
    platform.says(LOADER, TaskStatus.LOADING, records_written=3)
    assert platform.workflow.status is WorkflowStatus.LOADING
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 288})
    assert platform.log.commands[-1].command is CommandKind.DRAIN
    assert platform.log.commands[-1].end_offsets == {"0": 288}
    platform.ends(LOADER)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    assert platform.workflow.status is WorkflowStatus.LOADING, "the connector's job still lives"
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED
    assert platform.workflow.finished_at is not None


def test_a_stop_ends_the_loader_then_drains_the_connector_up_to_what_was_published(platform):
    platform.says(LOADER, TaskStatus.LOADING)
    platform.steer(wishes.stop)
    assert platform.workflow.status is WorkflowStatus.STOPPING
    assert platform.told()[-1] == (CommandKind.STOP, "loader-producer", 1)
    platform.says(LOADER, TaskStatus.STOPPED)
    assert platform.told()[-1][0] is CommandKind.STOP, "the loader's job still lives and may still publish"
    platform.ends(LOADER)
    assert platform.told()[-1] == (CommandKind.DRAIN, "arango-connector", 1)
    assert platform.log.commands[-1].end_offsets == {"0": 10}
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.STOPPED


def test_a_stop_asked_for_twice_changes_nothing(platform):
    platform.steer(wishes.stop)
    told = platform.told()
    platform.steer(wishes.stop)
    assert platform.told() == told


def test_jobs_that_outlive_the_grace_of_a_stop_are_deleted(platform):
    platform.steer(wishes.stop)
    platform.now += timedelta(seconds=61)
    platform.look()
    platform.look()
    assert platform.live() == []
    assert platform.workflow.status is WorkflowStatus.STOPPED


def test_a_loader_that_fails_for_good_ends_the_workflow_in_error_with_what_was_published_stored(platform):
    error = TaskError(code="exchange_refused", detail="-1121 Invalid symbol.", retryable=False)
    platform.says(LOADER, TaskStatus.ERROR, finished=True, error=error)
    platform.ends(LOADER, JobStatus.FAILED)
    assert platform.told()[-1] == (CommandKind.DRAIN, "arango-connector", 1)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.ERROR
    assert platform.workflow.error == error


@pytest.mark.parametrize("side_effects", range(6))
def test_a_command_that_is_obeyed_is_in_the_audit_trail_wherever_its_telling_was_cut_off(platform, side_effects):
    platform.store.crash.arm(side_effects, after=True)
    with suppress(CrashError):
        platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 10})
    platform.store.crash.side_effects_left = None
    if CommandKind.DRAIN not in [kind for kind, _, _ in platform.told()]:
        platform.look()
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(LOADER)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED
    trail = platform.store.audit[platform.queue_id].values()
    assert [item.data["command"] for item in trail if item.kind == "command"] == ["start", "start", "drain"]


def test_a_loader_that_stops_unasked_ends_the_workflow_in_error_with_what_was_published_stored(platform):
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    assert platform.told()[-1][:2] == (CommandKind.DRAIN, "arango-connector")
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.ERROR
    assert platform.workflow.error.code == "stopped_unasked"


def test_a_connector_that_fails_for_good_stops_the_loader(platform):
    error = TaskError(code="data_expired", detail="gone", retryable=False)
    platform.says(CONNECTOR, TaskStatus.ERROR, finished=True, error=error)
    platform.ends(CONNECTOR, JobStatus.FAILED)
    assert platform.told()[-1] == (CommandKind.STOP, "loader-producer", 1)
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    assert platform.workflow.status is WorkflowStatus.ERROR


def test_a_failed_job_without_a_last_event_is_an_error_only_after_all_events_were_read(platform):
    platform.log.events.append(
        Event(queue_id=platform.queue_id, producer="x", attempt=1, status=TaskStatus.LOADING, timestamp=0)
    )
    platform.ends(LOADER, JobStatus.FAILED)
    assert platform.workflow.error is None
    platform.log.events_read = len(platform.log.events)
    platform.look()
    assert platform.workflow.error is not None
    assert platform.workflow.error.code == "job_failed"


def test_a_job_that_vanishes_is_launched_anew_as_another_attempt_a_few_times(platform):
    for attempt in range(1, 5):
        assert platform.workflow.tasks[LOADER].attempt == attempt
        del platform.launcher.by_name[platform.workflow.tasks[LOADER].job_name]
        platform.look()
    assert platform.workflow.error is not None
    assert platform.workflow.error.code == "job_vanished"


def test_a_job_that_another_replica_launches_meanwhile_is_not_taken_for_one_that_is_gone():
    """It was, now and then, with two replicas: the jobs were listed before, the document was read after the launch."""
    crash = Crash()
    store, log = MemoryStore(crash), MemoryLog(crash)

    def replica(launcher):
        return Controller(
            store, log, launcher, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), stop_grace_s=60, most_running=1
        )

    class SlowLauncher(MemoryLauncher):
        """Its first list is on its way while the other replica works."""

        async def jobs(self, queue_id=None):
            listed = await super().jobs(queue_id)
            if not self.ever_launched:
                await first.reconcile(queue_id)
            return listed

    launcher = SlowLauncher(crash)
    first, second = replica(MemoryLauncher(crash, False, launcher.by_name, launcher.ever_launched)), replica(launcher)
    queue_id = asyncio.run(first.submit(WorkflowRequest(**HISTORY))).queue_id
    asyncio.run(second.reconcile(queue_id))

    assert [task.attempt for task in Workflow.model_validate_json(store.documents[queue_id][0]).tasks] == [1, 1]
    assert len(launcher.ever_launched) == 2


def test_events_of_an_earlier_attempt_change_nothing_but_the_audit_trail(platform):
    del platform.launcher.by_name[platform.workflow.tasks[LOADER].job_name]
    platform.look()
    items = len(platform.store.audit[platform.queue_id])
    platform.says(LOADER, TaskStatus.COMPLETED, attempt=1, end_offsets={"0": 1})
    assert platform.workflow.tasks[LOADER].status is TaskStatus.PENDING
    assert len(platform.store.audit[platform.queue_id]) == items + 1


def test_retry_goes_on_with_what_had_not_completed(platform):
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 7})
    platform.ends(LOADER)
    error = TaskError(code="database_refused", detail="no", retryable=False)
    platform.says(CONNECTOR, TaskStatus.ERROR, finished=True, error=error)
    platform.ends(CONNECTOR, JobStatus.FAILED)
    assert platform.workflow.status is WorkflowStatus.ERROR
    platform.steer(wishes.retry)
    assert [task.attempt for task in platform.workflow.tasks] == [1, 2]
    assert platform.told()[-1] == (CommandKind.DRAIN, "arango-connector", 2)
    assert platform.log.commands[-1].end_offsets == {"0": 7}
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED
    assert platform.workflow.error is None


def test_pause_and_resume_reach_every_task(platform):
    platform.steer(wishes.pause)
    assert [kind for kind, _, _ in platform.told()][-2:] == [CommandKind.PAUSE] * 2
    for task in (LOADER, CONNECTOR):
        platform.says(task, TaskStatus.PAUSED)
    assert platform.workflow.status is WorkflowStatus.PAUSED
    platform.steer(wishes.resume)
    assert [kind for kind, _, _ in platform.told()][-2:] == [CommandKind.RESUME] * 2


def test_a_paused_connector_that_is_stopped_goes_on_for_the_rest(platform):
    platform.steer(wishes.pause)
    platform.steer(wishes.stop)
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    assert [kind for kind, target, _ in platform.told() if target == "arango-connector"] == [
        CommandKind.START,
        CommandKind.PAUSE,
        CommandKind.RESUME,
        CommandKind.DRAIN,
    ]


@pytest.mark.parametrize("wish", [wishes.stop, wishes.pause, wishes.resume, wishes.retry])
def test_a_completed_workflow_takes_no_wish(platform, wish):
    for task in (LOADER, CONNECTOR):
        platform.says(task, TaskStatus.COMPLETED, end_offsets={"0": 1})
        platform.ends(task)
    with pytest.raises(wishes.NotPossibleError, match="completed"):
        platform.steer(wish)


def test_a_failed_workflow_cannot_be_stopped(platform):
    platform.says(LOADER, TaskStatus.ERROR, finished=True)
    platform.ends(LOADER)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.ERROR
    with pytest.raises(wishes.NotPossibleError, match="error"):
        platform.steer(wishes.stop)


def test_an_unknown_workflow_cannot_be_steered(platform):
    with pytest.raises(UnknownWorkflowError):
        asyncio.run(platform.controller.steer("wf-none", wishes.stop))


def test_a_live_job_of_an_ended_workflow_is_deleted(platform):
    platform.steer(wishes.stop)
    for task in (LOADER, CONNECTOR):
        platform.says(task, TaskStatus.STOPPED)
        platform.ends(task)
    assert platform.workflow.status is WorkflowStatus.STOPPED
    name = platform.workflow.tasks[LOADER].job_name
    platform.launcher.end(name, JobStatus.RUNNING)
    platform.look()
    assert name not in platform.launcher.by_name


def ended(platform: Platform) -> Platform:
    for task in (LOADER, CONNECTOR):
        platform.says(task, TaskStatus.COMPLETED, end_offsets={"0": 1})
        platform.ends(task)
    assert platform.workflow.status is WorkflowStatus.COMPLETED
    return platform


def test_the_topic_of_an_ended_workflow_forgets_and_keeps_again_on_retry(platform):
    topic = platform.workflow.datasets[0].kafka_topic
    platform.says(LOADER, TaskStatus.ERROR, finished=True)
    platform.ends(LOADER, JobStatus.FAILED)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.log.topics == {topic: True}
    assert platform.workflow.control.settled
    platform.steer(wishes.retry)
    assert platform.log.topics == {topic: False}


def test_a_topic_whose_making_was_cut_off_is_not_left_behind_keeping_everything(platform):
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    platform.queue_id = asyncio.run(platform.controller.submit(request)).queue_id
    platform.store.crash.arm(1, after=True)
    with pytest.raises(CrashError):
        platform.look()
    topic = platform.workflow.datasets[0].kafka_topic
    assert platform.log.topics[topic] is False
    platform.steer(wishes.stop)
    assert platform.workflow.status is WorkflowStatus.STOPPED
    assert platform.log.topics[topic] is True
    asyncio.run(platform.controller.delete(platform.queue_id, Deletion.WITHOUT_DATA))
    assert topic not in platform.log.topics


def test_what_an_ended_workflow_shows_does_not_change_any_more(platform):
    shown = ended(platform).workflow.shown()
    platform.now += timedelta(seconds=5)
    platform.says(LOADER, TaskStatus.LOADING)
    platform.look()
    assert platform.workflow.shown() == shown
    assert shown["updated_at"] == shown["finished_at"]


def test_an_ended_workflow_is_removed_with_all_that_is_its_own(platform):
    collection = ended(platform).workflow.datasets[0].collection_name
    asyncio.run(platform.controller.delete(platform.queue_id, Deletion.WITH_DATA))
    assert platform.store.documents == {}
    assert platform.log.topics == {}
    assert platform.launcher.by_name == {}
    assert platform.store.dropped == [collection]


def test_a_removal_that_was_cut_off_is_finished_by_the_next_look(platform):
    ended(platform)
    platform.store.crash.arm(2, after=False)
    with pytest.raises(CrashError):
        asyncio.run(platform.controller.delete(platform.queue_id, Deletion.WITHOUT_DATA))
    assert [queue_id for queue_id, _ in asyncio.run(platform.store.unsettled())] == [platform.queue_id]
    platform.look()
    assert platform.store.documents == {}
    assert platform.store.dropped == []


def test_a_running_workflow_is_not_removed(platform):
    with pytest.raises(wishes.NotPossibleError, match="stop it"):
        asyncio.run(platform.controller.delete(platform.queue_id, Deletion.WITHOUT_DATA))


def test_data_that_another_workflow_stores_too_is_not_removed(platform):
    ended(platform)
    request = WorkflowRequest(symbol="btcusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    other = asyncio.run(platform.controller.submit(request))
    with pytest.raises(wishes.NotPossibleError, match=other.queue_id):
        asyncio.run(platform.controller.delete(platform.queue_id, Deletion.WITH_DATA))


def test_the_same_key_gets_the_same_workflow_however_often_and_wherever_it_was_cut_off(platform):
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    for effect in range(4):
        platform.store.crash.arm(effect, after=True)
        try:
            asyncio.run(platform.controller.submit(request, "key"))
        except CrashError:
            continue
        finally:
            platform.store.crash.side_effects_left = None
    answers = {asyncio.run(platform.controller.submit(request, "key")).queue_id for _ in range(2)}
    assert len(answers) == 1
    assert len(platform.store.documents) == 2
    other = WorkflowRequest(symbol="ethusdt", type="api_candles_1m", time_range="2024-08-01:2024-08-02")
    with pytest.raises(InvalidRequestError, match="Idempotency-Key"):
        asyncio.run(platform.controller.submit(other, "key"))


def test_a_key_of_a_workflow_that_was_removed_does_not_bring_it_back(platform):
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    first = asyncio.run(platform.controller.submit(request, "key")).queue_id
    del platform.store.documents[first]
    assert asyncio.run(platform.controller.submit(request, "key")).queue_id == first
    assert first not in platform.store.documents


def test_a_ban_that_one_loader_saw_is_told_to_those_that_start_later(platform):
    until_s = platform.now.timestamp() + 600
    platform.says(LOADER, TaskStatus.LOADING, banned_until=until_s)
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")

    def options_of_the_next_start():
        asyncio.run(platform.controller.reconcile(asyncio.run(platform.controller.submit(request)).queue_id))
        return next(
            command.options for command in reversed(platform.log.commands) if command.target == "loader-producer"
        )

    assert options_of_the_next_start() == {"banned_until": until_s}
    platform.now += timedelta(seconds=601)
    assert options_of_the_next_start() == {}


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("loader-producer", {"type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}),
        ("loader-ws", {"type": "ws_trades"}),
    ],
)
def test_a_ban_that_one_loader_saw_is_told_once_to_those_that_run(platform, target, asked):
    request = WorkflowRequest(symbol="ethusdt", **asked)
    other = asyncio.run(platform.controller.submit(request)).queue_id
    asyncio.run(platform.controller.reconcile(other))
    launched = asyncio.run(platform.store.get(other)).workflow.tasks[0].started_since_ms
    until_s = platform.now.timestamp() + 600

    platform.says(LOADER, TaskStatus.LOADING, banned_until=until_s)
    for _ in range(2):
        asyncio.run(platform.controller.reconcile(other))

    starts = [it for it in platform.log.commands if it.queue_id == other and it.target == target]
    assert [it.options for it in starts] == [{}, {"banned_until": until_s}]
    assert asyncio.run(platform.store.get(other)).workflow.tasks[0].started_since_ms == launched


def test_beyond_the_limit_workflows_wait_for_one_to_end_first_come_first_served():
    platform = Platform(most_running=2)
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    later = [asyncio.run(platform.controller.submit(request)).queue_id for _ in range(3)]

    def look_at_all():
        for queue_id in reversed([platform.queue_id, *later]):
            asyncio.run(platform.controller.reconcile(queue_id))

    def started():
        return {job.queue_id for job in platform.launcher.by_name.values()} - {platform.queue_id}

    for queue_id in later:
        asyncio.run(platform.controller.reconcile(queue_id))
    look_at_all()
    assert started() == {later[0]}, "two may run"
    ended(platform)
    look_at_all()
    assert started() == set(later[:2])


def test_a_workflow_that_is_stopped_while_it_waits_gives_up_its_turn():
    platform = Platform(most_running=2)
    request = WorkflowRequest(symbol="ethusdt", type="api_candles_5m", time_range="2024-08-01:2024-08-02")
    later = [asyncio.run(platform.controller.submit(request)).queue_id for _ in range(3)]
    for queue_id in later:
        asyncio.run(platform.controller.reconcile(queue_id))
    asyncio.run(platform.controller.steer(later[1], wishes.stop))
    asyncio.run(platform.controller.reconcile(later[1]))
    ended(platform)
    asyncio.run(platform.controller.reconcile(later[2]))
    assert {job.queue_id for job in platform.launcher.by_name.values()} == {platform.queue_id, later[0], later[2]}


def sticks(platform, task, why="ImagePullBackOff: its image cannot be pulled"):
    job = platform.launcher.by_name[platform.workflow.tasks[task].job_name]
    platform.launcher.by_name[job.name] = replace(job, is_stuck=True, reason=why)


def test_a_job_that_cannot_start_fails_its_workflow_once_it_is_gone(platform):
    sticks(platform, LOADER)
    stuck = platform.workflow.tasks[LOADER].job_name
    platform.look()
    workflow = platform.workflow
    assert workflow.error.code == "launch_refused"
    assert workflow.error.detail == f"job {stuck!r} cannot start: ImagePullBackOff: its image cannot be pulled"
    assert [job.target for job in platform.live()] == ["arango-connector"]
    assert workflow.status is WorkflowStatus.STOPPING
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.ERROR
    assert platform.live() == []


def test_a_job_that_cannot_start_again_is_judged_by_what_it_had_said_before(platform):
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 3})
    sticks(platform, LOADER)
    platform.look()
    assert platform.workflow.error is None
    assert [job.target for job in platform.live()] == ["arango-connector"]
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED


def test_a_job_that_cannot_start_is_not_given_up_before_all_events_are_read(platform):
    platform.log.events_read = -1
    sticks(platform, LOADER)
    platform.look()
    assert platform.workflow.error is None
    assert len(platform.live()) == 2


def test_a_live_workflow_runs_until_it_is_stopped_and_stores_what_was_published():
    platform = Platform(request={"symbol": "btcusdt", "type": "ws_trades", "options": {"duration": 60}})
    start = platform.log.commands[0]
    assert (start.target, start.time_range, start.options) == ("loader-ws", "", {"duration": 60})
    platform.says(LOADER, TaskStatus.LOADING, first_id=7, last_id=9)
    platform.steer(wishes.stop)
    assert platform.told()[-1] == (CommandKind.STOP, "loader-ws", 1)
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    assert platform.told()[-1] == (CommandKind.DRAIN, "arango-connector", 1)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.STOPPED
    assert (platform.workflow.tasks[LOADER].first_id, platform.workflow.tasks[LOADER].last_id) == (7, 9)


def test_several_instances_are_one_task_whose_records_are_summed_and_whose_job_is_deleted_at_the_end():
    platform = Platform(request=LIVE_TRADES, scales=True)

    def connector():
        return platform.workflow.tasks[CONNECTOR]

    platform.says(CONNECTOR, TaskStatus.LOADING, instance="a", records_written=10)
    platform.says(CONNECTOR, TaskStatus.STARTING, instance="b")
    assert (connector().status, connector().records_written) == (TaskStatus.LOADING, 10)
    platform.says(CONNECTOR, TaskStatus.LOADING, instance="b", records_written=5)
    platform.says(CONNECTOR, TaskStatus.LOADING, instance="a", records_written=12)
    assert connector().records_written == 17
    # The container of `b` is started again in its pod.
    platform.says(CONNECTOR, TaskStatus.STARTING, instance="b")
    platform.says(CONNECTOR, TaskStatus.LOADING, instance="b", records_written=3)
    assert connector().records_written == 20

    platform.steer(wishes.stop)
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    platform.says(CONNECTOR, TaskStatus.LOADING, instance="a", records_written=13)
    assert [job.target for job in platform.live()] == ["arango-connector"], "nobody has said that all is stored"
    platform.says(CONNECTOR, TaskStatus.COMPLETED, instance="b", records_written=3)
    assert platform.live() == []
    platform.look()
    assert (platform.workflow.status, connector().records_written) == (WorkflowStatus.STOPPED, 21)


def test_a_task_is_paused_when_all_of_its_instances_are_but_those_that_are_gone():
    platform = Platform(request=LIVE_TRADES, scales=True)

    def pauses(instance, at_s):
        platform.says(CONNECTOR, TaskStatus.PAUSED, instance=instance, timestamp=at_s)
        return platform.workflow.tasks[CONNECTOR].status

    for instance in ("a", "b", "gone"):
        platform.says(CONNECTOR, TaskStatus.LOADING, instance=instance, timestamp=0)
    assert pauses("a", 1) is TaskStatus.LOADING
    assert pauses("b", 40) is TaskStatus.PAUSED


def test_a_job_whose_instances_only_fail_is_given_up():
    platform = Platform(request=LIVE_TRADES, scales=True)
    name = platform.workflow.tasks[CONNECTOR].job_name
    failing = replace(platform.launcher.by_name[name], has_failed=True, reason="OOMKilled: it took too much")
    platform.launcher.by_name[name] = failing
    platform.look()
    platform.look()
    assert [job.target for job in platform.live()] == ["loader-ws"]
    platform.says(LOADER, TaskStatus.STOPPED)
    platform.ends(LOADER)
    assert platform.workflow.status is WorkflowStatus.ERROR
    assert platform.workflow.error.code == "job_failed"
    assert "OOMKilled" in platform.workflow.error.detail


def test_a_live_loader_whose_time_is_over_completes_the_workflow():
    platform = Platform(request={"symbol": "btcusdt", "type": "ws_trades", "options": {"duration": 60}})
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 3}, first_id=7, last_id=9)
    assert platform.log.commands[-1].end_offsets == {"0": 3}
    platform.ends(LOADER)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED


def test_a_loader_of_a_limit_that_nobody_counts_is_told_its_share_and_every_change_of_it():
    platform = Platform(request={**HISTORY, "exchange": "bybit"})

    def shares():
        return [it.share for it in platform.log.commands if it.command is CommandKind.START and it.share]

    assert shares() == [0.075, 0.5]
    assert [it.target for it in platform.log.commands if it.share] == ["loader-producer"] * 2
    platform.controller._shares.count([RunningLoader.of("bybit", "linear", "api_candles_1m")] * 4)
    platform.look()
    platform.look()
    assert shares() == [0.075, 0.5, 0.125]
    assert platform.launcher.ever_launched == [task.job_name for task in platform.workflow.tasks]


@pytest.mark.parametrize(("told", "left"), [({"spent": {"bybit": 6}}, 0.14), ({}, 0.075)])
def test_what_a_loader_has_not_spent_when_it_ends_is_the_next_ones(told, left):
    platform = Platform(request={**HISTORY, "exchange": "bybit"})
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 1}, **told)
    request = WorkflowRequest(**{**HISTORY, "exchange": "bybit"})
    asyncio.run(platform.controller.reconcile(asyncio.run(platform.controller.submit(request)).queue_id))
    shares = [it.share for it in platform.log.commands if it.queue_id != platform.queue_id and it.share]
    assert shares[0] == pytest.approx(left / 2)


def test_a_workflow_whose_loader_would_have_next_to_nothing_of_a_limit_waits(monkeypatch):
    monkeypatch.setattr("queue_manager.app.shares._LEAST", 0.1)
    platform = Platform(request={**HISTORY, "exchange": "bybit"})
    assert (platform.told(), platform.workflow.status) == ([], WorkflowStatus.PENDING)
    monkeypatch.undo()
    platform.look()
    assert len(platform.launcher.ever_launched) == 2


HOLES = [(1_722_470_400_000, 1_722_471_000_000), (1_722_500_100_000, 1_722_500_400_000)]


def completed(request=HISTORY, **known) -> Platform:
    platform = Platform(request=request)
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 288}, **known)
    platform.ends(LOADER)
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    return platform


def repair(platform: Platform, missing):
    platform.steer(partial(wishes.repair, missing={1: missing}))


def test_a_repair_is_another_attempt_that_is_told_the_holes_and_knows_the_ends():
    platform = completed(first_id=5, last_id=9)
    repair(platform, HOLES)
    starts = [it for it in platform.log.commands if it.command is CommandKind.START and it.attempt == 2]
    assert [Repair.of(start) for start in starts] == [Repair(number=2, ranges=HOLES)] * 2
    assert platform.log.topics == {platform.workflow.datasets[0].kafka_topic: False}, "it keeps everything again"
    loader = platform.workflow.tasks[LOADER]
    assert (platform.workflow.status, loader.first_id, loader.last_id) == (WorkflowStatus.STARTING, 5, 9)
    platform.says(LOADER, TaskStatus.COMPLETED, end_offsets={"0": 291})
    platform.ends(LOADER)
    assert platform.log.commands[-1].end_offsets == {"0": 291}
    platform.says(CONNECTOR, TaskStatus.COMPLETED)
    platform.ends(CONNECTOR)
    assert platform.workflow.status is WorkflowStatus.COMPLETED
    assert platform.workflow.tasks[LOADER].last_id == 9


def test_a_repair_of_what_lacks_nothing_or_is_being_repaired_changes_nothing():
    platform = completed()
    for missing, repaired in (([], HOLES), (HOLES[:1], HOLES)):
        before = platform.workflow
        repair(platform, missing)
        assert platform.workflow == before
        repair(platform, repaired)


def test_a_retry_of_a_repair_goes_on_with_the_same_ranges():
    platform = completed()
    repair(platform, HOLES)
    platform.steer(wishes.stop)
    for task in (LOADER, CONNECTOR):
        platform.says(task, TaskStatus.STOPPED)
        platform.ends(task)
    assert platform.workflow.status is WorkflowStatus.STOPPED
    platform.steer(wishes.retry)
    assert [(it.attempt, it.repair) for it in platform.workflow.tasks] == [(3, Repair(number=2, ranges=HOLES))] * 2


@pytest.mark.parametrize(
    ("request_body", "missing", "why"),
    [
        (HISTORY, None, "nobody can say which"),
        (
            {"symbol": "BTCUSDT", "type": "ws_trades"},
            [(5, 9)],
            "load the time that it lacks as api_trades or dump_trades into",
        ),
        ({"symbol": "BTCUSDT", "type": "ws_book_ticker"}, [(5, 9)], "live only"),
    ],
)
def test_a_repair_that_cannot_be_is_refused_and_says_what_to_do_instead(request_body, missing, why):
    with pytest.raises(NotPossibleError, match=why):
        repair(completed(request_body), missing)


def test_a_workflow_that_loads_is_not_repaired(platform):
    with pytest.raises(NotPossibleError, match="once it has ended"):
        repair(platform, HOLES)


def test_what_the_exchange_no_longer_gives_is_refused_before_anything_is_launched():
    request = {"market": "um", "symbol": "BTCUSDT", "type": "api_open_interest_1h"}
    platform = completed({**request, "time_range": "2025-12-30T12:00:00Z/2025-12-31T00:00:00Z"})
    platform.now += timedelta(days=40)
    with pytest.raises(NotPossibleError, match="month"):
        repair(platform, [(1_767_099_600_000, 1_767_103_200_000)])


def test_what_the_archives_have_is_repaired_however_old_it_is():
    request = {"market": "um", "symbol": "BTCUSDT", "type": "api_agg_trades"}
    platform = completed({**request, "time_range": "2025-12-30T12:00:00Z/2025-12-31T00:00:00Z"})
    platform.now += timedelta(days=2)
    repair(platform, [(5, 9)])
