"""How limits whose use the exchange does not tell are divided among the loaders that run.

Half of a limit is divided evenly among those that load history, a fifth among live ones, which run for long and ask for
little; anew whenever one begins or ends. A loader obeys a smaller share at once, and a larger one only when a whole
window of the limit has passed since it was told (`Wanted.share`): until then what the others sent under their larger
shares may lie in the same window. So that one that begins can do something in its first window, 15 % are kept for
those: each is told half of what is left of it. The last 15 % are for the newcomers of a second replica, which does not
know of the first one's. So all together are never above the limit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from streamforge_common.contract.commands import SHARE_MARGIN_S
from streamforge_common.contract.data_types import DataType
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import Pool

_FOR_HISTORY, _FOR_LIVE = 0.5, 0.2
_FOR_NEWCOMERS = 0.15


@dataclass(frozen=True, slots=True)
class RunningLoader:
    """A loader that was started and has not ended, and what it loads."""

    exchange: str
    market: str
    kind: str
    is_live: bool

    @classmethod
    def of(cls, exchange: str, market: str, type_name: str) -> "RunningLoader":
        """Return the loader of a dataset."""
        data_type = DataType.parse(type_name)
        return cls(exchange, market, data_type.kind, data_type.source.is_live)

    @property
    def pools(self) -> frozenset[Pool]:
        """The limits that it shares with others."""
        market = REST_MARKETS.get((self.exchange, self.market))
        return frozenset() if market is None else market.untold_pools_of(self.kind)


@dataclass(frozen=True, slots=True)
class Share:
    """What one loader may use of its limits."""

    at_first: float
    """Until the one it is told next counts."""
    now: float
    """Beside all that run."""


class Shares:
    """The division as it was when the running loaders were last counted."""

    def __init__(self) -> None:
        self._running: Counter[tuple[Pool, bool]] = Counter()
        """By limit, and whether they are live."""
        self._began_s: defaultdict[Pool, list[float]] = defaultdict(list)
        """When loaders began whose first window is not over."""

    def count(self, loaders: Iterable[RunningLoader]) -> None:
        """Take over which loaders run."""
        self._running = Counter((pool, loader.is_live) for loader in loaders for pool in loader.pools)

    def note_begun(self, loader: RunningLoader, now_s: float) -> None:
        """Note that a loader was told its first share."""
        for pool in loader.pools:
            self._began_s[pool] = [*self._newcomers(pool, now_s), now_s]

    def share_of(self, loader: RunningLoader, now_s: float) -> Share | None:
        """Return a loader's share; None where the exchange tells the use of all its limits."""
        if not loader.pools:
            return None
        divided = _FOR_LIVE if loader.is_live else _FOR_HISTORY
        beside = max(1, *(self._running[pool, loader.is_live] for pool in loader.pools))
        before = max(len(self._newcomers(pool, now_s)) for pool in loader.pools)
        return Share(at_first=_FOR_NEWCOMERS / 2 ** (before + 1), now=divided / beside)

    def _newcomers(self, pool: Pool, now_s: float) -> list[float]:
        return [at_s for at_s in self._began_s[pool] if now_s - at_s < pool.window_s + SHARE_MARGIN_S]
