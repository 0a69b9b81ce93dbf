"""What the exchange does not push: asked for again and again, at a pace that does not drift.

Polls are due at whole multiples of the pace from the first one on, whatever an answer takes. One that is not answered
before the next is due is missed, and so are those of a pause or a restart: they are counted, and told as a time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Protocol

import msgspec
from loguru import logger

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import read_duration, read_options, unsupported
from loader_ws.app.sequence import Mark, RecentKeys
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.events import ExchangeGap, StreamGap, SymbolReport
from streamforge_common.contract.records import RECEIPT_TIME_HEADER, REJECTED_HEADER, Headers, Record
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import Poll, RestMarket
from streamforge_common.telemetry import MESSAGES

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class PollDataset:
    """Records of one kind and symbol as they are from now on, and the topic to publish them on."""

    market: RestMarket
    poll: Poll
    symbol: str
    type: str
    kafka_topic: str
    duration_s: float | None
    """How long to poll; None until stopped."""
    every_s: float
    limit: int
    """Of books: how many levels are asked for."""

    @classmethod
    def of(cls, start: Command) -> "PollDataset":
        """Read a `start` command for which `is_polled` holds.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        market = REST_MARKETS.get((start.exchange, start.market))
        data_type = DataType.parse(start.type)
        poll = None if market is None else market.polls.get(data_type.kind)
        if market is None or poll is None:
            raise unsupported(f"{start.exchange!r} {start.market!r} cannot be asked for {data_type.kind!r}")
        chosen = read_options(start, data_type)
        return cls(
            market,
            poll,
            start.symbol,
            start.type,
            start.kafka_topic,
            read_duration(start),
            every_s=chosen["every"],
            limit=int(chosen.get("limit", 0)),
        )


def is_polled(start: Command) -> bool:
    """Say whether a `start` command asks for what is polled."""
    return start.type.startswith(f"{Source.POLL}_")


class Rest(Protocol):
    """Who is asked."""

    @property
    def trouble(self) -> str:
        """Why it is asked again; empty where it answers."""

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        """Return what there is now."""


class Polling:
    """Polls one dataset for as long as it is let; implements `Receiver`. Its marks are the times of polls, Unix ms."""

    def __init__(self, dataset: PollDataset, rest: Rest, backlog: Backlog, mark: Mark) -> None:
        """Go on from where an earlier process has come to."""
        self.mark = mark
        self.last_received_s: float | None = None
        self.untold_gaps: list[StreamGap] = []
        self.reconnects = 0
        """There is no connection that could be lost."""
        self.filled = 0
        """Nobody can be asked for what was."""
        self._dataset = dataset
        self._rest = rest
        self._backlog = backlog
        self._seen = RecentKeys()
        self._repeated = 0
        self._missed = 0
        self._messages = MESSAGES.labels(dataset.type)

    @property
    def untold_exchange_gaps(self) -> Sequence[ExchangeGap]:
        """What was missed the exchange did have."""
        return ()

    @property
    def why_nothing_comes(self) -> str:
        """Why the latest poll is not answered; empty where it is."""
        return self._rest.trouble

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        return [(self._repeated, "received before"), (self._missed, "polls missed")]

    def symbols(self, _published: Mark) -> list[SymbolReport]:
        """Say nothing of symbols: there is one."""
        return []

    def forget_told(self, gaps: int, exchange_gaps: int) -> None:
        """The first ones of what is missing have been told."""
        del self.untold_gaps[:gaps]

    async def fill(self) -> None:
        """Bring what was missed: nobody can."""

    def give_up_holes(self) -> None:
        """What is missing was told before."""

    async def receive(self) -> None:
        """Poll for ever.

        Raises:
            FatalError: The exchange refuses to answer.
        """
        dataset, every_s = self._dataset, self._dataset.every_s
        began_s, began_ms, number = monotonic(), time() * 1000, 0
        while True:
            await asyncio.sleep(began_s + number * every_s - monotonic())
            # What the broker takes longer than the pace is missed, not gathered.
            await self._backlog.wait_for_room()
            number = max(number, int((monotonic() - began_s) / every_s))
            next_s = began_s + (number + 1) * every_s
            try:
                async with asyncio.timeout(next_s - monotonic()):
                    record = await self._rest.poll(dataset.poll, dataset.symbol, dataset.limit)
            except TimeoutError:
                logger.warning("no answer within {:g} s", every_s)
            else:
                self._take(record, int(began_ms + number * every_s * 1000))
            number += 1

    def _take(self, record: Record, due_ms: int) -> None:
        """Bring a record on its way."""
        received_s = time()
        self.last_received_s = received_s
        self._messages.inc()
        self._note_missed(due_ms)
        headers: Headers = [(RECEIPT_TIME_HEADER, str(int(received_s * 1000)).encode())]
        kind = self._dataset.poll.kind
        if fault := kind.fault_of(record):
            logger.warning("refused an answer: {}", fault)
            self._backlog.add([(b"", _encode(record), [*headers, (REJECTED_HEADER, fault.encode())])])
        elif self._seen.is_new(record.key):
            self._backlog.add([(kind.message_key(record), _encode(record), headers)])
        else:
            self._repeated += 1

    def _note_missed(self, due_ms: int) -> None:
        first, last = self.mark.first, self.mark.last
        self.mark = Mark(due_ms if first is None else first, due_ms)
        if last is None:
            return
        missed = round((due_ms - last) / (self._dataset.every_s * 1000)) - 1
        if missed > 0:
            logger.warning("missed {} polls", missed)
            self._missed += missed
            self.untold_gaps.append(StreamGap(start=last, end=due_ms))
