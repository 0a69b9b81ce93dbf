"""Where a topic ends and where its groups stand, asked of the broker itself."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


def ends_and_places(bootstrap_servers: str, topic: str, group: str) -> tuple[dict[int, int], dict[int, int]]:
    """Return, by partition, the topic's end offsets and the group's committed ones."""
    return asyncio.run(_ask(bootstrap_servers, topic, group))


async def _ask(bootstrap_servers: str, topic: str, group: str) -> tuple[dict[int, int], dict[int, int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await admin.start()
    await consumer.start()
    try:
        described = await admin.describe_topics([topic])
        partitions = [TopicPartition(topic, part["partition"]) for part in described[0]["partitions"]]
        ends = await consumer.end_offsets(partitions)
        places = await admin.list_consumer_group_offsets(group, partitions=partitions)
        return (
            {tp.partition: offset for tp, offset in ends.items()},
            {tp.partition: place.offset for tp, place in places.items() if place.offset >= 0},
        )
    finally:
        await consumer.stop()
        await admin.close()
