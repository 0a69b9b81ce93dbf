"""Receiving with the way back to what was missed."""

from loader_ws.app.backlog import Backlog
from loader_ws.app.dataset import Dataset
from loader_ws.app.filling import Filling, FillingExchange
from loader_ws.app.listening import Listening
from loader_ws.app.receiving import Exchange, Receiving
from loader_ws.app.sequence import FillableSequence


class FilledReceiving(Receiving):
    """Receives one stream, and asks for what it has missed."""

    def __init__(
        self, dataset: Dataset, exchange: Exchange, backlog: Backlog, sequence: FillableSequence, rest: FillingExchange
    ) -> None:
        super().__init__(dataset, exchange, backlog, sequence)
        self._holes = sequence.holes
        self._backfill = dataset.backfill
        self._filling = Filling(dataset, rest, backlog, self.intake, sequence)

    async def receive(self) -> None:
        """Receive for ever; what there is to be of history is looked for before, once for the dataset.

        Raises:
            FatalError: The exchange refuses the stream, or the history.
        """
        if self._backfill is not None and self.mark.last is None:
            await self._filling.begin(self._backfill)
        await super().receive()

    def note_granted(self, listening: Listening, *, is_anew: bool) -> None:
        """Look for what has happened meanwhile, where there was no other connection."""
        if not self.is_connected:
            self._filling.note_back()
        super().note_granted(listening, is_anew=is_anew)

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
