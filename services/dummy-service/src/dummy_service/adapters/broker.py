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
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import KafkaSettings

_TOPIC = "dummy-ping"
_TOPIC_CONFIG = {"retention.ms": "60000"}
_PATIENCE_S = 5.0
"""Who asks is waiting; a broker that is well answers within milliseconds."""


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
            TransientError: It did not come back.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._round_trip()
        except TimeoutError as exc:
            raise TransientError(f"no round trip through Kafka within {_PATIENCE_S:g} s") from exc

    async def _round_trip(self) -> float:
        async with Topics(self._settings) as topics:
            await topics.ensure(_TOPIC, 1, _TOPIC_CONFIG)
        async with (
            MessageWriter(self._settings, delivery_timeout_s=_PATIENCE_S) as writer,
            LogReader(self._settings, _TOPIC) as reader,
        ):
            await reader.read_since(int(time() * 1000))
            value = secrets.token_bytes(16)
            began_s = perf_counter()
            await writer.write(_TOPIC, "ping", value)
            async with aclosing(reader.tail()) as messages:
                async for message in messages:
                    if message.value == value:
                        return (perf_counter() - began_s) * 1000
        raise AssertionError("the log has no end")
