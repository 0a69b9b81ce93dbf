"""Live streams of the simulated market: what happens there is pushed as time goes by."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from exchange_sim.clock import Clock
from exchange_sim.market import Series, TimeUnit
from exchange_sim.pages import Page
from exchange_sim.streaming.feed import Audience, Push, Topic

_LOOK_EVERY_S: Final = 0.02
"""How often it is looked what has happened: how late a message may be."""

Wrap = Callable[[bytes, int, bool], bytes]
"""(item as REST gives it, now in microseconds, whether it is final) to the stream's message."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a stream is made from a series."""

    series: Series
    wrap: Wrap
    update_every_us: int | None = None
    """How often an item that is still open is sent; None where items are final from the start."""
    whole: Callable[[int], bytes] | None = None
    """Position to the message that a new subscriber gets in place of the item's."""


class Sources(Protocol):
    """Finds the source of a stream."""

    def __call__(self, stream: str) -> Source | None:
        """Return how a stream is made, None for one that never sends anything."""
        ...


class _Tail:
    """The end of a series, from the first subscription on."""

    def __init__(self, topic: Topic, source: Source, now_us: int) -> None:
        self._topic = topic
        self._source = source
        self._next = source.series.settled(now_us)
        self._updated_us = now_us

    def grown(self, now_us: int) -> Iterator[Push]:
        """Yield what has come since the last look."""
        series = self._source.series
        settled = series.settled(now_us)
        for first in range(self._next, settled, series.batch):
            end = min(settled, first + series.batch)
            rows = series.rows(first, end, now_us, TimeUnit.MILLISECOND)
            for position, row in enumerate(rows, start=first):
                yield self._push(position, row, now_us, settled)
        self._next = max(self._next, settled)
        every_us = self._source.update_every_us
        if every_us is not None and now_us - self._updated_us >= every_us and series.end(now_us) > settled:
            self._updated_us = now_us
            (row,) = series.rows(settled, settled + 1, now_us, TimeUnit.MILLISECOND)
            yield self._push(settled, row, now_us, settled)

    def _push(self, position: int, row: bytes, now_us: int, settled: int) -> Push:
        message = self._source.wrap(row, now_us, position < settled)
        whole = None if self._source.whole is None else partial(self._source.whole, position)
        return Push(self._topic, message, Page(self._source.series, [position], [row], settled), whole)


class SimulatedFeed:
    """Implements `Feed`."""

    waits: Final = False

    def __init__(self, clock: Clock, sources: Mapping[str, Sources]) -> None:
        """Push nothing yet.

        Args:
            clock: What time it is.
            sources: By market.
        """
        self._clock = clock
        self._sources = sources

    async def pushes(self, audience: Audience) -> AsyncIterator[Push]:
        """Yield what happens on the streams that are wanted, each from its first subscription on."""
        tails: dict[Topic, _Tail] = {}
        while True:
            await audience.wait()
            now_us = self._clock()
            topics = list(audience.topics)
            tails = {topic: tail for topic in topics if (tail := tails.get(topic) or self._open(topic, now_us))}
            for tail in tails.values():
                for push in tail.grown(now_us):
                    yield push
            await asyncio.sleep(_LOOK_EVERY_S)

    def _open(self, topic: Topic, now_us: int) -> _Tail | None:
        find = self._sources.get(topic.market)
        source = find(topic.stream) if find else None
        return None if source is None else _Tail(topic, source, now_us)
