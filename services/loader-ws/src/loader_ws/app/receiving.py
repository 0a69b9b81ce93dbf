"""When to connect, and when anew: a stream has one line, or several; on each one connection follows the other.

Where the end of a connection is foreseen (the exchange cuts it after a time, or says that the server is about to
leave) the next one is opened before: both bring the same for a while, and what comes twice is dropped. Lines of one
stream bring the same too: what one of them misses comes on another.
"""

import asyncio
import random
from collections.abc import Sequence as Run
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from time import monotonic
from typing import Protocol

import stamina
from loguru import logger

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.intake import Intake
from loader_ws.app.listening import Connection, Listening
from loader_ws.app.sequence import Mark, Sequence
from streamforge_common.contract.events import ExchangeGap, StreamGap, SymbolReport
from streamforge_common.errors import TransientError

_LONGEST_SILENCE_S = 600.0
"""Each connection in a row that brings nothing is given twice as long, up to this: the symbol may just be quiet."""
_MOST_DOUBLINGS = 10
"""More than it takes to get there; a number of them that grows for months would overflow."""
_WAIT_MAX_S, _WAIT_JITTER_S = 30.0, 1.0
_RELIEVED_AT = (0.8, 0.95)
"""Parts of a connection's life after which the next one is opened: by chance, so that not all loaders do it at once."""
_OVERLAP_S = 5.0
"""How long a connection is listened to after the next one was granted: what was under way to it arrives by then."""


class Exchange(Protocol):
    """Where frames come from."""

    def connect(self, dataset: Dataset) -> AbstractAsyncContextManager[Connection]:
        """Connect and ask for the dataset's stream. Raises TransientError; FatalError where the exchange refuses."""


class Receiving:
    """Receives one stream for as long as it is let."""

    def __init__(self, dataset: Dataset, exchange: Exchange, backlog: Backlog, sequence: Sequence) -> None:
        self.reconnects = 0
        """Connections that were opened because one was lost."""
        self.trouble = ""
        """Why there is no connection; empty where there is one."""
        self.intake = Intake(dataset, backlog, sequence)
        self._dataset = dataset
        self._exchange = exchange
        self._backlog = backlog
        self._connected_s = -dataset.market.connect_every_s
        self._granted: list[Listening] = []
        """The connections that there are."""

    @property
    def untold_gaps(self) -> Run[StreamGap]:
        """What is missing for good, since it was last told."""
        return self.intake.untold_gaps

    @property
    def untold_exchange_gaps(self) -> Run[ExchangeGap]:
        """What the exchange does not have, since it was last told."""
        return self.intake.untold_exchange_gaps

    @property
    def last_received_s(self) -> float | None:
        """When the latest message came, Unix seconds; None where none has."""
        return self.intake.last_received_s

    @property
    def repeated(self) -> int:
        """Records that were received before."""
        return self.intake.repeated

    @property
    def mark(self) -> Mark:
        """From where to where records are in the backlog or published."""
        return self.intake.sequence.mark

    @property
    def is_connected(self) -> bool:
        """Whether the stream is granted on any connection."""
        return bool(self._granted)

    @property
    def why_nothing_comes(self) -> str:
        """Why there is no connection; empty where there is one."""
        return self.trouble

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        return [(self.repeated, "received before")]

    @property
    def filled(self) -> int:
        """Records that were missed and brought afterwards: none of a stream that only goes on."""
        return 0

    def symbols(self, _published: Mark) -> list[SymbolReport]:
        """Say nothing of symbols: there is one."""
        return []

    def forget_told(self, gaps: int, exchange_gaps: int) -> None:
        """The first ones of what is missing have been told; more may have come meanwhile."""
        del self.intake.untold_gaps[:gaps]
        del self.intake.untold_exchange_gaps[:exchange_gaps]

    async def fill(self) -> None:
        """Bring what was missed: nothing of a stream that only goes on."""

    def give_up_holes(self) -> None:
        """What is still missing stays so: of a stream that only goes on that was told before."""

    async def receive(self) -> None:
        """Receive for ever.

        Raises:
            FatalError: The exchange refuses the stream.
        """
        # Where receiving was ended before, for a pause, all connections were.
        self._granted.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._dataset.stream.connections):
                line = _Line(self, self._dataset, self._exchange, self._backlog)
                group.create_task(line.keep_up())

    async def wait_for_turn(self) -> None:
        """Return when another connection may be opened."""
        every_s = self._dataset.market.connect_every_s
        self._connected_s = max(monotonic(), self._connected_s + every_s)
        await asyncio.sleep(self._connected_s - monotonic())

    def note_granted(self, listening: Listening, *, is_anew: bool) -> None:
        """The exchange has granted the stream; `is_anew` where that is in the place of a connection that was lost."""
        self.trouble = ""
        self.reconnects += is_anew
        if not self.is_connected:
            self.intake.sequence.note_break(self.intake.sequence.mark.last)
        self._granted.append(listening)

    def note_ended(self, listening: Listening, why: str) -> None:
        """A connection is no more, or was not granted."""
        if listening in self._granted:
            self._granted.remove(listening)
        if not self.is_connected:
            self.trouble = why
        elif listening.last_ms is not None:
            firsts = [other.first_ms for other in self._granted if other.first_ms is not None]
            # What was under way to this one is not older than its last record: who began before then brings it.
            if not firsts or min(firsts) > listening.last_ms:
                self.intake.sequence.note_break(listening.last_ms, min(firsts, default=None))

    def note_unreachable(self, why: str) -> None:
        """There is one connection less than there should be."""
        if not self.is_connected:
            self.trouble = why


class _Line:
    """One connection after the other."""

    def __init__(self, receiving: Receiving, dataset: Dataset, exchange: Exchange, backlog: Backlog) -> None:
        self._receiving = receiving
        self._dataset = dataset
        self._exchange = exchange
        self._backlog = backlog
        self._silent_connections = 0
        """In a row, that have brought nothing (yet)."""
        self._is_broken = False
        """Whether the latest connection was lost."""
        self._retiring: asyncio.Timeout | None = None
        """Of a connection that listens until the next one is granted."""

    async def keep_up(self) -> None:
        """Receive for ever. Raises FatalError."""
        async with asyncio.TaskGroup() as group:
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
                        await self._connect(group)

    async def _connect(self, group: asyncio.TaskGroup) -> None:
        """Listen on a connection until it is lost, or is to be followed by the next one.

        Raises:
            TransientError: It has brought nothing.
        """
        await self._receiving.wait_for_turn()
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._exchange.connect(self._dataset))
            except TransientError as exc:
                self._receiving.note_unreachable(str(exc))
                raise
            self._silent_connections += 1
            listening = Listening(
                self._dataset,
                connection,
                self._backlog,
                self._receiving.intake,
                silence_s=self._silence_s(),
                on_answer=lambda: self._take_over(listening),
            )
            try:
                await self._listen(listening)
            except TransientError as exc:
                self._is_broken = True
                self._receiving.note_ended(listening, str(exc))
                if not listening.has_brought:
                    raise
                logger.warning("connecting anew: {}", exc)
                return
            finally:
                if listening.has_brought:
                    self._silent_connections = 0
            logger.info("connecting anew before the connection ends")
            group.create_task(self._retire(listening, stack.pop_all()))

    async def _listen(self, listening: Listening) -> None:
        """Listen until the end is near."""
        life_s = self._dataset.market.life_s
        # Chance, not secrecy.
        relieved_after_s = None if life_s is None else life_s * random.uniform(*_RELIEVED_AT)  # noqa: S311
        with suppress(TimeoutError):
            async with asyncio.timeout(relieved_after_s):
                await listening.take_all()

    async def _retire(self, listening: Listening, connection: AsyncExitStack) -> None:
        """Listen on until the connection is lost, or the next one has taken over."""
        async with connection:
            with suppress(TransientError, TimeoutError):
                async with asyncio.timeout(None) as retiring:
                    self._retiring = retiring
                    while True:
                        await listening.take_all()
        if self._retiring is retiring:
            self._retiring = None
        self._receiving.note_ended(listening, "the server has left")

    def _take_over(self, listening: Listening) -> None:
        """Let the connection before end soon, now that this one brings the same."""
        self._receiving.note_granted(listening, is_anew=self._is_broken)
        self._is_broken = False
        if self._retiring is not None:
            self._retiring.reschedule(asyncio.get_running_loop().time() + _OVERLAP_S)
            self._retiring = None

    def _silence_s(self) -> float | None:
        silence_s = self._dataset.stream.silence_s
        if silence_s is None:
            return None
        doublings = min(self._silent_connections - 1, _MOST_DOUBLINGS)
        return min(silence_s * float(2**doublings), _LONGEST_SILENCE_S)
