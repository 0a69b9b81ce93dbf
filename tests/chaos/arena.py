"""What trials run on: a platform with faults, and the work that is under way while something breaks.

One platform serves many trials, as each has symbols of its own: what the exchange served of them was served to that
trial. A platform on which a trial went wrong is kept for inspection and another one is started.
"""

import sys
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

from tests.embedded.platform import EmbeddedPlatform
from tests.embedded.workflows import Document, Workflows

_UP = (sys.executable, "-m", "tests.chaos.up")
_ENVIRONMENT = {"STOP_GRACE_SECONDS": "6"}
"""No trial has to wait a minute for a job that does not end."""
_EARLIEST, _LATEST = datetime(2021, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
"""Every simulated symbol is traded then."""
_LETTERS = "BCDFGHJKLMNPQRSTVW"
"""Of symbols: no wrong one that the exchange refuses on purpose (NOPE, FAKE, XXX, ZZZ, …) can be made of them."""
_DAYS = (7, 20)
_TRADED = timedelta(hours=4)
"""Some 20,000 single trades or more."""
PATIENCE_S = 300.0
"""The longest outage is 60 s, and after it clients back off up to 15 s; the rest is a slow machine."""
COMPONENTS = ("kafka", "arangolite", "exchange-sim", "queue-manager")
MINUTE_MS = 60_000
KIND = "candles_1m"


@dataclass(frozen=True)
class Order:
    """A workflow that a trial asks for: minute candles of a symbol that nobody else asks for."""

    symbol: str
    start: datetime
    days: int
    source: str = "api"
    kind: ClassVar = KIND

    @classmethod
    def draw(cls, rng: Random) -> Self:
        """Draw one."""
        base = "Q" + "".join(rng.choices(_LETTERS, k=7))
        start = _EARLIEST + timedelta(days=rng.randrange((_LATEST - _EARLIEST).days - _DAYS[1]))
        return cls(f"{base}USDT", start, rng.randint(*_DAYS))

    @property
    def start_ms(self) -> int:
        """The first open time, Unix milliseconds."""
        return int(self.start.timestamp() * 1000)

    @property
    def candles(self) -> int:
        """How many there are."""
        return self.days * 24 * 60

    @classmethod
    def draw_archived(cls, rng: Random) -> Self:
        """Draw one of the archives, which have a file for each of its days."""
        return replace(cls.draw(rng), source="dump")

    @property
    def end(self) -> datetime:
        """Exclusive."""
        return self.start + timedelta(days=self.days)

    @property
    def body(self) -> Document:
        """What is posted."""
        return {
            "symbol": self.symbol,
            "type": f"{self.source}_{self.kind}",
            "time_range": f"{self.start.isoformat()}/{self.end.isoformat()}",
            "collection_name": f"chaos_{self.symbol.lower()}",
        }

    def keys(self, served: Set[str]) -> Set[str]:
        """Return the `_key` of everything that belongs to it; what was served may be more, or less."""
        return {self.key(number) for number in range(self.candles)}

    def keys_between(self, start: int, end: int) -> Set[str]:
        """Return those of a gap, whose bounds are as in the report."""
        return {self.key((at - self.start_ms) // MINUTE_MS) for at in range(start, end, MINUTE_MS)}

    def key(self, number: int) -> str:
        """Return the `_key` of its candle of this number, from 0."""
        return f"binance:spot:{self.symbol}:{KIND}:{self.start_ms + number * MINUTE_MS}"


class TradeOrder(Order):
    """Single trades instead, of the first hours of the range."""

    kind: ClassVar = "trades"

    @property
    def end(self) -> datetime:
        """Exclusive."""
        return self.start + _TRADED

    def keys(self, served: Set[str]) -> Set[str]:
        """Return all that were served: the exchange is asked for no others."""
        return served

    def keys_between(self, start: int, end: int) -> Set[str]:
        """Return those of a gap, whose bounds are ids."""
        return {f"binance:spot:{self.symbol}:{self.kind}:{at}" for at in range(start, end)}


class Arena:
    """A platform for trials; a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, patience_s: float = PATIENCE_S) -> None:
        """Start nothing yet.

        Args:
            folder: Where homes are made.
            environment: Variables for all of the platform beside those of this process.
            patience_s: How long a workflow may take to end.
        """
        self.patience_s = patience_s
        self._folder = folder
        self._environment = {**_ENVIRONMENT, **environment}
        self.platform: EmbeddedPlatform
        self.workflows: Workflows

    @property
    def home(self) -> Path:
        """Of the platform of now."""
        return self.platform.home

    @property
    def database(self) -> tuple[str, tuple[str, str]]:
        """Return the database's URL, and user and password."""
        info: dict[str, Any] = self.platform.info
        return info["arango_url"], (info["arango_username"], info["arango_password"])

    def renew(self) -> None:
        """Leave the platform as it is, dead, and start another one."""
        self._close()
        self._open()

    def _open(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="arena-", dir=self._folder)) / "home"
        self.platform = EmbeddedPlatform(home, "simulated", command=_UP, environment=self._environment).start()
        self.workflows = Workflows(self.platform.url)

    def _close(self) -> None:
        self.workflows.close()
        self.platform.kill()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
