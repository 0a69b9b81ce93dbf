"""The records that a simulated loader publishes: made up, and valid in every respect.

Place i of a dataset is always the same record, so whatever is published twice ends in the same document. Candles are
those of the dataset's grid. Trades have their time as their id, one each millisecond: so those of different ranges
never meet under one key. A live dataset begins at its `start` command and has no end; its clock runs with the pace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import RecordKind, record_kind
from streamforge_common.contract.records import AggTrade, Candle, Record, record_key_prefix
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError

_TRADES = 1_000
"""As many as a bounded dataset has where nothing else is asked for; a range alone does not tell."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Series:
    """The records of one dataset."""

    kind: RecordKind
    first_id: int
    published: int | None
    """How many of them are published; None where there is no end."""
    contained: int | None
    """How many the dataset has; more than are published where some are kept back."""
    make: Callable[[int], Record]
    """An id to its record."""

    @classmethod
    def of(cls, start: Command, records: int | None) -> "Series":
        """Lay out what a `start` command asks for.

        Args:
            start: The command.
            records: How many to publish, where that is said.

        Raises:
            FatalError: Such records cannot be made up (`unsupported_dataset`).
        """
        try:
            data_type = DataType.parse(start.type)
            kind = record_kind(data_type.kind)
            time_range = None if data_type.source.is_live else TimeRange.parse(start.time_range)
        except ValueError as exc:
            raise FatalError(f"cannot make up the dataset: {exc}", code="unsupported_dataset") from exc
        if kind.record not in _MAKERS:
            raise FatalError(f"cannot make up records of {kind.name!r}", code="unsupported_dataset")
        make = partial(_MAKERS[kind.record], start, kind)
        if time_range is None:
            return cls(kind, kind.grid.ceil(int(start.timestamp * 1000)), records, None, make)
        first_id = kind.grid.ceil(time_range.start_ms)
        room = kind.grid.count(first_id, time_range.end_ms)
        if kind.record is Candle:
            return cls(kind, first_id, min(room, room if records is None else records), room, make)
        contained = min(room, _TRADES if records is None else records)
        return cls(kind, first_id, contained, contained, make)

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last id of the dataset; None where it is empty or has no end."""
        if not self.contained:
            return None
        return self.first_id, self.kind.grid.advance(self.first_id, self.contained - 1)

    def message(self, place: int) -> tuple[bytes, bytes]:
        """Return the key and value of the record at a place, from 0."""
        record = self.make(self.kind.grid.advance(self.first_id, place))
        return record.key.encode(), _encode(record)


def _candle(of: Command, kind: RecordKind, open_time: int) -> Candle:
    price = _price(open_time // 1_000)
    return Candle(
        key=_key(of, kind, open_time),
        exchange=of.exchange,
        market=of.market,
        symbol=of.symbol,
        type=kind.name,
        open_time=open_time,
        close_time=kind.grid.advance(open_time) - 1,
        open=price,
        high=price + 1.5,
        low=price - 0.75,
        close=price + 0.25,
        volume=12.5,
        quote_volume=12.5 * price,
        trades=25,
        taker_buy_volume=6.25,
        taker_buy_quote_volume=6.25 * price,
    )


def _agg_trade(of: Command, kind: RecordKind, trade_time: int) -> AggTrade:
    return AggTrade(
        key=_key(of, kind, trade_time),
        exchange=of.exchange,
        market=of.market,
        symbol=of.symbol,
        type=kind.name,
        agg_trade_id=trade_time,
        price=_price(trade_time),
        quantity=0.5,
        first_trade_id=trade_time,
        last_trade_id=trade_time,
        trade_time=trade_time,
        is_buyer_maker=trade_time % 2 == 0,
    )


def _key(of: Command, kind: RecordKind, record_id: int) -> str:
    return f"{record_key_prefix(of.exchange, of.market, of.symbol, kind.name)}{record_id}"


def _price(place: int) -> float:
    """Return a price between 100 and 125 in steps of a quarter, which doubles hold exactly."""
    return 100 + place % 101 * 0.25


_MAKERS: Mapping[type, Callable[[Command, RecordKind, int], Record]] = {Candle: _candle, AggTrade: _agg_trade}
