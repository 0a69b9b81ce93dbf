"""One symbol's market, minute by minute: draws what is asked for, remembers what the next page may need again."""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

from exchange_sim.clock import MINUTE_US
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

    def agg_trades_until(self, time_us: int) -> int:
        """How many aggregated trades there were up to and including a moment: the id of the first after it."""
        minute = time_us // MINUTE_US
        if minute < self.instrument.listed_minute:
            return 0
        return self.activity.agg_trades_before(minute) + bisect_right(self.tape(minute).times_us, time_us)

    def _draw_tape(self, minute: int) -> Tape:
        hour: Hour = self.hour(minute // 60)
        return draw_tape(self.instrument.dice, minute, hour)
