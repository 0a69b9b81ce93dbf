"""Brings every workflow to where it is wanted: looks, decides, stores, acts; over and over.

A workflow is looked at when something about it may have changed (a request, an event, a job) and on a timer, so that
a change that nobody told of is found too. What is decided is stored before it is done, and doing it twice is harmless:
whoever dies in between is continued by whoever looks next.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from weakref import WeakValueDictionary

from loguru import logger

from queue_manager.app import actions, lifecycle, wishes
from queue_manager.app.admission import Admission
from queue_manager.app.intake import Intake
from queue_manager.app.ports import (
    ChangedMeanwhileError,
    ControlLog,
    Job,
    JobSpec,
    Launcher,
    NameTakenError,
    Stored,
    WorkflowStore,
)
from queue_manager.app.requests import WorkflowRequest
from queue_manager.app.shares import RunningLoader, Shares
from queue_manager.app.trails import Trails
from queue_manager.app.wishes import NotPossibleError
from queue_manager.app.workflow import Dataset, Deletion, Workflow, WorkflowStatus, rfc3339
from streamforge_common import telemetry
from streamforge_common.contract.events import Event
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.exchanges import at_the_same_address
from streamforge_common.ids import QueueId, make_job_name

_WORKERS = 8
"""Workflows that are looked at side by side; each waits mostly for the database."""
_LOOK_EVERY_S = 5.0
"""The timer: how late a change is found that nobody told of."""
_WATCH_AGAIN_S = 1.0

NotedEvent = tuple[Event, int, int]
"""An event, and the partition and offset it was read from."""


class UnknownWorkflowError(Exception):
    """No workflow of that queue_id is stored."""


class Controller:
    """Owns the movement of all workflows."""

    def __init__(
        self,
        store: WorkflowStore,
        log: ControlLog,
        launcher: Launcher,
        *,
        clock: Callable[[], datetime],
        stop_grace_s: float,
        most_running: int,
        on_settled: Callable[[QueueId], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._log = log
        self._launcher = launcher
        self._clock = clock
        self._stop_grace_s = stop_grace_s
        self._intake = Intake(store, clock)
        self._admission = Admission(most_running)
        self._shares = Shares()
        self._on_settled = on_settled
        self.trails = Trails(store)
        self._bans: dict[tuple[str, str], float] = {}
        """(exchange, market) to until when (Unix seconds) it wants nothing; every replica reads all events."""
        self._waiting: asyncio.Queue[QueueId] = asyncio.Queue()
        self._is_waiting: set[QueueId] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- what the API and the event reader call -------------------------------------------------------------------

    async def submit(
        self, request: WorkflowRequest, idempotency_key: str | None = None, *, by: str | None = None
    ) -> Workflow:
        """Store a new workflow and see to it; raises as `Intake.take` does."""
        workflow = await self._intake.take(request, idempotency_key, by=by)
        self.trails.note(workflow)
        self.wake(workflow.queue_id)
        return workflow

    async def steer(
        self, queue_id: str, wish: Callable[[Workflow, datetime], None], audit: Mapping[str, str] | None = None
    ) -> Workflow:
        """Apply one of `wishes` and see to the workflow.

        Args:
            queue_id: The workflow.
            wish: What changes its document.
            audit: Who wishes what, written to the audit trail where it changes anything.

        Raises:
            UnknownWorkflowError: It is not stored.
            NotPossibleError: It cannot do that as it stands.
        """

        def note(workflow: Workflow) -> None:
            if audit is not None:
                workflow.audit("status", dict(audit), self._clock())

        workflow = await self._change(queue_id, lambda workflow: wish(workflow, self._clock()), on_change=note)
        if workflow is None:
            raise UnknownWorkflowError(queue_id)
        self.wake(workflow.queue_id)
        return workflow

    async def delete(self, queue_id: str, deletion: Deletion) -> None:
        """Remove an ended workflow.

        Raises:
            UnknownWorkflowError: It is not stored.
            NotPossibleError: It has not ended, or its data is also another workflow's.
        """
        stored = await self._store.get(queue_id)
        if stored is None:
            raise UnknownWorkflowError(queue_id)
        if deletion is Deletion.WITH_DATA:
            for dataset in stored.workflow.datasets:
                others = await self._store.others_storing_in(dataset.collection_name, stored.workflow.queue_id)
                if others:
                    raise NotPossibleError(f"{', '.join(others)} stores in {dataset.collection_name!r} too")
        workflow = await self.steer(queue_id, lambda workflow, _: wishes.delete(workflow, deletion))
        await self.reconcile(workflow.queue_id)

    async def take_events(self, queue_id: str, events: Sequence[NotedEvent]) -> bool:
        """Note the events of one workflow, in the order of the log; False where no such workflow is stored."""
        written: dict[tuple[str, str], int] = {}

        def note(workflow: Workflow) -> None:
            written.clear()
            for event, partition, offset in events:
                progress = lifecycle.note_event(workflow, event, partition, offset, self._clock())
                target_and_type = (event.producer.partition("__")[0], event.type)
                written[target_and_type] = written.get(target_and_type, 0) + progress

        workflow = await self._change(queue_id, note)
        if workflow is None:
            return False
        for event, _, _ in events:
            await self._note_ban(workflow, event)
            self._note_spent(workflow, event)
        # Short jobs are seldom scraped, so their records are counted here too.
        for (target, data_type), records in written.items():
            telemetry.RECORDS.labels(target, data_type, "written").inc(records)
        self.wake(workflow.queue_id)
        return True

    async def _note_ban(self, workflow: Workflow, event: Event) -> None:
        """An exchange bans an address, not a loader: all others must know too, and those that start later."""
        task = workflow.task_of(event.producer)
        if event.banned_until is not None and task is not None:
            dataset = workflow.dataset_of(task)
            is_news = event.banned_until > self._banned_until(dataset)
            for exchange, market in at_the_same_address(dataset.exchange, dataset.market):
                await self._store.note_ban(exchange, market, event.banned_until)
                self._bans[exchange, market] = max(event.banned_until, self._bans.get((exchange, market), 0.0))
            if is_news:
                for queue_id, _ in await self._store.unsettled():
                    self.wake(queue_id)

    def _note_spent(self, workflow: Workflow, event: Event) -> None:
        task = workflow.task_of(event.producer)
        if task is not None and event.spent is not None:
            loader = _loader_of(workflow.dataset_of(task))
            job = make_job_name(task.telemetry_id, event.attempt)
            self._shares.note_ended(loader, job, event.spent, self._clock().timestamp())

    def _banned_until(self, dataset: Dataset) -> float:
        return self._bans.get((dataset.exchange, dataset.market), 0.0)

    def wake(self, queue_id: QueueId) -> None:
        """Have a workflow looked at soon."""
        if queue_id not in self._is_waiting:
            self._is_waiting.add(queue_id)
            self._waiting.put_nowait(queue_id)

    # --- the loops ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at workflows for ever."""
        self._bans = await self._store.bans()
        for queue_id, status in await self._store.unsettled():
            if status is not WorkflowStatus.PENDING:
                self._admission.admit(queue_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_all())
            group.create_task(self._watch_jobs())
            group.create_task(self.trails.watch())
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            queue_id = await self._waiting.get()
            self._is_waiting.discard(queue_id)
            try:
                await self.reconcile(queue_id)
            except TransientError as exc:
                logger.bind(queue_id=queue_id).warning("will look again: {}", exc)

    async def _look_at_all(self) -> None:
        while True:
            try:
                unsettled = [queue_id for queue_id, _ in await self._store.unsettled()]
                self._admission.keep_only(set(unsettled))
                self._shares.count(await self._store.running_loaders())
                for queue_id in unsettled:
                    self.wake(queue_id)
                await self._look_at_jobs()
                await self._count()
                await self._store.forget_old_keys()
            except TransientError as exc:
                logger.warning("could not look at all workflows: {}", exc)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look_at_jobs(self) -> None:
        """A live job whose workflow has ended is left over: looking at the workflow deletes it."""
        jobs = await self._launcher.jobs()
        for queue_id in {job.queue_id for job in jobs if job.status.is_live}:
            self.wake(QueueId(queue_id))
        telemetry.JOBS.clear()
        for job in jobs:
            telemetry.JOBS.labels(job.target, job.status).inc()

    async def _count(self) -> None:
        counts = await self._store.counts()
        telemetry.WORKFLOWS.clear()
        for status, number in counts.items():
            telemetry.WORKFLOWS.labels(status).set(number)

    async def _watch_jobs(self) -> None:
        while True:
            try:
                async for queue_id in self._launcher.watch():
                    self.wake(queue_id)
            except TransientError as exc:
                logger.warning("lost the watch on jobs, the timer goes on: {}", exc)
            await asyncio.sleep(_WATCH_AGAIN_S)

    # --- one workflow ---------------------------------------------------------------------------------------------

    async def reconcile(self, queue_id: QueueId) -> None:
        """Look at one workflow and act until there is nothing to do but wait."""
        while True:
            async with self._lock(queue_id):
                try:
                    if not await self._step(queue_id):
                        return
                except ChangedMeanwhileError:
                    continue

    async def _step(self, queue_id: QueueId) -> bool:
        """Look, decide, store, act, store; returns whether anything was done."""
        looked = await self._look(queue_id)
        if looked is None:
            return False
        stored, jobs, events_are_read = looked
        before = stored.workflow.model_dump_json()
        banned_until_s = self._banned_until(stored.workflow.datasets[0])
        share = self._shares.share_of(_loader_of(stored.workflow.datasets[0]), self._clock().timestamp())
        seen = lifecycle.Seen(jobs, events_are_read, self._may_start(stored.workflow), banned_until_s, share)
        todo = lifecycle.advance(stored.workflow, seen, self._clock(), self._stop_grace_s)
        if stored.workflow.model_dump_json() != before:
            stored = await self._save(stored)
        for action in todo:
            await self._do(stored.workflow, action)
        if todo and actions.Forget() not in todo:
            await self._save(stored)
        if stored.workflow.status.is_terminal and (next_id := self._admission.leave(queue_id)) is not None:
            self.wake(next_id)
        if stored.workflow.status.is_terminal and not (todo or stored.workflow.control.settled):
            return True
        # A job that is being deleted takes its time; the watch tells when it is gone.
        return any(not isinstance(action, actions.DeleteJob | actions.Forget) for action in todo)

    async def _look(self, queue_id: QueueId) -> tuple[Stored, Mapping[str, Job], bool] | None:
        """Return the document, the jobs, and whether every event before is noted; None where nothing is stored.

        The jobs are listed first: the document that is read behind knows each of them. But it may also know of one that
        another replica has launched meanwhile, so whether a job is gone is told only by a list that is younger than
        the document that says it was launched.
        """
        jobs = await self._jobs_of(queue_id)
        stored = await self._store.get(queue_id)
        while stored is not None and lifecycle.needs_judgement(stored.workflow, jobs):
            launched = stored.workflow.launched_jobs()
            jobs = await self._jobs_of(queue_id)
            events_are_read = await self._log.events_are_read()
            stored = await self._store.get(queue_id)
            if stored is not None and stored.workflow.launched_jobs() == launched:
                return stored, jobs, events_are_read
        return None if stored is None else (stored, jobs, False)

    async def _jobs_of(self, queue_id: QueueId) -> dict[str, Job]:
        return {job.name: job for job in await self._launcher.jobs(queue_id)}

    def _may_start(self, workflow: Workflow) -> bool:
        has_started = workflow.status is not WorkflowStatus.PENDING
        if has_started and not workflow.status.is_terminal:
            self._admission.admit(workflow.queue_id)
        return has_started or self._admission.ask(workflow.queue_id)

    async def _do(self, workflow: Workflow, action: actions.Action) -> None:
        match action:
            case actions.Launch(spec):
                await self._launch(workflow, spec)
            case actions.DeleteJob(name):
                await self._launcher.delete(name)
                logger.bind(queue_id=workflow.queue_id).info("deleted job {}", name)
            case actions.DropCollection(name):
                await self._store.drop_collection(name)
            case actions.Forget():
                await self._store.forget(workflow.queue_id)
                logger.bind(queue_id=workflow.queue_id).info("deleted")
            case _:
                await self._do_on_broker(workflow, action)

    async def _do_on_broker(self, workflow: Workflow, action: actions.BrokerAction) -> None:
        match action:
            case actions.CreateTopic(topic):
                await self._log.create_data_topic(topic)
                lifecycle.note_topic_created(workflow)
            case actions.SetRetention(topic, expires):
                await self._log.set_retention(topic, expires=expires)
                lifecycle.note_retention_set(workflow, expires=expires)
            case actions.DeleteTopic(topic):
                await self._log.delete_topic(topic)
            case actions.ReadEnds(topic):
                lifecycle.note_ends(workflow, await self._log.end_offsets(topic))
            case actions.Tell(telemetry_id, command):
                appended_ms = await self._log.tell(command)
                task = workflow.task_of(telemetry_id)
                if task is not None and task.started_since_ms is None and command.share is not None:
                    loader = _loader_of(workflow.dataset_of(task))
                    self._shares.note_begun(loader, task.job_name, command.share, command.timestamp)
                lifecycle.note_told(workflow, command, appended_ms)
                logger.bind(queue_id=workflow.queue_id).info("told {} to {}", telemetry_id, command.command)

    async def _launch(self, workflow: Workflow, spec: JobSpec) -> None:
        bound = logger.bind(queue_id=workflow.queue_id)
        try:
            await self._launcher.launch(spec)
        except (NameTakenError, FatalError) as exc:
            lifecycle.note_launch_refused(workflow, spec, str(exc))
            bound.error("{}", exc)
        else:
            lifecycle.note_launched(workflow, spec)
            bound.info("launched {}", spec.name)

    async def _change(
        self,
        queue_id: str,
        change: Callable[[Workflow], None],
        *,
        on_change: Callable[[Workflow], None] = lambda _: None,
    ) -> Workflow | None:
        """Read, change and store a document; again where another was faster. None where it is not stored.

        `on_change` adds to a change that is one.
        """
        async with self._lock(queue_id):
            while True:
                stored = await self._store.get(queue_id)
                if stored is None:
                    return None
                before = stored.workflow.model_dump_json()
                change(stored.workflow)
                if stored.workflow.model_dump_json() == before:
                    return stored.workflow
                on_change(stored.workflow)
                with suppress(ChangedMeanwhileError):
                    return (await self._save(stored)).workflow

    async def _save(self, stored: Stored) -> Stored:
        # What is done behind the end (the topic's retention, late events) is not part of what the document tells.
        stored.workflow.updated_at = stored.workflow.finished_at or rfc3339(self._clock())
        replaced = await self._store.replace(stored)
        self.trails.note(replaced.workflow)
        if replaced.workflow.control.settled:
            self._on_settled(replaced.workflow.queue_id)
        return replaced

    def _lock(self, queue_id: str) -> asyncio.Lock:
        """One lock per workflow, so that this process does not race itself; other replicas meet at the revision."""
        return self._locks.setdefault(queue_id, asyncio.Lock())


def _loader_of(dataset: Dataset) -> RunningLoader:
    return RunningLoader.of(dataset.exchange, dataset.market, dataset.type)
