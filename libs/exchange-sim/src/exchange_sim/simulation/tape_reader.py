"""One symbol's market, minute by minute: draws what is asked for, remembers what the next page may need again."""

from functools import lru_cache
from typing import Final

from exchange_sim.simulation.activity import Activity
from exchange_sim.simulation.hours import Hour, Hours
from exchange_sim.simulation.instruments import Instrument
from exchange_sim.simulation.tapes import Tape, draw_tape

_REMEMBERED_HOURS: Final = 8
_REMEMBERED_TAPES: Final = 4
"""Pages follow each other: only what lies on the border of two is drawn for both."""


class TapeReader:
    """Bars and trades of one symbol by time and by id."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.activity = Activity(instrument)
        self.hour = lru_cache(_REMEMBERED_HOURS)(Hours(instrument, self.activity).draw)
        self.tape = lru_cache(_REMEMBERED_TAPES)(self._draw_tape)

    def _draw_tape(self, minute: int) -> Tape:
        hour: Hour = self.hour(minute // 60)
        return draw_tape(self.instrument.dice, minute, hour)
