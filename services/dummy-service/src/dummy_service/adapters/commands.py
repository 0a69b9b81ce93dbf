"""Finding out which task is meant by a workflow and a target: its `start` command says so."""

import asyncio
from collections.abc import Iterable

from loguru import logger
from pydantic import ValidationError

from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.errors import FatalError
from streamforge_common.kafka.messages import LogReader, Message
from streamforge_common.settings import KafkaSettings


async def find_start(
    settings: KafkaSettings,
    queue_id: str,
    target: str,
    telemetry_id: str | None,
    attempt: int | None,
    *,
    patience_s: float,
) -> Command:
    """Return the task's latest `start` on `queue-control`, waiting for one where there is none.

    Args:
        settings: Where the broker is.
        queue_id: The workflow.
        target: The task's.
        telemetry_id: The task's, where it is known.
        attempt: The one that is meant, where it is known.
        patience_s: How long to wait.

    Raises:
        TransientError: The broker is away.
        FatalError: None came, or several tasks are meant.
    """

    def meant(messages: Iterable[Message]) -> list[Command]:
        commands = (_start_of(message) for message in messages)
        return [
            command
            for command in commands
            if command is not None
            and (command.queue_id, command.target) == (queue_id, target)
            and telemetry_id in (None, command.telemetry_id)
            and attempt in (None, command.attempt)
        ]

    async with LogReader(settings, settings.queue_control_topic) as control:
        found = meant(await control.read_since(0))
        if not found:
            logger.info("waiting for a start command to {} of {}", target, queue_id)
            try:
                async with asyncio.timeout(patience_s):
                    async for message in control.tail():
                        if found := meant([message]):
                            break
            except TimeoutError as exc:
                raise FatalError(
                    f"no start command to {target!r} of {queue_id!r} within {patience_s:g} s", code="no_start_command"
                ) from exc
    tasks = sorted({command.telemetry_id for command in found})
    if len(tasks) > 1:
        raise FatalError(f"{queue_id!r} has several tasks of {target!r}: say which with --telemetry-id: {tasks}")
    return max(found, key=lambda command: command.attempt)


def _start_of(message: Message) -> Command | None:
    try:
        command = Command.model_validate_json(message.value or b"")
    except ValidationError:
        # Whose command it was cannot be told; the task itself, once it reads, says that it skips it.
        return None
    return command if command.command is CommandKind.START else None
