"""What a person may wish of a workflow: each wish changes the document, and `lifecycle` brings it about."""

from collections.abc import Sequence
from datetime import datetime

from queue_manager.app.repairs import Lacks, Missing, fault_of_repair
from queue_manager.app.workflow import Deletion, Wish, Workflow, WorkflowStatus
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.repair import Repair


class NotPossibleError(Exception):
    """The workflow cannot do that as it stands; says why."""


def stop(workflow: Workflow, now: datetime) -> None:
    """End the workflow, storing what was published.

    Raises:
        NotPossibleError: It has ended otherwise.
    """
    if workflow.status is WorkflowStatus.STOPPED:
        return
    _refuse_if_ended(workflow, "stop")
    if workflow.control.wish.winds_down:
        return
    workflow.set_wish(Wish.STOP, now)
    workflow.set_status(WorkflowStatus.STOPPING, now)


def pause(workflow: Workflow, now: datetime) -> None:
    """Let all tasks keep their place and take no new work.

    Raises:
        NotPossibleError: It has ended, or is being stopped.
    """
    _wish_of_a_running_one(workflow, Wish.PAUSE, "pause", now)


def resume(workflow: Workflow, now: datetime) -> None:
    """Go on after a pause.

    Raises:
        NotPossibleError: It has ended, or is being stopped.
    """
    _wish_of_a_running_one(workflow, Wish.RUN, "resume", now)


def retry(workflow: Workflow, now: datetime) -> None:
    """Go on from where the work stopped: what has not completed, and what comes after it, gets another attempt.

    Raises:
        NotPossibleError: It is neither stopped nor in error.
    """
    if workflow.status not in (WorkflowStatus.STOPPED, WorkflowStatus.ERROR):
        raise NotPossibleError(
            f"{workflow.queue_id!r} is {workflow.status}; only what is stopped or in error can retry"
        )
    if workflow.control.delete is not None:
        raise NotPossibleError(f"{workflow.queue_id!r} is being deleted")
    again = False
    for position, task in enumerate(workflow.tasks):
        again = again or task.status is not TaskStatus.COMPLETED
        if again:
            workflow.tasks[position] = task.next_attempt()
    _begin_again(workflow, now)


def repair(workflow: Workflow, now: datetime, missing: Missing) -> None:
    """Load what is missing of an ended workflow, and nothing else; without anything missing nothing changes.

    Args:
        workflow: The document.
        now: The time.
        missing: What its datasets lacked when it was last looked at.

    Raises:
        NotPossibleError: It has not ended, or what it lacks cannot be loaded.
    """
    if not workflow.status.is_terminal:
        if any(task.repair is not None for task in workflow.tasks):
            return
        raise NotPossibleError(f"{workflow.queue_id!r} is {workflow.status}; what it lacks is known once it has ended")
    if workflow.control.delete is not None:
        raise NotPossibleError(f"{workflow.queue_id!r} is being deleted")
    for dataset in workflow.datasets:
        lacks = missing[dataset.n]
        if lacks is None:
            raise NotPossibleError(f"nobody can say which {dataset.type} of {dataset.symbol} there should be")
        if lacks and (why := fault_of_repair(dataset, lacks, now)):
            raise NotPossibleError(why)
    if not any(missing.values()):
        return
    for position, task in enumerate(workflow.tasks):
        if lacks := missing[task.n]:
            workflow.tasks[position] = task.next_repair(_repair_of(lacks, task.attempt + 1))
    _begin_again(workflow, now)


def _repair_of(lacks: Lacks, number: int) -> Repair:
    if isinstance(lacks, Sequence):
        return Repair(number=number, ranges=list(lacks))
    return Repair(number=number, symbols={symbol: list(ranges) for symbol, ranges in lacks.items()})


def _begin_again(workflow: Workflow, now: datetime) -> None:
    workflow.control.drain_offsets = None
    workflow.control.settled = False
    workflow.error = None
    workflow.finished_at = None
    workflow.set_wish(Wish.RUN, now)
    workflow.set_status(WorkflowStatus.PENDING, now)


def delete(workflow: Workflow, deletion: Deletion) -> None:
    """Remove an ended workflow; asked for twice, data goes if either asked for it.

    Raises:
        NotPossibleError: It has not ended.
    """
    if not workflow.status.is_terminal:
        raise NotPossibleError(f"{workflow.queue_id!r} is {workflow.status}; stop it before it is deleted")
    if workflow.control.delete is not Deletion.WITH_DATA:
        workflow.control.delete = deletion
    workflow.control.settled = False


def _wish_of_a_running_one(workflow: Workflow, wish: Wish, name: str, now: datetime) -> None:
    _refuse_if_ended(workflow, name)
    if workflow.control.wish.winds_down:
        raise NotPossibleError(f"{workflow.queue_id!r} is being stopped and cannot {name}")
    if workflow.control.wish is not wish:
        workflow.set_wish(wish, now)


def _refuse_if_ended(workflow: Workflow, wish: str) -> None:
    if workflow.status.is_terminal:
        raise NotPossibleError(f"{workflow.queue_id!r} is {workflow.status} and cannot {wish}")
