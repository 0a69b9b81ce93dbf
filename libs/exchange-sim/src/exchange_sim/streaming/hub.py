"""Hands every message to the connections that have subscribed to its stream, and shows it to the faults before."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from exchange_sim.faults.plan import Fault, FaultKind, FaultPlan
from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Feed, Push, Topic


class Hub:
    """All connections of the exchange; the audience of its feed."""

    def __init__(self, feed: Feed, faults: FaultPlan, shutdown_message: Callable[[str], bytes | None]) -> None:
        """Connect nobody yet.

        Args:
            feed: Where messages come from.
            faults: Whose faults messages may meet.
            shutdown_message: Market to the message that the server is about to go; None where there is no such thing.
        """
        self._feed: Final = feed
        self._faults: Final = faults
        self._shutdown_message: Final = shutdown_message
        self._subscribers: dict[Topic, dict[Connection, bool]] = {}
        """Whether a connection has had a message of the topic since it subscribed."""
        self._has_audience = asyncio.Event()
        self._kept_back: dict[tuple[Connection, Topic], Push] = {}
        """Messages that go out behind the next one."""

    @property
    def topics(self) -> Collection[Topic]:
        """What somebody has subscribed to."""
        return self._subscribers.keys()

    async def wait(self) -> None:
        """Return once somebody has subscribed to something."""
        await self._has_audience.wait()

    def subscribe(self, connection: Connection, topic: Topic) -> None:
        """Send a stream's messages to a connection from now on."""
        connection.streams[topic.stream] = None
        self._subscribers.setdefault(topic, {})[connection] = False
        self._has_audience.set()

    def unsubscribe(self, connection: Connection, topic: Topic) -> None:
        """Send them no more."""
        connection.streams.pop(topic.stream, None)
        self._kept_back.pop((connection, topic), None)
        subscribers = self._subscribers.get(topic, {})
        subscribers.pop(connection, None)
        if not subscribers:
            self._subscribers.pop(topic, None)
        if not self._subscribers:
            self._has_audience.clear()

    async def run(self) -> None:
        """Hand out messages until the feed has no more."""
        async for push in self._feed.pushes(self):
            for connection, has_begun in list(self._subscribers.get(push.topic, {}).items()):
                self._subscribers[push.topic][connection] = True
                await self._hand_over(push if has_begun or push.whole is None else _whole(push), connection)

    async def _hand_over(self, push: Push, connection: Connection) -> None:
        """Bring a message on its way, or keep back the one that a reordered message waits for."""
        fault = self._faults.take_on_stream(push.topic.stream)
        if fault is None:
            await connection.put(push, waits=self._feed.waits)
        else:
            await self._misbehave(fault, push, connection)
        if (late := self._kept_back.pop((connection, push.topic), None)) is not None:
            await connection.put(late, waits=self._feed.waits)
        if fault is not None and fault.kind is FaultKind.REORDERED_MESSAGE:
            self._kept_back[connection, push.topic] = push

    async def _misbehave(self, fault: Fault, push: Push, connection: Connection) -> None:
        match fault.kind:
            case FaultKind.DISCONNECT:
                # At once: what comes next is not to be put on its way to nobody.
                for stream in list(connection.streams):
                    self.unsubscribe(connection, Topic(push.topic.market, stream))
                connection.cut()
            case FaultKind.STALL:
                connection.stall(fault.lasting_s)
            case FaultKind.DUPLICATED_MESSAGE:
                for _ in range(2):
                    await connection.put(push, waits=self._feed.waits)
            case FaultKind.SERVER_SHUTDOWN:
                await connection.put(push, waits=self._feed.waits)
                message = self._shutdown_message(push.topic.market)
                if message is not None:
                    await connection.put(Push(Topic(push.topic.market, "!serverShutdown"), message, None), waits=True)
                asyncio.get_running_loop().call_later(fault.lasting_s, connection.cut)
            case FaultKind.TRUNCATED_FRAME:
                await connection.put(replace(push, page=None), waits=self._feed.waits, is_truncated=True)
            case FaultKind.LOST_MESSAGE | FaultKind.REORDERED_MESSAGE:
                pass
            case _:
                raise AssertionError(f"{fault.kind} is no fault of a stream")


def _whole(push: Push) -> Push:
    """Return the message that a new subscriber gets; it counts as the one that it stands for."""
    assert push.whole is not None
    return replace(push, message=push.whole())
