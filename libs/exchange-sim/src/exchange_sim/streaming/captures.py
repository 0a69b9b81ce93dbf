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
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from exchange_sim.bybit.query import INTERVAL_NAMES
from exchange_sim.clock import SECOND_US
from exchange_sim.errors import RecordingError
from exchange_sim.intervals import INTERVALS
from exchange_sim.market import TimeUnit
from exchange_sim.pages import Page
from exchange_sim.streaming.feed import Audience, Push, Topic

_NAME: Final = re.compile(r"(?P<futures>usdm_)?[a-z0-9]+_.+\.gz|.+\.jsonl(?:\.gz)?")
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


class _Timed(msgspec.Struct):
    E: int = 0


_line_decoder = msgspec.json.Decoder(_Line)
_frame_decoder = msgspec.json.Decoder(_Frame)
_kline_decoder = msgspec.json.Decoder(_Kline)
_bybit_bar_decoder = msgspec.json.Decoder(_BybitBar)
_rows_decoder = msgspec.json.Decoder(_Rows)
_timed_decoder = msgspec.json.Decoder(_Timed)


@dataclass(frozen=True, slots=True)
class _Captured:
    at_us: int
    topic: Topic
    message: bytes


class CapturedSeries:
    """The items of one stream as a `Series`, by their number; of candles those that were closed."""

    first: Final = 0
    batch: Final = 1000

    def __init__(self, market: str, symbol: str, kind: str) -> None:
        self.market = market
        self.symbol = symbol
        self.kind = kind
        self.messages: list[bytes] = []

    def end(self, now_us: int) -> int:
        """All that have been played so far."""
        return len(self.messages)

    def settled(self, now_us: int) -> int:
        """All of them: a recording does not change."""
        return len(self.messages)

    def position_at(self, time_us: int) -> int:
        """The first message at or after a moment; those without a time come with the first."""
        times = (self.time_us(position) for position in range(len(self.messages)))
        return next((position for position, found in enumerate(times) if found >= time_us), len(self.messages))

    def time_us(self, position: int) -> int:
        """When the exchange sent it."""
        return _timed_decoder.decode(self.messages[position]).E * 1000

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The messages as they were."""
        return self.messages[first:end]


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
        self._series: dict[Topic, CapturedSeries] = {}

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
            yield Push(captured.topic, captured.message, self._page_of(captured))
            await asyncio.sleep(0)

    def _page_of(self, captured: _Captured) -> Page | None:
        """Number the items of a message among those of its stream; None where it has none."""
        symbol, kind, items = _items_of(captured)
        if not items:
            return None
        series = self._series.setdefault(captured.topic, CapturedSeries(captured.topic.market, symbol, kind))
        first = len(series.messages)
        series.messages += items
        end = len(series.messages)
        return Page(series, range(first, end), items, end)


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
                    found = _read_timed(line, "binance:um" if name["futures"] else "binance:spot")
                if found is not None:
                    yield found
    except (OSError, EOFError, ValueError, msgspec.MsgspecError) as exc:
        raise RecordingError(f"{path}, line {read}: not a recorded frame: {exc}") from exc


def _read_timed(line: bytes, market: str) -> _Captured | None:
    """E.g. `1723161254087896568 {"stream":"btcusdt@trade","data":{…}}`; snapshots of books have no stream."""
    at_ns, _, frame = line.partition(b" ")
    read = _frame_decoder.decode(frame)
    if read.stream is None:
        return None
    return _Captured(int(at_ns) // 1000, Topic(market, read.stream), bytes(read.data))


def _read_object(line: bytes, markets: dict[str, str]) -> _Captured | None:
    """E.g. `{"t":"recv","conn":"BINANCE.ws.1","ts":1633998512.06,"data":…}`, a frame; other lines give none."""
    kept = _line_decoder.decode(line)
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
