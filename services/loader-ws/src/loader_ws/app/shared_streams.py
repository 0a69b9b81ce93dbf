"""Many streams on one connection: to each of its listeners it is a connection of their own.

Whoever connects joins the line that there is, unless it has that stream already or its end is near: then a new line is
opened, so that what is told of one connection following another holds here too. Who joins at the same time is asked for
in one frame. Frames of ours follow each other only once they are answered, as answers do not say to what.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic
from typing import Protocol

from loader_ws.app.dataset import Dataset
from loader_ws.app.listening import Connection
from streamforge_common.errors import RejectedRecordError, TransientError
from streamforge_common.exchanges.streams import Answered, Heartbeat, Leaving, Pushed, StreamMarket

_FRAMES_WAITING_MAX = 64
"""Of one stream. When its listener takes no more nobody reads the connection: all wait for the same broker."""
_ANSWER_WITHIN_S = 10.0
_JOINED_UNTIL = 0.75
"""Part of a connection's life after which nobody joins: from 0.8 on listeners look for the next one."""

Frame = tuple[bytes, int]
"""As it came, and when, Unix milliseconds."""


class SharedConnection(Connection, Protocol):
    """A connection that has asked for nothing yet."""

    async def ask(self, *datasets: Dataset) -> None:
        """Ask for streams. Raises TransientError."""


class Opener(Protocol):
    """Opens connections."""

    def open(self, dataset: Dataset) -> AbstractAsyncContextManager[SharedConnection]:
        """Connect where the dataset's stream is to be had. Raises TransientError, FatalError."""


class SharedStreams:
    """The streams of one kind and market."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lines: list[_Line] = []
        self._opening = asyncio.Lock()
        self._opened_s = -math.inf
        self._running: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep connections while the context lasts; nobody can connect outside of it."""
        async with asyncio.TaskGroup() as self._running:
            try:
                yield
            finally:
                for line in self._lines:
                    line.close()
                self._lines = []

    @asynccontextmanager
    async def connect(self, dataset: Dataset) -> AsyncIterator["Subscription"]:
        """Join a connection, which asks for the dataset's stream.

        Raises:
            TransientError: There is none.
            FatalError: The exchange refuses such connections.
        """
        async with self._opening:
            self._lines = [line for line in self._lines if not line.has_ended]
            joined = next((line for line in self._lines if line.takes(dataset)), None)
            line = joined or await self._open(dataset)
            subscription = line.add(dataset)
        try:
            yield subscription
        finally:
            line.leave(subscription)

    async def _open(self, dataset: Dataset) -> "_Line":
        await asyncio.sleep(max(0.0, self._opened_s + dataset.market.connect_every_s - monotonic()))
        self._opened_s = monotonic()
        stack = AsyncExitStack()
        connection = await stack.enter_async_context(self._opener.open(dataset))
        line = _Line(dataset.market, connection)
        assert self._running is not None
        line.running = self._running.create_task(line.run(stack))
        self._lines.append(line)
        return line


class Subscription:
    """One stream of a shared connection; implements `Connection`."""

    def __init__(self, dataset: Dataset, line: "_Line") -> None:
        self.dataset = dataset
        self._line = line
        self._frames: deque[Frame] = deque()
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._why_ended: str | None = None

    async def put(self, frame: Frame) -> None:
        """Bring a frame to the listener, once there is room."""
        await self._has_room.wait()
        self._frames.append(frame)
        self._has_news.set()
        if len(self._frames) >= _FRAMES_WAITING_MAX:
            self._has_room.clear()

    def end(self, why: str) -> None:
        """Nothing more will come."""
        self._why_ended = why
        self._has_news.set()
        self._has_room.set()

    async def next_frame(self, within_s: float | None) -> Frame:
        """Return the next frame and when it came, Unix milliseconds.

        Raises:
            TransientError: The connection is lost, or this stream silent for longer than `within_s`.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self._frames:
                    if self._why_ended is not None:
                        raise TransientError(self._why_ended)
                    self._has_news.clear()
                    await self._has_news.wait()
        except TimeoutError:
            raise TransientError(f"{self.dataset.market.exchange} sent nothing for {within_s:.0f} s") from None
        self._has_room.set()
        return self._frames.popleft()

    async def ask_anew(self, _dataset: Dataset) -> None:
        """Have the stream asked for once more, as if it had not been asked for."""
        self._line.ask_anew(self)


class _Line:
    """One connection and who listens on it."""

    def __init__(self, market: StreamMarket, connection: SharedConnection) -> None:
        self.has_ended = False
        self.running: asyncio.Task[None] | None = None
        self._market = market
        self._connection = connection
        self._joined: dict[str, Subscription] = {}
        self._unasked: list[Subscription] = []
        self._to_be_asked_anew: list[Subscription] = []
        self._has_to_ask = asyncio.Event()
        self._asked_s = -math.inf
        self._answer: asyncio.Future[tuple[Frame, str | None]] | None = None
        self._opened_s = monotonic()
        self._is_leaving = False

    def takes(self, dataset: Dataset) -> bool:
        """Say whether another one may join."""
        life_s = self._market.life_s
        is_near_its_end = life_s is not None and monotonic() - self._opened_s > life_s * _JOINED_UNTIL
        return not (self.has_ended or self._is_leaving or is_near_its_end or dataset.stream_name in self._joined)

    def add(self, dataset: Dataset) -> Subscription:
        """Let one join."""
        subscription = Subscription(dataset, self)
        self._joined[dataset.stream_name] = subscription
        self._unasked.append(subscription)
        self._has_to_ask.set()
        return subscription

    def ask_anew(self, subscription: Subscription) -> None:
        """Ask once more for a stream that somebody listens to."""
        self._to_be_asked_anew.append(subscription)
        self._has_to_ask.set()

    def leave(self, subscription: Subscription) -> None:
        """Take nothing more of a stream; a connection that nobody listens to is closed."""
        subscription.end("its listener has left")
        if subscription in self._unasked:
            self._unasked.remove(subscription)
        self._joined.pop(subscription.dataset.stream_name, None)
        if not self._joined:
            self.close()

    def close(self) -> None:
        """End the connection."""
        self._end("the connection is closed")
        if self.running is not None:
            self.running.cancel()

    async def run(self, opened: AsyncExitStack) -> None:
        """Ask, and hand out what comes, until the connection is lost or closed."""
        async with opened, asyncio.TaskGroup() as group:
            # Whoever listens may leave at any time; what is asked for others must be asked all the same.
            asking = group.create_task(self._ask_for_all())
            try:
                while True:
                    await self._hand_out(await self._connection.next_frame(None))
            except TransientError as exc:
                self._end(str(exc))
            asking.cancel()

    async def _ask_for_all(self) -> None:
        """Ask for those who join, for ever; those who do at the same time in one frame."""
        try:
            while True:
                await self._has_to_ask.wait()
                self._has_to_ask.clear()
                while self._unasked:
                    most = self._market.names_max
                    batch, self._unasked = self._unasked[:most], self._unasked[most:]
                    await self._ask(batch)
                while self._to_be_asked_anew:
                    dataset = self._to_be_asked_anew.pop().dataset
                    await self._answered(partial(self._connection.ask_anew, dataset))
        except TransientError as exc:
            self._end(str(exc))
            self.close()

    async def _ask(self, batch: Sequence[Subscription]) -> None:
        asked = [subscription.dataset for subscription in batch]
        frame, refusal = await self._answered(lambda: self._connection.ask(*asked))
        if refusal is not None and len(batch) > 1:
            # One of them will do for that: each is told its own answer.
            for subscription in batch:
                await self._ask([subscription])
            return
        for subscription in batch:
            await subscription.put(frame)

    async def _answered(self, ask: Callable[[], Awaitable[None]]) -> tuple[Frame, str | None]:
        """Send a frame when it may be sent, and return the next answer. Raises TransientError: none comes."""
        await asyncio.sleep(max(0.0, self._asked_s + self._market.ask_every_s - monotonic()))
        self._asked_s = monotonic()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await ask()
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await self._answer
        except TimeoutError:
            raise TransientError(f"{self._market.exchange} does not answer for {_ANSWER_WITHIN_S:.0f} s") from None
        finally:
            self._answer = None

    async def _hand_out(self, frame: Frame) -> None:
        try:
            incoming = self._market.read(frame[0])
        except RejectedRecordError:
            # It is nobody's; the first one keeps it as refused.
            for subscription in list(self._joined.values())[:1]:
                await subscription.put(frame)
            return
        match incoming:
            case Pushed(stream):
                if (listener := self._joined.get(stream)) is not None:
                    await listener.put(frame)
            case Answered(refusal):
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result((frame, refusal))
            case Leaving():
                self._is_leaving = True
                for subscription in list(self._joined.values()):
                    await subscription.put(frame)
            case Heartbeat():
                pass

    def _end(self, why: str) -> None:
        self.has_ended = True
        for subscription in self._joined.values():
            subscription.end(why)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TransientError(why))
