"""What the exchange as one has to know of a venue: one exchange's interface, with its limits, manners and endpoints."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from exchange_sim.errors import ExchangeError
from exchange_sim.limits import Verdict
from exchange_sim.packed_files import Download
from exchange_sim.pages import Selection

Answer = Callable[[], bytes | Selection | Awaitable[Download]]
"""Answers one request that was admitted. Raises ExchangeError."""


class Venue(Protocol):
    """One exchange's interface."""

    def knows(self, path: str) -> bool:
        """Whether there is such a path."""
        ...

    def weigh(self, path: str, query: Mapping[str, str]) -> int:
        """What a request costs; 0 for a path that there is not."""
        ...

    def admit(self, path: str, weight: int, now_us: int) -> Verdict:
        """Count a request and decide on it."""
        ...

    def ban(self, duration_us: int, now_us: int) -> Verdict:
        """Refuse everything for a while."""
        ...

    def prepare(self, http: web.Request, now_us: int) -> Answer:
        """Read a request to a known path. Raises ExchangeError."""
        ...

    def refusal_of(self, verdict: Verdict) -> ExchangeError:
        """Say why a request is not admitted."""
        ...

    def body_of(self, error: ExchangeError, now_us: int) -> bytes:
        """Write a refusal as this exchange does."""
        ...

    def headers_of(self, used_weight: int) -> Mapping[str, str]:
        """What every answer carries."""
        ...
