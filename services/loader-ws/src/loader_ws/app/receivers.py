"""Which way the records of a dataset come."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from loader_ws.app.backlog import Backlog
from loader_ws.app.basket_receiving import BasketReceiving
from loader_ws.app.book_receiving import BookReceiving
from loader_ws.app.books import BookSequence, DifferenceSequence
from loader_ws.app.dataset import Dataset
from loader_ws.app.filled_receiving import FilledReceiving
from loader_ws.app.filling import FillingExchange
from loader_ws.app.receiving import Exchange, Receiving
from loader_ws.app.sequence import Mark, sequence_of
from loader_ws.app.shared_streams import Opener, SharedStreams
from streamforge_common.contract.records import DepthSnapshot, OrderBook, Record
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import Poll


class Rest(FillingExchange, Protocol):
    """The same market over REST."""

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        """Return what there is now."""


def basket_receiver_of(
    dataset: Dataset, symbols: Sequence[str], opener: Opener, rest: Rest, backlog: Backlog, mark: Mark
) -> BasketReceiving:
    """Return the receiver of a basket, whose symbols share connections."""
    streams = SharedStreams(opener)
    marks = mark.symbols or [Mark()] * len(symbols)
    receivers = {
        symbol: receiver_of(replace(dataset, symbol=symbol), streams, rest, backlog, its_mark)
        for symbol, its_mark in zip(symbols, marks, strict=True)
    }
    return BasketReceiving(receivers, streams, rest)


def receiver_of(dataset: Dataset, exchange: Exchange, rest: Rest, backlog: Backlog, mark: Mark) -> Receiving:
    """Return the receiver of a dataset, which goes on behind what an earlier process has published."""
    rules = dataset.stream.book
    if rules is None:
        return FilledReceiving(dataset, exchange, backlog, sequence_of(dataset.stream, mark), rest)
    if dataset.stream.kind.record is not OrderBook:
        return Receiving(dataset, exchange, backlog, DifferenceSequence(rules, mark))
    books = BookSequence(dataset.stream, dataset.levels, dataset.every_s, mark)
    snapshots = REST_MARKETS[dataset.market.exchange, dataset.market.market].polls["depth_snapshot"]

    async def fetch_snapshot() -> DepthSnapshot:
        assert rules.snapshot_limit is not None
        snapshot = await rest.poll(snapshots, dataset.symbol, rules.snapshot_limit)
        assert isinstance(snapshot, DepthSnapshot)
        return snapshot

    return BookReceiving(dataset, exchange, backlog, books, fetch_snapshot)
