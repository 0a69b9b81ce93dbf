"""Loading what there is of a kind at this moment: one request, one record.

It is not asked for again by a restart of the same attempt that finds it on the topic: then it would be of another
moment.
"""

import asyncio
from dataclasses import dataclass
from time import time
from typing import Protocol

from loader_producer.app.loading import EndOffsets
from loader_producer.app.place import Place, decode_place
from loader_producer.app.publishing import DataTopic, PlaceStore, Publishing, Run, wait_while_steered
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.records import Record
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.options import choose
from streamforge_common.exchanges.rest import Poll, RestMarket
from streamforge_common.job import Completed, Ending


@dataclass(frozen=True, slots=True)
class MomentDataset:
    """The record of one kind and symbol as it is now, and the topic to publish it on."""

    market: RestMarket
    poll: Poll
    symbol: str
    limit: int
    """How many levels are asked for."""
    type: str
    kafka_topic: str

    @classmethod
    def of(cls, start: Command) -> "MomentDataset":
        """Read a `start` command for which `is_momentary` holds.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        data_type = DataType.parse(start.type)
        market = REST_MARKETS[start.exchange, start.market]
        try:
            limit = int(choose(start.exchange, start.market, data_type, start.options)["limit"])
        except ValueError as exc:
            raise FatalError(str(exc), code="unsupported_dataset") from exc
        return cls(market, market.polls[data_type.kind], start.symbol, limit, start.type, start.kafka_topic)


def is_momentary(start: Command) -> bool:
    """Say whether a `start` command asks for what there is at this moment."""
    market = REST_MARKETS.get((start.exchange, start.market))
    source, _, kind = start.type.partition("_")
    poll = None if market is None else market.polls.get(kind)
    return source == Source.API and poll is not None and poll.kind.is_momentary


class Exchange(Protocol):
    """Where the record comes from."""

    @property
    def trouble(self) -> str:
        """Why it is asked again; empty where it answers."""

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        """Return what there is now."""


class SnapshotLoading:
    """Loads one record."""

    def __init__(
        self, run: Run, dataset: MomentDataset, *, exchange: Exchange, data_topic: DataTopic, places: PlaceStore
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._exchange = exchange
        self._places = places
        self._publishing = Publishing(run, dataset.type, data_topic)

    async def load(self, end_offsets: EndOffsets) -> Ending:
        """Load the record if it is not on the topic yet, and return how it ended."""
        attempt = self._run.start.attempt
        saved = await self._places.load()
        place = None if saved is None else decode_place(saved, Place)
        if place is None or place.attempt != attempt:
            async with asyncio.TaskGroup() as group:
                record = await self._ask(group)
            if record is None:
                assert self._run.ending is not None
                return self._run.ending
            await self._publishing.publish([record], [], int(time() * 1000), self._dataset.type)
            await self._places.save(Place(None, attempt, self._run.records_written).encode())
        else:
            self._run.records_written = place.records_written
        return Completed(self._publishing.summary("1 answer"), await end_offsets(self._dataset.kafka_topic))

    async def _ask(self, group: asyncio.TaskGroup) -> Record | None:
        """Return the record; None where the work must end before."""
        dataset = self._dataset
        asking = group.create_task(self._exchange.poll(dataset.poll, dataset.symbol, dataset.limit))
        await wait_while_steered(self._run, asking, lambda: self._exchange.trouble or "asking the exchange")
        if asking.done():
            return asking.result()
        asking.cancel()
        return None
