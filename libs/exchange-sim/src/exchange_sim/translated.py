"""A series as another market sends it: the same items under other names, in other rows."""

from collections.abc import Callable, Sequence

from exchange_sim.market import IdentifiedSeries, Series, TimeUnit

Translate = Callable[[Sequence[bytes]], list[bytes]]
"""Rows to rows, one for one."""


class Translated:
    """Implements `Series` by another one."""

    def __init__(self, series: Series, market: str, translate: Translate = list, kind: str | None = None) -> None:
        """Translate nothing yet.

        Args:
            series: Where the items come from.
            market: Whose they are.
            translate: How its rows look.
            kind: What they are; that of the other series when absent.
        """
        self.market = market
        self.symbol = series.symbol
        self.kind = series.kind if kind is None else kind
        self.batch = series.batch
        self._series = series
        self._translate = translate

    @property
    def first(self) -> int:
        """That of the other one."""
        return self._series.first

    def end(self, now_us: int) -> int:
        """That of the other one."""
        return self._series.end(now_us)

    def settled(self, now_us: int) -> int:
        """That of the other one."""
        return self._series.settled(now_us)

    def position_at(self, time_us: int) -> int:
        """That of the other one."""
        return self._series.position_at(time_us)

    def time_us(self, position: int) -> int:
        """That of the other one."""
        return self._series.time_us(position)

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """The items, translated."""
        return self._translate(self._series.rows(first, end, now_us, unit))


class TranslatedTrades(Translated):
    """Implements `IdentifiedSeries` by another one."""

    def __init__(self, series: IdentifiedSeries, market: str, translate: Translate = list) -> None:
        super().__init__(series, market, translate)
        self.position_of = series.position_of
