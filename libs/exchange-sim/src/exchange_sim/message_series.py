"""Messages and answers that were sent once, kept as a `Series`, so that it can be told what was served."""

from typing import Final

import msgspec

from exchange_sim.market import TimeUnit
from exchange_sim.pages import Selection


class _Timed(msgspec.Struct):
    E: int = 0


_timed_decoder = msgspec.json.Decoder(_Timed)


class MessageSeries:
    """The items of one stream or kind, by their number; of candles those that were closed."""

    first: Final = 0
    batch: Final = 1000

    def __init__(self, market: str, symbol: str, kind: str) -> None:
        self.market = market
        self.symbol = symbol
        self.kind = kind
        self.messages: list[bytes] = []

    def end(self, now_us: int) -> int:
        """All that have been sent so far."""
        return len(self.messages)

    def settled(self, now_us: int) -> int:
        """All of them: what was sent does not change."""
        return len(self.messages)

    def position_at(self, time_us: int) -> int:
        """The first message at or after a moment; those without a time come with the first."""
        times = (self.time_us(position) for position in range(len(self.messages)))
        return next((position for position, found in enumerate(times) if found >= time_us), len(self.messages))

    def time_us(self, position: int) -> int:
        """When the exchange sent it."""
        return _timed_decoder.decode(self.messages[position]).E * 1000

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The messages as they were."""
        return self.messages[first:end]


class AnsweredMoments:
    """Answers that are of the moment: each is made once, and what was served is told by keeping it."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], MessageSeries] = {}

    def select(self, market: str, symbol: str, kind: str, answer: bytes, now_us: int) -> Selection:
        """Return the selection that an answer is."""
        series = self._series.setdefault((market, symbol, kind), MessageSeries(market, symbol, kind))
        series.messages.append(answer)
        number = len(series.messages) - 1
        return Selection(series, range(number, number + 1), now_us, frame=lambda rows: rows[0])
