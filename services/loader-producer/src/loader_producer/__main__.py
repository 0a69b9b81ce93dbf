"""Wires the loader and runs its job."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from time import time

import uvloop

from loader_producer.adapters.archives import ArchiveClient
from loader_producer.app.archive_loading import ArchiveLoading
from loader_producer.app.basket_loading import BasketLoading, SymbolLoading
from loader_producer.app.dataset import ArchiveDataset, Dataset, basket_of, datasets_of, repair_of
from loader_producer.app.loading import Loading
from loader_producer.app.planned_loading import PlannedLoading
from loader_producer.app.publishing import DataTopic, PlaceStore, Run
from loader_producer.app.snapshot_loading import MomentDataset, SnapshotLoading, is_momentary
from loader_producer.settings import Settings
from streamforge_common.contract.repair import Repair
from streamforge_common.exchanges import REST_MARKETS
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


_LoadingOf = Callable[[str, Run, DataTopic, PlaceStore], SymbolLoading]
"""(symbol, its job, its topic, its checkpoint) to its loading."""


def main() -> None:
    """Run one job to its end."""
    settings = read_settings(Settings)
    configure_job_logging(settings)

    async def load(run: JobRun) -> Ending:
        return await _load(settings, run)

    raise SystemExit(uvloop.run(run_job(settings, load)))


async def _load(settings: Settings, run: JobRun) -> Ending:
    moment = MomentDataset.of(run.start) if is_momentary(run.start) else None
    pages, files = (None, None) if moment else datasets_of(run.start, int(time() * 1000))
    rest = REST_MARKETS[run.start.exchange, run.start.market]
    exchange = ExchangeClient(
        rest,
        getattr(settings, rest.base_url_setting),
        attempts=_ATTEMPTS,
        ban_of_others=lambda: run.banned_until_s,
        share=run.share,
        bound=run.start.rate,
    )
    run.spent = exchange.spent
    writer = RecordWriter(settings, run.start.kafka_topic, delivery_timeout_s=settings.outage_seconds)
    places = _places_group(settings.telemetry_id, repair_of(run.start))
    checkpoint = Checkpoint(settings, run.start.kafka_topic, places, outage_seconds=settings.outage_seconds)
    topics = Topics(settings)

    async def end_offsets(topic: str) -> Mapping[int, int]:
        return await patiently(lambda: topics.end_offsets(topic), settings.outage_seconds)

    async with AsyncExitStack() as stack:
        for client in (exchange, writer, checkpoint, topics):
            await connect(stack, client, settings.outage_seconds)
        loading_of: _LoadingOf
        if moment is not None:
            loading_of = partial(_by_moment, moment, exchange)
        elif files is None:
            assert pages is not None
            loading_of = partial(_by_pages, pages, exchange)
        else:
            base_url = getattr(settings, files.market.base_url_setting)
            archives = await stack.enter_async_context(ArchiveClient(files.market, base_url, attempts=_ATTEMPTS))
            loading_of = partial(_by_files, files, exchange, archives)
            if pages is not None:
                files_at_once = asyncio.Semaphore(_ARCHIVED_AT_ONCE)
                loading_of = partial(_as_planned, pages, files, exchange, archives, files_at_once)
        symbols = basket_of(run.start)
        if not symbols:
            return await loading_of(run.start.symbol, run, writer, checkpoint).load(end_offsets)
        basket = BasketLoading(
            run,
            symbols,
            loading_of=lambda part: loading_of(part.symbol, part, part, part),
            at_once=_ARCHIVED_AT_ONCE if pages is None and moment is None else _SYMBOLS_AT_ONCE,
            data_topic=writer,
            places=checkpoint,
        )
        return await basket.load(end_offsets)


def _by_pages(
    dataset: Dataset, exchange: ExchangeClient, symbol: str, run: Run, data_topic: DataTopic, places: PlaceStore
) -> SymbolLoading:
    return Loading(run, dataset.of_symbol(symbol), exchange=exchange, data_topic=data_topic, places=places)


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
    of_symbol = dataset.of_symbol(symbol)
    return ArchiveLoading(run, of_symbol, archives=archives, exchange=exchange, data_topic=data_topic, places=places)


def _as_planned(
    pages: Dataset,
    files: ArchiveDataset,
    exchange: ExchangeClient,
    archives: ArchiveClient,
    files_at_once: asyncio.Semaphore,
    symbol: str,
    run: Run,
    data_topic: DataTopic,
    places: PlaceStore,
) -> SymbolLoading:
    def by_files(rest_from_ms: int | None) -> SymbolLoading:
        planned = replace(files, rest_from_ms=rest_from_ms)
        return _by_files(planned, exchange, archives, symbol, run, data_topic, places)

    return PlannedLoading(
        run,
        pages.of_symbol(symbol),
        files.archive,
        exchange=exchange,
        places=places,
        by_pages=lambda: _by_pages(pages, exchange, symbol, run, data_topic, places),
        by_files=by_files,
        files_at_once=files_at_once,
    )


def _places_group(telemetry_id: str, repair: Repair | None) -> str:
    """Name the group that keeps the place; a repair has one of its own, as it begins with its first range."""
    return telemetry_id if repair is None else f"{telemetry_id}-repair-{repair.number}"


if __name__ == "__main__":
    main()
