"""A round trip through Kafka: a message is written and read back.

Each trip connects anew. That costs some milliseconds, which are not counted, and makes it a probe of everything that a
client needs: the address, the way in, the topic, writing and reading.
"""

import asyncio
import secrets
from contextlib import aclosing
from time import perf_counter, time

from streamforge_common.errors import TransientError
from streamforge_common.kafka.messages import LogReader, MessageWriter
from streamforge_common.kafka.topics import PROBE_TOPIC, Topics
from streamforge_common.settings import KafkaSettings

_PATIENCE_S = 5.0
"""Who asks is waiting; a broker that is well answers within milliseconds."""


async def require_topic(topics: Topics, topic: str) -> None:
    """See to it that a topic is there, without making it: only queue-manager makes topics.

    Raises:
        TransientError: It is not there.
    """
    if not await topics.exists(topic):
        raise TransientError(
            f"the broker has no topic {topic!r}; only queue-manager makes topics, {PROBE_TOPIC!r} when it starts"
        )


class Broker:
    """The broker, as far as a probe needs it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def reach(self) -> None:
        """Ask the broker for anything.

        Raises:
            TransientError: It does not answer.
        """
        async with Topics(self._settings) as topics:
            await topics.ping()

    async def ping(self) -> float:
        """Send a message there and back, and return how long it was under way, milliseconds.

        Raises:
            TransientError: It did not come back, or the topic of probes is not there.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._round_trip()
        except TimeoutError as exc:
            raise TransientError(f"no round trip through Kafka within {_PATIENCE_S:g} s") from exc

    async def _round_trip(self) -> float:
        async with Topics(self._settings) as topics:
            await require_topic(topics, PROBE_TOPIC)
        async with (
            MessageWriter(self._settings, delivery_timeout_s=_PATIENCE_S) as writer,
            LogReader(self._settings, PROBE_TOPIC) as reader,
        ):
            await reader.read_since(int(time() * 1000))
            value = secrets.token_bytes(16)
            began_s = perf_counter()
            await writer.write(PROBE_TOPIC, "ping", value)
            async with aclosing(reader.tail()) as messages:
                async for message in messages:
                    if message.value == value:
                        return (perf_counter() - began_s) * 1000
        raise AssertionError("the log has no end")
