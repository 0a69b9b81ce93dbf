"""What the examiner found out, in ArangoDB."""

from collections.abc import Sequence
from typing import Any

from arango.database import StandardDatabase

from queue_manager.app.cross_checks import CrossCheck
from queue_manager.app.examining import Counterpart, Findings
from queue_manager.app.workflow import Dataset
from streamforge_common.arango.database import ensure_collection, in_thread
from streamforge_common.ids import QueueId

FINDINGS, CHECKS = "quality_findings", "quality_cross_checks"
"""Of workflows; of pairs of datasets. Both name their workflows in `queue_ids`."""
_ENDED_LISTED = 1_000

_ENDED = """
FOR workflow IN workflows
    FILTER workflow.control.symbol == @symbol AND workflow.finished_at != null
    SORT workflow.created_at DESC LIMIT @most
    FOR dataset IN workflow.datasets
        FILTER CONTAINS(dataset.type, @family)
        RETURN [workflow.queue_id, dataset]"""


class ArangoFindings:
    """Implements `FindingsStore`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Create the collections and their indexes unless they are there."""
        for name in (FINDINGS, CHECKS):
            index = {"type": "persistent", "fields": ["queue_ids[*]"], "name": "by_workflow"}
            await ensure_collection(self._database, name, [index])

    async def keep(self, queue_id: QueueId, findings: Findings, checks: Sequence[CrossCheck]) -> None:
        """Store findings, the workflow's last: they are what says that it was examined."""
        for check in checks:
            parts = (check.candles, check.trades)
            key = "--".join(f"{part.queue_id}-{part.n}" for part in parts)
            await self._put(CHECKS, key, [part.queue_id for part in parts], check.model_dump(mode="json"))
        await self._put(FINDINGS, queue_id, [queue_id], findings.model_dump(mode="json"))

    async def get(self, queue_id: QueueId) -> Findings | None:
        """Return what was found last, None where nothing was."""
        collection = self._database.collection(FINDINGS)
        document = await in_thread(lambda: collection.get({"_key": queue_id}), "reading findings")
        return Findings.model_validate(document) if isinstance(document, dict) else None

    async def checks_of(self, queue_id: QueueId) -> Sequence[CrossCheck]:
        """Return the cross-checks that a workflow is part of, whichever of the two was examined."""
        aql = f"FOR it IN {CHECKS} FILTER @queue_id IN it.queue_ids[*] SORT it._key RETURN it"
        return [CrossCheck.model_validate(it) for it in await self._query(aql, queue_id=queue_id)]

    async def ended_datasets(self, symbol: str, family: str) -> Sequence[Counterpart]:
        """Return the datasets of workflows that have ended, of a symbol and a family of kinds, newest first."""
        rows = await self._query(_ENDED, symbol=symbol, family=f"_{family}", most=_ENDED_LISTED)
        return [(QueueId(queue_id), Dataset.model_validate(dataset)) for queue_id, dataset in rows]

    async def _put(self, name: str, key: str, queue_ids: list[str], fields: dict[str, Any]) -> None:
        collection = self._database.collection(name)
        document = {"_key": key, "queue_ids": queue_ids, **fields}
        await in_thread(
            lambda: collection.insert(document, overwrite_mode="replace", silent=True), "keeping what was found"
        )

    async def _query(self, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
        return await in_thread(
            lambda: list(self._database.aql.execute(aql, bind_vars=bind)),  # type: ignore[arg-type]
            "querying findings",
        )
