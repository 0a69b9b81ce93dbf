"""Keep the components of a platform running: start, wait until healthy, start again when one dies, end in order.

A component that ends before it was ever healthy is a failure of the start and is told with the end of its log. Later
ends are restarts, with back-off, on the same ports: to its clients they are a short outage.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from streamforge_local.errors import PlatformError
from streamforge_local.logfiles import last_lines
from streamforge_local.processes import ChildProcess

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 15.0

_STEADY_AFTER_S = 60.0
"""Whoever ran that long and then died gets the first delay again."""

_HEALTHY_WITHIN_S = 60.0
"""Starts take 1 to 3 s; a broker that recovers a big log on a loaded machine takes longer."""

_PROBE_EVERY_S = 0.05

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One server of the platform."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_healthy: Callable[[], Awaitable[bool]]
    log: Path

    pid_file: Path
    """Holds the id of its process, for people and for tests that kill it."""

    stop_grace_s: float
    """How long it may take to end before it is killed."""


class Keeper:
    """Keeps one component running."""

    def __init__(self, component: Component, group: asyncio.TaskGroup) -> None:
        self._component = component
        self._was_healthy = False
        self._task = group.create_task(self._keep(), name=f"keep {component.name}")

    async def healthy(self) -> None:
        """Wait until the component serves for the first time.

        Raises:
            PlatformError: It ended instead, or did not come up in time.
        """
        started = time.monotonic()
        while not await self._component.is_healthy():
            if self._task.done():
                raise self._start_failure("ended")
            if time.monotonic() > started + _HEALTHY_WITHIN_S:
                raise self._start_failure(f"was not healthy within {_HEALTHY_WITHIN_S:g} s")
            await asyncio.sleep(_PROBE_EVERY_S)
        self._was_healthy = True
        logger.info("%s is up after %.1f s", self._component.name, time.monotonic() - started)

    async def stop(self) -> None:
        """End the component and wait until it is gone; a second call does nothing."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep(self) -> None:
        name, delay_s = self._component.name, _FIRST_DELAY_S
        while True:
            started = time.monotonic()
            exit_code = await self._run_once()
            if not self._was_healthy:
                return
            if time.monotonic() - started > _STEADY_AFTER_S:
                delay_s = _FIRST_DELAY_S
            logger.warning("%s ended with %d, starting it again (see %s)", name, exit_code, self._component.log)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    async def _run_once(self) -> int:
        component = self._component
        process = await ChildProcess.start(component.command, component.environment, component.log)
        component.pid_file.write_text(f"{process.pid}\n")
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await process.end(component.stop_grace_s)
            raise
        finally:
            component.pid_file.unlink(missing_ok=True)

    def _start_failure(self, what: str) -> PlatformError:
        log = self._component.log
        return PlatformError(f"{self._component.name} {what} while starting, see {log}:\n{last_lines(log)}")


@asynccontextmanager
async def kept(component: Component, group: asyncio.TaskGroup) -> AsyncIterator[Keeper]:
    """Keep a component running for the time of the block."""
    keeper = Keeper(component, group)
    try:
        yield keeper
    finally:
        await keeper.stop()
