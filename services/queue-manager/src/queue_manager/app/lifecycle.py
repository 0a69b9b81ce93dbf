"""How a workflow moves: the state machine, without any I/O.

Four things move a workflow: a wish of a person (`wishes`), an event of a task, what is seen of its jobs, and an action
that has been carried out. Each is a function that changes the document in memory; the controller stores it before it
acts on it. `advance` is the heart: from the document and what is seen it says what to do next. It is level-triggered:
nothing depends on having seen every change, and asking twice asks for the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from queue_manager.app.actions import (
    Action,
    CreateTopic,
    DeleteJob,
    DeleteTopic,
    DropCollection,
    Forget,
    Launch,
    ReadEnds,
    SetRetention,
    Tell,
)
from queue_manager.app.instances import note_instance
from queue_manager.app.ports import Job, JobSpec, JobStatus
from queue_manager.app.shares import Share
from queue_manager.app.workflow import Deletion, Span, Task, Wish, Workflow, WorkflowStatus, rfc3339
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import Event, TaskError, TaskStatus

_MOST_REPLACED_JOBS = 3
"""How often a job that ended without a last event is launched anew; more is no accident."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the controller sees when it looks."""

    jobs: Mapping[str, Job]
    """By name, all of this workflow's."""
    events_are_read: bool
    """Whether every event written before `jobs` was listed has been noted."""
    may_start: bool
    """Whether there is room for another running workflow."""
    banned_until_s: float = 0.0
    """Until when (Unix seconds) the dataset's exchange wants nothing; 0 where it has not said so."""
    share: Share | None = None
    """What the loader may use of limits whose use the exchange does not tell; None where it tells all."""


_TOLD_FIELDS = (
    "end_offsets",
    "first_id",
    "last_id",
    "spacing_ms",
    "metrics_port",
    "out_of_range",
    "reconnects",
    "filled",
)
"""Of events: what a task remembers until it is told anew."""


# --- events of tasks ----------------------------------------------------------------------------------------------


def note_event(workflow: Workflow, event: Event, partition: int, offset: int, now: datetime) -> int:
    """Take in one event; reading it again adds nothing. Returns the records written since the task's last event."""
    if offset < workflow.control.events_read.get(str(partition), 0):
        return 0
    workflow.control.events_read[str(partition)] = offset + 1
    workflow.audit("event", event.model_dump(mode="json", exclude_none=True, by_alias=True), now)
    task = workflow.task_of(event.producer)
    # After the end of a workflow every task is finished, so nothing changes then either.
    if task is None or task.finished or event.attempt != task.attempt:
        return 0
    if event.instance is not None:
        progress = note_instance(task, event.instance, event)
    else:
        progress = max(0, event.records_written - task.records_written)
        task.records_written = event.records_written
        task.status = event.status
    task.message = event.message
    task.finished = event.finished
    task.error = event.error
    for field in _TOLD_FIELDS:
        if (told := getattr(event, field)) is not None:
            setattr(task, field, told)
    for gap in event.exchange_gaps or ():
        workflow.note_exchange_gap(Span(n=task.n, start=gap.start, end=gap.end, symbol=gap.symbol or ""))
    for report in event.symbols or ():
        workflow.note_symbol(task.n, report)
    for hole in event.gaps or ():
        # Where ids lie one behind the other the database tells what is missing, and better.
        if hole.missing is None:
            workflow.note_stream_gap(Span(n=task.n, start=hole.start, end=hole.end, symbol=hole.symbol or ""))
    return progress


# --- actions that were carried out --------------------------------------------------------------------------------


def note_topic_created(workflow: Workflow) -> None:
    """The data topic is there, and keeps everything."""
    workflow.control.topic_created = True


def note_retention_set(workflow: Workflow, *, expires: bool) -> None:
    """The data topic now forgets, or keeps everything."""
    workflow.control.topic_expires = expires


def note_told(workflow: Workflow, command: Command, appended_ms: int) -> None:
    """A command is on the log."""
    workflow.control.untold.remove(command)
    task = workflow.task_of(command.telemetry_id)
    if task is None or task.attempt != command.attempt:
        return
    match command.command:
        case CommandKind.START:
            task.told_ban_until_s = command.banned_until_s
            task.told_share = command.share
            if task.started_since_ms is None:
                task.started_since_ms = appended_ms
        case CommandKind.DRAIN:
            task.told_drain = True
        case CommandKind.STOP:
            task.told_stop = True
        case CommandKind.PAUSE:
            task.told_pause = True
        case CommandKind.RESUME:
            task.told_pause = False


def note_launched(workflow: Workflow, spec: JobSpec) -> None:
    """The job is created."""
    task = workflow.task_of(spec.telemetry_id)
    if task is not None and task.attempt == spec.attempt:
        task.launched = True


def note_launch_refused(workflow: Workflow, spec: JobSpec, reason: str) -> None:
    """The launcher will never create the job."""
    task = workflow.task_of(spec.telemetry_id)
    if task is not None and task.attempt == spec.attempt:
        _fail(task, "launch_refused", reason)


def note_ends(workflow: Workflow, ends: Mapping[int, int]) -> None:
    """These are the ends of the data topic after its loader was gone."""
    workflow.control.drain_offsets = {str(partition): offset for partition, offset in ends.items()}


# --- what to do next ----------------------------------------------------------------------------------------------


def needs_judgement(workflow: Workflow, jobs: Mapping[str, Job]) -> bool:
    """Say whether a job has ended, or gets nowhere, without its last event having been noted.

    Only reading all events can tell why.
    """
    if workflow.status.is_terminal:
        return False
    is_hopeless = any(job.is_stuck or job.has_failed for job in jobs.values())
    return is_hopeless or any(
        task.launched and not task.finished and not _is_live(task, jobs) for task in workflow.tasks
    )


def advance(workflow: Workflow, seen: Seen, now: datetime, stop_grace_s: float) -> list[Action]:
    """Say what to do next; empty when there is nothing to do but wait.

    Args:
        workflow: The document; its statuses and judgements are brought up to date.
        seen: The jobs, whether all events were noted, and whether there is room for another workflow.
        now: The time.
        stop_grace_s: How long tasks may take to end by themselves once they are told to, seconds.
    """
    live = [job.name for job in seen.jobs.values() if job.status.is_live]
    if workflow.status.is_terminal:
        return [DeleteJob(name) for name in live] or _settle(workflow, seen.jobs)
    if workflow.control.untold:
        # Whoever decided them may have died before or after telling; a task that is told twice does nothing twice.
        return [Tell(command.telemetry_id, command) for command in workflow.control.untold]
    for task in workflow.tasks:
        task.launched = task.launched or task.job_name in seen.jobs
    if seen.events_are_read:
        _judge(workflow, seen.jobs, now)
        _give_up_hopeless(workflow, seen.jobs)
    _fail_with_its_tasks(workflow, now)
    actions: list[Action] = [DeleteJob(name) for name in live if _is_left_over(workflow, seen.jobs[name])]
    if workflow.control.wish.winds_down:
        actions += _wind_down(workflow, seen.jobs, now, stop_grace_s)
    elif seen.may_start:
        actions += _run(workflow, seen, now)
    actions += _drain(workflow, seen.jobs, now)
    for action in actions:
        if isinstance(action, Tell):
            workflow.control.untold.append(action.command)
            workflow.audit("command", action.command.model_dump(mode="json", exclude_none=True), now)
    _update_status(workflow, seen.jobs, now)
    return actions


def _settle(workflow: Workflow, jobs: Mapping[str, Job]) -> list[Action]:
    """Do what is left after the end; nothing once the workflow is settled."""
    topic = workflow.datasets[0].kafka_topic
    if workflow.control.delete is not None:
        actions: list[Action] = [DeleteJob(name) for name in jobs]
        if workflow.control.topic_asked_for:
            actions.append(DeleteTopic(topic))
        if workflow.control.delete is Deletion.WITH_DATA:
            actions += [DropCollection(dataset.collection_name) for dataset in workflow.datasets]
        return [*actions, Forget()]
    if workflow.control.topic_asked_for and not workflow.control.topic_expires:
        # Whoever died while making it may have made it or not; made for certain, it can be told to forget.
        return [SetRetention(topic, expires=True)] if workflow.control.topic_created else [CreateTopic(topic)]
    workflow.control.settled = True
    return []


def _is_left_over(workflow: Workflow, job: Job) -> bool:
    """Say whether nobody waits for a live job; one that was given up would start after all once it can."""
    task = next((task for task in workflow.tasks if task.job_name == job.name), None)
    return task is None or (task.finished and (job.is_stuck or not job.ends_by_itself))


def _is_live(task: Task, jobs: Mapping[str, Job]) -> bool:
    job = jobs.get(task.job_name)
    return job is not None and job.status.is_live


def _judge(workflow: Workflow, jobs: Mapping[str, Job], now: datetime) -> None:
    """Decide on tasks whose jobs are over without a last event."""
    for position, task in enumerate(workflow.tasks):
        if not task.launched or task.finished or _is_live(task, jobs):
            continue
        job = jobs.get(task.job_name)
        if workflow.control.wish.winds_down:
            task.finished, task.status, task.message = True, TaskStatus.STOPPED, "its job ended while being stopped"
        elif job is not None and job.status is JobStatus.FAILED:
            _fail(
                task,
                "job_failed",
                f"job {job.name!r} failed: {job.reason or 'no reason given'}, exit code {job.exit_code}",
            )
        elif task.replaced_jobs < _MOST_REPLACED_JOBS:
            workflow.audit("status", {"task": task.telemetry_id, "replaced_job": task.job_name}, now)
            successor = task.next_attempt()
            successor.replaced_jobs = task.replaced_jobs + 1
            workflow.tasks[position] = successor
        else:
            _fail(task, "job_vanished", f"job {task.job_name!r} ended without a word, and so did those before it")


def _give_up_hopeless(workflow: Workflow, jobs: Mapping[str, Job]) -> None:
    """A job that cannot start is as good as one that was refused; one that only fails will not get better."""
    for task in workflow.tasks:
        job = jobs.get(task.job_name)
        if job is None or task.finished:
            continue
        if job.is_stuck:
            _fail(task, "launch_refused", f"job {job.name!r} cannot start: {job.reason}")
        elif job.has_failed:
            _fail(task, "job_failed", f"job {job.name!r} failed: {job.reason}")


def _fail(task: Task, code: str, detail: str) -> None:
    task.finished = True
    task.status = TaskStatus.ERROR
    task.message = detail
    task.error = TaskError(code=code, detail=detail, retryable=True)


def _failed(task: Task) -> bool:
    return task.finished and task.status is TaskStatus.ERROR


def _fail_with_its_tasks(workflow: Workflow, now: datetime) -> None:
    for task in workflow.tasks:
        if task.finished and task.status is TaskStatus.STOPPED and not workflow.control.wish.winds_down:
            # Without its work the others would wait for ever.
            _fail(task, "stopped_unasked", f"{task.telemetry_id} has stopped though nobody asked it to")
    failed = next((task for task in workflow.tasks if _failed(task)), None)
    if failed is not None and workflow.error is None:
        workflow.error = failed.error or TaskError(code="task_failed", detail=failed.message, retryable=True)
    if failed is not None and not workflow.control.wish.winds_down:
        workflow.set_wish(Wish.FAIL, now)


def _run(workflow: Workflow, seen: Seen, now: datetime) -> list[Action]:
    """Topic, then `start`, then the job; pause and resume; a ban or a share that came later, by a repeated `start`."""
    topic = workflow.datasets[0].kafka_topic
    if not workflow.control.topic_created:
        workflow.control.topic_asked_for = True
        return [CreateTopic(topic)]
    if workflow.control.topic_expires:
        return [SetRetention(topic, expires=False)]
    begins = any(task.is_loader and task.started_since_ms is None and not task.finished for task in workflow.tasks)
    if begins and seen.share is not None and not seen.share.may_begin:
        return []
    actions: list[Action] = []
    wants_pause = workflow.control.wish is Wish.PAUSE
    for task in workflow.tasks:
        if task.finished:
            continue
        if task.started_since_ms is None:
            actions.append(_start(workflow, task, seen, now))
            continue
        if task.is_loader and _is_news(task, seen, now):
            actions.append(_start(workflow, task, seen, now))
        if not task.launched:
            actions.append(Launch(_job_spec(workflow, task, task.started_since_ms)))
        if wants_pause != task.told_pause:
            actions.append(_tell(workflow, task, CommandKind.PAUSE if wants_pause else CommandKind.RESUME, now))
    return actions


def _wind_down(workflow: Workflow, jobs: Mapping[str, Job], now: datetime, stop_grace_s: float) -> list[Action]:
    """Tell loaders to stop; what is left after the grace is deleted. Connectors are drained, see `_drain`."""
    actions: list[Action] = []
    too_late = now > datetime.fromisoformat(workflow.control.wish_at) + timedelta(seconds=stop_grace_s)
    for task in workflow.tasks:
        if _is_live(task, jobs) and too_late:
            actions.append(DeleteJob(task.job_name))
        elif task.started_since_ms is not None and not task.finished and task.is_loader and not task.told_stop:
            actions.append(_tell(workflow, task, CommandKind.STOP, now))
        elif not task.launched and not task.finished:
            task.finished, task.status, task.message = True, TaskStatus.STOPPED, "stopped before it was launched"
    return actions


def _drain(workflow: Workflow, jobs: Mapping[str, Job], now: datetime) -> list[Action]:
    """Tell connectors where their input ends, as soon as that is known."""
    loaders = [task for task in workflow.tasks if task.is_loader]
    waiting = [
        task
        for task in workflow.tasks
        if not task.is_loader and task.started_since_ms is not None and not task.finished and not task.told_drain
    ]
    if not waiting:
        return []
    if workflow.control.wish.winds_down and any(task.told_pause for task in waiting):
        # A paused connector stores nothing; it goes on for the rest.
        return [_tell(workflow, task, CommandKind.RESUME, now) for task in waiting if task.told_pause]
    for loader in loaders:
        if loader.status is TaskStatus.COMPLETED and loader.end_offsets is not None:
            return [_tell(workflow, task, CommandKind.DRAIN, now, loader.end_offsets) for task in waiting]
        if not workflow.control.wish.winds_down or not loader.finished or _is_live(loader, jobs):
            return []
    if not workflow.control.topic_created:
        return []
    if workflow.control.drain_offsets is None:
        return [ReadEnds(workflow.datasets[0].kafka_topic)]
    return [_tell(workflow, task, CommandKind.DRAIN, now, workflow.control.drain_offsets) for task in waiting]


def _is_news(task: Task, seen: Seen, now: datetime) -> bool:
    """Say whether a loader that runs has to be told more of its exchange."""
    is_banned = seen.banned_until_s > max(task.told_ban_until_s, now.timestamp())
    return is_banned or (seen.share is not None and seen.share.now != task.told_share)


def _start(workflow: Workflow, task: Task, seen: Seen, now: datetime) -> Tell:
    """Tell a task to start; a loader also of a ban that lasts, and of its share."""
    told = _tell(workflow, task, CommandKind.START, now)
    options = dict(told.command.options)
    if seen.banned_until_s > now.timestamp():
        options["banned_until"] = seen.banned_until_s
    if task.is_loader and seen.share is not None:
        options["share"] = seen.share.at_first if task.started_since_ms is None else seen.share.now
    return Tell(task.telemetry_id, told.command.model_copy(update={"options": options}))


def _tell(
    workflow: Workflow, task: Task, kind: CommandKind, now: datetime, end_offsets: Mapping[str, int] | None = None
) -> Tell:
    dataset = workflow.dataset_of(task)
    repair = {} if task.repair is None else {"repair": task.repair.model_dump(mode="json")}
    command = Command(
        command=kind,
        queue_id=workflow.queue_id,
        target=task.target,
        telemetry_id=task.telemetry_id,
        attempt=task.attempt,
        exchange=dataset.exchange,
        market=dataset.market,
        symbol=dataset.symbol,
        type=dataset.type,
        time_range=dataset.time_range,
        kafka_topic=dataset.kafka_topic,
        collection_name=dataset.collection_name,
        options={**dataset.options, **repair},
        end_offsets=None if end_offsets is None else dict(end_offsets),
        timestamp=now.timestamp(),
    )
    return Tell(task.telemetry_id, command)


def _job_spec(workflow: Workflow, task: Task, since_ms: int) -> JobSpec:
    dataset = workflow.dataset_of(task)
    # Only of what is live nobody can say how fast it comes; history comes as fast as one connector stores it.
    is_shared = not task.is_loader and DataType.parse(dataset.type).source.is_live
    topic = dataset.kafka_topic if is_shared else None
    return JobSpec(task.job_name, workflow.queue_id, task.target, task.telemetry_id, task.attempt, since_ms, topic)


# --- the workflow's own status ------------------------------------------------------------------------------------


def _update_status(workflow: Workflow, jobs: Mapping[str, Job], now: datetime) -> None:
    anything_lives = any(job.status.is_live for job in jobs.values())
    if all(task.finished for task in workflow.tasks) and not anything_lives:
        workflow.set_status(_last_status(workflow), now)
        workflow.finished_at = rfc3339(now)
    elif workflow.control.wish.winds_down:
        workflow.set_status(WorkflowStatus.STOPPING, now)
    else:
        workflow.set_status(_running_status(workflow), now)


def _last_status(workflow: Workflow) -> WorkflowStatus:
    if any(_failed(task) for task in workflow.tasks):
        return WorkflowStatus.ERROR
    if workflow.control.wish is Wish.STOP:
        return WorkflowStatus.STOPPED
    return WorkflowStatus.COMPLETED


def _running_status(workflow: Workflow) -> WorkflowStatus:
    unfinished = [task for task in workflow.tasks if not task.finished]
    if unfinished and all(task.status is TaskStatus.PAUSED for task in unfinished):
        return WorkflowStatus.PAUSED
    # A job that was restarted says `starting` again; the workflow as a whole does not go back.
    was_loading = workflow.status in (WorkflowStatus.LOADING, WorkflowStatus.PAUSED)
    if was_loading or any(task.status not in (TaskStatus.PENDING, TaskStatus.STARTING) for task in workflow.tasks):
        return WorkflowStatus.LOADING
    if any(task.started_since_ms is not None for task in workflow.tasks):
        return WorkflowStatus.STARTING
    return WorkflowStatus.PENDING
