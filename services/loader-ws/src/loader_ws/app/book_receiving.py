"""Receiving an order book: beside the connection, the snapshots that differences are applied to."""

import asyncio
from dataclasses import replace

from loader_ws.app.backlog import Backlog
from loader_ws.app.books import BookSequence, FetchSnapshot
from loader_ws.app.dataset import Dataset
from loader_ws.app.receiving import Exchange, Receiving


class BookReceiving(Receiving):
    """Receives one symbol's books for as long as it is let."""

    def __init__(
        self, dataset: Dataset, exchange: Exchange, backlog: Backlog, sequence: BookSequence, fetch: FetchSnapshot
    ) -> None:
        super().__init__(replace(dataset, stream=sequence.books), exchange, backlog, sequence)
        self._books = sequence
        self._fetch = fetch

    async def receive(self) -> None:
        """Receive for ever.

        Raises:
            FatalError: The exchange refuses the stream, or a snapshot of the book.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(super().receive())
            group.create_task(self._books.fetch_snapshots(self._fetch))

    def give_up_holes(self) -> None:
        """Tell for how long there has been no book, where that has not ended."""
        if (gap := self._books.open_gap) is not None:
            self.intake.untold_gaps.append(gap)

    @property
    def why_nothing_comes(self) -> str:
        """Why there is no connection, or no book; empty where there are both."""
        return self.trouble or self._books.trouble

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        return [*super().counts, (self._books.losses, "times synchronised anew")]
