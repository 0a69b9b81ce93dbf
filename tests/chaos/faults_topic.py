"""A topic that takes no page for a while: the one error of sending that a broker gives at once and for certain."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from tests.chaos.trial import Fault, NotFiredError, Scene

_LIMIT = {"max.message.bytes": "500"}
"""Much less than a page, even of one candle."""
_SET_ON_THE_TOPIC = 1
"""Kafka's number for where a configuration comes from."""


class RefusePages(Fault):
    """The broker refuses every page of one workflow until that has ended; then it takes them, and the user retries.

    Whoever takes a refused page for sent goes on behind it, and nothing is left to retry.
    """

    def __init__(self) -> None:
        self._proof = ""

    def strike(self, scene: Scene) -> None:
        """Make the topic refuse, see what becomes of the workflow, make it take pages again, retry."""
        document = scene.rng.choice(scene.submitted)
        broker, queue_id = scene.arena.platform.info["kafka_bootstrap_servers"], document["queue_id"]
        topic = document["datasets"][0]["kafka_topic"]
        usual = asyncio.run(_configure(broker, topic, _LIMIT))
        refuses = asyncio.run(_refuses(broker, topic))
        ended = scene.arena.workflows.wait_ended(queue_id, scene.arena.patience_s)
        asyncio.run(_configure(broker, topic, {}, usual))
        if refuses:
            self._proof = (
                f"{topic} refused pages; {queue_id} ended {ended['status']}: {(ended['error'] or {}).get('code')}"
            )
        if ended["status"] == "error":
            scene.arena.workflows.steer(queue_id, "retry")

    def prove(self, scene: Scene) -> str:
        """A message of ours was refused too."""
        if not self._proof:
            raise NotFiredError("the topic took a message that is too large for it")
        return self._proof


async def _configure(
    bootstrap_servers: str, topic: str, changes: Mapping[str, str], usual: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Change a topic's configuration, and return what it was."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        if usual is None:
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            ((*_, entries),) = answer.resources
            usual = {name: value for name, value, _, source, *_ in entries if source == _SET_ON_THE_TOPIC}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {**usual, **changes})])
        return usual
    finally:
        await admin.close()


async def _refuses(bootstrap_servers: str, topic: str) -> bool:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        try:
            await producer.send_and_wait(topic, b"?" * 10_000)
        except MessageSizeTooLargeError:
            return True
    return False
