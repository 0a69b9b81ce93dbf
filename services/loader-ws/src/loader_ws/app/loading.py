"""The way of a record from the backlog on: published, counted, reported.

Whatever has come while a batch was being published is the next batch, so batches grow with the pace. The checkpoint
holds what is missing and may still come; what will not come is told before it is left out there: after a kill nobody
would know of it any more.
"""

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from time import monotonic, perf_counter, time
from typing import Protocol

from loguru import logger

from loader_ws.app.backlog import Backlog, Outgoing
from loader_ws.app.place import Place
from loader_ws.app.sequence import Mark
from streamforge_common.contract.events import ExchangeGap, StreamGap, SymbolReport, TaskStatus
from streamforge_common.job import Completed, Ending, Interrupted, JobRun
from streamforge_common.telemetry import BATCH_SECONDS, FRESHNESS, RECORDS

_LINGER_S = 0.003
"""How long a first record waits for others: a message alone costs as much as a hundred together."""
_GLANCE_S = 0.5
"""How often the wait for records looks up: whether to stop, to pause, to report."""
_SAVE_EVERY_S = 1.0
"""How much is published again after a kill."""
_STUCK_S = 30.0
"""For how long the last holes may not get smaller once the time is over."""
_STOP_WITHIN_S = 3.0
"""How long a stop waits for holes that are just being filled."""
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

    @property
    def untold_gaps(self) -> Sequence[StreamGap]:
        """What is missing for good, since it was last told."""

    @property
    def untold_exchange_gaps(self) -> Sequence[ExchangeGap]:
        """What the exchange does not have, since it was last told."""

    @property
    def last_received_s(self) -> float | None:
        """When the latest message came, Unix seconds; None where none has."""

    @property
    def mark(self) -> Mark:
        """From where to where records are in the backlog or published."""

    def symbols(self, published: Mark) -> list[SymbolReport]:
        """Say of each symbol of a basket how far it is published."""

    @property
    def why_nothing_comes(self) -> str:
        """Empty where something does."""

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""

    @property
    def reconnects(self) -> int:
        """Connections that were opened because one was lost."""

    @property
    def filled(self) -> int:
        """Records that were missed and brought afterwards."""

    def forget_told(self, gaps: int, exchange_gaps: int) -> None:
        """The first ones of what is missing have been told; more may have come meanwhile."""

    async def receive(self) -> None:
        """Receive for ever."""

    async def fill(self) -> None:
        """Bring what was missed, for ever."""

    def give_up_holes(self) -> None:
        """What is still missing stays so."""


class RestExchange(Protocol):
    """Whom receivers ask beside the stream."""

    def close_until(self, until_s: float) -> None:
        """Leave it alone until then, Unix seconds."""

    async def next_ban(self) -> float:
        """Return when it begins to ask for a longer rest, Unix seconds: until when it does."""


class Receivers(Protocol):
    """Makes the receiver of the dataset."""

    def __call__(self, backlog: Backlog, mark: Mark) -> Receiver:
        """Return one that goes on behind what an earlier process has published."""


class Loading:
    """Loads one dataset until it is told to end, or for as long as it was asked to."""

    def __init__(
        self,
        run: JobRun,
        dataset: Dataset,
        *,
        receivers: Receivers,
        rest: RestExchange,
        data_topic: DataTopic,
        places: PlaceStore,
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._receivers = receivers
        self._rest = rest
        self._data_topic = data_topic
        self._places = places
        self._backlog = Backlog()
        self._published = Mark()
        self._rejected = 0
        self._gaps = 0
        self._reconnects_before = 0
        self._filled_before = 0
        self._began_s = time()
        self._saved_s = -math.inf
        self._banned_until_s = 0.0
        self._told_ban_until_s = 0.0
        self._has_told_trouble = False

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what comes, and return how it ended."""
        await self._resume()
        receiving = self._receivers(self._backlog, self._published)
        FRESHNESS.labels(self._dataset.type).set_function(lambda: time() - (receiving.last_received_s or time()))
        async with asyncio.TaskGroup() as group:
            noting = group.create_task(self._note_bans())
            ending = await self._load_with(group, receiving)
            noting.cancel()
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
        tasks: list[asyncio.Task[None]] = []
        while self._run.ending is None and self._left_s > 0:
            if self._run.is_paused:
                _cancel(tasks)
            elif not tasks:
                tasks = [group.create_task(receiving.receive()), group.create_task(receiving.fill())]
            await self._publish_more(receiving, min(_GLANCE_S, self._left_s))
        # From here on nothing new comes, but what was missed.
        _cancel(tasks[:1])
        if tasks:
            await self._wait_for_holes(receiving)
        _cancel(tasks)
        ending = self._run.ending
        if not isinstance(ending, Interrupted):
            receiving.give_up_holes()
        await self._publish(receiving)
        await self._report(receiving, is_last=True)
        return ending

    async def _wait_for_holes(self, receiving: Receiver) -> None:
        """Return when no hole is left or, after a stop, soon; else once it takes long that they do not get smaller."""
        filled, waiting_s = receiving.filled, monotonic()
        while receiving.mark.holes and monotonic() - waiting_s < self._patience_s:
            await self._publish_more(receiving, _GLANCE_S)
            if self._run.ending is None and receiving.filled > filled:
                filled, waiting_s = receiving.filled, monotonic()

    @property
    def _patience_s(self) -> float:
        match self._run.ending:
            case None:
                return _STUCK_S
            case Interrupted():
                # The next process goes on with them.
                return 0.0
            case _:
                return _STOP_WITHIN_S

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
        # The end of that process was a loss of its connections too.
        self._reconnects_before, self._filled_before = place.reconnects + 1, place.filled
        self._banned_until_s = self._told_ban_until_s = place.banned_until_s
        # An exchange bans an address, not a process.
        self._rest.close_until(place.banned_until_s)
        if place.attempt == self._run.start.attempt:
            self._began_s = place.began_s
            self._run.records_written = place.records_written
            self._rejected = place.records_rejected
        logger.info("going on behind {}, with {} holes", place.last, len(place.mark.holes))

    async def _note_bans(self) -> None:
        """Have all others who ask this exchange told of a ban."""
        while True:
            self._banned_until_s = await self._rest.next_ban()

    async def _publish_more(self, receiving: Receiver, within_s: float) -> None:
        """Bring on the topic what comes within some time, and report."""
        await self._backlog.wait_for_more(within_s)
        await asyncio.sleep(_LINGER_S)
        await self._publish(receiving)
        await self._report(receiving)

    async def _publish(self, receiving: Receiver) -> None:
        """Bring what is in the backlog on the topic."""
        messages, mark = self._backlog.take(), receiving.mark
        if messages:
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
        """Tell how far it has come and what is missing, and move the checkpoint, each at most once a second."""
        gaps, exchange_gaps = list(receiving.untold_gaps), list(receiving.untold_exchange_gaps)
        banned_until_s, has_trouble = self._banned_until_s, bool(receiving.why_nothing_comes)
        has_ban = banned_until_s > self._told_ban_until_s
        is_behind = bool(gaps or exchange_gaps or has_ban)
        fields = {
            "first_id": self._published.first,
            "last_id": self._published.last,
            "symbols": receiving.symbols(self._published) or None,
            "gaps": gaps or None,
            "exchange_gaps": exchange_gaps or None,
            "reconnects": self._reconnects_before + receiving.reconnects,
            "filled": self._filled_before + receiving.filled,
            "banned_until": banned_until_s if has_ban else None,
        }
        has_news = is_behind or has_trouble != self._has_told_trouble
        tell = self._run.report_news if has_news else self._run.report_progress
        message = self._summary(receiving)
        if is_last:
            await self._run.report(TaskStatus.LOADING, message, **fields)
        elif not await tell(message, **fields):
            if not is_behind:
                await self._save_place(receiving)
            return
        self._gaps += len(gaps)
        self._has_told_trouble = has_trouble
        self._told_ban_until_s = banned_until_s
        receiving.forget_told(len(gaps), len(exchange_gaps))
        await self._save_place(receiving, at_once=is_last)

    async def _save_place(self, receiving: Receiver, *, at_once: bool = False) -> None:
        if not at_once and monotonic() - self._saved_s < _SAVE_EVERY_S:
            return
        self._saved_s = monotonic()
        place = Place(
            attempt=self._run.start.attempt,
            began_s=self._began_s,
            records_written=self._run.records_written,
            records_rejected=self._rejected,
            first=self._published.first,
            last=self._published.last,
            holes=() if self._published.symbols else self._published.holes,
            symbols=self._published.symbols,
            reconnects=self._reconnects_before + receiving.reconnects,
            filled=self._filled_before + receiving.filled,
            banned_until_s=self._banned_until_s,
        )
        await self._places.save(place.encode())

    def _summary(self, receiving: Receiver) -> str:
        counts = [f"{self._run.records_written} records"]
        for number, what in (
            *receiving.counts,
            (self._rejected, "messages refused"),
            (self._reconnects_before + receiving.reconnects, "times connected anew"),
            (self._filled_before + receiving.filled, "missed and filled"),
            (self._gaps + len(receiving.untold_gaps), "gaps"),
        ):
            if number:
                counts.append(f"{number} {what}")
        why = receiving.why_nothing_comes
        return (f"trying again: {why}; " if why else "") + ", ".join(counts)


def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """End tasks, and forget them."""
    for task in tasks:
        task.cancel()
    tasks.clear()
