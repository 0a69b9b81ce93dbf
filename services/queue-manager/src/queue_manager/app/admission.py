"""How many workflows run at once; the others wait, first come, first served.

Each replica of queue-manager counts for itself.
"""

from collections.abc import Collection

from streamforge_common.ids import QueueId


class Admission:
    """The workflows that run, and those that wait for one of them to end."""

    def __init__(self, most_running: int) -> None:
        self._most_running = most_running
        self._running: set[QueueId] = set()
        self._waiting: dict[QueueId, None] = {}

    def admit(self, queue_id: QueueId) -> None:
        """Count a workflow that has started already, even beyond the limit."""
        self._waiting.pop(queue_id, None)
        self._running.add(queue_id)

    def ask(self, queue_id: QueueId) -> bool:
        """Say whether a workflow may start now; one that may not waits its turn."""
        if queue_id in self._running:
            return True
        self._waiting.setdefault(queue_id)
        is_first = next(iter(self._waiting)) == queue_id
        if not is_first or len(self._running) >= self._most_running:
            return False
        self.admit(queue_id)
        return True

    def leave(self, queue_id: QueueId) -> QueueId | None:
        """Give a place back, if the workflow had one; returns whose turn it is then."""
        self._waiting.pop(queue_id, None)
        self._running.discard(queue_id)
        return next(iter(self._waiting), None) if len(self._running) < self._most_running else None

    def keep_only(self, unsettled: Collection[QueueId]) -> None:
        """Forget workflows that another replica has brought to their end."""
        self._running.intersection_update(unsettled)
        self._waiting = {queue_id: None for queue_id in self._waiting if queue_id in unsettled}
