"""The embedded platform from its first process to its last: the order of things when it starts and when it ends.

Start: Kafka, database and exchange side by side, then the job runner with the jobs that were not finished, then
queue-manager, then `platform.json`. End, also out of the middle of a start: queue-manager and jobs together, exchange,
database, Kafka. Every part is a block entered on one stack, so what was started is ended, and nothing else.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from streamforge_local.components import Components, Ports, Programs
from streamforge_local.errors import PlatformError
from streamforge_local.exchange import Exchange, settle
from streamforge_local.home import Home, PlatformInfo
from streamforge_local.jobs.api import runner_served
from streamforge_local.jobs.runner import JobRunner, RestartPolicy
from streamforge_local.jobs.store import JobStore
from streamforge_local.ports import LOOPBACK
from streamforge_local.settings import Settings
from streamforge_local.stop_signals import StopSignals
from streamforge_local.supervisor import Keeper, kept

_JOB_GRACE_S = 3.5
"""As long as queue-manager has. A job that needs longer repeats, when it runs again, what was not acknowledged."""

logger = logging.getLogger(__name__)

OnReady = Callable[[PlatformInfo, Exchange], None]


@dataclass(frozen=True, slots=True)
class Platform:
    """One embedded platform, ready to run."""

    home: Home
    settings: Settings
    exchange: Exchange
    ports: Ports
    programs: Programs

    async def run(self, on_ready: OnReady) -> None:
        """Start everything, call back once all of it is healthy, and stay until cancelled.

        Raises:
            PlatformError: A component cannot start.
        """
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                await self._run(group, on_ready)
        except* PlatformError as failures:
            failure = failures
        # Each task group on its way has wrapped it once more; the person gets the sentence itself.
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        if failure is not None:
            raise failure

    async def _run(self, group: asyncio.TaskGroup, on_ready: OnReady) -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            components = Components(self.home, self.settings, self.ports, self.programs, http)

            kafka_component, arangolite_component = components.kafka(), components.arangolite()
            async with asyncio.TaskGroup() as starting:
                for each in (kafka_component, arangolite_component):
                    keeper = await stack.enter_async_context(kept(each, group))
                    starting.create_task(keeper.healthy())
                exchange = await settle(self.exchange, self.settings, self.home)
                if not exchange.is_live:
                    keeper = await stack.enter_async_context(kept(components.exchange_sim(exchange), group))
                    starting.create_task(keeper.healthy())

            async def is_there() -> bool:
                return await kafka_component.is_healthy() and await arangolite_component.is_healthy()

            runner = await stack.enter_async_context(
                JobRunner(
                    JobStore(self.home.jobs, self.home.job_logs),
                    components.jobs(exchange),
                    is_there,
                    RestartPolicy(),
                )
            )
            token = secrets.token_urlsafe(32)
            await stack.enter_async_context(runner_served(runner, token, LOOPBACK, self.ports.job_runner))
            queue_manager = await stack.enter_async_context(kept(components.queue_manager(token), group))
            stack.push_async_callback(_stop_work, queue_manager, runner)
            await queue_manager.healthy()

            info = components.info(exchange)
            with self.home.announced(info):
                on_ready(info, exchange)
                try:
                    await asyncio.Event().wait()
                finally:
                    logger.info("ending everything that was started")


def run_until_stopped(platform: Platform, signals: StopSignals, on_ready: OnReady) -> None:
    """Run a platform in this process until a signal asks it to end.

    Raises:
        PlatformError: A component cannot start.
    """

    async def main() -> None:
        signals.cancel(asyncio.current_task())
        try:
            await platform.run(on_ready)
        except asyncio.CancelledError:
            logger.info("ended")

    asyncio.run(main())


async def _stop_work(queue_manager: Keeper, runner: JobRunner) -> None:
    """End queue-manager and the jobs side by side: either would only see the other go."""
    async with asyncio.TaskGroup() as group:
        group.create_task(queue_manager.stop())
        group.create_task(runner.stop(_JOB_GRACE_S))
