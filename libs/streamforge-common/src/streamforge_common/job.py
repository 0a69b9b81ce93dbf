"""The life of a job: read the commands, do the work, report, end with the exit code that the launcher understands.

    commands folded → `starting` → the work, steered by later commands → one last event → exit code

A service brings the work as a coroutine function that takes a `JobRun` and returns how it ended. Exit codes: 0 when
the work ended in a foreseen way; `INTERRUPTED_EXIT_CODE` when SIGTERM ended it, which is 0 as well unless the launcher
says otherwise; `FATAL_EXIT_CODE` when trying again cannot help; 1 otherwise, which the launcher answers with a restart
in the same attempt.
"""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from loguru import logger
from pydantic import ValidationError

from streamforge_common.contract.commands import Command, Wanted
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.events import Event, ExchangeGap, TaskError, TaskStatus
from streamforge_common.errors import FATAL_EXIT_CODE, FatalError, StreamForgeError, foreseen_cause
from streamforge_common.kafka.messages import LogReader, Message, MessageWriter
from streamforge_common.kafka.topics import Topics
from streamforge_common.outages import Neighbour, connect
from streamforge_common.serving import probes_served
from streamforge_common.settings import JobSettings

_LOADING_EVERY_S = 1.0
"""`loading` is reported at most this often (contract section 3)."""
_LIVE_EVERY_S = 10.0
"""The same of live types, where nothing has happened: work without an end must not make its audit trail grow each
second."""
_FAILURE_REPORT_S = 10.0
"""A failure is reported if the broker is there; the launcher has less patience than `OUTAGE_SECONDS`."""
_SIGTERM_GRACE_S = 6.0
"""With the time that clients of a broker that is away take to close, below the 10 s after which the launcher kills."""


@dataclass(frozen=True, slots=True)
class Completed:
    """All of the work is done."""

    message: str
    end_offsets: Mapping[int, int] | None = None
    """Of a loader: the ends of its data topic after the last flush."""
    first_id: int | None = None
    """Of a loader: the first id (candles: open time) that belongs to the dataset, None where it is empty."""
    last_id: int | None = None
    exchange_gaps: Sequence[ExchangeGap] = ()
    """Of a loader: all that this process has found."""
    out_of_range: int | None = None
    """Of a connector: records on the topic whose time is outside of the dataset's range."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The work was ended by a `stop` command."""

    message: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The work was ended by SIGTERM; it goes on where it stands when the job is started again."""


Ending = Completed | Stopped | Interrupted
Work = Callable[["JobRun"], Awaitable[Ending]]


class JobRun:
    """What the work sees of its job: the `start` command, later wishes, and the way to report."""

    def __init__(self, settings: JobSettings, start: Command, wanted: Wanted, events: MessageWriter) -> None:
        self.start = start
        self.records_written = 0
        """Published or stored by this attempt so far; the work counts up."""
        self.spent: Callable[[], Mapping[str, int]] = dict
        """What the last event tells as `spent`; a loader says how it is asked for."""
        self._settings = settings
        self._wanted = wanted
        self._events = events
        self._changed = asyncio.Event()
        self._interrupted = False
        self._progress_at_s = -math.inf
        self._was_paused = False
        self._is_live = _is_live(start)

    @property
    def wanted(self) -> Wanted:
        """What the commands so far ask for."""
        return self._wanted

    @property
    def ending(self) -> Stopped | Interrupted | None:
        """How the work must end now; None while it may go on."""
        if self._wanted.stopped:
            return Stopped("stopped on request")
        return Interrupted() if self._interrupted else None

    @property
    def is_paused(self) -> bool:
        """Whether the work must take nothing new."""
        return self._wanted.paused

    @property
    def loading_status(self) -> TaskStatus:
        """What the work reports while it goes on."""
        return TaskStatus.PAUSED if self.is_paused else TaskStatus.LOADING

    @property
    def end_offsets(self) -> Mapping[int, int] | None:
        """Up to where the input goes, per partition; None while more may come."""
        return self._wanted.end_offsets

    @property
    def banned_until_s(self) -> float:
        """Until when the exchange wants nothing from this address, as others were told; Unix seconds, 0 for never."""
        return self._wanted.banned_until_s

    def share(self, window_s: float) -> float:
        """Return what share this task has now of a limit with such windows, whose use the exchange does not tell."""
        return self._wanted.share(window_s, time())

    async def wait_for_change(self, timeout_s: float | None = None) -> None:
        """Return when something is wanted that was not before, or after the time-out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def apply(self, wanted: Wanted) -> None:
        """Take over a new wanted state."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    async def wait_for_sigterm(self) -> None:
        """Return once the process has been told to end."""
        while not self._interrupted:
            await self.wait_for_change()

    def interrupt(self) -> None:
        """Ask the work to end where it stands (SIGTERM)."""
        self._interrupted = True
        self._changed.set()

    async def report_progress(self, message: str, **fields: object) -> bool:
        """Report `loading` (or `paused`), at most once a second, of live types once in ten; say whether this time."""
        is_quiet = self._is_live and self.is_paused == self._was_paused
        return await self._report_within(_LIVE_EVERY_S if is_quiet else _LOADING_EVERY_S, message, fields)

    async def report_news(self, message: str, **fields: object) -> bool:
        """Report as `report_progress` does what somebody should know soon: at most once a second, whatever the type."""
        return await self._report_within(_LOADING_EVERY_S, message, fields)

    async def _report_within(self, every_s: float, message: str, fields: Mapping[str, object]) -> bool:
        if monotonic() - self._progress_at_s < every_s:
            return False
        self._progress_at_s, self._was_paused = monotonic(), self.is_paused
        await self.report(self.loading_status, message, **fields)
        return True

    async def report(self, status: TaskStatus, message: str, **fields: object) -> None:
        """Write an event; the time and who reports are added."""
        event = Event.model_validate(
            {
                "queue_id": self._settings.queue_id,
                "producer": self._settings.telemetry_id,
                "instance": self._settings.instance,
                "attempt": self._settings.attempt,
                "symbol": self.start.symbol,
                "type": self.start.type,
                "status": status,
                "message": message,
                "records_written": self.records_written,
                "timestamp": time(),
                "spent": (self.spent() or None) if fields.get("finished") else None,
                **fields,
            }
        )
        await self._events.write(self._settings.queue_events_topic, event.queue_id, event.encode())
        logger.info("{}: {}", status, message)


async def run_job(settings: JobSettings, work: Work, neighbours: Sequence[Neighbour] = ()) -> int:
    """Run one job to its end and return the process's exit code.

    Args:
        settings: Who this job is and where its broker is.
        work: The service's part.
        neighbours: What the service needs besides Kafka.
    """
    task = asyncio.current_task()
    assert task is not None
    on_sigterm = _OnSigterm(task)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, on_sigterm)
    try:
        async with AsyncExitStack() as stack:
            return await _run(settings, work, neighbours, stack, on_sigterm)
    except asyncio.CancelledError:
        if not on_sigterm.received:
            raise
        logger.warning("ended by SIGTERM before the work had reached a good place; it goes on from its last one")
        return settings.interrupted_exit_code
    except FatalError as exc:
        logger.error("{}", exc)
        return FATAL_EXIT_CODE
    except StreamForgeError as exc:
        logger.error("{}; the launcher starts this job again", exc)
        return 1


async def _run(
    settings: JobSettings,
    work: Work,
    neighbours: Sequence[Neighbour],
    stack: AsyncExitStack,
    on_sigterm: "_OnSigterm",
) -> int:
    topics = Topics(settings)
    neighbours = [Neighbour("kafka", topics.ping, settings.outage_seconds), *neighbours]
    port = await stack.enter_async_context(probes_served(settings.metrics_port, neighbours))
    control = LogReader(settings, settings.queue_control_topic)
    events = MessageWriter(settings, delivery_timeout_s=settings.outage_seconds)
    for client in (topics, control, events):
        await connect(stack, client, settings.outage_seconds)
    commands = _commands(settings, control)
    wanted = await _first_wanted(settings, control, commands)
    assert wanted.start is not None
    run = JobRun(settings, wanted.start, wanted, events)
    on_sigterm.run = run
    await run.report(TaskStatus.STARTING, f"{settings.target} started", metrics_port=port)
    try:
        ending = await _work(work, run, commands, neighbours)
    except StreamForgeError as exc:
        await _report_failure(run, exc)
        raise
    match ending:
        case Completed() as done:
            ends = None if done.end_offsets is None else {str(part): at for part, at in done.end_offsets.items()}
            await run.report(
                TaskStatus.COMPLETED,
                done.message,
                finished=True,
                end_offsets=ends,
                first_id=done.first_id,
                last_id=done.last_id,
                exchange_gaps=done.exchange_gaps or None,
                out_of_range=done.out_of_range,
            )
        case Stopped(message):
            await run.report(TaskStatus.STOPPED, message, finished=True)
        case Interrupted():
            if settings.instance is not None:
                # No other process goes on counting what this one has done since its last event.
                await run.report(run.loading_status, "leaves; what it has not acknowledged goes to the others")
            logger.info("ended by SIGTERM; the work goes on from here when the job is started again")
            return settings.interrupted_exit_code
    if settings.stays_when_done:
        await run.wait_for_sigterm()
    return 0


async def _commands(settings: JobSettings, control: LogReader) -> AsyncIterator[Command]:
    """Yield the commands to this attempt from where `read_since` has ended, for ever."""
    async for message in control.tail():
        if (command := _command_of(settings, message)) is not None:
            yield command


async def _first_wanted(settings: JobSettings, control: LogReader, later: AsyncIterator[Command]) -> Wanted:
    """Fold the log up to its end as it is now; without a `start` in it, go on until one comes."""
    wanted = Wanted()
    for message in await control.read_since(settings.commands_since):
        if (command := _command_of(settings, message)) is not None:
            wanted = wanted.fold(command)
    if wanted.start is not None:
        return wanted
    logger.info("waiting for the start command")
    try:
        async with asyncio.timeout(settings.outage_seconds):
            while wanted.start is None:
                wanted = wanted.fold(await anext(later))
            return wanted
    except TimeoutError as exc:
        raise FatalError(
            f"no start command for {settings.telemetry_id!r}, attempt {settings.attempt}, on "
            f"{settings.queue_control_topic!r} within {settings.outage_seconds:g} s",
            code="no_start_command",
        ) from exc


async def _work(work: Work, run: JobRun, commands: AsyncIterator[Command], neighbours: Sequence[Neighbour]) -> Ending:
    """Do the work beside those who watch the commands and the neighbours; the first failure ends all of them."""

    async def follow_commands() -> None:
        async for command in commands:
            run.apply(run.wanted.fold(command))

    if run.ending is not None:
        return run.ending
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(follow_commands())]
            beside += [group.create_task(neighbour.watch()) for neighbour in neighbours]
            ending: Ending = await work(run)
            for task in beside:
                task.cancel()
    except ExceptionGroup as errors:
        if (cause := foreseen_cause(errors)) is None:
            raise
        raise cause from None
    return ending


def _is_live(start: Command) -> bool:
    try:
        return DataType.parse(start.type).source.is_live
    except ValueError:
        # Not every task is about a dataset.
        return False


def _command_of(settings: JobSettings, message: Message) -> Command | None:
    try:
        command = Command.model_validate_json(message.value or b"")
    except ValidationError as exc:
        logger.warning("skipped a malformed command at offset {}: {}", message.offset, exc.errors()[0]["msg"])
        return None
    addressee = (command.queue_id, command.target, command.telemetry_id, command.attempt)
    mine = (settings.queue_id, settings.target, settings.telemetry_id, settings.attempt)
    return command if addressee == mine else None


async def _report_failure(run: JobRun, failure: StreamForgeError) -> None:
    fatal = isinstance(failure, FatalError)
    code = failure.code if isinstance(failure, FatalError) else "transient"
    error = TaskError(code=code, detail=str(failure), retryable=not fatal)
    try:
        async with asyncio.timeout(_FAILURE_REPORT_S):
            await run.report(TaskStatus.ERROR, str(failure), finished=fatal, error=error)
    except (TimeoutError, StreamForgeError) as exc:
        # queue-manager learns it from the job's end.
        logger.warning("could not report the failure: {!r}", exc)


class _OnSigterm:
    """Asks the work to end, and after a grace ends it."""

    def __init__(self, main: "asyncio.Task[Any]") -> None:
        self.received = False
        self.run: JobRun | None = None
        self._main = main

    def __call__(self) -> None:
        self.received = True
        if self.run is None:
            self._main.cancel()
        else:
            self.run.interrupt()
            asyncio.get_running_loop().call_later(_SIGTERM_GRACE_S, self._main.cancel)
