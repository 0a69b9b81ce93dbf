"""One stream's records on their way into the backlog, whoever brings them: a connection, or an answer over REST.

What is taken is judged without a pause in between: so whoever is ended between two messages, or two pages, loses
nothing of either.
"""

import asyncio
from collections.abc import Sequence as Run
from typing import NamedTuple

import msgspec
from loguru import logger

from loader_ws.app.backlog import Backlog, Outgoing
from loader_ws.app.dataset import Dataset
from loader_ws.app.holes import Hole
from loader_ws.app.sequence import Mark, Sequence
from streamforge_common.contract.events import ExchangeGap, StreamGap
from streamforge_common.contract.records import RECEIPT_TIME_HEADER, REJECTED_HEADER, Record
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.streams import Pushed
from streamforge_common.telemetry import MESSAGES

_encode = msgspec.json.Encoder().encode


class Standing(NamedTuple):
    """What has been taken: from where to where, but for the holes."""

    mark: Mark = Mark()
    holes: tuple[Hole, ...] = ()


class Intake:
    """Takes the records of one stream, and keeps count of them and of what is missing."""

    def __init__(self, dataset: Dataset, backlog: Backlog, sequence: Sequence, *, filled: int = 0) -> None:
        """Go on with what an earlier process has filled."""
        self.repeated = 0
        """Records that were received before."""
        self.filled = filled
        """Records that were missed and brought afterwards."""
        self.last_received_s: float | None = None
        """When the latest message came, Unix seconds; None where none has."""
        self.untold_gaps: list[StreamGap] = []
        """What was given up since it was last told."""
        self.untold_exchange_gaps: list[ExchangeGap] = []
        """What the exchange does not have, since it was last told."""
        self.sequence = sequence
        self._dataset = dataset
        self._backlog = backlog
        self._messages = MESSAGES.labels(dataset.stream_name)
        self._has_holes = asyncio.Event()
        self._look_for_holes()

    @property
    def standing(self) -> Standing:
        """What is in the backlog or published."""
        return Standing(self.sequence.mark, tuple(self.sequence.holes))

    def forget_told(self, gaps: int, exchange_gaps: int) -> None:
        """The first ones of what was missed have been told; more may have come meanwhile."""
        del self.untold_gaps[:gaps]
        del self.untold_exchange_gaps[:exchange_gaps]

    async def wait_for_hole(self) -> Hole:
        """Return the newest hole, as soon as there is one."""
        await self._has_holes.wait()
        return list(self.sequence.holes)[-1]

    def take(self, pushed: Pushed, received_ms: int) -> None:
        """Bring what a message holds on its way."""
        dataset = self._dataset
        self.last_received_s = received_ms / 1000
        self._messages.inc()
        try:
            if pushed.stream != dataset.stream_name:
                raise RejectedRecordError(f"a message of {pushed.stream!r}, asked for was {dataset.stream_name!r}")
            parsed = dataset.stream.parse(pushed.message, dataset.symbol, received_ms)
            for record in parsed.records:
                if fault := dataset.stream.kind.fault_of(record):
                    raise RejectedRecordError(fault)
        except RejectedRecordError as exc:
            self.refuse(pushed.message, received_ms, str(exc))
            return
        new = [record for record in parsed.records if self.sequence.admit(record, received_ms)]
        for record_id in parsed.passed_over:
            self.sequence.pass_over(record_id)
            self.untold_exchange_gaps.append(ExchangeGap(start=record_id, end=record_id + 1, missing=1))
        self.repeated += len(parsed.records) - len(new)
        self._add(new, received_ms)
        self._look_for_holes()

    def fill(self, records: Run[Record], received_ms: int) -> None:
        """Bring on its way what is missing of these."""
        missed = [record for record in records if self.sequence.fill(record)]
        self.filled += len(missed)
        self._add(missed, received_ms)
        self._look_for_holes()

    def settle(self, start: int, end: int) -> None:
        """The exchange has given all that it has of a run: what is missing there stays so."""
        gaps = self.sequence.settle(start, end)
        for gap in gaps:
            logger.warning("the exchange does not give {} to {}, {} records", gap.start, gap.end, gap.missing)
        self.untold_exchange_gaps += gaps
        self._look_for_holes()

    def give_up(self, start: int, end: int) -> None:
        """What is missing in a run stays so, without anybody knowing what there was."""
        gaps = self.sequence.give_up(start, end)
        for gap in gaps:
            logger.warning("missed {} to {}, {} records", gap.start, gap.end, gap.missing)
        self.untold_gaps += gaps
        self._look_for_holes()

    def refuse(self, refused: bytes, received_ms: int, reason: str) -> None:
        """Keep what is no record, as it came."""
        logger.warning("refused a message: {}", reason)
        self._backlog.add([(b"", refused, [_receipt(received_ms), (REJECTED_HEADER, reason.encode())])])

    def _add(self, records: Run[Record], received_ms: int) -> None:
        headers = [_receipt(received_ms)]
        outgoing: list[Outgoing] = [(record.key.encode(), _encode(record), headers) for record in records]
        self._backlog.add(outgoing)

    def _look_for_holes(self) -> None:
        if self.sequence.holes:
            self._has_holes.set()
        else:
            self._has_holes.clear()


def _receipt(received_ms: int) -> tuple[str, bytes]:
    return RECEIPT_TIME_HEADER, str(received_ms).encode()
