"""Looks at all records of a workflow that has ended, once: anomalies and cross-checks of the completeness report.

Completeness is counted whenever somebody asks. What takes a pass over every record is found out once after the end, and
kept; after a retry or a repair once more. One workflow is examined at a time, as the database has other work. What a
queue-manager that was killed had not examined is examined when its report is asked for.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from loguru import logger
from pydantic import BaseModel

from queue_manager.app.anomalies import Anomalies, find_anomalies
from queue_manager.app.cross_checks import CANDLES, TRADES, CrossCheck, are_comparable, cross_check
from queue_manager.app.quality import DatasetQuality, QualityReport
from queue_manager.app.series import Series
from queue_manager.app.workflow import Dataset, Workflow
from streamforge_common.contract.baskets import BASKET, EVERY_SYMBOL
from streamforge_common.contract.data_types import DataType
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.ids import QueueId

_COMPARED_WITH = 5
"""Other datasets, the newest ones: where one range was loaded many times all tell the same."""

Counterpart = tuple[QueueId, Dataset]


class Findings(BaseModel):
    """What was found out about one workflow."""

    finished_at: str
    """The end of the workflow after which that was."""
    anomalies: dict[int, Anomalies]
    """By the dataset's number; nobody looks through every symbol of a market."""


class FindingsStore(Protocol):
    """Keeps what was found."""

    async def keep(self, queue_id: QueueId, findings: Findings, checks: Sequence[CrossCheck]) -> None:
        """Store findings, in place of earlier ones of the same workflow and the same pairs of datasets."""

    async def get(self, queue_id: QueueId) -> Findings | None:
        """Return what was found last, None where nothing was."""

    async def checks_of(self, queue_id: QueueId) -> Sequence[CrossCheck]:
        """Return the cross-checks that a workflow is part of, whichever of the two was examined."""

    async def ended_datasets(self, symbol: str, family: str) -> Sequence[Counterpart]:
        """Return the datasets of workflows that have ended, of a symbol and a family of kinds, newest first."""


class WorkflowReader(Protocol):
    """Where workflows are found."""

    async def read(self, queue_id: QueueId) -> Workflow | None:
        """Return a workflow as it is now, None where it is gone."""


class Examiner:
    """Examines workflows one after the other."""

    def __init__(self, workflows: WorkflowReader, series: Series, store: FindingsStore) -> None:
        self._workflows = workflows
        self._series = series
        self._store = store
        self._waiting: dict[QueueId, None] = {}
        self._is_asked = asyncio.Event()

    def ask(self, queue_id: QueueId) -> None:
        """Have a workflow that has ended examined soon, unless it was."""
        self._waiting.setdefault(queue_id)
        self._is_asked.set()

    async def run(self) -> None:
        """Examine for ever."""
        while True:
            await self._is_asked.wait()
            self._is_asked.clear()
            while self._waiting:
                queue_id = next(iter(self._waiting))
                del self._waiting[queue_id]
                try:
                    await self.examine(queue_id)
                except (TransientError, FatalError) as exc:
                    logger.bind(queue_id=queue_id).warning("not examined until its report is asked for: {}", exc)

    async def complete(self, report: QualityReport, workflow: Workflow) -> QualityReport:
        """Return a report with what was found out; without it, until it is."""
        if not workflow.status.is_terminal:
            return report
        findings = await self._store.get(workflow.queue_id)
        if findings is None or findings.finished_at != workflow.finished_at:
            self.ask(workflow.queue_id)
            return report
        datasets = [_with_anomalies(dataset, findings.anomalies.get(dataset.n)) for dataset in report.datasets]
        checks = await self._store.checks_of(workflow.queue_id)
        return report.model_copy(update={"datasets": datasets, "cross_checks": list(checks)})

    async def examine(self, queue_id: QueueId) -> None:
        """Examine a workflow that has ended, unless it was since."""
        workflow = await self._workflows.read(queue_id)
        if workflow is None or workflow.finished_at is None:
            return
        before = await self._store.get(queue_id)
        if before is not None and before.finished_at == workflow.finished_at:
            return
        anomalies = {
            dataset.n: await find_anomalies(dataset, self._series)
            for dataset in workflow.datasets
            if dataset.symbol != EVERY_SYMBOL
        }
        checks = [
            await cross_check(candles, trades, self._series)
            for dataset in workflow.datasets
            for candles, trades in await self._pairs_with((queue_id, dataset))
        ]
        await self._store.keep(queue_id, Findings(finished_at=workflow.finished_at, anomalies=anomalies), checks)
        logger.bind(queue_id=queue_id).info("examined")

    async def _pairs_with(self, one: Counterpart) -> list[tuple[Counterpart, Counterpart]]:
        """Return (candles, trades) that a dataset of one symbol is one of."""
        if one[1].symbol in (BASKET, EVERY_SYMBOL):
            return []
        is_candles = DataType.parse(one[1].type).family == CANDLES
        others = await self._store.ended_datasets(one[1].symbol, TRADES if is_candles else CANDLES)
        pairs = [(one, other) if is_candles else (other, one) for other in others]
        comparable = [(candles, trades) for candles, trades in pairs if are_comparable(candles[1], trades[1])]
        return comparable[:_COMPARED_WITH]


def _with_anomalies(dataset: DatasetQuality, found: Anomalies | None) -> DatasetQuality:
    if found is None:
        return dataset
    return dataset.model_copy(update={"anomalies": found.listed, "anomalies_total": found.total})
