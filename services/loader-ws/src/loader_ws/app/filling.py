"""The way back to what was missed: the exchange is asked for exactly that, over REST, beside the live stream.

The newest hole comes first: some exchanges give the latest records only. An exchange that is away is asked again for as
long as the loader lives; a hole that nobody can fill is given up at once.
"""

import asyncio
from collections.abc import Sequence as Run
from datetime import UTC, datetime
from typing import Protocol

from loguru import logger

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.holes import Hole
from loader_ws.app.intake import Intake
from loader_ws.app.sequence import FillableSequence, NumberedSequence
from streamforge_common.contract.backfill import backfill_range
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.records import Record
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import End, EndRequests, History, Latest
from streamforge_common.history.ends import SETTLED_AFTER_MS, find_ends
from streamforge_common.history.pages import Page, PageContent, PagePlan, closed_ends

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

    async def fetch_ends(self, symbol: str, time_range: TimeRange, ends: EndRequests) -> tuple[End | None, End | None]:
        """Return the first record at or after the start of the range, and the last one before its end."""

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
        self._is_beginning = False
        self._is_back = asyncio.Event()

    @property
    def trouble(self) -> str:
        """Why holes are still there; empty where there is no reason to worry."""
        if not self._sequence.holes and not self._is_beginning:
            return ""
        if closed_for_s := self._exchange.closed_for_s:
            return f"the exchange asks to be left alone for {closed_for_s:.0f} s"
        return self._exchange.trouble

    async def begin(self, backfill: float | str) -> None:
        """Make of the history that a dataset is to begin with, up to now, a hole like every other.

        Raises:
            FatalError: The exchange refuses, or does not reach back that far (`beyond_reach`).
        """
        self._is_beginning = True
        history, symbol = self._dataset.fills_from, self._dataset.symbol
        assert isinstance(history, History)
        await self._learn_limits()
        now_ms = await self._exchange.learn_time()
        time_range = backfill_range(backfill, datetime.fromtimestamp(now_ms / 1000, UTC))
        if history.reach and (fault := history.reach.fault_of(history.kind.name, time_range.start_ms, now_ms)):
            raise FatalError(fault, code="beyond_reach")
        if history.ends is None:
            found = closed_ends(history.kind.grid, time_range, now_ms)
        else:
            requests = history.ends
            found = await find_ends(time_range, lambda: self._exchange.fetch_ends(symbol, time_range, requests))
        if found is not None:
            assert isinstance(self._sequence, NumberedSequence)
            self._sequence.begin(found[0])
            self._sequence.expect_up_to(found[1])
        self._is_beginning = False

    def note_back(self) -> None:
        """After a time without one there is a connection again."""
        self._is_back.set()

    async def fill(self) -> None:
        """Fill what holes there are, for ever; whatever the exchange refuses, the stream itself goes on."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fill_all())
            history = self._dataset.fills_from
            if isinstance(history, History) and history.ends is None:
                assert isinstance(self._sequence, NumberedSequence)
                group.create_task(self._expect_candles(history.kind.grid, self._sequence))

    async def _fill_all(self) -> None:
        while True:
            hole = await self._sequence.holes.wait_for_newest()
            try:
                await self._fill(hole)
            except FatalError as exc:
                logger.warning("cannot fill {} to {}: {}", hole.start, hole.end, exc)
                self.give_up(*hole)

    async def _expect_candles(self, grid: Grid, sequence: NumberedSequence) -> None:
        """Make a hole of candles that have closed while there was no connection: the next may close after a month."""
        while True:
            await self._is_back.wait()
            self._is_back.clear()
            # What closed right before may still come on the connection, and is not final over REST.
            await asyncio.sleep(SETTLED_AFTER_MS / 1000)
            try:
                settled_ms = await self._exchange.learn_time() - SETTLED_AFTER_MS
            except FatalError as exc:
                logger.warning("cannot tell which candles have closed meanwhile: {}", exc)
                continue
            sequence.expect_up_to(grid.advance(grid.floor(settled_ms), -1))

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
