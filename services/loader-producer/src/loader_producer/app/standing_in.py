"""REST standing in for what an archive lacks: a file that is missing or spoilt, a day that is not out yet."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from loguru import logger

from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.gaps import GapFinder
from loader_producer.app.loading import IN_FLIGHT, Exchange, fetch_twice
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import History
from streamforge_common.history.ends import find_settled_ends
from streamforge_common.history.pages import Ends, Page, PageContent, PagePlan, closed_ends


@dataclass(frozen=True, slots=True)
class StandIn:
    """Some records of a period."""

    content: PageContent | None
    """None where the period has no records."""
    next_id: int
    """The id that comes next."""
    ends: Ends | None
    """What the exchange tells as the first and the last id of the period, of kinds whose ids are not their times."""
    is_last: bool


class RestStandIn:
    """Asks for the records of one dataset, a period at a time."""

    def __init__(self, exchange: Exchange, dataset: ArchiveDataset) -> None:
        self._exchange = exchange
        self._dataset = dataset
        self._is_known: bool | None = None
        """Whether the exchange knows the symbol; None until it was asked."""
        self._clock_ms = 0

    async def history_for(self, start_ms: int) -> History | None:
        """Return how what begins then is asked for; None where it cannot be had over REST."""
        history = self._dataset.history
        if history is None or not await self._learn():
            return None
        is_beyond = self._dataset.rest.fault_of_reach(history.kind.name, start_ms, self._clock_ms) is not None
        return None if is_beyond else history

    async def _learn(self) -> bool:
        """Learn limits and clock; say whether there is such a symbol: one that has gone is in the archives alone."""
        if self._is_known is None:
            try:
                await self._exchange.learn_limits(self._dataset.symbol)
            except FatalError as exc:
                if exc.code != "exchange_refused":
                    raise
                logger.info("REST cannot stand in for the archive: {}", exc)
                self._is_known = False
            else:
                self._is_known = True
        if self._is_known:
            self._clock_ms = await self._exchange.learn_time()
        return self._is_known

    async def read(
        self,
        history: History,
        time_range: TimeRange,
        group: asyncio.TaskGroup,
        *,
        next_id: int | None,
        spacing: int | None,
    ) -> AsyncGenerator[StandIn, None]:
        """Yield the records of a period page by page; at least once.

        Args:
            history: How they are asked for.
            time_range: The period.
            group: Owns the requests that are under way.
            next_id: Where to begin; None for the first record.
            spacing: How far apart two neighbours may be, of spaced kinds.
        """
        ends = await self._find_ends(history, time_range)
        told = None if history.ends is None else ends
        plan = PagePlan(history.kind.grid, ends, history.page_size)
        finder = GapFinder(history.kind, ends, spacing)
        pages = plan.pages_from(next_id)
        window: deque[tuple[Page, asyncio.Task[PageContent]]] = deque()
        is_empty = True
        try:
            while True:
                while len(window) < IN_FLIGHT and (page := next(pages, None)) is not None:
                    fetching = fetch_twice(self._exchange, history, self._dataset.symbol, page, finder)
                    window.append((page, group.create_task(fetching)))
                if not window:
                    break
                page, fetched = window.popleft()
                is_empty = False
                yield StandIn(await fetched, page.next, told, page.number == plan.count)
        finally:
            for _, fetched in window:
                fetched.cancel()
        if is_empty:
            yield StandIn(None, next_id or 0, told, is_last=True)

    async def _find_ends(self, history: History, time_range: TimeRange) -> Ends | None:
        ends, symbol = history.ends, self._dataset.symbol
        if ends is None:
            return closed_ends(history.kind.grid, time_range, self._clock_ms)
        return await find_settled_ends(
            time_range, self._clock_ms, lambda: self._exchange.fetch_ends(symbol, time_range, ends)
        )
