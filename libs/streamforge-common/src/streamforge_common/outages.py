"""Waiting for a neighbour that is away: `/health` says 503 meanwhile, and after `OUTAGE_SECONDS` it is fatal.

The clients underneath reconnect by themselves and retry without a limit of their own; whether that has lasted too
long is decided here, once for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from loguru import logger

from streamforge_common.errors import FatalError, TransientError

_PROBE_EVERY_S = 3.0
"""Often enough that `/health` follows within a few seconds, seldom enough to be no load."""
_PROBE_TIMEOUT_S = 5.0


class Neighbour:
    """A broker or database that this process cannot work without."""

    def __init__(self, name: str, probe: Callable[[], Awaitable[object]], outage_seconds: float) -> None:
        """Watch a neighbour.

        Args:
            name: What people call it, e.g. `kafka`.
            probe: A cheap call that raises TransientError where the neighbour is away.
            outage_seconds: How long it may be away.
        """
        self.name = name
        self._probe = probe
        self._outage_seconds = outage_seconds
        self._reached_at = monotonic()
        self.trouble: str | None = "not reached yet"
        """Why it cannot be reached, None while it can."""

    async def check(self) -> None:
        """Probe once and remember what came of it."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._probe()
        except TimeoutError:
            self._note(f"no answer within {_PROBE_TIMEOUT_S:g} s")
        except TransientError as exc:
            self._note(str(exc))
        else:
            self._note(None)

    async def watch(self) -> None:
        """Probe for ever.

        Raises:
            FatalError: The neighbour was away for longer than it may.
        """
        while True:
            await self.check()
            away_s = monotonic() - self._reached_at
            if away_s > self._outage_seconds:
                raise FatalError(f"{self.name} was away for {away_s:.0f} s: {self.trouble}", code="outage")
            await asyncio.sleep(_PROBE_EVERY_S)

    def _note(self, trouble: str | None) -> None:
        if (trouble is None) != (self.trouble is None):
            if trouble is None:
                logger.info("{} is back after {:.0f} s", self.name, monotonic() - self._reached_at)
            else:
                logger.warning("{} is away: {}", self.name, trouble)
        self.trouble = trouble
        if trouble is None:
            self._reached_at = monotonic()


def health_of(neighbours: Sequence[Neighbour]) -> tuple[bool, dict[str, object]]:
    """Sum up for `/health`: whether all is well, and the answer's body with the reason per component."""
    healthy = all(neighbour.trouble is None for neighbour in neighbours)
    components = {neighbour.name: neighbour.trouble or "ok" for neighbour in neighbours}
    return healthy, {"status": "ok" if healthy else "unavailable", "components": components}
