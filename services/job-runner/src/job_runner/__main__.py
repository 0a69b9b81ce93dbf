"""Wires the job runner: the only place where its parts are built."""

import asyncio
import signal
from collections.abc import Mapping

from loguru import logger

from job_runner.adapters.neighbours import Neighbours
from job_runner.settings import Settings, inherited_by_jobs
from streamforge_common.settings import read_settings
from streamforge_common.telemetry import configure_logging
from streamforge_local.errors import PlatformError
from streamforge_local.jobs.api import runner_served
from streamforge_local.jobs.programs import programs_of, service_commands
from streamforge_local.jobs.runner import JobRunner, RestartPolicy
from streamforge_local.jobs.store import JobStore

_JOB_GRACE_S = 20.0
"""Enough for a connector to store what it holds; docker-compose.yml gives the container more."""


def main() -> None:
    """Run jobs until SIGTERM or SIGINT; those that are not finished go on at the next start."""
    settings = read_settings(Settings)
    configure_logging(settings, "job-runner")
    try:
        # Not uvloop: children have to be forked by the thread whose end ends them, as asyncio does.
        asyncio.run(_serve(settings, inherited_by_jobs()))
    except PlatformError as error:
        logger.error("{}", error)
        raise SystemExit(1) from None


async def _serve(settings: Settings, environment: Mapping[str, str]) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    neighbours = Neighbours(settings.kafka_bootstrap_servers, settings.arango_url)
    runner = JobRunner(
        JobStore(settings.job_runner_folder / "jobs", settings.job_runner_folder / "logs"),
        programs_of(service_commands(), environment),
        neighbours.are_there,
        RestartPolicy(),
    )
    token = settings.job_runner_token.get_secret_value()
    async with runner, runner_served(runner, token, settings.api_host, settings.api_port):
        logger.info("runs jobs for whoever has the token, on {}:{}", settings.api_host, settings.api_port)
        await stopped.wait()
        await runner.stop(_JOB_GRACE_S)


if __name__ == "__main__":
    main()
