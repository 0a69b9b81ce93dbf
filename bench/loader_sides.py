"""Pages in memory to the broker's acknowledgement: through the loader, and by a bare producer of the same bytes.

Both tell their CPU seconds, all threads counted, from the moment when everything is connected and in memory.
"""

import gc
from collections.abc import Callable, Coroutine, Mapping
from time import perf_counter, process_time, time
from typing import Any, TypeVar

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from bench.market import PAGE, job_settings, make_records, page_request, read_pages, start_command
from bench.sides import be_a_side
from loader_producer.app.dataset import Dataset
from loader_producer.app.loading import Loading
from streamforge_common.contract.commands import Wanted
from streamforge_common.contract.records import RECEIPT_TIME_HEADER
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.exchanges.rest import Request
from streamforge_common.history.client import ExchangeClient
from streamforge_common.job import JobRun
from streamforge_common.kafka.messages import MessageWriter
from streamforge_common.kafka.records import RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings

Result = TypeVar("Result")


class Given(msgspec.Struct):
    """What a side needs to know."""

    bootstrap_servers: str
    pages: str
    """The file with the pages."""


class _MemoryExchange(ExchangeClient):
    """The loader's client of an exchange whose answers are here already."""

    def __init__(self, pages: list[bytes]) -> None:
        super().__init__(SPOT, "", attempts=1)
        self._bodies = {page_request(number).params["startTime"]: body for number, body in enumerate(pages)}

    async def learn_limits(self, symbol: str) -> None:
        """There are none."""

    async def learn_time(self) -> int:
        """Return the machine's clock."""
        return int(time() * 1000)

    async def _ask(self, request: Request, read: Callable[[bytes], Result]) -> Result:
        return read(self._bodies[request.params["startTime"]])


class _MemoryPlace:
    """Checkpoints come after the acknowledgement, which is where this measurement ends."""

    async def load(self) -> str | None:
        """Begin at the start."""

    async def save(self, text: str) -> None:
        """Keep nothing."""


async def _through_the_loader(given: Given) -> Mapping[str, float]:
    pages = read_pages(given.pages)
    start = start_command("loader-producer", len(pages) * PAGE)
    settings = job_settings(start, given.bootstrap_servers)
    topics = Topics(settings)
    writer = RecordWriter(settings, start.kafka_topic, delivery_timeout_s=60)
    events = MessageWriter(settings, delivery_timeout_s=60)
    async with topics:
        await topics.ensure(start.kafka_topic, 1, {})
        await topics.ensure(settings.queue_events_topic, 1, {})
        async with writer, events:
            run = JobRun(settings, start, Wanted(start=start), events)
            loading = Loading(
                run,
                Dataset.of(start),
                exchange=_MemoryExchange(pages),
                data_topic=writer,
                places=_MemoryPlace(),
            )
            told = await _measure(lambda: loading.load(topics.end_offsets))
        return await _checked(topics, start.kafka_topic, run.records_written, told)


async def _bare(given: Given, headers: list[tuple[str, str | bytes | None]] | None) -> Mapping[str, float]:
    records = make_records(read_pages(given.pages))
    topic = start_command("loader-producer", 1).kafka_topic
    async with Topics(KafkaSettings(kafka_bootstrap_servers=given.bootstrap_servers)) as topics:
        await topics.ensure(topic, 1, {})
        producer = Producer(
            {
                "bootstrap.servers": given.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                # As RecordWriter has it.
                "compression.type": "zstd",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
            }
        )
        # It connects and learns of the topic, as the loader's has before its clock starts.
        producer.list_topics(topic, timeout=30)
        delivered = 0

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            nonlocal delivered
            assert error is None, error
            delivered += 1

        async def produce() -> None:
            for number, (key, value) in enumerate(records):
                if headers is None:
                    producer.produce(topic, value, key, on_delivery=on_delivery)
                else:
                    producer.produce(topic, value, key, headers=headers, on_delivery=on_delivery)
                if number % 1000 == 0:
                    producer.poll(0)
            producer.flush()

        told = await _measure(produce)
        return await _checked(topics, topic, delivered, told)


async def _bare_with_header(given: Given) -> Mapping[str, float]:
    return await _bare(given, [(RECEIPT_TIME_HEADER, str(int(time() * 1000)).encode())])


async def _bare_without_header(given: Given) -> Mapping[str, float]:
    return await _bare(given, None)


async def _measure(work: Callable[[], Coroutine[Any, Any, object]]) -> dict[str, float]:
    # What was made before is none of the garbage collector's business during the measurement, on either side.
    gc.collect()
    gc.freeze()
    cpu_s, wall_s = process_time(), perf_counter()
    await work()
    return {"cpu_s": process_time() - cpu_s, "wall_s": perf_counter() - wall_s}


async def _checked(topics: Topics, topic: str, records: int, told: dict[str, float]) -> Mapping[str, float]:
    assert sum((await topics.end_offsets(topic)).values()) == records > 0
    return {
        **told,
        "records": records,
        "records_per_cpu_s": records / told["cpu_s"],
        "records_per_s": records / told["wall_s"],
    }


if __name__ == "__main__":
    be_a_side(
        {"loader": _through_the_loader, "bare": _bare_without_header, "bare_with_header": _bare_with_header}, Given
    )
