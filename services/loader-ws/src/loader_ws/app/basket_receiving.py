"""Receiving several symbols as one: each has a receiver of its own, and all of them bring records into one backlog.

A symbol that the exchange refuses is told of with its reason; the others go on.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from loguru import logger

from loader_ws.app.receiving import Receiving
from loader_ws.app.sequence import Mark
from loader_ws.app.shared_streams import SharedStreams
from streamforge_common.contract.events import ExchangeGap, StreamGap, SymbolReport, TaskError
from streamforge_common.errors import FatalError, foreseen_cause


class Rest(Protocol):
    """The same market over REST."""

    async def learn_limits(self, symbol: str) -> None:
        """Learn how much may be asked for. Raises FatalError where there is no such symbol (`exchange_refused`)."""


class BasketReceiving:
    """Receives a basket for as long as it is let; implements `Receiver`."""

    def __init__(self, receivers: Mapping[str, Receiving], streams: SharedStreams, rest: Rest) -> None:
        """Connect nowhere yet.

        Args:
            receivers: By symbol, in the order of the basket.
            streams: The connections that they share.
            rest: Knows which symbols there are.
        """
        self._receivers = receivers
        self._streams = streams
        self._rest = rest
        self._refused: dict[str, TaskError] = {}
        self._untold_gaps: list[StreamGap] = []
        self._untold_exchange_gaps: list[ExchangeGap] = []

    async def receive(self) -> None:
        """Receive for ever.

        Raises:
            FatalError: The exchange refuses every one of the streams, or it is nothing that concerns one.
        """
        async with self._streams.kept(), asyncio.TaskGroup() as group:
            for symbol, receiver in self._receivers.items():
                if symbol not in self._refused:
                    group.create_task(self._receive_one(symbol, receiver))

    async def _receive_one(self, symbol: str, receiver: Receiving) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(receiver.receive())
                # Some exchanges grant the stream of a symbol that there is not, and never send anything.
                group.create_task(self._rest.learn_limits(symbol))
        except* FatalError as errors:
            failure = foreseen_cause(errors)
            assert isinstance(failure, FatalError)
            if failure.code != "exchange_refused" or len(self._refused) == len(self._receivers) - 1:
                raise failure from None
            logger.warning("{} cannot be loaded: {}", symbol, failure)
            self._refused[symbol] = TaskError(code=failure.code, detail=str(failure), retryable=False)

    async def fill(self) -> None:
        """Bring what was missed, for ever."""
        async with asyncio.TaskGroup() as group:
            for receiver in self._receivers.values():
                group.create_task(receiver.fill())

    def give_up_holes(self) -> None:
        """What is still missing stays so."""
        for receiver in self._receivers.values():
            receiver.give_up_holes()

    @property
    def mark(self) -> Mark:
        """From where to where records of each symbol are in the backlog or published."""
        marks = tuple(receiver.mark for receiver in self._receivers.values())
        return Mark(holes=tuple(hole for mark in marks for hole in mark.holes), symbols=marks)

    def symbols(self, published: Mark) -> list[SymbolReport]:
        """Say of each symbol how far it is published, and whether it is refused."""
        return [
            SymbolReport(symbol=symbol, first_id=mark.first, last_id=mark.last, error=self._refused.get(symbol))
            for symbol, mark in zip(self._receivers, published.symbols, strict=True)
        ]

    @property
    def untold_gaps(self) -> Sequence[StreamGap]:
        """What is missing for good, since it was last told."""
        self._take_in()
        return self._untold_gaps

    @property
    def untold_exchange_gaps(self) -> Sequence[ExchangeGap]:
        """What the exchange does not have, since it was last told."""
        self._take_in()
        return self._untold_exchange_gaps

    def forget_told(self, gaps: int, exchange_gaps: int) -> None:
        """The first ones of what is missing have been told; more may have come meanwhile."""
        del self._untold_gaps[:gaps]
        del self._untold_exchange_gaps[:exchange_gaps]

    def _take_in(self) -> None:
        """Bring what the receivers have to tell into one order."""
        for symbol, receiver in self._receivers.items():
            gaps, exchange_gaps = receiver.untold_gaps, receiver.untold_exchange_gaps
            self._untold_gaps += [gap.model_copy(update={"symbol": symbol}) for gap in gaps]
            self._untold_exchange_gaps += [gap.model_copy(update={"symbol": symbol}) for gap in exchange_gaps]
            receiver.forget_told(len(gaps), len(exchange_gaps))

    @property
    def last_received_s(self) -> float | None:
        """When the latest message came, Unix seconds; None where none has."""
        return max((it.last_received_s for it in self._receivers.values() if it.last_received_s), default=None)

    @property
    def why_nothing_comes(self) -> str:
        """What is wrong with the first symbol of which something is; empty where all is well."""
        of_each = {symbol: receiver.why_nothing_comes for symbol, receiver in self._receivers.items()}
        return next((f"{symbol}: {why}" for symbol, why in of_each.items() if why and symbol not in self._refused), "")

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        counts: Counter[str] = Counter()
        for receiver in self._receivers.values():
            for number, what in receiver.counts:
                counts[what] += number
        return [*((number, what) for what, number in counts.items()), (len(self._refused), "symbols refused")]

    @property
    def reconnects(self) -> int:
        """Streams that were asked for anew because their connection was lost."""
        return sum(receiver.reconnects for receiver in self._receivers.values())

    @property
    def filled(self) -> int:
        """Records that were missed and brought afterwards."""
        return sum(receiver.filled for receiver in self._receivers.values())
