"""Waiting for a neighbour that is away: `/health` says 503 meanwhile, and after `OUTAGE_SECONDS` it is fatal.

The clients underneath reconnect by themselves and retry without a limit of their own; whether that has lasted too
long is decided here, once for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import monotonic
from typing import Any, TypeVar

import stamina
from loguru import logger

from streamforge_common.errors import FatalError, TransientError

Result = TypeVar("Result")

_PROBE_EVERY_S = 3.0
"""Often enough that `/health` follows within a few seconds, seldom enough to be no load."""
_PROBE_TIMEOUT_S = 5.0
_NOT_ASKED_YET = "not asked yet"


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
        self.trouble: str | None = _NOT_ASKED_YET
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
        if trouble is None and self.trouble is not None:
            logger.info("{} was reached after {:.0f} s", self.name, monotonic() - self._reached_at)
        elif trouble is not None and self.trouble in (None, _NOT_ASKED_YET):
            logger.warning("{} is away: {}", self.name, trouble)
        self.trouble = trouble
        if trouble is None:
            self._reached_at = monotonic()


async def patiently(call: Callable[[], Awaitable[Result]], outage_seconds: float) -> Result:
    """Make a call, again and again while the other side is away.

    Raises:
        FatalError: It was away for longer than it may.
    """
    try:
        async for attempt in stamina.retry_context(
            on=TransientError, attempts=None, timeout=outage_seconds, wait_max=_PROBE_EVERY_S
        ):
            with attempt:
                return await call()
    except TransientError as exc:
        raise FatalError(f"gave up after {outage_seconds:g} s: {exc}", code="outage") from exc
    raise AssertionError("a retry context either returns or raises")


async def connect(stack: AsyncExitStack, client: AbstractAsyncContextManager[Any], outage_seconds: float) -> None:
    """Enter a client, waiting for a server that is away. Raises FatalError like `patiently`."""
    await patiently(lambda: stack.enter_async_context(client), outage_seconds)


def health_of(neighbours: Sequence[Neighbour]) -> tuple[bool, dict[str, object]]:
    """Sum up for `/health`: whether all is well, and the answer's body with the reason per component."""
    healthy = all(neighbour.trouble is None for neighbour in neighbours)
    components = {neighbour.name: neighbour.trouble or "ok" for neighbour in neighbours}
    return healthy, {"status": "ok" if healthy else "unavailable", "components": components}
