"""How limits whose use the exchange does not tell are divided among the loaders that run.

Half of a limit is divided evenly among those that load history, a fifth among live ones, which run for long and ask for
little; anew whenever one begins or ends. A loader obeys a smaller share at once, and a larger one only when a whole
window of the limit has passed since it was told (`Wanted.share`): until then what the others sent under their larger
shares may lie in the same window. So that one that begins can do something in its first window, 15 % are kept for
those: each is told half of what is left of it, and waits where that is next to nothing. One that ends tells what it has
spent, and gives back the rest. The last 15 % are for the newcomers of a second replica, which does not know of the
first one's. So all together are never above the limit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamforge_common.contract.commands import SHARE_MARGIN_S
from streamforge_common.contract.data_types import DataType
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import Pool

_FOR_HISTORY, _FOR_LIVE = 0.5, 0.2
_FOR_NEWCOMERS = 0.15
_LEAST = 1 / 64
"""Seven requests in five minutes of the smallest limit."""


@dataclass(frozen=True, slots=True)
class _Reserved:
    """What one newcomer may use, or has used, of a limit."""

    share: float
    until_s: float


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

    @property
    def may_begin(self) -> bool:
        """Whether there is enough to begin with."""
        return self.at_first >= _LEAST


class Shares:
    """The division as it was when the running loaders were last counted."""

    def __init__(self) -> None:
        self._running: Counter[tuple[Pool, bool]] = Counter()
        """By limit, and whether they are live."""
        self._reserved: defaultdict[Pool, dict[str, _Reserved]] = defaultdict(dict)
        """By the newcomer's job."""

    def count(self, loaders: Iterable[RunningLoader]) -> None:
        """Take over which loaders run."""
        self._running = Counter((pool, loader.is_live) for loader in loaders for pool in loader.pools)

    def note_begun(self, loader: RunningLoader, job: str, share: float, now_s: float) -> None:
        """Note that a loader was told its first share."""
        for pool in loader.pools:
            self._reserved[pool][job] = _Reserved(share, _until(pool, now_s))

    def note_ended(self, loader: RunningLoader, job: str, spent: Mapping[str, int], now_s: float) -> None:
        """Note what a loader had sent within the last window when it ended."""
        for pool in loader.pools:
            if (reserved := self._reserved[pool].get(job)) is not None:
                share = min(reserved.share, spent.get(pool.name, 0) / pool.limit)
                self._reserved[pool][job] = _Reserved(share, _until(pool, now_s))

    def share_of(self, loader: RunningLoader, now_s: float) -> Share | None:
        """Return a loader's share; None where the exchange tells the use of all its limits."""
        if not loader.pools:
            return None
        divided = _FOR_LIVE if loader.is_live else _FOR_HISTORY
        beside = max(1, *(self._running[pool, loader.is_live] for pool in loader.pools))
        left = _FOR_NEWCOMERS - max(self._reserved_of(pool, now_s) for pool in loader.pools)
        return Share(at_first=left / 2, now=divided / beside)

    def _reserved_of(self, pool: Pool, now_s: float) -> float:
        valid = {job: it for job, it in self._reserved[pool].items() if it.until_s > now_s}
        self._reserved[pool] = valid
        return sum(it.share for it in valid.values())


def _until(pool: Pool, now_s: float) -> float:
    return now_s + pool.window_s + SHARE_MARGIN_S
