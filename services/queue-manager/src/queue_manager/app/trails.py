"""Audit trails that are followed live: each reader is woken when its workflow's trail has grown.

What this replica changes is told at once by the controller. What another one changes is found by one query now and
then over all workflows that are followed here, however many read them. Readers fetch what is new themselves, a page at
a time, so a slow one holds nothing but its place.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager

from loguru import logger

from queue_manager.app.ports import WorkflowStore
from queue_manager.app.workflow import AuditItem, Workflow
from streamforge_common.errors import TransientError
from streamforge_common.ids import QueueId

_LOOK_EVERY_S = 2.0
"""How late a reader sees what another replica did."""
_PAGE = 500


class _Trail:
    """How far the trail of one workflow is known to go; kept as long as somebody follows it."""

    def __init__(self) -> None:
        self.readers = 0
        self.last_seq = 0
        self.has_ended = False
        """The workflow is terminal or gone: nothing more comes."""
        self._woken = asyncio.Event()

    def note(self, last_seq: int, *, has_ended: bool) -> None:
        """Wake the readers where this is news; what is known already may be told late."""
        if last_seq > self.last_seq or (has_ended and not self.has_ended and last_seq == self.last_seq):
            self.last_seq, self.has_ended = last_seq, has_ended
            self.wake()

    def wake(self) -> None:
        """Let all readers look."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def wait(self, within_s: float) -> bool:
        """Return when woken; False when that has not come in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True


class Trails:
    """All trails that are followed in this process."""

    def __init__(self, store: WorkflowStore) -> None:
        self._store = store
        self._trails: dict[QueueId, _Trail] = {}
        self._is_closed = False

    def note(self, workflow: Workflow) -> None:
        """Take in a workflow as it is stored now."""
        trail = self._trails.get(workflow.queue_id)
        if trail is not None:
            trail.note(workflow.control.next_seq - 1, has_ended=workflow.status.is_terminal)

    async def follow(
        self, workflow: Workflow, after_seq: int, *, silence_s: float
    ) -> AsyncGenerator[Sequence[AuditItem]]:
        """Yield what is on a trail after an item, then what comes, until the workflow has ended and all was yielded.

        Args:
            workflow: As it was just read.
            after_seq: Where to start; 0 is the beginning.
            silence_s: After how many seconds without an item an empty sequence is yielded.

        Raises:
            TransientError: The database is away; who follows may ask again after the last item.
        """
        with self._trail_of(workflow) as trail:
            while not self._is_closed:
                if after_seq < trail.last_seq:
                    items = await self._store.audit_page(workflow.queue_id, after_seq, _PAGE)
                    if not items:  # deleted meanwhile
                        return
                    after_seq = items[-1].seq
                    yield items
                elif trail.has_ended:
                    return
                elif not await trail.wait(silence_s):
                    yield ()

    @contextmanager
    def _trail_of(self, workflow: Workflow) -> Iterator[_Trail]:
        trail = self._trails.setdefault(workflow.queue_id, _Trail())
        trail.readers += 1
        self.note(workflow)
        try:
            yield trail
        finally:
            trail.readers -= 1
            if not trail.readers:
                del self._trails[workflow.queue_id]

    async def watch(self) -> None:
        """Look for ever for what other replicas change."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._look()
            except TransientError as exc:
                logger.warning("cannot look for what other replicas changed: {}", exc)

    async def _look(self) -> None:
        followed = {queue_id: trail for queue_id, trail in self._trails.items() if not trail.has_ended}
        if not followed:
            return
        last_seqs = await self._store.last_seqs(list(followed))
        for queue_id, trail in followed.items():
            if queue_id not in last_seqs:
                trail.note(trail.last_seq, has_ended=True)
            elif last_seqs[queue_id] > trail.last_seq:
                # Reading the document also brings on the trail what its writer may have died before.
                stored = await self._store.get(queue_id)
                if stored is not None:
                    self.note(stored.workflow)

    def close(self) -> None:
        """Let all who follow end: the process is about to."""
        self._is_closed = True
        for trail in self._trails.values():
            trail.wake()
