"""What the platform has to know of each kind of record, in one table.

How its ids are counted, which field is its time, what its fields must agree on: loaders, connectors and the
completeness report all ask here, so that none of them knows one kind from another.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

import msgspec

from streamforge_common.contract.baskets import EVERY_SYMBOL
from streamforge_common.contract.grid import EveryNumber, Grid
from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.contract.records import (
    AggTrade,
    BookTicker,
    Candle,
    Depth,
    DepthSnapshot,
    FundingRate,
    Level,
    Liquidation,
    MarkPrice,
    OpenInterest,
    OrderBook,
    PriceCandle,
    Record,
    Trade,
    record_key_prefix,
)
from streamforge_common.errors import RejectedRecordError
from streamforge_common.ids import SYMBOL_PATTERN


@dataclass(frozen=True, slots=True)
class RecordKind:
    """One kind."""

    name: str
    """As in types and keys, e.g. `candles_5m`."""
    record: type[Record]
    id_field: str
    """Its value ends the `_key`, but where `is_named` says more."""
    time_field: str
    """The event time, Unix milliseconds: what decides whether a record belongs to a time range."""
    grid: Grid
    """Where its ids lie."""
    fault_of: Callable[[Any], str | None]
    """A record of the right form to what is wrong with it, None where nothing is."""
    is_spaced: bool = False
    """Whether ids may have no record, but no two neighbours are further apart than the exchange names."""
    is_named: Callable[[Any, str], bool] | None = None
    """(record, end of its `_key`) to whether the one is the other's, of ids that are made of several fields."""
    price_field: str | None = None
    """The price that a record leaves behind, of kinds whose records follow each other by it; None of all others."""
    is_ordered: bool = False
    """Whether records mean something in their order only, so that those of a symbol share one Kafka key."""
    is_momentary: bool = False
    """Whether a record is of the moment at which it is asked for, whatever the dataset's time range."""

    def message_key(self, record: Record) -> bytes:
        """Return the Kafka key of a record's message."""
        if not self.is_ordered:
            return record.key.encode()
        return record_key_prefix(record.exchange, record.market, record.symbol, record.type)[:-1].encode()

    @property
    def id_of(self) -> Callable[[Record], int]:
        """Return the function that reads a record's id."""
        return attrgetter(self.id_field)

    @property
    def time_of(self) -> Callable[[Record], int]:
        """Return the function that reads a record's event time."""
        return attrgetter(self.time_field)


_SCHEDULE = Interval("1m")
"""Funding is due at full minutes; as a rule at full hours."""


def _candles(family: str, record: type[Record], interval: Interval) -> RecordKind:
    def fault_of(candle: Candle | PriceCandle) -> str | None:
        if interval.floor(candle.open_time) != candle.open_time:
            return f"open time {candle.open_time} is not on the grid of {interval.name}"
        if candle.close_time != interval.close_time(candle.open_time):
            return f"close time {candle.close_time} does not fit open time {candle.open_time}"
        return None

    # A premium is no price but a ratio around zero.
    price_field = None if family == "premium_candles" else "close"
    name = f"{family}_{interval.name}"
    return RecordKind(name, record, "open_time", "open_time", interval, fault_of, price_field=price_field)


def _trades(name: str, record: type[Record], id_field: str) -> RecordKind:
    def fault_of(_: Record) -> None:
        return None

    return RecordKind(name, record, id_field, "trade_time", EveryNumber(), fault_of, price_field="price")


def _funding_rate() -> RecordKind:
    def fault_of(funding: FundingRate) -> str | None:
        is_due = _SCHEDULE.floor(funding.funding_time) == funding.funding_time
        return None if is_due else f"funding time {funding.funding_time} is no full minute"

    return RecordKind("funding_rate", FundingRate, "funding_time", "funding_time", _SCHEDULE, fault_of, is_spaced=True)


def _open_interest(period: Interval) -> RecordKind:
    def fault_of(measured: OpenInterest) -> str | None:
        is_on_grid = period.floor(measured.time) == measured.time
        return None if is_on_grid else f"time {measured.time} is not on the grid of {period.name}"

    return RecordKind(f"open_interest_{period.name}", OpenInterest, "time", "time", period, fault_of)


_UNCOUNTED = EveryNumber()
"""The grid of kinds whose ids have holes by nature: nothing counts on it."""


def _book_ticker() -> RecordKind:
    def fault_of(ticker: BookTicker) -> str | None:
        is_timed = (ticker.event_time is msgspec.UNSET) != (ticker.receipt_time is msgspec.UNSET)
        return None if is_timed else "exactly one of event_time and receipt_time is needed"

    def is_named(ticker: BookTicker, name: str) -> bool:
        # Some exchanges count updates from 1 again after a restart; there the time is part of the id.
        return name in (f"{ticker.update_id}", f"{ticker.event_time}-{ticker.update_id}")

    return RecordKind("book_ticker", BookTicker, "update_id", "event_time", _UNCOUNTED, fault_of, is_named=is_named)


def _mark_price() -> RecordKind:
    def fault_of(_: MarkPrice) -> None:
        return None

    return RecordKind("mark_price", MarkPrice, "event_time", "event_time", _UNCOUNTED, fault_of)


def liquidation_name(trade_time: int, side: str, price: float, quantity: float, number: int) -> str:
    """Name a liquidation, which no exchange numbers; `number` tells equal ones of one message apart, from 0."""
    return f"{trade_time}-{side}-{price!r}-{quantity!r}-{number}"


def _liquidations() -> RecordKind:
    def fault_of(_: Liquidation) -> None:
        return None

    def is_named(closed: Liquidation, name: str) -> bool:
        number = name.rpartition("-")[2]
        whole = (closed.trade_time, closed.side, closed.price, closed.quantity)
        return number.isdecimal() and len(number) < 10 and name == liquidation_name(*whole, int(number))

    return RecordKind("liquidations", Liquidation, "trade_time", "trade_time", _UNCOUNTED, fault_of, is_named=is_named)


def _depth() -> RecordKind:
    def fault_of(depth: Depth) -> str | None:
        return _fault_of_levels(depth.bids, depth.asks, quantity_min=0.0)

    def is_named(depth: Depth, name: str) -> bool:
        return name in (f"{depth.last_update_id}", f"{depth.event_time}-{depth.last_update_id}")

    return RecordKind(
        "depth", Depth, "last_update_id", "event_time", _UNCOUNTED, fault_of, is_named=is_named, is_ordered=True
    )


def order_book_name(depth: Depth, levels: int) -> str:
    """Name the book after a difference by the difference's own id."""
    return f"{depth.key.rpartition(':')[2]}-{levels}"


def _order_book() -> RecordKind:
    def fault_of(book: OrderBook) -> str | None:
        if max(len(book.bids), len(book.asks)) > book.levels:
            return f"more than {book.levels} levels"
        return _fault_of_book(book.bids, book.asks)

    def is_named(book: OrderBook, name: str) -> bool:
        end = f"{book.update_id}-{book.levels}"
        return name in (end, f"{book.event_time}-{end}")

    return RecordKind(
        "order_book", OrderBook, "update_id", "event_time", _UNCOUNTED, fault_of, is_named=is_named, is_ordered=True
    )


def _depth_snapshot() -> RecordKind:
    def fault_of(snapshot: DepthSnapshot) -> str | None:
        if (snapshot.event_time is msgspec.UNSET) == (snapshot.receipt_time is msgspec.UNSET):
            return "exactly one of event_time and receipt_time is needed"
        return _fault_of_book(snapshot.bids, snapshot.asks)

    def is_named(snapshot: DepthSnapshot, name: str) -> bool:
        return name == f"{snapshot.update_id}-{snapshot.limit}"

    return RecordKind(
        "depth_snapshot",
        DepthSnapshot,
        "update_id",
        "event_time",
        _UNCOUNTED,
        fault_of,
        is_named=is_named,
        is_ordered=True,
        is_momentary=True,
    )


def _fault_of_book(bids: Sequence[Level], asks: Sequence[Level]) -> str | None:
    if bids and asks and bids[0][0] >= asks[0][0]:
        return f"the book is crossed: {bids[0][0]!r} is bid, {asks[0][0]!r} is asked"
    return _fault_of_levels(bids, asks, quantity_min=math.ulp(0.0))


def _fault_of_levels(bids: Sequence[Level], asks: Sequence[Level], *, quantity_min: float) -> str | None:
    if any(better <= worse for (better, _), (worse, _) in pairwise(bids)):
        return "the bids are not best first"
    if any(better >= worse for (better, _), (worse, _) in pairwise(asks)):
        return "the asks are not best first"
    wrong = next((level for side in (bids, asks) for level in side if level[1] < quantity_min), None)
    return None if wrong is None else f"a quantity of {wrong[1]!r}"


def _open_interest_now() -> RecordKind:
    def fault_of(_: OpenInterest) -> None:
        return None

    return RecordKind("open_interest", OpenInterest, "time", "time", _UNCOUNTED, fault_of)


def _all_kinds() -> Iterator[RecordKind]:
    for interval in map(Interval, INTERVALS):
        yield _candles("candles", Candle, interval)
        for price in ("mark", "index", "premium"):
            yield _candles(f"{price}_candles", PriceCandle, interval)
        yield _open_interest(interval)
    yield _trades("agg_trades", AggTrade, "agg_trade_id")
    yield _trades("trades", Trade, "trade_id")
    yield _funding_rate()
    yield _book_ticker()
    yield _mark_price()
    yield _liquidations()
    yield _depth()
    yield _order_book()
    yield _depth_snapshot()
    yield _open_interest_now()


_KINDS = {kind.name: kind for kind in _all_kinds()}


def record_kind(name: str) -> RecordKind:
    """Look a kind up.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in _KINDS:
        raise ValueError(f"unknown kind of record {name!r}")
    return _KINDS[name]


class RecordCheck:
    """Decides whether the bytes of a message are a record of one dataset."""

    def __init__(self, exchange: str, market: str, symbol: str, kind: RecordKind, basket: Collection[str] = ()) -> None:
        """Prepare the check; `symbol` and `basket` are as in commands: of a basket the symbols are in the latter."""
        self._kind = kind
        self._id_of = kind.id_of
        self._dataset = record_key_prefix(exchange, market, symbol, kind.name)
        self._is_of_all = symbol == EVERY_SYMBOL
        self._prefixes = {it: record_key_prefix(exchange, market, it, kind.name) for it in basket or (symbol,)}
        self._identity = (exchange, market, kind.name)
        self._decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(kind.record)

    def check(self, value: bytes) -> Record:
        """Read a message's value.

        Raises:
            RejectedRecordError: The value is no JSON, has a wrong or missing field, or belongs elsewhere.
        """
        try:
            record = self._decoder.decode(value)
        except msgspec.MsgspecError as exc:
            raise RejectedRecordError(f"not a {self._kind.name} record: {exc}") from exc
        except UnicodeDecodeError as exc:
            raise RejectedRecordError(f"not UTF-8: {exc.reason} at byte {exc.start}") from exc
        prefix = self._prefixes.get(record.symbol)
        if prefix is None and self._is_of_all:
            prefix = self._prefix_of(record.symbol)
        if prefix is None or (record.exchange, record.market, record.type) != self._identity:
            raise RejectedRecordError(f"record of {record.key!r} does not belong to {self._dataset!r}")
        if not self._is_key_of(record, prefix):
            raise RejectedRecordError(f"_key {record.key!r} is not that of {self._kind.id_field} {self._id_of(record)}")
        if fault := self._kind.fault_of(record):
            raise RejectedRecordError(fault)
        return record

    def _prefix_of(self, symbol: str) -> str | None:
        exchange, market, kind = self._identity
        return record_key_prefix(exchange, market, symbol, kind) if SYMBOL_PATTERN.fullmatch(symbol) else None

    def _is_key_of(self, record: Record, prefix: str) -> bool:
        is_named = self._kind.is_named
        if is_named is None:
            return record.key == f"{prefix}{self._id_of(record)}"
        return record.key.startswith(prefix) and is_named(record, record.key.removeprefix(prefix))
