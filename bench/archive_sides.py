"""Files of an archive to the broker's acknowledgement: through the loader, and by a bare loop; and on to the database.

All tell their wall time and CPU seconds, all threads counted, from the moment when everything is connected.
"""

import gc
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter, process_time, time
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from arango_connector.adapters.database import RecordStore
from arango_connector.app.dataset import Dataset
from arango_connector.app.storing import Storing
from arango_connector.app.tally import Tally
from bench import stage
from bench.market import SYMBOL, job_settings, start_command
from bench.sides import be_a_side
from loader_producer.adapters.archives import ArchiveClient
from loader_producer.app.archive_loading import ArchiveLoading
from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.files import plan_files
from streamforge_common.arango.database import open_database
from streamforge_common.contract.commands import Command, Wanted
from streamforge_common.contract.records import RECEIPT_TIME_HEADER
from streamforge_common.exchanges.binance_archives import SPOT
from streamforge_common.history.client import ExchangeClient
from streamforge_common.job import JobRun
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.messages import MessageWriter
from streamforge_common.kafka.records import RecordReader, RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings

_ARCHIVE = SPOT.archives["agg_trades"]
_START = datetime(2024, 8, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Given(msgspec.Struct, frozen=True):
    """What a side needs to know."""

    bootstrap_servers: str
    exchange_url: str
    arango_url: str
    days: int
    """From the first of a month on."""
    files: list[str]
    """Theirs, on this disk."""
    topic: str
    """One that is not there yet; for the connector the loader's."""
    records: int = 0
    """How many of them the connector stores."""


def paths_of(days: int) -> list[str]:
    """Return the paths of the files that have the first days of the month: of all that of the month."""
    start_ms, end_ms = (int(at.timestamp() * 1000) for at in (_START, _START + timedelta(days=days)))
    periods = plan_files(_ARCHIVE, start_ms, end_ms, int(time() * 1000))
    return [_ARCHIVE.path(SYMBOL, period) for period in periods]


async def _through_the_loader(given: Given) -> Mapping[str, float]:
    start = _start(given, "loader-producer")
    settings = job_settings(start, given.bootstrap_servers)
    dataset = ArchiveDataset.of(start)
    writer = RecordWriter(settings, given.topic, delivery_timeout_s=60)
    checkpoint = Checkpoint(settings, given.topic, start.telemetry_id, outage_seconds=60)
    async with Topics(settings) as topics:
        await topics.ensure(given.topic, 1, {})
        async with (
            _job(given, start) as run,
            ExchangeClient(dataset.rest, given.exchange_url, attempts=1) as exchange,
            ArchiveClient(dataset.market, given.exchange_url, attempts=1) as archives,
            writer,
            checkpoint,
        ):
            loading = ArchiveLoading(
                run, dataset, archives=archives, exchange=exchange, data_topic=writer, places=checkpoint
            )
            told = await _measure(lambda: loading.load(topics.end_offsets))
        ends = await topics.end_offsets(given.topic)
    assert sum(ends.values()) == run.records_written > 0
    return _rates(told, run.records_written)


async def _bare(given: Given) -> Mapping[str, float]:
    async with Topics(KafkaSettings(kafka_bootstrap_servers=given.bootstrap_servers)) as topics:
        await topics.ensure(given.topic, 1, {})
        producer = Producer(
            {
                "bootstrap.servers": given.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                # As RecordWriter has it.
                "compression.type": "zstd",
                "linger.ms": 20,
                "queue.buffering.max.messages": 100_000,
            }
        )
        # It connects and learns of the topic, as the loader's has before its clock starts.
        producer.list_topics(given.topic, timeout=30)
        delivered = 0

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            nonlocal delivered
            assert error is None, error
            delivered += 1

        async def produce() -> None:
            headers: list[tuple[str, str | bytes | None]] = [(RECEIPT_TIME_HEADER, str(int(time() * 1000)))]
            for path in given.files:
                for number, (key, value) in enumerate(_records_of(path)):
                    try:
                        producer.produce(given.topic, value, key, headers=headers, on_delivery=on_delivery)
                    except BufferError:
                        producer.poll(1)
                        producer.produce(given.topic, value, key, headers=headers, on_delivery=on_delivery)
                    if number % 1000 == 0:
                        producer.poll(0)
            producer.flush()

        told = await _measure(produce)
        assert sum((await topics.end_offsets(given.topic)).values()) == delivered > 0
        return _rates(told, delivered)


def _records_of(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield keys and values as the loader makes them, by nothing but what everybody has."""
    prefix = f"binance:spot:{SYMBOL}:agg_trades:"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as packed:
        for line in io.TextIOWrapper(packed, "ascii"):
            number, price, quantity, first, last, at, is_maker, _ = line.split(",")
            key = prefix + number
            record = {
                "_key": key,
                "exchange": "binance",
                "market": "spot",
                "symbol": SYMBOL,
                "type": "agg_trades",
                "agg_trade_id": int(number),
                "price": float(price),
                "quantity": float(quantity),
                "first_trade_id": int(first),
                "last_trade_id": int(last),
                "trade_time": int(at),
                "is_buyer_maker": is_maker == "True",
            }
            yield key, _encode(record)


async def _into_the_database(given: Given) -> Mapping[str, float]:
    start = _start(given, "arango-connector")
    settings = job_settings(start, given.bootstrap_servers)
    dataset, arango = Dataset.of(start), stage.arango_settings(given.arango_url)
    reader = RecordReader(settings, given.topic, start.telemetry_id, longest_batch_s=600)
    store = RecordStore(arango, open_database(arango), dataset, outage_seconds=60, is_ending=lambda: False)
    async with _job(given, start, {0: given.records}) as run, store, reader:
        storing = Storing(run, dataset, Tally(start.attempt), reader=reader, store=store)
        told = await _measure(storing.store)
    assert run.records_written >= given.records
    return _rates(told, run.records_written)


def _start(given: Given, target: str) -> Command:
    end = _START + timedelta(days=given.days)
    return start_command(target, 1, "bench_archive").model_copy(
        update={
            "type": "dump_agg_trades",
            "time_range": f"{_START:%Y-%m-%d}:{end:%Y-%m-%d}",
            "kafka_topic": given.topic,
        }
    )


@asynccontextmanager
async def _job(given: Given, start: Command, ends: Mapping[int, int] | None = None) -> AsyncIterator[JobRun]:
    settings = job_settings(start, given.bootstrap_servers)
    async with Topics(settings) as topics:
        await topics.ensure(settings.queue_events_topic, 1, {})
    async with MessageWriter(settings, delivery_timeout_s=60) as events:
        yield JobRun(settings, start, Wanted(start=start, end_offsets=ends), events)


async def _measure(work: Callable[[], Coroutine[Any, Any, object]]) -> dict[str, float]:
    gc.collect()
    gc.freeze()
    cpu_s, wall_s = process_time(), perf_counter()
    await work()
    return {"cpu_s": process_time() - cpu_s, "wall_s": perf_counter() - wall_s}


def _rates(told: Mapping[str, float], records: int) -> Mapping[str, float]:
    rates = {"records_per_s": records / told["wall_s"], "records_per_cpu_s": records / told["cpu_s"]}
    return {**told, **rates, "records": records}


if __name__ == "__main__":
    be_a_side({"loader": _through_the_loader, "bare": _bare, "connector": _into_the_database}, Given)
