"""The proof is a proof: it finds what a loader kept back, what the exchange lacks, and accounts for every reject."""

import asyncio
import base64
import json
import sys

import pytest
from aiokafka import AIOKafkaProducer

from tests.e2e.conftest import HOLES, HOLES_FIRST_MS
from tests.e2e.recordings import MINUTE_MS, RECORDED_CANDLES, TIME_RANGE
from tests.embedded.platform import EmbeddedPlatform
from tests.embedded.workflows import Workflows

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": TIME_RANGE}
ENDS_WITHIN_S = 60
HALF_LOADER = f"loader-producer=dummy_service simulate --rate 100000 --records {RECORDED_CANDLES // 2}"
KIND = "binance:spot:BTCUSDT:candles_5m"


@pytest.mark.usefixtures("on_this_machine")
def test_a_loader_that_keeps_half_back_and_says_completed_is_found_out(tmp_path):
    command = (sys.executable, "-m", "tests.chaos.up", "--job", HALF_LOADER)
    with EmbeddedPlatform(tmp_path / "home", "simulated", command=command) as platform:
        workflows = Workflows(platform.url)
        ended = workflows.wait_ended(workflows.submit(CANDLES)["queue_id"], ENDS_WITHIN_S)
        quality = workflows.find(ended["queue_id"], "/quality")
        workflows.close()

    assert ended["status"] == "completed"
    assert quality["verdict"] == "incomplete"
    (dataset,) = quality["datasets"]
    half = dataset["stored"]
    assert 0 < half < RECORDED_CANDLES
    (gap,) = dataset["gaps"]
    assert gap["missing"] == dataset["missing"] == RECORDED_CANDLES - half
    assert gap["cause"] == "unexplained"


def test_holes_of_the_exchange_are_listed_exactly_and_are_no_fault_of_ours(workflows, stored, holed):
    body = {"symbol": "HOLEUSDT", "type": "api_candles_1m", "time_range": "2024-01-01:2024-01-03"}
    ended = workflows.wait_ended(workflows.submit(body)["queue_id"], ENDS_WITHIN_S)

    quality = workflows.find(ended["queue_id"], "/quality")

    assert (ended["status"], quality["verdict"]) == ("completed", "complete")
    (dataset,) = quality["datasets"]
    expected = [
        {
            "from": HOLES_FIRST_MS + first * MINUTE_MS,
            "to": HOLES_FIRST_MS + end * MINUTE_MS,
            "missing": end - first,
            "cause": "exchange",
        }
        for first, end in HOLES
    ]
    assert (dataset["gaps"], dataset["gaps_total"]) == (expected, len(HOLES))
    assert dataset["missing"] == sum(end - first for first, end in HOLES)
    assert stored(ended["datasets"][0]["collection_name"]) == holed.documents("HOLEUSDT", "candles_1m")


def test_every_poisoned_message_is_kept_with_its_reason_and_spoils_the_verdict(
    workflows, platform, database, stored, recording
):
    submitted = workflows.submit({**CANDLES, "collection_name": "poisoned"})
    topic = submitted["datasets"][0]["kafka_topic"]
    poison = poisons(recording)

    offsets = asyncio.run(publish(platform.info["kafka_bootstrap_servers"], topic, poison))
    ended = workflows.wait_ended(submitted["queue_id"], ENDS_WITHIN_S)

    quality = workflows.find(ended["queue_id"], "/quality")
    assert (ended["status"], quality["verdict"]) == ("completed", "incomplete")
    (dataset,) = quality["datasets"]
    assert (dataset["stored"], dataset["missing"], dataset["rejected"]) == (RECORDED_CANDLES, 0, len(poison))
    kept = database.aql.execute(
        "FOR record IN rejected_records FILTER record.topic == @topic SORT record.offset RETURN record",
        bind_vars={"topic": topic},
    )
    kept_by_offset = {record["offset"]: record for record in kept}
    assert sorted(kept_by_offset) == sorted(offsets)
    for offset, value in zip(offsets, poison, strict=True):
        record = kept_by_offset[offset]
        assert as_bytes(record) == value
        assert record["reason"]
        assert record["_key"] == f"{ended['queue_id'][-6:]}-0-{offset}"
    assert stored("poisoned") == recording.documents()


def poisons(recording) -> list[bytes]:
    good = next(iter(recording.documents().values()))

    def spoilt(**fields: object) -> bytes:
        return json.dumps({**good, **fields}).encode()

    return [
        b"",
        b"not JSON at all",
        b'{"_key": "cut off',
        b"[1, 2, 3]",
        b'{"_key": "\xff\xfe"}',
        spoilt(open="1.5"),
        spoilt(open_time="1657756800000"),
        spoilt(volume=None),
        spoilt(_key=f"{KIND}:with a space/and a slash"),
        spoilt(_key=f"{KIND}:1657757100000"),
        spoilt(symbol="ETHUSDT"),
        json.dumps({name: value for name, value in good.items() if name != "close"}).encode(),
        json.dumps({**good, "_key": "x" * 2_000_000}).encode(),
    ]


async def publish(bootstrap_servers: str, topic: str, values: list[bytes]) -> list[int]:
    """Write straight to the topic, as no loader would, as soon as it is there; return the offsets."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_request_size=4_000_000) as producer:
        return [(await producer.send_and_wait(topic, value, key=b"poison")).offset for value in values]


def as_bytes(record: dict[str, str]) -> bytes:
    if record["value_encoding"] == "base64":
        return base64.b64decode(record["value"])
    return record["value"].encode()
