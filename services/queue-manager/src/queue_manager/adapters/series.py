"""The stored records as a series in time, aggregated inside ArangoDB."""

from collections.abc import Sequence
from typing import Any

from arango.database import StandardDatabase

from queue_manager.adapters.evidence import ALL, RANGE, ArangoEvidence, bounds, instrument, query_records
from queue_manager.app.cross_checks import TRADES
from queue_manager.app.series import Extremes, Jump, MadeCandle
from queue_manager.app.workflow import Dataset
from streamforge_common.contract.kinds import RecordKind, record_kind

_EXTREMES = f"""{RANGE}
    COLLECT stretch = FLOOR((record.@field - @start) / @stretch)
        AGGREGATE lowest = MIN(record.@price), highest = MAX(record.@price)
    SORT stretch
    RETURN [stretch, lowest, highest]"""
_JUMPS = f"""
LET jumps = ({RANGE}
    SORT record.@field, record.@id
    WINDOW {{ preceding: 1 }} AGGREGATE prices = PUSH(record.@price)
    FILTER record.@field >= @since AND LENGTH(prices) == 2 AND prices[0] > 0
    FILTER ABS(prices[1] - prices[0]) > @ratio * prices[0]
    RETURN [record.@field, record.@id, prices[0], prices[1]])
RETURN [LENGTH(jumps), SLICE(jumps, 0, @most)]"""
_CANDLES = f"{RANGE} SORT record.@field RETURN record"
# Of arrays the first items are compared first: the smallest [id, price] holds the price of the first trade.
_CANDLES_MADE = f"""{RANGE}
    COLLECT number = FLOOR((record.trade_time - @start) / @length) AGGREGATE
        trades_stored = LENGTH(1),
        first_named = MIN(record.first_trade_id),
        first = MIN([record.agg_trade_id, record.price]),
        last = MAX([record.agg_trade_id, record.price]),
        high = MAX(record.price),
        low = MIN(record.price),
        volume = SUM(record.quantity),
        quote_volume = SUM(record.price * record.quantity),
        trades = SUM(record.last_trade_id - record.first_trade_id + 1),
        taker_buy_volume = SUM(record.is_buyer_maker ? 0 : record.quantity),
        taker_buy_quote_volume = SUM(record.is_buyer_maker ? 0 : record.price * record.quantity)
    RETURN {{
        number, trades_stored, first_named,
        values: {{
            open: first[1], high, low, close: last[1], volume, quote_volume, trades,
            taker_buy_volume, taker_buy_quote_volume
        }}
    }}"""


class ArangoSeries:
    """Implements `Series`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database
        self._evidence = ArangoEvidence(database)

    async def span(self, dataset: Dataset, kind: RecordKind) -> tuple[int, int] | None:
        """Return the first and the last time of the instrument's records."""
        ends: list[int] = []
        for direction in ("ASC", "DESC"):
            # By the fields of the index, one record is read.
            order = "record.exchange, record.market, record.symbol, record.type, record.@field"
            aql = f"{ALL} SORT {order.replace(',', f' {direction},')} {direction} LIMIT 1 RETURN record.@field"
            ends += await self._query(dataset, aql, field=kind.time_field)
        return (ends[0], ends[1]) if ends else None

    async def count(self, dataset: Dataset, field: str, start: int, end: int) -> int:
        """Count records by a field."""
        return await self._evidence.count(dataset, field, start, end)

    async def extremes(
        self, dataset: Dataset, kind: RecordKind, start: int, end: int, stretch_ms: int
    ) -> Sequence[Extremes]:
        """Return the extremes of each stretch that has records, in order."""
        rows = await self._query(
            dataset, _EXTREMES, **bounds(kind.time_field, start, end), price=kind.price_field, stretch=stretch_ms
        )
        firsts = ((start + int(stretch) * stretch_ms, lowest, highest) for stretch, lowest, highest in rows)
        return [Extremes(first, min(end, first + stretch_ms), lowest, highest) for first, lowest, highest in firsts]

    async def jumps(
        self, dataset: Dataset, kind: RecordKind, start: int, since: int, end: int, ratio: float, most: int
    ) -> tuple[int, Sequence[Jump]]:
        """Count the jumps in a range whose second record is not older than `since`, and return the first ones."""
        limits = {"since": since, "ratio": ratio, "most": most}
        fields = {"price": kind.price_field, "id": kind.id_field}
        rows = await self._query(dataset, _JUMPS, **bounds(kind.time_field, start, end), **fields, **limits)
        return (int(rows[0][0]), [Jump(*it) for it in rows[0][1]]) if rows else (0, [])

    async def candles(self, dataset: Dataset, start: int, end: int) -> Sequence[dict[str, Any]]:
        """Return candles, in order."""
        return await self._query(dataset, _CANDLES, **bounds("open_time", start, end))

    async def candles_made(self, trades: Dataset, start: int, end: int, length_ms: int) -> Sequence[MadeCandle]:
        """Make candles of that length of aggregated trades; the first one opens at the start."""
        time_field = record_kind(TRADES).time_field
        rows = await self._query(trades, _CANDLES_MADE, **bounds(time_field, start, end), length=length_ms)
        return [
            MadeCandle(
                open_time=start + int(row["number"]) * length_ms,
                number=int(row["trades_stored"]),
                names_trades=row["first_named"] >= 0,
                values=row["values"],
            )
            for row in rows
        ]

    async def _query(self, dataset: Dataset, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
        return await query_records(self._database, dataset.collection_name, aql, **instrument(dataset), **bind)
