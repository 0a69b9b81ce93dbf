import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings

TOPIC = TopicPartition("numbers", 0)


async def create_topic(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC.topic, 1, 1)])
    await admin.close()


async def publish(broker: Broker, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        await producer.send_and_wait(TOPIC.topic, value, timestamp_ms=1)


async def read_all(broker: Broker) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers, group_id=None) as consumer:
        consumer.assign([TOPIC])
        await consumer.seek_to_beginning(TOPIC)
        end = (await consumer.end_offsets([TOPIC]))[TOPIC]
        return [(await consumer.getone()).value for _ in range(end)]


async def test_records_and_committed_offsets_are_there_after_a_kill_and_on_other_ports(tmp_path: Path) -> None:
    installation = install(Settings.from_environment())
    with Broker(tmp_path, installation) as broker:
        await create_topic(broker)
        await publish(broker, b"before the kill")
        async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers, group_id="g") as consumer:
            consumer.assign([TOPIC])
            await consumer.commit({TOPIC: 1})
        broker.kill()
        broker.start()
        await publish(broker, b"after the kill")
        former_address = broker.bootstrap_servers

    with socket.socket() as intruder:
        host, port = former_address.split(":")
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind((host, int(port)))
        intruder.listen()
        broker = Broker(tmp_path, installation)
    with broker:
        assert broker.bootstrap_servers != former_address
        assert await read_all(broker) == [b"before the kill", b"after the kill"]
        async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers, group_id="g") as consumer:
            assert await consumer.committed(TOPIC) == 1


async def test_topics_are_never_created_by_themselves(kafka_broker: Broker) -> None:
    consumer = AIOKafkaConsumer(
        "never-made", bootstrap_servers=kafka_broker.bootstrap_servers, group_id=None, request_timeout_ms=1_000
    )
    try:
        with pytest.raises(UnknownTopicOrPartitionError):
            await consumer.start()
    finally:
        await consumer.stop()


async def test_messages_carry_the_time_of_the_broker(kafka_broker: Broker) -> None:
    await create_topic(kafka_broker)
    async with AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap_servers) as producer:
        stored = await producer.send_and_wait(TOPIC.topic, b"x", timestamp_ms=1)
    assert stored.timestamp > 1_500_000_000_000
