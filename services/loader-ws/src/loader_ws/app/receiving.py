"""The way of a frame: read, checked, put into the backlog; and when to connect anew.

Frames are taken one by one, each only when there is room for what it holds, and judged without a pause in between: so
whoever ends the receiving between two frames loses nothing of either.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Protocol

import msgspec
import stamina
from loguru import logger

from loader_ws.app.backlog import Backlog, Outgoing
from loader_ws.app.dataset import Dataset
from loader_ws.app.sequence import Mark, Sequence
from streamforge_common.contract.events import ExchangeGap, StreamGap
from streamforge_common.contract.records import RECEIPT_TIME_HEADER, REJECTED_HEADER, Headers
from streamforge_common.errors import FatalError, RejectedRecordError, TransientError
from streamforge_common.exchanges.streams import Answered, Heartbeat, Leaving, Pushed
from streamforge_common.telemetry import MESSAGES

_ANSWER_WITHIN_S = 10.0
"""A connection that does not even answer the subscription is dead."""
_LONGEST_SILENCE_S = 600.0
"""Each connection in a row that brings nothing is given twice as long, up to this: the symbol may just be quiet."""
_MOST_DOUBLINGS = 10
"""More than it takes to get there; a number of them that grows for months would overflow."""
_WAIT_MAX_S, _WAIT_JITTER_S = 30.0, 1.0

_encode = msgspec.json.Encoder().encode


class Connection(Protocol):
    """One connection that has asked for the stream."""

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        """Return the next frame and its receipt time, Unix ms. Raises TransientError: it is lost, or silent."""

    async def ask_anew(self, dataset: Dataset) -> None:
        """Ask for the stream once more, as if it had not been asked for. Raises TransientError."""


class Exchange(Protocol):
    """Where frames come from."""

    def connect(self, dataset: Dataset) -> AbstractAsyncContextManager[Connection]:
        """Connect and ask for the dataset's stream. Raises TransientError; FatalError where the exchange refuses."""


class Receiving:
    """Receives one dataset for as long as it is let."""

    def __init__(self, dataset: Dataset, exchange: Exchange, backlog: Backlog, sequence: Sequence) -> None:
        self.connections = 0
        """That were opened."""
        self.repeated = 0
        """Records that were received before."""
        self.trouble = ""
        """Why there is no connection; empty where there is one."""
        self.last_received_s: float | None = None
        """When the latest message came, Unix seconds; None where none has."""
        self.untold_gaps: list[StreamGap] = []
        """What was missed since it was last told."""
        self.untold_passed_over: list[ExchangeGap] = []
        """Ids that the exchange gave to no record, since they were last told."""
        self._dataset = dataset
        self._exchange = exchange
        self._backlog = backlog
        self._sequence = sequence
        self._connected_s = -dataset.market.connect_every_s
        self._silent_connections = 0
        """In a row, that have brought nothing (yet)."""
        self._messages = MESSAGES.labels(dataset.stream_name)

    @property
    def mark(self) -> Mark:
        """From where to where records are in the backlog or published."""
        return self._sequence.mark

    @property
    def why_nothing_comes(self) -> str:
        """Why there is no connection; empty where there is one."""
        return self.trouble

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        return [(self.repeated, "received before"), (max(0, self.connections - 1), "times connected anew")]

    def forget_told(self, gaps: int, passed_over: int) -> None:
        """The first ones of what was missed have been told; more may have come meanwhile."""
        del self.untold_gaps[:gaps]
        del self.untold_passed_over[:passed_over]

    async def receive(self) -> None:
        """Receive for ever.

        Raises:
            FatalError: The exchange refuses the stream.
        """
        while True:
            # Each round begins with the shortest wait: only connections that bring nothing make it longer.
            async for attempt in stamina.retry_context(
                on=TransientError,
                attempts=None,
                timeout=None,
                wait_initial=self._dataset.market.connect_every_s,
                wait_max=_WAIT_MAX_S,
                wait_jitter=_WAIT_JITTER_S,
            ):
                with attempt:
                    await self._listen()

    async def _listen(self) -> None:
        """Receive on one connection until it is lost. Raises TransientError: it brought nothing."""
        every_s = self._dataset.market.connect_every_s
        await asyncio.sleep(max(0.0, self._connected_s + every_s - monotonic()))
        self._connected_s = monotonic()
        received_before_s = self.last_received_s
        try:
            async with self._exchange.connect(self._dataset) as connection:
                self._sequence.note_reconnect()
                self.connections += 1
                self.trouble = ""
                self._silent_connections += 1
                await self._take_all(connection)
        except TransientError as exc:
            self.trouble = str(exc)
            if self.last_received_s == received_before_s:
                raise
            logger.warning("connecting anew: {}", exc)

    async def _take_all(self, connection: Connection) -> None:
        """Take frames until the server says that it is leaving."""
        silence_s = self._dataset.stream.silence_s
        if silence_s is not None:
            doublings = min(self._silent_connections - 1, _MOST_DOUBLINGS)
            silence_s = min(silence_s * 2**doublings, _LONGEST_SILENCE_S)
        heard_s, is_answered = monotonic(), False
        while True:
            # What the broker takes longer is not the exchange's silence.
            waiting_s = monotonic()
            await self._backlog.wait_for_room()
            heard_s += monotonic() - waiting_s
            patience_s = silence_s if is_answered else _ANSWER_WITHIN_S
            within_s = None if patience_s is None else max(0.0, heard_s + patience_s - monotonic())
            frame, received_ms = await connection.next_frame(within_s)
            try:
                incoming = self._dataset.market.read(frame)
            except RejectedRecordError as exc:
                self._refuse(frame, received_ms, str(exc))
                continue
            match incoming:
                case Pushed(stream, message):
                    heard_s, is_answered, self._silent_connections = monotonic(), True, 0
                    self._take(stream, message, received_ms)
                    if self._sequence.must_resubscribe():
                        await connection.ask_anew(self._dataset)
                case Answered(refusal):
                    if refusal is not None:
                        raise FatalError(
                            f"{self._dataset.market.exchange} refuses {self._dataset.stream_name!r}: {refusal}",
                            code="exchange_refused",
                        )
                    heard_s, is_answered = monotonic(), True
                case Leaving():
                    logger.info("the server is about to go; connecting anew")
                    return
                case Heartbeat():
                    pass

    def _take(self, stream: str, message: bytes, received_ms: int) -> None:
        """Bring what a message holds on its way."""
        dataset = self._dataset
        self.last_received_s = received_ms / 1000
        self._messages.inc()
        try:
            if stream != dataset.stream_name:
                raise RejectedRecordError(f"a message of {stream!r}, asked for was {dataset.stream_name!r}")
            parsed = dataset.stream.parse(message, dataset.symbol, received_ms)
            for record in parsed.records:
                if fault := dataset.stream.kind.fault_of(record):
                    raise RejectedRecordError(fault)
        except RejectedRecordError as exc:
            self._refuse(message, received_ms, str(exc))
            return
        headers: Headers = [_receipt(received_ms)]
        outgoing: list[Outgoing] = []
        for record in parsed.records:
            is_new, gap = self._sequence.admit(record, received_ms)
            self._note(gap)
            if is_new:
                outgoing.append((dataset.stream.kind.message_key(record), _encode(record), headers))
            else:
                self.repeated += 1
        for record_id in parsed.passed_over:
            self._note(self._sequence.pass_over(record_id))
            self.untold_passed_over.append(ExchangeGap(start=record_id, end=record_id + 1, missing=1))
        self._backlog.add(outgoing)

    def _refuse(self, refused: bytes, received_ms: int, reason: str) -> None:
        """Keep what is no record, as it came."""
        logger.warning("refused a message: {}", reason)
        self._backlog.add([(b"", refused, [_receipt(received_ms), (REJECTED_HEADER, reason.encode())])])

    def _note(self, gap: StreamGap | None) -> None:
        if gap is not None:
            logger.warning("missed {} to {}, {} records", gap.start, gap.end, gap.missing)
            self.untold_gaps.append(gap)


def _receipt(received_ms: int) -> tuple[str, bytes]:
    return RECEIPT_TIME_HEADER, str(received_ms).encode()
