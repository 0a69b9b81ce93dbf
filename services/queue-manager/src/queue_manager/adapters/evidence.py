"""What ArangoDB says of a dataset, for the completeness report."""

from collections.abc import Sequence
from typing import Any

from arango.database import StandardDatabase

from queue_manager.app.workflow import Dataset
from streamforge_common.arango.database import in_thread
from streamforge_common.contract.data_types import DataType

_RANGE = """
FOR record IN @@collection
    FILTER record.exchange == @exchange AND record.market == @market AND record.symbol == @symbol
        AND record.type == @kind AND record.open_time >= @start AND record.open_time < @end
"""
_REJECTED = """
FOR record IN rejected_records
    FILTER record.queue_id == @queue_id AND record.topic == @topic
    COLLECT WITH COUNT INTO number RETURN number
"""


class ArangoEvidence:
    """Implements `Evidence`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database

    async def count(self, dataset: Dataset, start_ms: int, end_ms: int) -> int:
        """Count the dataset's documents by open time."""
        counted = await self._query(
            dataset.collection_name,
            f"{_RANGE} COLLECT WITH COUNT INTO number RETURN number",
            **_bind(dataset, start_ms, end_ms),
        )
        return int(counted[0]) if counted else 0

    async def open_times(self, dataset: Dataset, start_ms: int, end_ms: int) -> Sequence[int]:
        """List their open times, sorted."""
        return await self._query(
            dataset.collection_name,
            f"{_RANGE} SORT record.open_time RETURN record.open_time",
            **_bind(dataset, start_ms, end_ms),
        )

    async def rejected(self, queue_id: str, dataset: Dataset) -> int:
        """Count what was rejected from the dataset's topic."""
        counted = await self._query("rejected_records", _REJECTED, queue_id=queue_id, topic=dataset.kafka_topic)
        return int(counted[0]) if counted else 0

    async def _query(self, collection: str, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
        def run() -> list[Any]:
            # Before the first record is stored there is no collection.
            if not self._database.has_collection(collection):
                return []
            return list(self._database.aql.execute(aql, bind_vars=bind, batch_size=5_000))  # type: ignore[arg-type]

        return await in_thread(run, f"counting in {collection!r}")


def _bind(dataset: Dataset, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {
        "@collection": dataset.collection_name,
        "exchange": dataset.exchange,
        "market": dataset.market,
        "symbol": dataset.symbol,
        "kind": DataType.parse(dataset.type).kind,
        "start": start_ms,
        "end": end_ms,
    }
