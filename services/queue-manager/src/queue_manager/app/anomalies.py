"""Price jumps: records whose price is far from that of the record before. They are listed; nothing is done about them.

Only the database sees the records in the order of their times, whoever stored them. It is asked for the lowest and the
highest price of each hour: one pass that sends next to nothing. A jump shows there as an hour whose extremes, with
those of the hour before, are as far apart; only such hours are looked into record by record.
"""

from collections.abc import AsyncIterator

from pydantic import BaseModel

from queue_manager.app.series import Extremes, Jump, Series, parts, range_of
from queue_manager.app.workflow import Dataset
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import RecordKind, record_kind

_JUMP = 0.2
"""Of the price before."""
_LISTED = 100
_HOUR_MS = 3_600_000


class Anomaly(BaseModel):
    """One jump."""

    at: int
    """Event time (candles: open time) of the record behind it, Unix milliseconds."""
    id: int | str
    """Of the record behind it."""
    previous: float
    """Price of the record before; of candles the close."""
    price: float
    symbol: str | None = None
    """Of a basket: whose."""


class Anomalies(BaseModel):
    """The jumps of one dataset."""

    listed: list[Anomaly]
    """The first ones."""
    total: int


async def find_anomalies(dataset: Dataset, series: Series) -> Anomalies:
    """Find the price jumps of a dataset; none where its records are no series of prices."""
    if not dataset.symbols:
        return await _find_of_one(dataset, series)
    listed: list[Anomaly] = []
    total = 0
    for symbol in dataset.symbols:
        found = await _find_of_one(dataset.of_symbol(symbol), series)
        listed += [anomaly.model_copy(update={"symbol": symbol}) for anomaly in found.listed]
        total += found.total
    return Anomalies(listed=listed[:_LISTED], total=total)


async def _find_of_one(dataset: Dataset, series: Series) -> Anomalies:
    kind = record_kind(DataType.parse(dataset.type).kind)
    bounds = None if kind.price_field is None else await range_of(dataset, kind, series)
    found: list[Jump] = []
    total = 0
    if bounds is not None:
        async for start, hour in _suspicious(dataset, kind, bounds, series):
            number, jumps = await series.jumps(dataset, kind, start, hour.start, hour.end, _JUMP, _LISTED)
            total += number
            found += jumps
    listed = [Anomaly(at=it.time_ms, id=it.id, previous=it.before, price=it.after) for it in found[:_LISTED]]
    return Anomalies(listed=listed, total=total)


async def _suspicious(
    dataset: Dataset, kind: RecordKind, bounds: tuple[int, int], series: Series
) -> AsyncIterator[tuple[int, Extremes]]:
    """Yield the hours that may hold a record behind a jump, and where the hour with the record before it starts."""
    records = await series.count(dataset, kind.time_field, *bounds)
    before: Extremes | None = None
    for start, end in parts(*bounds, _HOUR_MS, records):
        for hour in await series.extremes(dataset, kind, start, end, _HOUR_MS):
            both = [hour] if before is None else [before, hour]
            lowest, highest = min(it.lowest for it in both), max(it.highest for it in both)
            # A fall by a fifth of the higher price is a rise by more than that of the lower one.
            if highest - lowest > _JUMP * lowest:
                yield both[0].start, hour
            before = hour
