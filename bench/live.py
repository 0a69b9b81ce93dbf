"""How quickly live messages are on the broker: beside a bare producer, and beside another collector.

Needs the recorded connections in `../shared/data`, and PyPI for cryptofeed, which has an environment of its own.
"""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from uuid import uuid4

from confluent_kafka import Consumer, TopicPartition

from bench import stage
from bench.live_sides import Given
from bench.results import Figure, Section
from bench.rounds import Measured, run_rounds
from bench.sides import run_side
from streamforge_common.contract.records import RECEIPT_TIME_HEADER
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings
from streamforge_local.guard import guarded

_CAPTURE = Path(__file__).parents[2] / "shared/data/binance-ws-2024-08/btcusdt_20240809.gz"
_ENSURE_UV = Path(__file__).parents[1] / "scripts/ensure-uv"
_UNHURRIED = "5"
"""Times the pace at which it was recorded: some 500 messages a second."""
_AS_FAST_AS_READ = "0"
_LISTEN_S = 10.0
_CRYPTOFEED = ("cryptofeed==2.4.1", "aiokafka")
_BEGINS_WITHIN_S = 30.0
_HOW = (
    "Best prices of Binance spot as they were recorded, replayed by exchange-sim over WebSocket; each side in a fresh "
    "process. **loader**: `loader_ws`'s own `Loading` with its own clients. **bare**: `websockets` and "
    "confluent-kafka's `Producer` with a linger of 5 ms, which sends each frame as it came. Latency is from a frame's "
    f"receipt to the broker's append time, at {_UNHURRIED} times the recorded pace. **cryptofeed** 2.4.1: its Binance "
    "feed with its Kafka backend as they come. Rates are those of the topic, from the first record to the last, as "
    f"fast as frames are taken, for {_LISTEN_S:.0f} s at the most."
)


def sections(folder: Path, quick: bool) -> list[Section]:
    """Measure it."""
    if not _CAPTURE.exists():
        raise FileNotFoundError(f"{_CAPTURE} is not here: live streams are measured with recorded connections")
    rounds = 1 if quick else 5
    with stage.broker(folder) as bootstrap_servers:
        latency = run_rounds(
            {side: partial(_listen, folder, bootstrap_servers, side, _UNHURRIED) for side in ("loader", "bare")},
            rounds,
        )
        rate = run_rounds(
            {
                "loader": partial(_listen, folder, bootstrap_servers, "loader", _AS_FAST_AS_READ),
                "cryptofeed": partial(_listen_with_cryptofeed, folder, bootstrap_servers),
            },
            rounds,
        )
    p50, per_s = "p50_ms", "records_per_s"
    figures = [
        Figure("**loader, p50 beyond that of bare**", latency.difference("loader", "bare", p50), "ms", at_most=10),
        Figure("loader, p50", latency.value("loader", p50), "ms"),
        Figure("bare, p50", latency.value("bare", p50), "ms"),
        Figure("loader, p99", latency.value("loader", "p99_ms"), "ms"),
        Figure("bare, p99", latency.value("bare", "p99_ms"), "ms"),
        Figure("**loader / cryptofeed**", rate.ratio("loader", "cryptofeed", per_s), at_least=10),
        Figure("loader", rate.value("loader", per_s), "records/s"),
        Figure("cryptofeed", rate.value("cryptofeed", per_s), "records/s"),
    ]
    return [Section("Live: socket to the broker", _HOW, figures)]


def _listen(folder: Path, bootstrap_servers: str, side: str, speed: str) -> Measured:
    topic = f"live-{uuid4().hex[:6]}"
    asyncio.run(_make(bootstrap_servers, topic))
    with stage.exchange(folder, options=("--replay", str(_CAPTURE), "--speed", speed)) as exchange:
        run_side("bench.live_sides", side, Given(bootstrap_servers, exchange.url, topic, _LISTEN_S))
    return _told_by(bootstrap_servers, topic)


def _listen_with_cryptofeed(folder: Path, bootstrap_servers: str) -> Measured:
    # The first part of the topic's name is ours to choose.
    key = f"live-{uuid4().hex[:6]}"
    topic = f"{key}-BINANCE-BTC-USDT"
    asyncio.run(_make(bootstrap_servers, topic))
    with stage.exchange(folder, options=("--replay", str(_CAPTURE), "--speed", _AS_FAST_AS_READ)) as exchange:
        address = f"ws{exchange.url.removeprefix('http')}"
        script = str(Path(__file__).parent / "cryptofeed_side.py")
        process = subprocess.Popen(guarded([_python_with_cryptofeed(folder), script, address, bootstrap_servers, key]))
        try:
            _wait_for_records(bootstrap_servers, topic, process)
            sleep(_LISTEN_S)
        finally:
            process.kill()
            process.wait()
    return _told_by(bootstrap_servers, topic)


def _python_with_cryptofeed(folder: Path) -> str:
    """Return the interpreter of an environment that has cryptofeed; made once a run."""
    environment = folder / "cryptofeed"
    python = str(environment / "bin/python")
    if not environment.exists():
        uv = subprocess.check_output(_ENSURE_UV, text=True).strip()
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *_CRYPTOFEED], check=True)
    return python


async def _make(bootstrap_servers: str, topic: str) -> None:
    async with Topics(KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)) as topics:
        await topics.ensure(topic, 1, {})


def _wait_for_records(bootstrap_servers: str, topic: str, publisher: "subprocess.Popen[bytes]") -> None:
    deadline_s = monotonic() + _BEGINS_WITHIN_S
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": topic})
    try:
        while consumer.get_watermark_offsets(TopicPartition(topic, 0))[1] == 0:
            if publisher.poll() is not None or monotonic() > deadline_s:
                raise RuntimeError("cryptofeed publishes nothing")
            sleep(0.1)
    finally:
        consumer.close()


def _told_by(bootstrap_servers: str, topic: str) -> Measured:
    """Read a topic: how long records took from their receipt to it, where that is told, and how fast they came."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"})
    appended: list[int] = []
    took: list[int] = []
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0))[1]
        consumer.assign([TopicPartition(topic, 0, 0)])
        while len(appended) < end:
            for message in consumer.consume(10_000, timeout=10):
                at_ms = message.timestamp()[1]
                appended.append(at_ms)
                if (received_ms := dict(message.headers() or ()).get(RECEIPT_TIME_HEADER)) is not None:
                    took.append(at_ms - int(received_ms))
    finally:
        consumer.close()
    took.sort()
    per_s = len(appended) / max(0.001, (appended[-1] - appended[0]) / 1000)
    if not took:
        return {"records_per_s": per_s}
    return {"records_per_s": per_s, "p50_ms": float(median(took)), "p99_ms": float(took[len(took) * 99 // 100])}
