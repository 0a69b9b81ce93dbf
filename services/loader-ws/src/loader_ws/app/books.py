"""What the loader makes of an order book's differences: the differences themselves, or the book at a chosen pace.

Either is a `Sequence` of what is published. Differences are published as they come, and where one is missing is told.
Of books nothing is published while they are not known to be right, and for how long that was is told.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from loguru import logger

from loader_ws.app.book import Book, BookState
from loader_ws.app.sequence import Mark, RecentKeys, Verdict
from streamforge_common.contract.events import StreamGap
from streamforge_common.contract.kinds import order_book_name, record_kind
from streamforge_common.contract.records import Depth, DepthSnapshot, OrderBook, Record, record_key_prefix
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.streams import BookRules, Parsed, Stream

_ASK_EVERY = 100
"""Differences that may come before the levels which were asked for: ten seconds, as a rule."""
_SNAPSHOT_EVERY_S = 1.0
"""A snapshot that is too old was made before the one that is asked for next."""

FetchSnapshot = Callable[[], Awaitable[DepthSnapshot]]


class DifferenceSequence:
    """Of differences, each of which should lie behind the one before."""

    def __init__(self, rules: BookRules, mark: Mark) -> None:
        """Go on from where an earlier process has come to; the marks are event times."""
        self.mark = mark
        self._rules = rules
        self._seen = RecentKeys()
        self._last: Depth | None = None
        self._must_resubscribe = False

    def must_resubscribe(self) -> bool:
        """Say, once each time, whether what comes means nothing without levels that only a new subscription brings."""
        must, self._must_resubscribe = self._must_resubscribe, False
        return must

    def note_break(self, _since_ms: int | None, _until_ms: int | None = None) -> None:
        """The next difference tells whether anything was missed."""

    def admit(self, difference: Record, _received_ms: int) -> Verdict:
        """Take the next difference."""
        assert isinstance(difference, Depth)
        if not self._seen.is_new(difference.key):
            return False, None
        first, end = self.mark.first, self.mark.last
        if self._is_late(difference):
            return True, None
        follows = self._last is not None and self._rules.follows(difference, self._last.last_update_id)
        self._last = difference
        self.mark = Mark(difference.event_time if first is None else first, difference.event_time)
        if follows or end is None:
            return True, None
        self._must_resubscribe = self._rules.snapshot_limit is None and difference.is_snapshot is not True
        return True, StreamGap(start=end, end=max(end, difference.event_time))

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Every difference is a record."""
        return None

    def _is_late(self, difference: Depth) -> bool:
        last = self._last
        return (
            last is not None
            and difference.last_update_id <= last.last_update_id
            and difference.event_time <= last.event_time
        )


class BookSequence:
    """Of books that are taken from one that follows the differences."""

    def __init__(self, stream: Stream, levels: int, every_s: float, mark: Mark) -> None:
        """Go on from where an earlier process has come to.

        Args:
            stream: Of the differences.
            levels: How many of each side are published.
            every_s: How far apart, by event time; 0 for a book after every difference.
            mark: Event times of the first and last book that are published.
        """
        assert stream.book is not None
        self.mark = mark
        self.wants_snapshot = asyncio.Event()
        """Set while a snapshot over REST is needed."""
        self._stream = stream
        self._rules = stream.book
        self._levels = levels
        self._every_ms = round(every_s * 1000)
        self._book = Book(stream.book, levels)
        self._is_apart = mark.last is not None
        """Whether the next book does not follow the last one that was published."""
        self._apart_since_ms = mark.last
        self._seen_ms: int | None = None
        """Event time of the latest difference, of whatever use it was."""
        self._unanswered = 0
        """Differences that came since levels were asked for anew."""
        self._must_resubscribe = False

    def must_resubscribe(self) -> bool:
        """Say, once each time, whether there is no book, and only a new subscription begins with one."""
        must, self._must_resubscribe = self._must_resubscribe, False
        return must

    @property
    def trouble(self) -> str:
        """Why there is no book; empty where there is one."""
        if self._book.state is BookState.SYNCHRONISED:
            return ""
        return f"the book is {self._book.state}" + (f": {self._book.trouble}" if self._book.trouble else "")

    @property
    def losses(self) -> int:
        """How often the book was lost."""
        return self._book.losses

    @property
    def open_gap(self) -> StreamGap | None:
        """For how long there is no book so far; None where there is one, or there was none before."""
        if self._apart_since_ms is None or self._seen_ms is None:
            return None
        return StreamGap(start=self._apart_since_ms, end=max(self._apart_since_ms, self._seen_ms))

    @property
    def books(self) -> Stream:
        """The stream as if the exchange pushed books."""
        return replace(self._stream, parse=self._parse)

    def note_break(self, _since_ms: int | None, _until_ms: int | None = None) -> None:
        """The next difference tells whether anything was missed."""
        self._unanswered = 0

    def admit(self, book: Record, _received_ms: int) -> Verdict:
        """Take the next book, and tell for how long there was none before it."""
        assert isinstance(book, OrderBook)
        first = self.mark.first
        self.mark = Mark(book.event_time if first is None else first, book.event_time)
        if not self._is_apart:
            return True, None
        since_ms, self._is_apart, self._apart_since_ms = self._apart_since_ms, False, None
        if since_ms is None:
            return True, None
        return True, StreamGap(start=since_ms, end=max(since_ms, book.event_time))

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Nothing is numbered, so nothing follows from it."""
        return None

    async def fetch_snapshots(self, fetch: FetchSnapshot) -> None:
        """Fetch snapshots whenever the book needs one, for ever."""
        while True:
            await self.wants_snapshot.wait()
            snapshot = await fetch()
            self._book.take_snapshot(snapshot)
            self._note_wants()
            if self._book.wants_snapshot:
                logger.info("the snapshot {} is older than the differences; fetching another one", snapshot.update_id)
            await asyncio.sleep(_SNAPSHOT_EVERY_S)

    def _parse(self, message: bytes, symbol: str, received_ms: int) -> Parsed:
        """Read differences, and return the books that are due."""
        books = []
        for difference in self._stream.parse(message, symbol, received_ms).records:
            assert isinstance(difference, Depth)
            if fault := _DEPTH.fault_of(difference):
                raise RejectedRecordError(fault)
            if (book := self._follow(difference)) is not None:
                books.append(book)
        return Parsed(books)

    def _follow(self, difference: Depth) -> OrderBook | None:
        """Return the book after a difference, None where there is none to be published."""
        losses, self._seen_ms = self._book.losses, difference.event_time
        is_right = self._book.take(difference)
        if self._book.losses > losses:
            logger.warning("the book is lost: {}", self._book.trouble)
        if (lost_since_ms := self._book.lost_since_ms) is not None:
            self._book.forget_loss()
            self._is_apart = True
            self._apart_since_ms = lost_since_ms if self._apart_since_ms is None else self._apart_since_ms
        self._note_wants()
        if not is_right:
            return None
        return self._shown(difference) if self._is_due(difference) else None

    def _note_wants(self) -> None:
        """Let those know who can help the book."""
        if self._book.wants_snapshot:
            self.wants_snapshot.set()
        else:
            self.wants_snapshot.clear()
        if self._rules.snapshot_limit is not None or self._book.state is BookState.SYNCHRONISED:
            self._unanswered = 0
            return
        is_first = self._unanswered == 0 and self._book.state is BookState.LOST
        self._unanswered += 1
        self._must_resubscribe = is_first or self._unanswered % _ASK_EVERY == 0

    def _is_due(self, difference: Depth) -> bool:
        last_ms = self.mark.last
        if self._is_apart or last_ms is None or not self._every_ms:
            return True
        return difference.event_time // self._every_ms > last_ms // self._every_ms

    def _shown(self, difference: Depth) -> OrderBook:
        bids, asks = self._book.top()
        prefix = record_key_prefix(difference.exchange, difference.market, difference.symbol, "order_book")
        return OrderBook(
            key=f"{prefix}{order_book_name(difference, self._levels)}",
            exchange=difference.exchange,
            market=difference.market,
            symbol=difference.symbol,
            type="order_book",
            event_time=difference.event_time,
            update_id=difference.last_update_id,
            levels=self._levels,
            bids=bids,
            asks=asks,
        )


_DEPTH = record_kind("depth")
