"""The way of a record from the backlog on: published, counted, reported.

Whatever has come while a batch was being published is the next batch, so batches grow with the pace. What is missing is
told before the checkpoint moves behind it: after a kill nobody would know of it any more.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from time import perf_counter, time
from typing import Any, Protocol

from loguru import logger

from loader_ws.app.backlog import Backlog, Outgoing
from loader_ws.app.place import Place
from loader_ws.app.sequence import Mark
from streamforge_common.contract.events import ExchangeGap, StreamGap, TaskStatus
from streamforge_common.job import Completed, Ending, JobRun
from streamforge_common.telemetry import BATCH_SECONDS, FRESHNESS, RECORDS

_LINGER_S = 0.003
"""How long a first record waits for others: a message alone costs as much as a hundred together."""
_GLANCE_S = 0.5
"""How often the wait for records looks up: whether to stop, to pause, to report."""
_SERVICE = "loader-ws"


class DataTopic(Protocol):
    """Where records go."""

    async def publish_messages(self, messages: Sequence[Outgoing]) -> None:
        """Return when the broker has acknowledged all of them."""


class PlaceStore(Protocol):
    """Where the place survives a kill."""

    async def load(self) -> str | None:
        """Return what was saved last."""

    async def save(self, text: str) -> None:
        """Replace it."""


class EndOffsets(Protocol):
    """Reads a topic's ends."""

    def __call__(self, topic: str) -> Awaitable[Mapping[int, int]]:
        """Return, for every partition, the offset of the message to be written next."""


class Dataset(Protocol):
    """What is loaded."""

    @property
    def type(self) -> str:
        """As in the `start` command."""

    @property
    def kafka_topic(self) -> str:
        """Where its records go."""

    @property
    def duration_s(self) -> float | None:
        """How long to listen; None until stopped."""


class Receiver(Protocol):
    """Who brings records into the backlog."""

    untold_gaps: list[StreamGap]
    """What was missed since it was last told."""
    untold_passed_over: list[ExchangeGap]
    """Ids that the exchange gave to no record, since they were last told."""

    @property
    def mark(self) -> Mark:
        """From where to where records are in the backlog or published."""

    @property
    def last_received_s(self) -> float | None:
        """When the latest message came, Unix seconds; None where none has."""

    @property
    def why_nothing_comes(self) -> str:
        """Empty where something does."""

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""

    def forget_told(self, gaps: int, passed_over: int) -> None:
        """The first ones of what was missed have been told."""

    async def receive(self) -> None:
        """Receive for ever."""


class Receivers(Protocol):
    """Makes the receiver of the dataset."""

    def __call__(self, backlog: Backlog, mark: Mark) -> Receiver:
        """Return one that goes on behind what an earlier process has published."""


class Loading:
    """Loads one dataset until it is told to end, or for as long as it was asked to."""

    def __init__(
        self, run: JobRun, dataset: Dataset, *, receivers: Receivers, data_topic: DataTopic, places: PlaceStore
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._receivers = receivers
        self._data_topic = data_topic
        self._places = places
        self._backlog = Backlog()
        self._published = Mark()
        self._rejected = 0
        self._gaps = 0
        self._began_s = time()

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what comes, and return how it ended."""
        await self._resume()
        receiving = self._receivers(self._backlog, self._published)
        FRESHNESS.labels(self._dataset.type).set_function(lambda: time() - (receiving.last_received_s or time()))
        async with asyncio.TaskGroup() as group:
            ending = await self._load_with(group, receiving)
        if ending is not None:
            return ending
        return Completed(
            self._summary(receiving),
            await end_offsets(self._dataset.kafka_topic),
            first_id=self._published.first,
            last_id=self._published.last,
        )

    async def _load_with(self, group: asyncio.TaskGroup, receiving: Receiver) -> Ending | None:
        """Publish what is received until the work must end; None where its time is over."""
        task: asyncio.Task[None] | None = None
        while self._run.ending is None and self._left_s > 0:
            if self._run.is_paused and task is not None:
                task.cancel()
                task = None
            elif not self._run.is_paused and task is None:
                task = group.create_task(receiving.receive())
            await self._backlog.wait_for_more(min(_GLANCE_S, self._left_s))
            await asyncio.sleep(_LINGER_S)
            await self._publish(receiving)
            await self._report(receiving)
        if task is not None:
            task.cancel()
        ending = self._run.ending
        await self._publish(receiving)
        await self._report(receiving, is_last=True)
        return ending

    @property
    def _left_s(self) -> float:
        """How long there is left to listen; the clock may have been set back meanwhile."""
        duration_s = self._dataset.duration_s
        return float("inf") if duration_s is None else min(duration_s, self._began_s + duration_s - time())

    async def _resume(self) -> None:
        """Go on from where an earlier process has come to; what was missed since is seen with the next record."""
        saved = await self._places.load()
        if saved is None:
            return
        place = Place.decode(saved)
        self._published = place.mark
        if place.attempt == self._run.start.attempt:
            self._began_s = place.began_s
            self._run.records_written = place.records_written
            self._rejected = place.records_rejected
        logger.info("going on behind {}", place.last)

    async def _publish(self, receiving: Receiver) -> None:
        """Bring what is in the backlog on the topic."""
        messages, mark = self._backlog.take(), receiving.mark
        if not messages:
            return
        began_s = perf_counter()
        await self._data_topic.publish_messages(messages)
        BATCH_SECONDS.labels(_SERVICE, "publish").observe(perf_counter() - began_s)
        self._published = mark
        # What is no record has no key.
        rejected = sum(not key for key, _, _ in messages)
        self._run.records_written += len(messages) - rejected
        self._rejected += rejected
        for outcome, count in (("written", len(messages) - rejected), ("rejected", rejected)):
            RECORDS.labels(_SERVICE, self._dataset.type, outcome).inc(count)

    async def _report(self, receiving: Receiver, *, is_last: bool = False) -> None:
        """Tell how far it has come and what is missing, at most once a second, and then move the checkpoint."""
        gaps, passed_over = list(receiving.untold_gaps), list(receiving.untold_passed_over)
        fields = self._fields(gaps, passed_over)
        message = self._summary(receiving)
        if is_last:
            await self._run.report(TaskStatus.LOADING, message, **fields)
        elif not await self._run.report_progress(message, **fields):
            return
        self._gaps += len(gaps)
        receiving.forget_told(len(gaps), len(passed_over))
        await self._save_place()

    def _fields(self, gaps: Sequence[StreamGap], passed_over: Sequence[ExchangeGap]) -> dict[str, Any]:
        first_id, last_id = self._published
        return {
            "first_id": first_id,
            "last_id": last_id,
            "gaps": gaps or None,
            "exchange_gaps": passed_over or None,
        }

    async def _save_place(self) -> None:
        place = Place(
            attempt=self._run.start.attempt,
            began_s=self._began_s,
            records_written=self._run.records_written,
            records_rejected=self._rejected,
            first=self._published.first,
            last=self._published.last,
        )
        await self._places.save(place.encode())

    def _summary(self, receiving: Receiver) -> str:
        counts = [f"{self._run.records_written} records"]
        for number, what in (
            *receiving.counts,
            (self._rejected, "messages refused"),
            (self._gaps + len(receiving.untold_gaps), "gaps"),
        ):
            if number:
                counts.append(f"{number} {what}")
        why = receiving.why_nothing_comes
        return (f"trying again: {why}; " if why else "") + ", ".join(counts)
