"""What a person may wish of a workflow: each wish changes the document, and `lifecycle` brings it about."""

from datetime import datetime

from queue_manager.app.workflow import Deletion, Wish, Workflow, WorkflowStatus
from streamforge_common.contract.events import TaskStatus


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
