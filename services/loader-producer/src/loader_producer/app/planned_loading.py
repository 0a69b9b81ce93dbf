"""The way of a dataset that pages and files both have: planned first, then loaded as the plan says."""

import asyncio
from collections.abc import Callable, Sequence
from time import time

from loader_producer.app.basket_loading import SymbolLoading
from loader_producer.app.dataset import Dataset
from loader_producer.app.loading import EndOffsets, Exchange
from loader_producer.app.place import is_of_files
from loader_producer.app.planning import Means, Part, needs_ends, plan_files_first, plan_parts
from loader_producer.app.publishing import PlaceStore, Run, wait_while_steered
from streamforge_common.contract.data_types import Source
from streamforge_common.exchanges.archives import Archive
from streamforge_common.history.ends import find_settled_ends
from streamforge_common.history.pages import Ends
from streamforge_common.job import Ending


class PlannedLoading:
    """Loads one dataset of one symbol."""

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        archive: Archive,
        *,
        exchange: Exchange,
        places: PlaceStore,
        by_pages: Callable[[], SymbolLoading],
        by_files: Callable[[int | None], SymbolLoading],
        files_at_once: asyncio.Semaphore,
    ) -> None:
        """Prepare.

        Args:
            run: The job.
            dataset: What is to be loaded.
            archive: Which files have the same.
            exchange: Tells how many records there are.
            places: Where the place of either loading is kept.
            by_pages: Prepares the loading over REST.
            by_files: Prepares the one from files; takes from where on REST has the rest, None for nowhere.
            files_at_once: How many of those may be under way.
        """
        self._run = run
        self._dataset = dataset
        self._means = Means(dataset.symbol, dataset.history, archive)
        self._exchange = exchange
        self._places = places
        self._by_pages = by_pages
        self._by_files = by_files
        self._files_at_once = files_at_once

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet, and return how it ended."""
        parts = await self._plan()
        if parts is None:
            assert self._run.ending is not None
            return self._run.ending
        *_, last = parts
        if parts[0].source is Source.API:
            return await self._by_pages().load(end_offsets)
        rest_from_ms = last.time_range.start_ms if last.source is Source.API else None
        async with self._files_at_once:
            return await self._by_files(rest_from_ms).load(end_offsets)

    async def _plan(self) -> Sequence[Part] | None:
        """Return the plan; what was begun goes on in its way. None where the work must end before."""
        means, time_range, now_ms = self._means, self._dataset.time_range, int(time() * 1000)
        saved = await self._places.load()
        if saved is not None:
            is_by_files = is_of_files(saved)
            return plan_files_first(means, time_range, now_ms) if is_by_files else [Part(Source.API, time_range)]
        ends = None
        if needs_ends(means, time_range, now_ms):
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(self._ask_for_ends(now_ms))
                await wait_while_steered(self._run, asking, lambda: "asking the exchange how many records there are")
                if not asking.done():
                    asking.cancel()
                    return None
            ends = asking.result()
        parts = plan_parts(means, time_range, now_ms, ends)
        await self._run.report_progress("; ".join(map(str, parts)))
        return parts

    async def _ask_for_ends(self, now_ms: int) -> Ends | None:
        requests, symbol, time_range = self._dataset.history.ends, self._dataset.symbol, self._dataset.time_range
        assert requests is not None
        return await find_settled_ends(
            time_range, now_ms, lambda: self._exchange.fetch_ends(symbol, time_range, requests)
        )
