"""What all ways of loading do in the same manner: publish, count, tell of gaps, and wait while being steered."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

import msgspec
from loguru import logger

from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import ExchangeGap, TaskStatus
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.records import RECEIPT_TIME_HEADER, REJECTED_HEADER, Record
from streamforge_common.history.pages import join_gaps
from streamforge_common.job import Interrupted, Stopped
from streamforge_common.telemetry import BATCH_SECONDS, RECORDS

GLANCE_S = 0.5
"""How often a wait looks up: whether to stop, to pause, to report."""
SERVICE = "loader-producer"

_encode = msgspec.json.Encoder().encode


class DataTopic(Protocol):
    """Where records go."""

    async def publish(self, records: Sequence[tuple[bytes, bytes]], headers: Sequence[tuple[str, bytes]]) -> None:
        """Return when the broker has acknowledged all of them."""


class PlaceStore(Protocol):
    """Where the place survives a kill."""

    async def load(self) -> str | None:
        """Return what was saved last."""

    async def save(self, text: str) -> None:
        """Replace it."""


class Run(Protocol):
    """What the loading of one symbol sees of its job: `JobRun`, or a symbol's part in a basket."""

    records_written: int

    @property
    def start(self) -> Command:
        """What is to be loaded."""

    @property
    def ending(self) -> Stopped | Interrupted | None:
        """How the work must end now; None while it may go on."""

    @property
    def is_paused(self) -> bool:
        """Whether the work must take nothing new."""

    async def wait_for_change(self, timeout_s: float | None = None) -> None:
        """Return when something is wanted that was not before, or after the time-out."""

    async def report_progress(self, message: str, *, exchange_gaps: Sequence[ExchangeGap] | None = None) -> bool:
        """Report, at most once a second; say whether the gaps are told."""

    async def report(self, status: TaskStatus, message: str, **fields: object) -> None:
        """Report."""


class Publishing:
    """The way of one dataset's records onto its topic."""

    def __init__(self, run: Run, data_type: str, data_topic: DataTopic) -> None:
        self.rejected = 0
        self.gaps: list[ExchangeGap] = []
        """All that this process has found."""
        self._run = run
        self._type = data_type
        self._kind = record_kind(DataType.parse(data_type).kind)
        self._data_topic = data_topic
        self._untold_gaps: list[ExchangeGap] = []

    async def publish(
        self, records: Sequence[Record], refused: Sequence[tuple[bytes, str]], received_ms: int, whence: str
    ) -> None:
        """Bring records on the topic, and what was refused with its reason.

        Args:
            records: Good ones.
            refused: Rows as they came, each with the reason.
            received_ms: When they came, Unix milliseconds.
            whence: For people.
        """
        began_s = perf_counter()
        received = (RECEIPT_TIME_HEADER, str(received_ms).encode())
        if self._kind.is_ordered:
            messages = [(self._kind.message_key(record), _encode(record)) for record in records]
        else:
            messages = [(record.key.encode(), _encode(record)) for record in records]
        await self._data_topic.publish(messages, [received])
        for row, reason in refused:
            logger.warning("refused a row in {}: {}", whence, reason)
            await self._data_topic.publish([(b"", row)], [received, (REJECTED_HEADER, reason.encode())])
        self._run.records_written += len(messages)
        self.rejected += len(refused)
        BATCH_SECONDS.labels(SERVICE, "publish").observe(perf_counter() - began_s)
        RECORDS.labels(SERVICE, self._type, "written").inc(len(messages))
        RECORDS.labels(SERVICE, self._type, "rejected").inc(len(refused))

    def note_gaps(self, gaps: Sequence[ExchangeGap]) -> None:
        """Take in what the exchange does not have."""
        self.gaps = join_gaps(self.gaps, gaps)
        self._untold_gaps = join_gaps(self._untold_gaps, gaps)

    async def tell(self, progress: str) -> bool:
        """Report, at most once a second, and say whether all gaps are told.

        A checkpoint must not move behind a gap that nobody has been told of: after a kill it would never be. As reports
        wait for their second, what is published within it may be published again, which as a rule is nothing: gaps are
        mostly empty pages.
        """
        if await self._run.report_progress(progress, exchange_gaps=self._untold_gaps or None):
            self._untold_gaps = []
        return not self._untold_gaps

    def summary(self, parts: str) -> str:
        """Say what was done, e.g. `… in 12 pages`."""
        counts = [f"{self._run.records_written} records in {parts}"]
        if missing := sum(gap.missing for gap in self.gaps):
            counts.append(f"{missing} that the exchange does not have")
        if self.rejected:
            counts.append(f"{self.rejected} rows refused")
        return ", ".join(counts)


async def wait_while_steered(run: Run, task: asyncio.Task[Any], progress: Callable[[], str]) -> None:
    """Return when a task is done or the work must end; report while it is waited for."""
    while not task.done() and run.ending is None:
        await asyncio.wait({task}, timeout=GLANCE_S)
        if not task.done():
            await run.report_progress(progress())


async def rest_while_paused(run: Run) -> None:
    """Say that the work is paused, and return when that may have changed."""
    await run.report_progress("paused")
    await run.wait_for_change(GLANCE_S)
