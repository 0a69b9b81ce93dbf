"""The way of a page: fetched, published, checkpointed.

Pages are fetched some at a time and published one after the other, in order. Only when the broker has acknowledged a
page does the checkpoint move behind it, so after a kill at most one page is on the topic twice.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from loguru import logger

from loader_producer.app.dataset import Dataset
from loader_producer.app.gaps import GapFinder
from loader_producer.app.place import Place, decode_place
from loader_producer.app.publishing import (
    SERVICE,
    DataTopic,
    PlaceStore,
    Publishing,
    Run,
    rest_while_paused,
    wait_while_steered,
)
from loader_producer.app.stretches import Stretches
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import End, EndRequests, History, SpacingRequest
from streamforge_common.history.ends import find_settled_ends
from streamforge_common.history.pages import Ends, Page, PageContent, PagePlan, closed_ends
from streamforge_common.job import Completed, Ending
from streamforge_common.telemetry import BATCH_SECONDS

IN_FLIGHT = 4
"""Pages under way at once. A page takes some 100 ms to the exchange and back and 10 ms from there on, so four keep the
publishing near busy; more would only sooner be held back by the exchange's limit."""


class Exchange(Protocol):
    """Where pages come from."""

    @property
    def closed_for_s(self) -> float:
        """For how many seconds it wants to be left alone."""

    def close_until(self, until_s: float) -> None:
        """Leave it alone until then, Unix seconds."""

    async def next_ban(self) -> float:
        """Return when it begins to ask for a longer rest, Unix seconds: until when it does."""

    @property
    def trouble(self) -> str:
        """Why it is asked again; empty where it answers."""

    async def learn_limits(self, symbol: str) -> None:
        """Learn how much may be asked for."""

    async def learn_time(self) -> int:
        """Return its clock, Unix milliseconds."""

    async def learn_spacing(self, symbol: str, spacing: SpacingRequest) -> int:
        """Return how far apart two neighbours may be, milliseconds."""

    async def fetch(self, history: History, symbol: str, page: Page) -> PageContent:
        """Return what it has of a page."""

    async def fetch_ends(self, symbol: str, time_range: TimeRange, ends: EndRequests) -> tuple[End | None, End | None]:
        """Return the first record at or after the start of the range, and the last one before its end."""


async def fetch_twice(exchange: Exchange, history: History, symbol: str, page: Page, finder: GapFinder) -> PageContent:
    """Return a page; one that seems to miss something is asked for once more."""
    with BATCH_SECONDS.labels(SERVICE, "fetch").time():
        content = await exchange.fetch(history, symbol, page)
    if finder.seems_whole(page, content.records):
        return content
    logger.info("asking again for the page from {}: {} records came", page.first, len(content.records))
    return content.merged(await exchange.fetch(history, symbol, page), history.kind)


class EndOffsets(Protocol):
    """Reads a topic's ends."""

    def __call__(self, topic: str) -> Awaitable[Mapping[int, int]]:
        """Return, for every partition, the offset of the message to be written next."""


class Loading:
    """Loads one dataset."""

    def __init__(
        self, run: Run, dataset: Dataset, *, exchange: Exchange, data_topic: DataTopic, places: PlaceStore
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._exchange = exchange
        self._places = places
        self._publishing = Publishing(run, dataset.type, data_topic)
        self._next_id: int | None = None
        self._last_id: int | None = None
        self._banned_until_s = 0.0
        self._saving = asyncio.Lock()

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet, and return how it ended."""
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell_of_bans())
            stretches = await self._load_with(group)
            telling.cancel()
        if stretches is None:
            return self._ended()
        first_id, last_id = self._ends_of(stretches)
        return Completed(
            self._publishing.summary(f"{stretches.pages} pages"),
            await end_offsets(self._dataset.kafka_topic),
            first_id=first_id,
            last_id=last_id,
            exchange_gaps=self._publishing.gaps,
        )

    async def _load_with(self, group: asyncio.TaskGroup) -> Stretches | None:
        """Return what there was to load once all of it is published; None where the work must end before."""
        planning = group.create_task(self._plan())
        await self._wait_for(planning, "asking the exchange for its limits, its time and the ends of the range")
        if not planning.done():
            planning.cancel()
            return None
        stretches = planning.result()
        first_id, last_id = self._ends_of(stretches)
        # From here on completeness can be judged, however this ends.
        await self._run.report(
            TaskStatus.LOADING,
            stretches.told,
            first_id=first_id,
            last_id=last_id,
            spacing_ms=stretches.spacing,
        )
        return stretches if await self._load_pages(stretches, group) else None

    def _ends_of(self, stretches: Stretches) -> tuple[int | None, int | None]:
        """Return the first and the last id of the dataset; in a repair they are known."""
        whole = stretches.plans[0].ends if self._dataset.repair is None else None
        return whole or (None, None)

    async def _tell_of_bans(self) -> None:
        """Let those who come after this process know at once for how long the exchange is closed."""
        while True:
            self._banned_until_s = await self._exchange.next_ban()
            await self._save_place()
            await self._run.report(
                TaskStatus.LOADING, "the exchange asks to be left alone", banned_until=self._banned_until_s
            )

    async def _plan(self) -> Stretches:
        """Return what there is to load.

        Raises:
            FatalError: The exchange does not reach back that far (`beyond_reach`).
        """
        saved = await self._places.load()
        if saved is not None:
            self._resume(decode_place(saved, Place))
        # An exchange bans an address, not a process: the ban of one that was killed is also ours.
        self._exchange.close_until(self._banned_until_s)
        await self._exchange.learn_limits(self._dataset.symbol)
        now_ms = await self._exchange.learn_time()
        history, repair = self._dataset.history, self._dataset.repair
        spacing = None
        if history.spacing is not None:
            spacing = await self._exchange.learn_spacing(self._dataset.symbol, history.spacing)
        if repair is not None:
            return Stretches.of_repair(history, repair, spacing)
        start_ms = self._dataset.time_range.start_ms
        if history.reach is not None and (fault := history.reach.fault_of(history.kind.name, start_ms, now_ms)):
            raise FatalError(fault, code="beyond_reach")
        if history.ends is None:
            ends = closed_ends(history.kind.grid, self._dataset.time_range, now_ms)
        else:
            ends = await self._ask_for_ends(history.ends, now_ms)
        return Stretches(history.kind, (PagePlan(history.kind.grid, ends, history.page_size),), spacing)

    async def _ask_for_ends(self, requests: EndRequests, now_ms: int) -> Ends | None:
        """Ask for the first and the last id, once no trade of the range can be on its way any more."""
        dataset = self._dataset
        return await find_settled_ends(
            dataset.time_range, now_ms, lambda: self._exchange.fetch_ends(dataset.symbol, dataset.time_range, requests)
        )

    def _resume(self, place: Place) -> None:
        self._next_id, self._last_id = place.next_id, place.last_id
        self._banned_until_s = place.banned_until_s
        if place.attempt == self._run.start.attempt:
            self._run.records_written = place.records_written
            self._publishing.rejected = place.records_rejected
        logger.info("going on from {}", place.next_id)

    async def _load_pages(self, stretches: Stretches, group: asyncio.TaskGroup) -> bool:
        """Say whether all pages are published; not where the work must end before."""
        pages = stretches.pages_from(self._next_id, self._last_id)
        window: deque[tuple[Page, GapFinder, asyncio.Task[PageContent]]] = deque()
        while self._run.ending is None:
            if self._run.is_paused:
                await rest_while_paused(self._run)
                continue
            while len(window) < IN_FLIGHT and (following := next(pages, None)) is not None:
                window.append((*following, group.create_task(self._fetch(*following))))
            if not window:
                return True
            page, finder, fetching = window[0]
            await self._wait_for(fetching, f"{page.number - 1} of {stretches.pages} pages")
            if fetching.done() and not self._run.is_paused:
                window.popleft()
                await self._publish(page, fetching.result(), finder)
                await self._settle(page, finder, f"{page.number} of {stretches.pages} pages")
        for _, _, fetching in window:
            fetching.cancel()
        return False

    async def _settle(self, page: Page, finder: GapFinder, progress: str) -> None:
        """Report, and move the checkpoint behind the page."""
        if await self._publishing.tell(progress):
            self._next_id, self._last_id = page.next, finder.last_id
            await self._save_place()

    async def _save_place(self) -> None:
        run = self._run
        async with self._saving:
            place = Place(
                self._next_id,
                run.start.attempt,
                run.records_written,
                self._publishing.rejected,
                last_id=self._last_id,
                banned_until_s=self._banned_until_s,
            )
            await self._places.save(place.encode())

    async def _wait_for(self, task: asyncio.Task[Any], progress: str) -> None:
        """Return when a task is done or the work must end; report while the exchange keeps it waiting."""
        await wait_while_steered(self._run, task, lambda: self._why_waiting() + progress)

    def _why_waiting(self) -> str:
        if closed_for_s := self._exchange.closed_for_s:
            return f"the exchange asks to be left alone for {closed_for_s:.0f} s; "
        return f"trying again: {self._exchange.trouble}; " if self._exchange.trouble else ""

    def _ended(self) -> Ending:
        assert self._run.ending is not None
        return self._run.ending

    async def _fetch(self, page: Page, finder: GapFinder) -> PageContent:
        return await fetch_twice(self._exchange, self._dataset.history, self._dataset.symbol, page, finder)

    async def _publish(self, page: Page, content: PageContent, finder: GapFinder) -> None:
        """Bring a page on the topic."""
        whence = f"the page from {page.first}"
        await self._publishing.publish(content.records, content.refused, content.received_ms, whence)
        self._publishing.note_gaps(finder.take(page, content.records))
