"""Publishing, consuming, checkpoints and logs against a real broker."""

import asyncio
import secrets
from collections import defaultdict

import pytest

from streamforge_common.errors import FatalError, TransientError
from streamforge_common.kafka.checkpoint import Checkpoint
from streamforge_common.kafka.messages import LogReader, MessageWriter
from streamforge_common.kafka.records import RecordReader, RecordWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings
from streamforge_local.kafka.broker import Broker


@pytest.fixture
def kafka(kafka_broker: Broker) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap_servers=kafka_broker.bootstrap_servers)


async def make_topic(kafka: KafkaSettings, partitions: int = 1) -> str:
    topic = f"test-{secrets.token_hex(4)}"
    async with Topics(kafka) as topics:
        await topics.ensure(topic, partitions, {})
        await topics.ensure(topic, partitions, {})
    return topic


def records_of(count: int, size: int = 10) -> list[tuple[bytes, bytes]]:
    return [(f"key-{number % 50}".encode(), f"{number:06}".encode().ljust(size, b".")) for number in range(count)]


async def publish(kafka: KafkaSettings, topic: str, records: list[tuple[bytes, bytes]]) -> None:
    async with RecordWriter(kafka, topic, delivery_timeout_s=10) as writer:
        await writer.publish(records, [("receipt_time_ms", b"17")])


def reader_of(kafka: KafkaSettings, topic: str, group: str) -> RecordReader:
    return RecordReader(kafka, topic, group, longest_batch_s=60)


async def poll_all(reader: RecordReader, count: int) -> list:
    messages: list = []
    while len(messages) < count:
        messages += await reader.poll(max_records=1_000, wait_ms=200)
    return messages


@pytest.mark.parametrize("partitions", [1, 3])
async def test_records_arrive_once_and_those_of_a_key_in_order(kafka: KafkaSettings, partitions: int) -> None:
    topic = await make_topic(kafka, partitions)
    records = records_of(3_000, size=500)
    await publish(kafka, topic, records)

    async with reader_of(kafka, topic, topic) as reader:
        messages = await poll_all(reader, len(records))
        await reader.ack(messages, "")
        assert reader.lag() == 0

    wanted, found = defaultdict(list), defaultdict(list)
    for key, value in records:
        wanted[key].append(value)
    for message in messages:
        found[message.key].append(message.value)
        assert list(message.headers) == [("receipt_time_ms", b"17")]
    assert found == wanted
    async with Topics(kafka) as topics:
        ends = await topics.end_offsets(topic)
    assert len(ends) == partitions
    assert sum(ends.values()) == len(records)


async def test_a_record_larger_than_a_batch_goes_alone(kafka: KafkaSettings) -> None:
    topic = await make_topic(kafka)
    large = secrets.token_bytes(700_000)
    await publish(kafka, topic, [(b"a", b"1"), (b"b", large), (b"c", b"3")])
    async with reader_of(kafka, topic, topic) as reader:
        assert [message.value for message in await poll_all(reader, 3)] == [b"1", large, b"3"]


async def test_what_is_not_acknowledged_comes_again(kafka: KafkaSettings) -> None:
    topic = await make_topic(kafka)
    await publish(kafka, topic, records_of(10))
    async with reader_of(kafka, topic, topic) as reader:
        messages = await poll_all(reader, 10)
        await reader.ack(messages[:4], "")
        assert await reader.has_committed({0: 4})
        assert not await reader.has_committed({0: 5})
    async with reader_of(kafka, topic, topic) as reader:
        assert [message.offset for message in await poll_all(reader, 6)] == list(range(4, 10))


async def test_an_idle_member_takes_nothing_and_loses_nothing(kafka: KafkaSettings) -> None:
    topic = await make_topic(kafka, 2)
    await publish(kafka, topic, records_of(100))
    async with reader_of(kafka, topic, topic) as reader:
        for _ in range(3):
            await reader.idle(wait_ms=100)
        messages = await poll_all(reader, 100)
    assert sorted(message.value for message in messages) == [value for _, value in records_of(100)]


async def test_a_late_acknowledgement_does_not_move_the_place_of_a_new_owner_back(kafka: KafkaSettings) -> None:
    """The broker would take it from any member of the group; the owner would wait for ever for what it has read."""
    topic = await make_topic(kafka, 2)
    await publish(kafka, topic, records_of(1_000))
    async with reader_of(kafka, topic, topic) as first:
        late: dict = defaultdict(list)
        while not {0, 1} <= late.keys():
            for message in await first.poll(max_records=100, wait_ms=200):
                late[message.partition].append(message)
        async with reader_of(kafka, topic, topic) as second:
            taken = await poll_all(second, 1)
            (moved,) = {message.partition for message in taken}
            (kept,) = {0, 1} - {moved}
            await publish(kafka, topic, records_of(1_000))
            while taken[-1].offset <= late[moved][-1].offset:
                taken += await second.poll(max_records=1_000, wait_ms=200)
            await second.ack(taken, "")
            again = await poll_all(first, 1)
            assert {message.partition for message in again} == {kept}

            await first.ack([*late[0], *late[1]], "")
            await first.ack(again, "")

            assert await second.has_committed({moved: taken[-1].offset + 1, kept: again[-1].offset + 1})


async def test_a_checkpoint_is_had_back_by_the_next_start(kafka: KafkaSettings) -> None:
    topic = await make_topic(kafka)
    async with Checkpoint(kafka, topic, topic, outage_seconds=10) as checkpoint:
        assert await checkpoint.load() is None
        await checkpoint.save("first")
        await checkpoint.save('{"next": 42}')
    async with Checkpoint(kafka, topic, topic, outage_seconds=10) as checkpoint:
        assert await checkpoint.load() == '{"next": 42}'


async def test_a_log_is_read_from_a_moment_on_and_then_followed_without_a_hole(kafka: KafkaSettings) -> None:
    topic = await make_topic(kafka)
    async with MessageWriter(kafka, delivery_timeout_s=10) as writer, LogReader(kafka, topic) as reader:
        await writer.write(topic, "k", b"before")
        await asyncio.sleep(0.01)
        since_ms = await writer.write(topic, "k", b"first")
        await writer.write(topic, "k", b"second")
        assert [message.value for message in await reader.read_since(since_ms)] == [b"first", b"second"]
        await writer.write(topic, "k", b"third")
        tail = reader.tail()
        assert (await anext(tail)).value == b"third"
        await tail.aclose()


async def test_a_topic_that_nobody_made_is_an_error_and_not_made(kafka: KafkaSettings) -> None:
    async with Topics(kafka) as topics:
        with pytest.raises((TransientError, FatalError)):
            await topics.end_offsets("never-made")


async def test_a_broker_that_is_not_there_is_a_transient_failure_and_can_be_tried_again() -> None:
    writer = RecordWriter(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1"), "any", delivery_timeout_s=1)
    for _ in range(2):
        with pytest.raises(TransientError):
            await writer.__aenter__()
