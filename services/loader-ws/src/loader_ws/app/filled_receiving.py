"""Receiving with the way back to what was missed."""

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.filling import Filling, FillingExchange
from loader_ws.app.receiving import Exchange, Receiving
from loader_ws.app.sequence import FillableSequence


class FilledReceiving(Receiving):
    """Receives one stream, and asks for what it has missed."""

    def __init__(
        self, dataset: Dataset, exchange: Exchange, backlog: Backlog, sequence: FillableSequence, rest: FillingExchange
    ) -> None:
        super().__init__(dataset, exchange, backlog, sequence)
        self._holes = sequence.holes
        self._filling = Filling(dataset, rest, backlog, self.intake, sequence)

    async def fill(self) -> None:
        """Bring what was missed, for ever."""
        await self._filling.fill()

    def give_up_holes(self) -> None:
        """What is still missing stays so."""
        for hole in list(self._holes):
            self._filling.give_up(*hole)

    @property
    def filled(self) -> int:
        """Records that were missed and brought afterwards."""
        return self._filling.filled

    @property
    def why_nothing_comes(self) -> str:
        """Why there is no connection, or what is missing is not filled; empty where all is well."""
        return self.trouble or self._filling.trouble

    @property
    def counts(self) -> list[tuple[int, str]]:
        """What has happened so far: how often, and what."""
        return [*super().counts, (len(self._holes), "holes being filled")]
