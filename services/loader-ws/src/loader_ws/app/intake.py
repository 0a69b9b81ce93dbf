"""One stream's records on their way into the backlog, whoever brings them: a connection, or an answer over REST.

What is taken is judged without a pause in between: so whoever is ended between two messages, or two pages, loses
nothing of either.
"""

from collections.abc import Sequence as Run

import msgspec
from loguru import logger

from loader_ws.app.backlog import Backlog, Outgoing
from loader_ws.app.dataset import Dataset
from loader_ws.app.sequence import Sequence
from streamforge_common.contract.events import ExchangeGap, StreamGap
from streamforge_common.contract.records import RECEIPT_TIME_HEADER, REJECTED_HEADER, Record
from streamforge_common.errors import RejectedRecordError
from streamforge_common.exchanges.streams import Pushed
from streamforge_common.telemetry import MESSAGES

_encode = msgspec.json.Encoder().encode


class Intake:
    """Takes the records of one stream, and keeps count of them and of what is missing."""

    def __init__(self, dataset: Dataset, backlog: Backlog, sequence: Sequence) -> None:
        self.repeated = 0
        """Records that were received before."""
        self.last_received_s: float | None = None
        """When the latest message came, Unix seconds; None where none has."""
        self.untold_gaps: list[StreamGap] = []
        """What is missing for good, since it was last told."""
        self.untold_exchange_gaps: list[ExchangeGap] = []
        """What the exchange does not have, since it was last told."""
        self.sequence = sequence
        self._dataset = dataset
        self._backlog = backlog
        self._messages = MESSAGES.labels(dataset.stream_name)

    def take(self, pushed: Pushed, received_ms: int) -> Run[Record]:
        """Bring what a message holds on its way, and return all of it, also what is not new."""
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
            return ()
        new: list[Record] = []
        for record in parsed.records:
            is_new, gap = self.sequence.admit(record, received_ms)
            self._note(gap)
            if is_new:
                new.append(record)
            else:
                self.repeated += 1
        for record_id in parsed.passed_over:
            self._note(self.sequence.pass_over(record_id))
            self.untold_exchange_gaps.append(ExchangeGap(start=record_id, end=record_id + 1, missing=1))
        self.add(new, received_ms)
        return parsed.records

    def add(self, records: Run[Record], received_ms: int) -> None:
        """Bring records on their way that are known to be new."""
        headers = [_receipt(received_ms)]
        message_key = self._dataset.stream.kind.message_key
        outgoing: list[Outgoing] = [(message_key(record), _encode(record), headers) for record in records]
        self._backlog.add(outgoing)

    def refuse(self, refused: bytes, received_ms: int, reason: str) -> None:
        """Keep what is no record, as it came."""
        logger.warning("refused a message: {}", reason)
        self._backlog.add([(b"", refused, [_receipt(received_ms), (REJECTED_HEADER, reason.encode())])])

    def _note(self, gap: StreamGap | None) -> None:
        if gap is not None:
            logger.warning("missed {} to {}, {} records", gap.start, gap.end, gap.missing)
            self.untold_gaps.append(gap)


def _receipt(received_ms: int) -> tuple[str, bytes]:
    return RECEIPT_TIME_HEADER, str(received_ms).encode()
