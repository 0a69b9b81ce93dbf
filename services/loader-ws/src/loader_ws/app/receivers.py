"""Which way the records of a dataset come."""

from typing import Protocol

from loader_ws.app.backlog import Backlog
from loader_ws.app.book_receiving import BookReceiving
from loader_ws.app.books import BookSequence, DifferenceSequence
from loader_ws.app.dataset import Dataset
from loader_ws.app.filled_receiving import FilledReceiving
from loader_ws.app.filling import FillingExchange
from loader_ws.app.receiving import Exchange, Receiving
from loader_ws.app.sequence import Mark, sequence_of
from streamforge_common.contract.records import DepthSnapshot, OrderBook, Record
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import Poll


class Rest(FillingExchange, Protocol):
    """The same market over REST."""

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        """Return what there is now."""


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
