"""The way of a basket: its symbols in the order of the list, some at a time, each loaded as if it were alone.

To its own loading a symbol's `Part` is the job, the topic and the checkpoint. Of all parts together the job reports
once a second, and one checkpoint keeps the places of those that are under way: it does not grow with the basket. A
symbol leaves it only once everything is told of it; after a kill each of the others goes on from its own place.

What is wrong with one symbol is told of it, and the others go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from loguru import logger

from loader_producer.app.dataset import repair_of
from loader_producer.app.loading import EndOffsets
from loader_producer.app.place import BasketPlace, decode_place
from loader_producer.app.publishing import DataTopic, PlaceStore, rest_while_paused
from streamforge_common.contract.commands import Command
from streamforge_common.contract.events import ExchangeGap, SymbolReport, TaskError, TaskStatus
from streamforge_common.contract.records import REJECTED_HEADER, SYMBOL_HEADER, Headers
from streamforge_common.errors import FatalError, foreseen_cause
from streamforge_common.job import Completed, Ending, Interrupted, JobRun, Stopped

_UNTOLD_MAX = 2
"""Symbols that are loaded and wait for the next report, in the checkpoint like those under way. With four of
these it has some 2,000 bytes where its store allows 4,096."""
_OF_ONE_SYMBOL = frozenset({"exchange_refused", "exchange_contradicts", "archive_corrupt", "not_in_archive"})
"""Codes of failures that say nothing about other symbols."""
_OF_THE_JOB = frozenset({"banned_until", "archive_file"})
"""Facts that an event has place for as a whole, whatever symbol they concern."""
_NO_PLACE = msgspec.Raw(b"null")


class SymbolLoading(Protocol):
    """The loading of one symbol."""

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet. Raises FatalError, also within an ExceptionGroup."""


class BasketLoading:
    """Loads one dataset of several symbols."""

    def __init__(
        self,
        run: JobRun,
        symbols: Sequence[str],
        *,
        loading_of: Callable[["Part"], SymbolLoading],
        at_once: int,
        data_topic: DataTopic,
        places: PlaceStore,
    ) -> None:
        """Prepare.

        Args:
            run: The job.
            symbols: All of the basket's, always in the same order.
            loading_of: Prepares the loading of one of them.
            at_once: How many are under way at a time, four at most.
            data_topic: Where records go.
            places: Where the place of the whole survives a kill.
        """
        self.run = run
        self.data_topic = data_topic
        self._symbols = symbols
        self._loading_of = loading_of
        self._at_once = at_once
        self._places = places
        self._next = 0
        self._parts: dict[int, Part] = {}
        """By position: those under way, and those that are loaded and not told of yet."""
        self._resumed: deque[Part] = deque()
        self._refused = 0
        self._saving = asyncio.Lock()

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load what is not on the topic yet, and return how it ended.

        Raises:
            FatalError: Not one of the symbols can be loaded (`exchange_refused`), or it is nothing that concerns one.
        """
        saved = await self._places.load()
        if saved is not None:
            self._resume(decode_place(saved, BasketPlace))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._load_one_after_the_other())
        if self._next < len(self._symbols) or not all(part.is_over for part in self._parts.values()):
            assert self.run.ending is not None
            return self.run.ending
        await self.tell("all are done", at_once=True)
        if self._refused == len(self._symbols):
            raise FatalError("not one of the symbols can be loaded; the report tells why", code="exchange_refused")
        loaded = f"{self.run.records_written} records of {len(self._symbols) - self._refused} symbols"
        refused = f", {self._refused} cannot be loaded" if self._refused else ""
        return Completed(loaded + refused, await end_offsets(self.run.start.kafka_topic))

    def _resume(self, place: BasketPlace) -> None:
        self._next, self._refused = place.next, place.refused
        if place.attempt == self.run.start.attempt:
            self.run.records_written = place.records_written
        for position, own in place.under_way.items():
            self._parts[position] = Part(self, self._symbols[position], own)
        self._resumed.extend(self._parts.values())
        logger.info("going on with {} symbols under way, {} to come", len(self._parts), len(self._symbols) - place.next)

    async def _load_one_after_the_other(self) -> None:
        while self.run.ending is None:
            if self.run.is_paused:
                await rest_while_paused(self.run)
            elif (part := self._take()) is None or not await self._load(part):
                return

    def _take(self) -> "Part | None":
        """Return a symbol that is to be loaded, None where all are loaded or under way."""
        if self._resumed:
            return self._resumed.popleft()
        if self._next == len(self._symbols):
            return None
        part = self._parts[self._next] = Part(self, self._symbols[self._next])
        self._next += 1
        return part

    async def _load(self, part: "Part") -> bool:
        """Say whether a symbol is over; not where the work must end before."""
        try:
            ending = await self._loading_of(part).load(_no_ends)
        except (FatalError, ExceptionGroup) as exc:
            failure = foreseen_cause(exc) if isinstance(exc, ExceptionGroup) else exc
            if not isinstance(failure, FatalError) or failure.code not in _OF_ONE_SYMBOL:
                raise
            part.refuse(failure)
        else:
            if not isinstance(ending, Completed):
                return False
            part.conclude(ending)
        untold = sum(known.is_over for known in self._parts.values())
        await self.tell(f"{part.symbol} is over", at_once=untold > _UNTOLD_MAX)
        return True

    async def tell(self, progress: str, *, at_once: bool = False) -> bool:
        """Report what is new of all symbols, as a rule at most once a second; say whether this time.

        A symbol that is over is forgotten once that is told.
        """
        over = [position for position, part in self._parts.items() if part.is_over]
        told = [(part, part.news) for part in self._parts.values() if part.news != SymbolReport(symbol=part.symbol)]
        news = [news for _, news in told] or None
        message = f"{self._next - len(self._parts) + len(over)} of {len(self._symbols)} symbols; {progress}"
        if at_once:
            await self.run.report(TaskStatus.LOADING, message, symbols=news)
        elif not await self.run.report_progress(message, symbols=news):
            return False
        for part, known in told:
            part.note_told(known)
        for position in over:
            if (part_over := self._parts.pop(position, None)) is not None and part_over.is_refused:
                self._refused += 1
        if over:
            await self.save_places()
        return True

    async def save_places(self) -> None:
        """Keep where all symbols stand."""
        async with self._saving:
            place = BasketPlace(
                next=self._next,
                under_way={position: part.place for position, part in self._parts.items()},
                attempt=self.run.start.attempt,
                records_written=self.run.records_written - sum(part.records_written for part in self._parts.values()),
                refused=self._refused,
            )
            await self._places.save(place.encode())


async def _no_ends(topic: str) -> Mapping[int, int]:
    """Leave the ends of the topic to the basket, which tells them once."""
    return {}


class Part:
    """One symbol of a basket: for its loading the job, the topic and the checkpoint."""

    def __init__(self, basket: BasketLoading, symbol: str, place: msgspec.Raw = _NO_PLACE) -> None:
        self.symbol = symbol
        self.place = place
        """As its loading has saved it."""
        self.news = SymbolReport(symbol=symbol)
        """What has not been told."""
        self.is_over = False
        self.is_refused = False
        self._basket = basket
        self._told_gaps: Sequence[ExchangeGap] = ()
        self._records_written = 0

    def refuse(self, failure: FatalError) -> None:
        """Note that the symbol cannot be loaded."""
        logger.warning("{} cannot be loaded: {}", self.symbol, failure)
        self.is_over = self.is_refused = True
        self._note(error=TaskError(code=failure.code, detail=str(failure), retryable=False))

    def conclude(self, done: Completed) -> None:
        """Note that all of the symbol is on the topic."""
        self.is_over = True
        gaps = list(done.exchange_gaps) or None
        # What a repair does not load is as it was before.
        is_whole = repair_of(self.start) is None
        self._note(first_id=done.first_id, last_id=done.last_id, exchange_gaps=gaps, is_loaded=is_whole)

    def note_told(self, news: SymbolReport) -> None:
        """Forget what has been told, unless there is more by now."""
        self._told_gaps = news.exchange_gaps or ()
        if self.news is news:
            self.news = SymbolReport(symbol=self.symbol)

    def _note(self, **facts: object) -> None:
        self.news = self.news.model_copy(update=facts)

    # --- the job ------------------------------------------------------------------------------------------------

    @property
    def start(self) -> Command:
        """What the job is to load."""
        return self._basket.run.start

    @property
    def ending(self) -> Stopped | Interrupted | None:
        """How the work must end now; None while it may go on."""
        return self._basket.run.ending

    @property
    def is_paused(self) -> bool:
        """Whether the work must take nothing new."""
        return self._basket.run.is_paused

    @property
    def records_written(self) -> int:
        """Those of this symbol; the job counts them with the others'."""
        return self._records_written

    @records_written.setter
    def records_written(self, number: int) -> None:
        self._basket.run.records_written += number - self._records_written
        self._records_written = number

    async def wait_for_change(self, timeout_s: float | None = None) -> None:
        """Return when something is wanted that was not before, or after the time-out."""
        await self._basket.run.wait_for_change(timeout_s)

    async def report_progress(self, message: str, *, exchange_gaps: Sequence[ExchangeGap] | None = None) -> bool:
        """Report with all other symbols, at most once a second; say whether the gaps are told."""
        if exchange_gaps is not None:
            if exchange_gaps == self._told_gaps:
                # With another symbol's report.
                return True
            self._note(exchange_gaps=exchange_gaps)
        return await self._basket.tell(f"{self.symbol}: {message}")

    async def report(self, status: TaskStatus, message: str, **facts: object) -> None:
        """Report what concerns more than this symbol, or is a message alone; what is a fact of it with the others'."""
        if facts.keys() <= _OF_THE_JOB:
            await self._basket.run.report(status, f"{self.symbol}: {message}", **facts)
            return
        self._note(**facts)
        await self._basket.tell(f"{self.symbol}: {message}")

    # --- the topic ----------------------------------------------------------------------------------------------

    async def publish(self, records: Sequence[tuple[bytes, bytes]], headers: Headers) -> None:
        """Return when the broker has acknowledged all; of what is refused it is said whose it is."""
        if any(name == REJECTED_HEADER for name, _ in headers):
            headers = [*headers, (SYMBOL_HEADER, self.symbol.encode())]
        await self._basket.data_topic.publish(records, headers)

    # --- the checkpoint -----------------------------------------------------------------------------------------

    async def load(self) -> str | None:
        """Return the place that was saved last, None where none was."""
        return None if self.place == _NO_PLACE else bytes(self.place).decode()

    async def save(self, text: str) -> None:
        """Replace the place."""
        self.place = msgspec.Raw(text.encode())
        await self._basket.save_places()
