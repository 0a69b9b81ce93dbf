"""The way back to what was missed: the exchange is asked for exactly that, over REST, beside the live stream.

The newest hole comes first: some exchanges give the latest records only. An exchange that is away is asked again for as
long as the loader lives; a hole that nobody can fill is given up at once.
"""

import asyncio
from collections.abc import Sequence as Run
from typing import Protocol

from loguru import logger

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.holes import Hole
from loader_ws.app.intake import Intake
from loader_ws.app.sequence import FillableSequence
from streamforge_common.contract.records import Record
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import History, Latest
from streamforge_common.history.ends import SETTLED_AFTER_MS
from streamforge_common.history.pages import Page, PageContent, PagePlan

_LATEST_ATTEMPTS, _LATEST_EVERY_S = 3, 1.0
"""What is asked for may for a moment be behind what was pushed."""


class FillingExchange(Protocol):
    """Who is asked for what was missed; never counts as lost."""

    @property
    def closed_for_s(self) -> float:
        """For how many seconds it wants to be left alone."""

    @property
    def trouble(self) -> str:
        """Why it is asked again; empty where it answers."""

    async def learn_limits(self, symbol: str) -> None:
        """Learn how much may be asked for."""

    async def learn_time(self) -> int:
        """Return its clock, Unix milliseconds."""

    async def fetch(self, history: History, symbol: str, page: Page) -> PageContent:
        """Return what it has of a page."""

    async def fetch_latest(self, latest: Latest, symbol: str) -> tuple[Run[Record], int]:
        """Return the latest records, oldest first, and when they came, Unix milliseconds."""


class Filling:
    """Fills the holes of one stream."""

    def __init__(
        self, dataset: Dataset, exchange: FillingExchange, backlog: Backlog, intake: Intake, sequence: FillableSequence
    ) -> None:
        self.filled = 0
        """Records that were missed and brought afterwards."""
        self._dataset = dataset
        self._exchange = exchange
        self._backlog = backlog
        self._intake = intake
        self._sequence = sequence
        self._knows_limits = False

    @property
    def trouble(self) -> str:
        """Why holes are still there; empty where there is no reason to worry."""
        if not self._sequence.holes:
            return ""
        if closed_for_s := self._exchange.closed_for_s:
            return f"the exchange asks to be left alone for {closed_for_s:.0f} s"
        return self._exchange.trouble

    async def fill(self) -> None:
        """Fill what holes there are, for ever."""
        while True:
            hole = await self._sequence.holes.wait_for_newest()
            try:
                await self._fill(hole)
            except FatalError as exc:
                # The stream itself goes on: nothing that is asked for beside it ends the loader.
                logger.warning("cannot fill {} to {}: {}", hole.start, hole.end, exc)
                self.give_up(*hole)

    def give_up(self, start: int, end: int) -> None:
        """What is missing in a run stays so, without anybody knowing what there was."""
        gaps = self._sequence.give_up(start, end)
        for gap in gaps:
            logger.warning("missed {} to {}, {} records", gap.start, gap.end, gap.missing)
        self._intake.untold_gaps += gaps

    async def _fill(self, hole: Hole) -> None:
        """Fill a hole, or a part of it. Raises FatalError: the exchange refuses."""
        match self._dataset.fills_from:
            case None:
                self.give_up(*hole)
            case History() as history:
                await self._learn_limits()
                await self._fill_page(history, hole)
            case Latest() as latest:
                await self._learn_limits()
                await self._fill_from_latest(latest, hole)

    async def _learn_limits(self) -> None:
        if not self._knows_limits:
            await self._exchange.learn_limits(self._dataset.symbol)
            await self._exchange.learn_time()
            self._knows_limits = True

    async def _fill_page(self, history: History, hole: Hole) -> None:
        """Fill as much of a hole as one page holds, asking twice."""
        grid = history.kind.grid
        last = grid.advance(hole.start, grid.count(hole.start, hole.end) - 1)
        page = next(PagePlan(grid, (hole.start, last), history.page_size).pages_from(None))
        content = await self._take_page(history, page)
        if len(content.records) < page.expected:
            # It may not have come to where it is asked for yet.
            await asyncio.sleep(SETTLED_AFTER_MS / 1000)
            content = content.merged(await self._take_page(history, page), history.kind)
        first = page.first
        if history.reach is not None:
            # What is missing at the beginning may lie too far back, where the archives have it.
            first = history.kind.id_of(content.records[0]) if content.records else page.next
            self.give_up(page.first, first)
        self._settle(first, page.next)

    async def _take_page(self, history: History, page: Page) -> PageContent:
        content = await self._exchange.fetch(history, self._dataset.symbol, page)
        await self._backlog.wait_for_room()
        self._take(content.records, content.received_ms)
        for row, reason in content.refused:
            self._intake.refuse(row, content.received_ms, reason)
        return content

    async def _fill_from_latest(self, latest: Latest, hole: Hole) -> None:
        """Fill a hole as far as the latest records reach."""
        for attempt in range(_LATEST_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_LATEST_EVERY_S)
            records, received_ms = await self._exchange.fetch_latest(latest, self._dataset.symbol)
            await self._backlog.wait_for_room()
            covered = self._sequence.covered(hole, records)
            self._take(records, received_ms)
            self._settle(*covered)
            if covered.end == hole.end:
                break
        self.give_up(*hole)

    def _take(self, records: Run[Record], received_ms: int) -> None:
        """Bring on its way what is missing of these."""
        missed = [record for record in records if self._sequence.fill(record)]
        self.filled += len(missed)
        self._intake.add(missed, received_ms)

    def _settle(self, start: int, end: int) -> None:
        """The exchange has given all that it has of a run: what is missing there stays so."""
        gaps = self._sequence.settle(start, end)
        for gap in gaps:
            logger.warning("the exchange does not give {} to {}, {} records", gap.start, gap.end, gap.missing)
        self._intake.untold_exchange_gaps += gaps
