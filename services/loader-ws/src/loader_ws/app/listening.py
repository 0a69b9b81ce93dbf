"""One connection, frame by frame, until it is lost or the server is about to leave."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.intake import Intake
from streamforge_common.contract.records import Record
from streamforge_common.errors import FatalError, RejectedRecordError
from streamforge_common.exchanges.streams import Answered, Heartbeat, Leaving, Pushed

_ANSWER_WITHIN_S = 10.0
"""A connection that does not even answer the subscription is dead."""


class Connection(Protocol):
    """One connection that has asked for the stream."""

    async def next_frame(self, within_s: float | None) -> tuple[bytes, int]:
        """Return the next frame and its receipt time, Unix ms. Raises TransientError: it is lost, or silent."""

    async def ask_anew(self, dataset: Dataset) -> None:
        """Ask for the stream once more, as if it had not been asked for. Raises TransientError."""


class Listening:
    """Takes what comes on one connection."""

    def __init__(
        self,
        dataset: Dataset,
        connection: Connection,
        backlog: Backlog,
        intake: Intake,
        *,
        silence_s: float | None,
        on_answer: Callable[[], None],
    ) -> None:
        """Take nothing yet.

        Args:
            dataset: What was asked for.
            connection: On which.
            backlog: Where there must be room before a frame is read.
            intake: Who takes its records.
            silence_s: How long it may bring nothing once it is answered; None for ever.
            on_answer: Called once the exchange has granted the stream.
        """
        self.has_brought = False
        """Whether there was data, which an answer is not."""
        self.first_ms: int | None = None
        """Time of the first record that it brought, or of its receipt where it has none; None before."""
        self.last_ms: int | None = None
        """The same of the last one."""
        self._dataset = dataset
        self._connection = connection
        self._backlog = backlog
        self._intake = intake
        self._silence_s = silence_s
        self._on_answer = on_answer
        self._heard_s = monotonic()
        self._is_answered = False

    async def take_all(self) -> None:
        """Take frames until the server says that it is leaving; it may be called again for what still comes then.

        Raises:
            TransientError: The connection is lost, or silent.
            FatalError: The exchange refuses the stream.
        """
        while True:
            # What the broker takes longer is not the exchange's silence.
            waiting_s = monotonic()
            await self._backlog.wait_for_room()
            self._heard_s += monotonic() - waiting_s
            frame, received_ms = await self._connection.next_frame(self._patience_s())
            try:
                incoming = self._dataset.market.read(frame)
            except RejectedRecordError as exc:
                self._intake.refuse(frame, received_ms, str(exc))
                continue
            match incoming:
                case Pushed():
                    self.has_brought = True
                    self._note_answer()
                    self._note_times(self._intake.take(incoming, received_ms), received_ms)
                    if self._intake.sequence.must_resubscribe():
                        await self._connection.ask_anew(self._dataset)
                case Answered(refusal):
                    if refusal is not None:
                        raise FatalError(
                            f"{self._dataset.market.exchange} refuses {self._dataset.stream_name!r}: {refusal}",
                            code="exchange_refused",
                        )
                    self._note_answer()
                case Leaving():
                    return
                case Heartbeat():
                    pass

    def _note_times(self, records: Sequence[Record], received_ms: int) -> None:
        if not records:
            return
        first, last = (self._dataset.stream.kind.time_of(records[index]) for index in (0, -1))
        if self.first_ms is None:
            self.first_ms = first if isinstance(first, int) else received_ms
        self.last_ms = last if isinstance(last, int) else received_ms

    def _patience_s(self) -> float | None:
        patience_s = self._silence_s if self._is_answered else _ANSWER_WITHIN_S
        return None if patience_s is None else max(0.0, self._heard_s + patience_s - monotonic())

    def _note_answer(self) -> None:
        self._heard_s = monotonic()
        if not self._is_answered:
            self._is_answered = True
            self._on_answer()
