"""Several instances of one task: what their events come to.

They share the task's identity and its consumer group, come and go as they are needed, and know nothing of each other.
"""

from collections.abc import Iterable

from queue_manager.app.workflow import Instance, Task
from streamforge_common.contract.events import Event, TaskStatus

_SILENT_S = 30.0
"""An instance reports every second; one that has not for so long is gone."""
_KEPT = 1_000
"""As many as a topic may have partitions; more are never at work at once."""
_FOREMOST = (TaskStatus.LOADING, TaskStatus.PAUSED, TaskStatus.ERROR)
"""What one instance does the task does, in this order."""


def note_instance(task: Task, name: str, event: Event) -> int:
    """Take in what one instance says; returns the records that it has stored since its last event.

    Its `finished` is the task's: an instance is complete when the places that the whole group has committed have
    reached the end, whoever committed them.
    """
    before = task.instances.get(name)
    # A container that is started again in the same pod counts from nothing.
    counted = 0 if before is None or event.status is TaskStatus.STARTING else before.records_written
    progress = max(0, event.records_written - counted)
    task.instances[name] = Instance(
        status=event.status, records_written=event.records_written, heard_at_s=event.timestamp
    )
    if len(task.instances) > _KEPT:
        del task.instances[min(task.instances, key=lambda each: task.instances[each].heard_at_s)]
    task.records_written += progress
    task.status = event.status if event.finished else _status_of_all(task.instances.values())
    return progress


def _status_of_all(instances: Iterable[Instance]) -> TaskStatus:
    instances = list(instances)
    latest_s = max(instance.heard_at_s for instance in instances)
    heard = {instance.status for instance in instances if latest_s - instance.heard_at_s <= _SILENT_S}
    return next((status for status in _FOREMOST if status in heard), TaskStatus.STARTING)
