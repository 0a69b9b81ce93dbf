"""Connection options for aiokafka, and what its errors mean to StreamForge."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context
from loguru import logger

from streamforge_common.errors import FatalError, TransientError
from streamforge_common.settings import KafkaSettings

_FATAL = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.InvalidTopicError,
    errors.MessageSizeTooLargeError,
)
"""What a person has to mend. Everything else may be over when the process starts anew, whatever `retriable` says: an
idempotent producer, for one, never recovers from a lost sequence, but its successor starts a new one."""
_CLOSING_S = 1.0
"""A client that has nothing left to say closes at once; one whose broker is away would wait for it."""


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(cafile=settings.kafka_ssl_cafile)
    return options


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn Kafka's errors into TransientError or FatalError; `doing` completes the sentence "Kafka failed while …"."""
    try:
        yield
    except _FATAL as exc:
        raise FatalError(f"Kafka refused {doing}: {exc!r}", code="kafka_refused") from exc
    except errors.KafkaError as exc:
        raise TransientError(f"Kafka failed while {doing}: {exc!r}") from exc


async def start(*clients: AIOKafkaProducer | AIOKafkaConsumer | AIOKafkaAdminClient) -> None:
    """Start clients; where one fails all are closed, and only new ones can be started then.

    Raises:
        TransientError: The broker is away.
    """
    try:
        with translated("connecting"):
            for client in clients:
                await client.start()
    except BaseException:
        await stop(*clients)
        raise


async def stop(*clients: AIOKafkaProducer | AIOKafkaConsumer | AIOKafkaAdminClient) -> None:
    """Close clients; what is not acknowledged by now counts as not done, so nothing is waited for long."""
    # A consumer that is stopped before its own tasks have begun lets their cancellation out, as if it were ours.
    await asyncio.sleep(0)
    for client in clients:
        try:
            async with asyncio.timeout(_CLOSING_S):
                await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        except (TimeoutError, errors.KafkaError) as exc:
            logger.info("left a Kafka client without a goodbye: {!r}", exc)
