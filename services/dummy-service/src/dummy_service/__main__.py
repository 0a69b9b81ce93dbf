"""Wires the service: a job where a launcher has set TARGET, else the API."""

import asyncio

import uvloop
from loguru import logger

from dummy_service.adapters.api import create_api
from dummy_service.adapters.broker import Broker
from dummy_service.app.counting import count
from dummy_service.settings import Settings
from streamforge_common.api_server import serve_api
from streamforge_common.errors import StreamForgeError
from streamforge_common.job import run_job
from streamforge_common.outages import Neighbour
from streamforge_common.settings import JobSettings, read_settings
from streamforge_common.telemetry import configure_job_logging, configure_logging

_SERVICE = "dummy-service"


def main() -> None:
    """Run until the job is done, or until SIGTERM."""
    settings = read_settings(Settings)
    if settings.target:
        _run_job(read_settings(JobSettings))
    configure_logging(settings, _SERVICE)
    try:
        uvloop.run(_serve(settings))
    except* StreamForgeError as group:
        logger.error("{}", "; ".join(str(error) for error in group.exceptions))
        raise SystemExit(1) from None


def _run_job(settings: JobSettings) -> None:
    configure_job_logging(settings)
    raise SystemExit(uvloop.run(run_job(settings, count)))


async def _serve(settings: Settings) -> None:
    broker = Broker(settings)
    kafka = Neighbour("kafka", broker.reach, settings.outage_seconds)
    api = create_api(broker.ping, [kafka])
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(kafka.watch())
        await serve_api(api, settings.api_host, settings.api_port)
        watching.cancel()


if __name__ == "__main__":
    main()
