"""What ArangoDB says of a dataset, for the completeness report."""

from collections.abc import Mapping, Sequence
from typing import Any

from arango.database import StandardDatabase

from queue_manager.app.workflow import Dataset
from streamforge_common.arango.database import in_thread
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.records import record_key_prefix

ALL = """
FOR record IN @@collection
    FILTER record.exchange == @exchange AND record.market == @market AND record.symbol == @symbol
        AND record.type == @kind"""
RANGE = f"{ALL} AND record.@field >= @start AND record.@field < @end"
"""`record` is one of a dataset's instrument and kind; in `RANGE` with a field in [start, end)."""
_COUNT = "COLLECT WITH COUNT INTO number RETURN number"
_BREAKS = f"""{ALL} AND record.event_time > @start AND record.event_time <= @end
    LET before = record.previous_update_id == null ? record.first_update_id - 1 : record.previous_update_id
    FILTER DOCUMENT(@name, CONCAT(@prefix, before)) == null
    SORT record.last_update_id
    LET times = (
        FOR earlier IN @@collection
            FILTER earlier.exchange == @exchange AND earlier.market == @market AND earlier.symbol == @symbol
                AND earlier.type == @kind AND earlier.last_update_id < record.last_update_id
            SORT earlier.last_update_id DESC
            LIMIT 1
            RETURN earlier.event_time
    )
    RETURN [FIRST(times), record.event_time]"""
"""Keys end with the update ids, so each difference names the document that must be there before it."""
_EACH = """
FOR part IN @parts
    RETURN FIRST(
        FOR record IN @@collection
            FILTER record.exchange == @exchange AND record.market == @market AND record.symbol == part.symbol
                AND record.type == @kind AND record.@field >= part.start AND record.@field < part.end
            COLLECT WITH COUNT INTO number
            RETURN number
    )
"""
_NEXT_SYMBOL = """
FOR record IN @@collection
    FILTER record.exchange == @exchange AND record.market == @market AND record.symbol > @after AND record.type == @kind
    SORT record.symbol
    LIMIT 1
    RETURN record.symbol
"""
"""From one symbol to the next by the index: to collect them would read every record."""
_REJECTED = """
FOR record IN rejected_records
    FILTER record.queue_id == @queue_id AND record.topic == @topic
    COLLECT WITH COUNT INTO number RETURN number
"""
_REJECTED_EACH = """
FOR record IN rejected_records
    FILTER record.queue_id == @queue_id AND record.topic == @topic
    COLLECT symbol = record.symbol WITH COUNT INTO number
    RETURN [symbol, number]
"""


class ArangoEvidence:
    """Implements `Evidence`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database

    async def count(self, dataset: Dataset, field: str, start: int, end: int) -> int:
        """Count the dataset's documents by a field."""
        counted = await self._query(
            dataset.collection_name,
            f"{RANGE} {_COUNT}",
            **instrument(dataset),
            **bounds(field, start, end),
        )
        return int(counted[0]) if counted else 0

    async def count_all(self, dataset: Dataset) -> int:
        """Count the documents of the dataset's instrument and kind, whatever their time."""
        counted = await self._query(dataset.collection_name, f"{ALL} {_COUNT}", **instrument(dataset))
        return int(counted[0]) if counted else 0

    async def ids(self, dataset: Dataset, field: str, start: int, end: int) -> Sequence[int]:
        """List the values of a field, sorted."""
        return await self._query(
            dataset.collection_name,
            f"{RANGE} SORT record.@field RETURN record.@field",
            **instrument(dataset),
            **bounds(field, start, end),
        )

    async def breaks(self, dataset: Dataset, start: int, end: int) -> Sequence[tuple[int, int]]:
        """List where differences of an order book do not follow each other, as event times."""
        kind = DataType.parse(dataset.type).kind
        prefix = record_key_prefix(dataset.exchange, dataset.market, dataset.symbol, kind)
        found = await self._query(
            dataset.collection_name,
            _BREAKS,
            **instrument(dataset),
            name=dataset.collection_name,
            prefix=prefix,
            start=start,
            end=end,
        )
        return [(before, behind) for before, behind in found]

    async def rejected(self, queue_id: str, dataset: Dataset) -> int:
        """Count what was rejected from the dataset's topic."""
        counted = await self._query("rejected_records", _REJECTED, queue_id=queue_id, topic=dataset.kafka_topic)
        return int(counted[0]) if counted else 0

    async def count_each(self, dataset: Dataset, field: str, parts: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """Count the documents of symbols of a basket by a field, each symbol's in a range of its own.

        One query: a thousand symbols take an index as many times, and no document is read.
        """
        bind = {name: value for name, value in instrument(dataset).items() if name != "symbol"}
        wanted = [{"symbol": symbol, "start": start, "end": end} for symbol, (start, end) in parts.items()]
        counted = await self._query(dataset.collection_name, _EACH, field=field, parts=wanted, **bind)
        return dict(zip(parts, counted or [0] * len(parts), strict=True))

    async def count_every_symbol(self, dataset: Dataset) -> dict[str, int]:
        """Count the documents of each symbol that has some of the dataset's kind, whatever their time."""
        bind = {name: value for name, value in instrument(dataset).items() if name != "symbol"}
        counts: dict[str, int] = {}
        symbol = ""
        while found := await self._query(dataset.collection_name, _NEXT_SYMBOL, after=symbol, **bind):
            symbol = found[0]
            counts[symbol] = await self.count_all(dataset.of_symbol(symbol))
        return counts

    async def rejected_each(self, queue_id: str, dataset: Dataset) -> dict[str, int]:
        """Count what was rejected from a basket's topic by symbol, as far as it is known whose it is."""
        bind = {"queue_id": queue_id, "topic": dataset.kafka_topic}
        return {
            symbol: number for symbol, number in await self._query("rejected_records", _REJECTED_EACH, **bind) if symbol
        }

    async def _query(self, collection: str, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
        return await query_records(self._database, collection, aql, **bind)


async def query_records(database: StandardDatabase, collection: str, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
    """Run a query over a collection of records; nothing comes of one that there is not."""

    def run() -> list[Any]:
        # Before the first record is stored there is no collection.
        if not database.has_collection(collection):
            return []
        return list(database.aql.execute(aql, bind_vars=bind, batch_size=5_000))  # type: ignore[arg-type]

    return await in_thread(run, f"looking into {collection!r}")


def bounds(field: str, start: int, end: int) -> dict[str, Any]:
    """Return what `RANGE` is bound to besides the instrument."""
    return {"field": field, "start": start, "end": end}


def instrument(dataset: Dataset) -> dict[str, Any]:
    """Return what `ALL` is bound to."""
    return {
        "@collection": dataset.collection_name,
        "exchange": dataset.exchange,
        "market": dataset.market,
        "symbol": dataset.symbol,
        "kind": DataType.parse(dataset.type).kind,
    }
