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
from loader_ws.app.dataset import Dataset
from loader_ws.app.filling import Filling, RestExchange
from loader_ws.app.holes import Holes
from loader_ws.app.intake import Intake, Standing
from loader_ws.app.place import Place
from loader_ws.app.receiving import Exchange, Receiving
from loader_ws.app.sequence import sequence_of
from streamforge_common.contract.events import TaskStatus
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


class Loading:
    """Loads one dataset until it is told to end, or for as long as it was asked to."""

    def __init__(
        self,
        run: JobRun,
        dataset: Dataset,
        *,
        streams: Exchange,
        exchange: RestExchange,
        data_topic: DataTopic,
        places: PlaceStore,
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._streams = streams
        self._exchange = exchange
        self._data_topic = data_topic
        self._places = places
        self._published = Standing()
        self._rejected = 0
        self._gaps = 0
        self._began_s = time()
        self._saved_s = -math.inf
        self._banned_until_s = 0.0
        self._told_ban_until_s = 0.0
        self._has_told_trouble = False

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what comes, and return how it ended."""
        place = await self._resume()
        sequence = sequence_of(self._dataset.stream, self._published.mark, Holes(self._published.holes))
        self._backlog = Backlog()
        self._intake = Intake(self._dataset, self._backlog, sequence, filled=place.filled if place else 0)
        self._receiving = Receiving(
            self._dataset, self._streams, self._backlog, self._intake, reconnects=place.reconnects if place else None
        )
        self._filling = Filling(self._dataset, self._exchange, self._backlog, self._intake)
        FRESHNESS.labels(self._dataset.type).set_function(lambda: time() - (self._intake.last_received_s or time()))
        async with asyncio.TaskGroup() as group:
            noting = group.create_task(self._note_bans())
            ending = await self._load_with(group)
            noting.cancel()
        if ending is not None:
            return ending
        return Completed(
            self._summary(),
            await end_offsets(self._dataset.kafka_topic),
            first_id=self._published.mark.first,
            last_id=self._published.mark.last,
        )

    async def _load_with(self, group: asyncio.TaskGroup) -> Ending | None:
        """Publish what is received until the work must end; None where its time is over."""
        receiving: asyncio.Task[None] | None = None
        filling: asyncio.Task[None] | None = None
        while self._run.ending is None and self._left_s > 0:
            if self._run.is_paused and receiving and filling:
                receiving.cancel()
                filling.cancel()
                receiving = filling = None
            elif not self._run.is_paused and not receiving:
                receiving = group.create_task(self._receiving.receive())
                filling = group.create_task(self._filling.fill())
            await self._publish_more(min(_GLANCE_S, self._left_s))
        if receiving and filling:
            receiving.cancel()
            await self._wait_for_holes()
            filling.cancel()
        ending = self._run.ending
        if not isinstance(ending, Interrupted):
            for hole in self._intake.standing.holes:
                self._intake.give_up(*hole)
        await self._publish()
        await self._report(is_last=True)
        return ending

    async def _wait_for_holes(self) -> None:
        """Return when no hole is left or, after a stop, soon; else once it takes long that they do not get smaller."""
        filled, waiting_s = self._intake.filled, monotonic()
        while self._intake.standing.holes and monotonic() - waiting_s < self._patience_s:
            await self._publish_more(_GLANCE_S)
            if self._run.ending is None and self._intake.filled > filled:
                filled, waiting_s = self._intake.filled, monotonic()

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

    async def _resume(self) -> Place | None:
        """Go on from where an earlier process has come to; what was missed since is seen with the next record."""
        saved = await self._places.load()
        if saved is None:
            return None
        place = Place.decode(saved)
        self._published = place.standing
        self._banned_until_s = self._told_ban_until_s = place.banned_until_s
        # An exchange bans an address, not a process.
        self._exchange.close_until(place.banned_until_s)
        if place.attempt == self._run.start.attempt:
            self._began_s = place.began_s
            self._run.records_written = place.records_written
            self._rejected = place.records_rejected
        logger.info("going on behind {}, with {} holes", place.last, len(place.holes))
        return place

    async def _note_bans(self) -> None:
        """Have all others who ask this exchange told of a ban."""
        while True:
            self._banned_until_s = await self._exchange.next_ban()

    async def _publish_more(self, within_s: float) -> None:
        """Bring on the topic what comes within some time, and report."""
        await self._backlog.wait_for_more(within_s)
        await asyncio.sleep(_LINGER_S)
        await self._publish()
        await self._report()

    async def _publish(self) -> None:
        """Bring what is in the backlog on the topic."""
        messages, standing = self._backlog.take(), self._intake.standing
        if messages:
            began_s = perf_counter()
            await self._data_topic.publish_messages(messages)
            BATCH_SECONDS.labels(_SERVICE, "publish").observe(perf_counter() - began_s)
        self._published = standing
        # What is no record has no key.
        rejected = sum(not key for key, _, _ in messages)
        self._run.records_written += len(messages) - rejected
        self._rejected += rejected
        for outcome, count in (("written", len(messages) - rejected), ("rejected", rejected)):
            RECORDS.labels(_SERVICE, self._dataset.type, outcome).inc(count)

    async def _report(self, *, is_last: bool = False) -> None:
        """Tell how far it has come and what is missing, and move the checkpoint, each at most once a second."""
        gaps, exchange_gaps = list(self._intake.untold_gaps), list(self._intake.untold_exchange_gaps)
        banned_until_s, has_trouble = self._banned_until_s, bool(self._trouble())
        has_ban = banned_until_s > self._told_ban_until_s
        is_behind = bool(gaps or exchange_gaps or has_ban)
        fields = {
            "first_id": self._published.mark.first,
            "last_id": self._published.mark.last,
            "gaps": gaps or None,
            "exchange_gaps": exchange_gaps or None,
            "reconnects": self._receiving.reconnects,
            "filled": self._intake.filled,
            "banned_until": banned_until_s if has_ban else None,
        }
        has_news = is_behind or has_trouble != self._has_told_trouble
        tell = self._run.report_news if has_news else self._run.report_progress
        if is_last:
            await self._run.report(TaskStatus.LOADING, self._summary(), **fields)
        elif not await tell(self._summary(), **fields):
            if not is_behind:
                await self._save_place()
            return
        self._gaps += len(gaps)
        self._has_told_trouble = has_trouble
        self._told_ban_until_s = banned_until_s
        self._intake.forget_told(len(gaps), len(exchange_gaps))
        await self._save_place(at_once=is_last)

    async def _save_place(self, *, at_once: bool = False) -> None:
        if not at_once and monotonic() - self._saved_s < _SAVE_EVERY_S:
            return
        self._saved_s = monotonic()
        mark, holes = self._published
        place = Place(
            attempt=self._run.start.attempt,
            began_s=self._began_s,
            records_written=self._run.records_written,
            records_rejected=self._rejected,
            first=mark.first,
            last=mark.last,
            holes=holes,
            reconnects=self._receiving.reconnects,
            filled=self._intake.filled,
            banned_until_s=self._banned_until_s,
        )
        await self._places.save(place.encode())

    def _trouble(self) -> str:
        """Say what keeps the loader from its work."""
        return self._receiving.trouble or self._filling.trouble

    def _summary(self) -> str:
        counts = [f"{self._run.records_written} records"]
        for number, what in (
            (self._intake.repeated, "received before"),
            (self._rejected, "messages refused"),
            (self._receiving.reconnects, "times connected anew"),
            (self._intake.filled, "missed and filled"),
            (len(self._intake.standing.holes), "holes being filled"),
            (self._gaps + len(self._intake.untold_gaps), "gaps"),
        ):
            if number:
                counts.append(f"{number} {what}")
        trouble = self._trouble()
        return (f"trying again: {trouble}; " if trouble else "") + ", ".join(counts)
