"""Wires the loader and runs its job."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from time import time

import uvloop

from loader_producer.adapters.archives import ArchiveClient
from loader_producer.app.archive_loading import ArchiveLoading
from loader_producer.app.basket_loading import BasketLoading, SymbolLoading
from loader_producer.app.dataset import ArchiveDataset, Dataset, basket_of, is_archived, repair_of
from loader_producer.app.loading import Loading
from loader_producer.app.publishing import DataTopic, PlaceStore, Run
from loader_producer.app.snapshot_loading import MomentDataset, SnapshotLoading, is_momentary
from loader_producer.settings import Settings
from streamforge_common.contract.commands import Command
from streamforge_common.contract.repair import Repair
from streamforge_common.history.client import ExchangeClient
from streamforge_common.job import Ending, JobRun, run_job
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.records import RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.outages import connect, patiently
from streamforge_common.settings import read_settings
from streamforge_common.telemetry import configure_job_logging

_ATTEMPTS = 45
"""Of one request. With up to 15 s between them that is some ten minutes of trouble, the wait for limits not counted."""
_SYMBOLS_AT_ONCE = 4
"""Of a basket, each with its pages under way: enough that one that has to wait, for an answer or its limits, does not
hold the others back."""
_ARCHIVED_AT_ONCE = 2
"""Each has a packed file on the disk, up to some gigabytes."""


def main() -> None:
    """Run one job to its end."""
    settings = read_settings(Settings)
    configure_job_logging(settings)

    async def load(run: JobRun) -> Ending:
        return await _load(settings, run)

    raise SystemExit(uvloop.run(run_job(settings, load)))


async def _load(settings: Settings, run: JobRun) -> Ending:
    dataset = _dataset_of(run.start)
    rest = dataset.rest if isinstance(dataset, ArchiveDataset) else dataset.market
    exchange = ExchangeClient(
        rest,
        getattr(settings, rest.base_url_setting),
        attempts=_ATTEMPTS,
        ban_of_others=lambda: run.banned_until_s,
        share=run.share,
        bound=run.start.rate,
    )
    writer = RecordWriter(settings, dataset.kafka_topic, delivery_timeout_s=settings.outage_seconds)
    places = _places_group(settings.telemetry_id, repair_of(run.start))
    checkpoint = Checkpoint(settings, dataset.kafka_topic, places, outage_seconds=settings.outage_seconds)
    topics = Topics(settings)

    async def end_offsets(topic: str) -> Mapping[int, int]:
        return await patiently(lambda: topics.end_offsets(topic), settings.outage_seconds)

    async with AsyncExitStack() as stack:
        for client in (exchange, writer, checkpoint, topics):
            await connect(stack, client, settings.outage_seconds)
        if isinstance(dataset, MomentDataset):
            at_once, loading_of = _SYMBOLS_AT_ONCE, partial(_by_moment, dataset, exchange)
        elif isinstance(dataset, Dataset):
            at_once, loading_of = _SYMBOLS_AT_ONCE, partial(_by_pages, dataset, exchange)
        else:
            base_url = getattr(settings, dataset.market.base_url_setting)
            archives = await stack.enter_async_context(ArchiveClient(dataset.market, base_url, attempts=_ATTEMPTS))
            at_once, loading_of = _ARCHIVED_AT_ONCE, partial(_by_files, dataset, exchange, archives)
        symbols = basket_of(run.start)
        if not symbols:
            return await loading_of(dataset.symbol, run, writer, checkpoint).load(end_offsets)
        basket = BasketLoading(
            run,
            symbols,
            loading_of=lambda part: loading_of(part.symbol, part, part, part),
            at_once=at_once,
            data_topic=writer,
            places=checkpoint,
        )
        return await basket.load(end_offsets)


def _dataset_of(start: Command) -> Dataset | ArchiveDataset | MomentDataset:
    if is_momentary(start):
        return MomentDataset.of(start)
    return ArchiveDataset.of(start) if is_archived(start, int(time() * 1000)) else Dataset.of(start)


def _by_pages(
    dataset: Dataset, exchange: ExchangeClient, symbol: str, run: Run, data_topic: DataTopic, places: PlaceStore
) -> SymbolLoading:
    of_symbol = replace(dataset, symbol=symbol)
    return Loading(run, of_symbol, exchange=exchange, data_topic=data_topic, places=places)


def _by_moment(
    dataset: MomentDataset, exchange: ExchangeClient, symbol: str, run: Run, data_topic: DataTopic, places: PlaceStore
) -> SymbolLoading:
    of_symbol = replace(dataset, symbol=symbol)
    return SnapshotLoading(run, of_symbol, exchange=exchange, data_topic=data_topic, places=places)


def _by_files(
    dataset: ArchiveDataset,
    exchange: ExchangeClient,
    archives: ArchiveClient,
    symbol: str,
    run: Run,
    data_topic: DataTopic,
    places: PlaceStore,
) -> SymbolLoading:
    of_symbol = replace(dataset, symbol=symbol)
    return ArchiveLoading(run, of_symbol, archives=archives, exchange=exchange, data_topic=data_topic, places=places)


def _places_group(telemetry_id: str, repair: Repair | None) -> str:
    """Name the group that keeps the place; a repair has one of its own, as it begins with its first range."""
    return telemetry_id if repair is None else f"{telemetry_id}-repair-{repair.number}"


if __name__ == "__main__":
    main()
