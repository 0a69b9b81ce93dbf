"""A workflow on its way: its document by asking again and again, its audit trail as it is told."""

import time
from collections.abc import Iterator

from streamforge_local.client.api import QueueManager
from streamforge_local.client.documents import AuditItem, Workflow
from streamforge_local.client.errors import AwayError

_ASK_EVERY_S = 0.25
"""Tasks report once a second; asking costs queue-manager about a millisecond."""
_PATIENCE_S = 60.0
"""queue-manager may be restarted under a workflow, which goes on meanwhile; longer is no restart."""


def follow(manager: QueueManager, queue_id: str) -> Iterator[Workflow]:
    """Yield the workflow now and then, whenever somebody may want to look, and last when it has ended.

    Raises:
        AwayError: queue-manager was away for longer than a restart takes.
    """
    reached_s = time.monotonic()
    while True:
        try:
            workflow = manager.workflow(queue_id)
        except AwayError:
            if time.monotonic() - reached_s > _PATIENCE_S:
                raise
        else:
            yield workflow
            reached_s = time.monotonic()
            if workflow.has_ended:
                return
        time.sleep(_ASK_EVERY_S)


def changes(workflows: Iterator[Workflow]) -> Iterator[Workflow]:
    """Leave out what looks like the one before."""
    last = None
    for workflow in workflows:
        if workflow.raw != last:
            yield workflow
        last = workflow.raw


def follow_audit_trail(manager: QueueManager, queue_id: str) -> Iterator[AuditItem]:
    """Yield every item of the audit trail, from the first on, until the workflow has ended.

    Raises:
        AwayError: queue-manager was away for longer than a restart takes.
    """
    seq = 0
    # An item is stored before its change is shown: what is listed after the end was seen is all there is.
    for workflow in follow(manager, queue_id):
        try:
            for item in manager.stream_audit_trail(queue_id, seq):
                seq = item.seq
                yield item
        except AwayError:
            if workflow.has_ended:
                raise
