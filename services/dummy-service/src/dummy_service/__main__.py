"""Wires the service: a job where a launcher has set TARGET, else the API."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop
from loguru import logger

from dummy_service.adapters.api import create_api
from dummy_service.adapters.broker import Broker
from dummy_service.app.counting import count
from dummy_service.settings import Settings
from streamforge_common.errors import StreamForgeError
from streamforge_common.job import run_job
from streamforge_common.outages import Neighbour
from streamforge_common.settings import JobSettings, read_settings
from streamforge_common.telemetry import configure_logging

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
    configure_logging(
        settings,
        _SERVICE,
        queue_id=settings.queue_id,
        telemetry_id=settings.telemetry_id,
        attempt=settings.attempt,
    )
    raise SystemExit(uvloop.run(run_job(settings, count)))


async def _serve(settings: Settings) -> None:
    broker = Broker(settings)
    kafka = Neighbour("kafka", broker.reach, settings.outage_seconds)
    api = create_api(broker.ping, [kafka])
    server = _Server(uvicorn.Config(api, settings.api_host, settings.api_port, log_config=None, access_log=False))
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(kafka.watch())
        await server.serve()
        watching.cancel()


class _Server(uvicorn.Server):
    """Ends on SIGTERM and SIGINT without raising them again, so that the process ends with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.handle_exit, signum, None)
        yield


if __name__ == "__main__":
    main()
