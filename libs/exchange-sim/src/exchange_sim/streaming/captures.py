"""Replay of recorded connections: the messages that an exchange once sent, in order, at their own pace or faster.

Two line formats are read. `<receive time, ns> <frame>` in files named `[usdm_]<symbol>_*.gz`, of Binance spot or, with
the prefix, of its futures; and objects with `t`, `conn`, `ts` and `data` in `*.jsonl[.gz]`, where the address of the
`connect` line tells the market.
"""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from exchange_sim.books import BookView
from exchange_sim.bybit.messages import book_message
from exchange_sim.bybit.query import INTERVAL_NAMES
from exchange_sim.clock import SECOND_US
from exchange_sim.errors import RecordingError
from exchange_sim.intervals import INTERVALS
from exchange_sim.message_series import MessageSeries
from exchange_sim.pages import Page
from exchange_sim.streaming.feed import Audience, Push, Topic
from exchange_sim.streaming.recorded_books import RecordedBook, read_update

_NAME: Final = re.compile(r"(?P<futures>usdm_)?(?P<symbol>[a-z0-9]+)_.+\.gz|.+\.jsonl(?:\.gz)?")
_DEPTH_URL: Final = re.compile(
    r"https://(?P<futures>f)?api\.binance\.(?:com|us)/f?api/v\d/depth\?(?:.*&)?symbol=(?P<symbol>[A-Z0-9]+)(?:&.*)?"
)
_LONGEST_PAUSE_US: Final = SECOND_US * 10
"""Between messages. Longer ones lie between recordings, and nobody waits for years."""
_BINANCE: Final = {
    "stream.binance.com": "binance:spot",
    "stream.binance.us": "binance:spot",
    "fstream.binance.com": "binance:um",
}
"""Host of the address to the market."""
_BYBIT: Final = "stream.bybit.com"
"""Its host; the end of the path is the market."""
_KINDS: Final = {
    "trade": "trades",
    "aggTrade": "agg_trades",
    "bookTicker": "book_ticker",
    "depth": "depth",
    "publicTrade": "trades",
    "orderbook": "depth",
    "tickers": "tickers",
    "allLiquidation": "liquidations",
}
"""What items are, by the name of the stream."""


class _Line(msgspec.Struct):
    t: str
    conn: str = ""
    ts: float = 0.0
    addr: str = ""
    url: str = ""
    data: str = ""


class _Frame(msgspec.Struct):
    stream: str | None = None
    topic: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Bar(msgspec.Struct):
    x: bool


class _Kline(msgspec.Struct):
    k: _Bar


class _BybitBar(msgspec.Struct):
    confirm: bool


class _Rows(msgspec.Struct):
    data: list[msgspec.Raw]


_line_decoder = msgspec.json.Decoder(_Line)
_frame_decoder = msgspec.json.Decoder(_Frame)
_kline_decoder = msgspec.json.Decoder(_Kline)
_bybit_bar_decoder = msgspec.json.Decoder(_BybitBar)
_rows_decoder = msgspec.json.Decoder(_Rows)


@dataclass(frozen=True, slots=True)
class _Captured:
    at_us: int
    topic: Topic
    message: bytes
    is_snapshot: bool = False
    """Whether it is the answer to a request for a book, which nobody is sent; its topic is that of the differences."""


class CaptureFeed:
    """Implements `Feed`; plays from the first subscription on."""

    def __init__(self, captured: list[_Captured], speed: float) -> None:
        """Play nothing yet.

        Args:
            captured: As `read_captures` gives them.
            speed: How many times faster than they came; 0 is as fast as they are read.
        """
        self._captured = captured
        self._speed = speed
        self._series: dict[Topic, MessageSeries] = {}
        self._books: dict[tuple[str, str], RecordedBook] = {}
        for answer in captured:
            if answer.is_snapshot and (of := _book_of(answer)) not in self._books:
                self._books[of] = RecordedBook()
                self._books[of].play(read_update(answer.topic.market, answer.message))

    @property
    def waits(self) -> bool:
        """Whether there is no other pace than the readers'."""
        return self._speed == 0

    async def pushes(self, audience: Audience) -> AsyncIterator[Push]:
        """Yield the messages, also those that nobody wants: their time passes all the same."""
        await audience.wait()
        began_s, played_us = monotonic(), 0
        for before, captured in pairwise([self._captured[0], *self._captured] if self._captured else []):
            played_us += min(max(0, captured.at_us - before.at_us), _LONGEST_PAUSE_US)
            if self.waits:
                await audience.wait()
            elif (early_s := began_s + played_us / SECOND_US / self._speed - monotonic()) > 0:
                await asyncio.sleep(early_s)
            if not captured.is_snapshot:
                yield self._push(captured)
            await asyncio.sleep(0)

    def book_now(self, market: str, symbol: str, now_us: int) -> BookView | None:
        """Return a book as far as it has been played; before that as it was in its first snapshot."""
        book = self._books.get((market, symbol))
        return None if book is None else book.view()

    def book_at(self, market: str, symbol: str, update_id: int) -> BookView | None:
        """Return a book as it was after an update, by playing all messages up to that one."""
        book = RecordedBook()
        messages = [it for it in self._captured if _is_book(it) and _book_of(it) == (market, symbol)]
        for captured in sorted(messages, key=lambda it: not it.is_snapshot):
            if captured.is_snapshot and book.update_id:
                continue
            book.play(read_update(market, captured.message))
            if book.update_id == update_id:
                return book.view()
        return None

    def _push(self, captured: _Captured) -> Push:
        topic, whole = captured.topic, None
        if _is_book(captured):
            of = _book_of(captured)
            book = self._books.get(of)
            update = read_update(topic.market, captured.message)
            if book is None and update.is_whole:
                book = self._books[of] = RecordedBook()
            if book is not None:
                book.play(update)
                if topic.market.startswith("bybit:"):
                    whole = partial(_whole_book, topic.stream, book)
        return Push(topic, captured.message, self._page_of(captured), whole)

    def _page_of(self, captured: _Captured) -> Page | None:
        """Number the items of a message among those of its stream; None where it has none."""
        symbol, kind, items = _items_of(captured)
        if not items:
            return None
        series = self._series.setdefault(captured.topic, MessageSeries(captured.topic.market, symbol, kind))
        first = len(series.messages)
        series.messages += items
        end = len(series.messages)
        return Page(series, range(first, end), items, end)


def _is_book(captured: _Captured) -> bool:
    """Tell whether a message is about an order book, but for one of best prices only."""
    market, stream = captured.topic
    if market.startswith("bybit:"):
        return stream.startswith("orderbook.") and not stream.startswith("orderbook.1.")
    return stream.partition("@")[2].partition("@")[0] == "depth"


def _book_of(captured: _Captured) -> tuple[str, str]:
    """Tell market and symbol."""
    market, stream = captured.topic
    return market, stream.rpartition(".")[2] if market.startswith("bybit:") else stream.partition("@")[0].upper()


def _whole_book(topic: str, book: RecordedBook) -> bytes:
    return book_message(topic, "snapshot", book.view())


def _items_of(captured: _Captured) -> tuple[str, str, list[bytes]]:
    """Tell the symbol and kind of a message, and its items: of candles those that are closed."""
    market, stream = captured.topic
    if market.startswith("bybit:"):
        head, _, symbol = stream.rpartition(".")
        name, _, detail = head.partition(".")
        if name not in ("publicTrade", "kline", "allLiquidation"):
            return symbol, _KINDS.get(name, name), [captured.message]
        items = [bytes(row) for row in _rows_decoder.decode(captured.message).data]
        if name != "kline":
            return symbol, _KINDS[name], items
        interval = INTERVALS[INTERVAL_NAMES[detail]].file_name
        return symbol, f"candles_{interval}", [it for it in items if _bybit_bar_decoder.decode(it).confirm]
    symbol, _, suffix = stream.partition("@")
    if not suffix.startswith("kline_"):
        return symbol.upper(), _KINDS.get(suffix.partition("@")[0], suffix), [captured.message]
    interval = INTERVALS[suffix.removeprefix("kline_")].file_name
    is_closed = _kline_decoder.decode(captured.message).k.x
    return symbol.upper(), f"candles_{interval}", [captured.message] if is_closed else []


def _is_capture(path: Path) -> bool:
    """Say by a file's name whether it is a recorded connection."""
    return _NAME.fullmatch(path.name) is not None


def read_captures(path: Path) -> list[_Captured]:
    """Read one recorded connection, or all below a folder, in the order of their times.

    Raises:
        RecordingError: A line is malformed.
    """
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    captured = [found for file in files if _is_capture(file) for found in _read_file(file)]
    return sorted(captured, key=lambda it: it.at_us)


def _read_file(path: Path) -> Iterator[_Captured]:
    name = _NAME.fullmatch(path.name)
    assert name is not None
    read = 0
    markets: dict[str, str] = {}
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                read += 1
                if ".jsonl" in path.name:
                    found = _read_object(line, markets)
                else:
                    found = _read_timed(line, "binance:um" if name["futures"] else "binance:spot", name["symbol"])
                if found is not None:
                    yield found
    except (OSError, EOFError, ValueError, msgspec.MsgspecError) as exc:
        raise RecordingError(f"{path}, line {read}: not a recorded frame: {exc}") from exc


def _read_timed(line: bytes, market: str, symbol: str) -> _Captured:
    """E.g. `1723161254087896568 {"stream":"btcusdt@trade","data":{…}}`; snapshots of books have no stream."""
    at_ns, _, frame = line.partition(b" ")
    read = _frame_decoder.decode(frame)
    if read.stream is None:
        return _Captured(int(at_ns) // 1000, Topic(market, f"{symbol}@depth"), frame, is_snapshot=True)
    return _Captured(int(at_ns) // 1000, Topic(market, read.stream), bytes(read.data))


def _read_object(line: bytes, markets: dict[str, str]) -> _Captured | None:
    """E.g. `{"t":"recv","conn":"BINANCE.ws.1","ts":1633998512.06,"data":…}`, a frame; other lines give none.

    Of answers to requests only those for a book are taken: `{"t":"http","url":"https://…/depth?symbol=NKNUSDT&…",…}`.
    """
    kept = _line_decoder.decode(line)
    if kept.t == "http" and (asked := _DEPTH_URL.fullmatch(kept.url)) is not None:
        topic = Topic("binance:um" if asked["futures"] else "binance:spot", f"{asked['symbol'].lower()}@depth")
        return _Captured(int(kept.ts * SECOND_US), topic, kept.data.encode(), is_snapshot=True)
    if kept.t == "connect" and (market := _market_at(kept.addr)) is not None:
        markets[kept.conn] = market
    if kept.t != "recv" or kept.conn not in markets:
        return None
    read = _frame_decoder.decode(kept.data)
    at_us, market = int(kept.ts * SECOND_US), markets[kept.conn]
    if read.topic is not None:
        return _Captured(at_us, Topic(market, read.topic), kept.data.encode())
    return None if read.stream is None else _Captured(at_us, Topic(market, read.stream), bytes(read.data))


def _market_at(address: str) -> str | None:
    """Tell the market of an address, None where it is no exchange's."""
    host = address.partition("://")[2].partition("/")[0].partition(":")[0]
    return f"bybit:{address.rpartition('/')[2]}" if host == _BYBIT else _BINANCE.get(host)
