"""A live stream to the broker: through the live loader, and by a bare client and producer."""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import time

import msgspec
from confluent_kafka import Producer
from websockets.asyncio.client import connect

from bench.market import job_settings, start_command
from bench.sides import be_a_side
from loader_ws.adapters.websocket import StreamClient
from loader_ws.app.dataset import Dataset
from loader_ws.app.loading import Loading
from loader_ws.app.receivers import receiver_of
from streamforge_common.contract.commands import Wanted
from streamforge_common.contract.records import RECEIPT_TIME_HEADER
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.history.client import ExchangeClient
from streamforge_common.job import JobRun
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.messages import MessageWriter
from streamforge_common.kafka.records import RecordWriter
from streamforge_common.kafka.topics import Topics

_TYPE = "ws_book_ticker"
_LINGER_MS = 5


class Given(msgspec.Struct):
    """What a side needs to know."""

    bootstrap_servers: str
    exchange_url: str
    topic: str
    listen_s: float

    @property
    def stream_url(self) -> str:
        """The address of the exchange's streams."""
        return f"ws{self.exchange_url.removeprefix('http')}"


async def _through_the_loader(given: Given) -> Mapping[str, float]:
    start = start_command("loader-ws", 1).model_copy(
        update={
            "type": _TYPE,
            "time_range": "",
            "kafka_topic": given.topic,
            "options": {"duration": given.listen_s},
        }
    )
    settings = job_settings(start, given.bootstrap_servers)
    topics = Topics(settings)
    writer = RecordWriter(settings, given.topic, delivery_timeout_s=60)
    events = MessageWriter(settings, delivery_timeout_s=60)
    places = Checkpoint(settings, given.topic, settings.telemetry_id, outage_seconds=60)
    rest = ExchangeClient(SPOT, given.exchange_url, attempts=None)
    async with topics:
        await topics.ensure(settings.queue_events_topic, 1, {})
        async with writer, events, places, rest:
            run = JobRun(settings, start, Wanted(start=start), events)
            dataset = Dataset.of(start)
            receivers = partial(receiver_of, dataset, StreamClient(given.stream_url), rest)
            loading = Loading(run, dataset, receivers=receivers, rest=rest, data_topic=writer, places=places)
            await loading.load(topics.end_offsets)
    return {}


async def _bare(given: Given) -> Mapping[str, float]:
    producer = Producer(
        {
            "bootstrap.servers": given.bootstrap_servers,
            "acks": "all",
            "enable.idempotence": True,
            # As RecordWriter has it.
            "compression.type": "zstd",
            "linger.ms": _LINGER_MS,
        }
    )
    producer.list_topics(given.topic, timeout=30)
    url = f"{given.stream_url}/ws/btcusdt@bookTicker"
    async with connect(url) as socket:
        try:
            async with asyncio.timeout(given.listen_s):
                while True:
                    frame = await socket.recv(decode=False)
                    received = str(int(time() * 1000)).encode()
                    producer.produce(given.topic, frame, headers=[(RECEIPT_TIME_HEADER, received)])
                    producer.poll(0)
        except TimeoutError:
            producer.flush()
    return {}


if __name__ == "__main__":
    be_a_side({"loader": _through_the_loader, "bare": _bare}, Given)
