"""Wires the loader and runs its job."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import uvloop

from loader_ws.adapters.websocket import StreamClient
from loader_ws.app.dataset import Dataset, basket_of
from loader_ws.app.loading import Loading, Receivers
from loader_ws.app.polling import PollDataset, Polling, is_polled
from loader_ws.app.receivers import basket_receiver_of, receiver_of
from loader_ws.settings import Settings
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.history.client import ExchangeClient
from streamforge_common.job import Ending, JobRun, run_job
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.records import RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.outages import connect, patiently
from streamforge_common.settings import read_settings
from streamforge_common.telemetry import configure_job_logging


def main() -> None:
    """Run one job to its end."""
    settings = read_settings(Settings)
    configure_job_logging(settings)

    async def load(run: JobRun) -> Ending:
        return await _load(settings, run)

    raise SystemExit(uvloop.run(run_job(settings, load)))


async def _load(settings: Settings, run: JobRun) -> Ending:
    dataset = PollDataset.of(run.start) if is_polled(run.start) else Dataset.of(run.start)
    market = REST_MARKETS[dataset.market.exchange, dataset.market.market]
    rest = ExchangeClient(
        market,
        getattr(settings, market.base_url_setting),
        attempts=None,
        ban_of_others=lambda: run.banned_until_s,
        share=run.share,
        bound=run.start.rate,
    )
    run.spent = rest.spent
    writer = RecordWriter(settings, dataset.kafka_topic, delivery_timeout_s=settings.outage_seconds)
    checkpoint = Checkpoint(
        settings, dataset.kafka_topic, settings.telemetry_id, outage_seconds=settings.outage_seconds
    )
    topics = Topics(settings)

    async def end_offsets(topic: str) -> Mapping[int, int]:
        return await patiently(lambda: topics.end_offsets(topic), settings.outage_seconds)

    async with AsyncExitStack() as stack:
        for client in (rest, writer, checkpoint, topics):
            await connect(stack, client, settings.outage_seconds)
        receivers = _receivers(settings, dataset, basket_of(run.start), rest)
        loading = Loading(run, dataset, receivers=receivers, rest=rest, data_topic=writer, places=checkpoint)
        return await loading.load(end_offsets)


def _receivers(
    settings: Settings, dataset: Dataset | PollDataset, symbols: Sequence[str], rest: ExchangeClient
) -> Receivers:
    if isinstance(dataset, PollDataset):
        return partial(Polling, dataset, rest)
    exchange = StreamClient(getattr(settings, dataset.market.base_url_setting))
    if symbols:
        return partial(basket_receiver_of, dataset, symbols, exchange, rest)
    return partial(receiver_of, dataset, exchange, rest)


if __name__ == "__main__":
    main()
