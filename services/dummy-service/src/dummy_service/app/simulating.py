"""A simulated task: it looks to queue-manager like the real one, and does what its script says.

It reads its commands and reports its events as every job does, through `streamforge_common.job`; only the work is
played. What a task of its kind does with records is its `Role`; how fast, how far and how it goes wrong is the
`Script`. The place is kept on the broker, so a task that is started again goes on, and does not fail a second time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic_ns
from typing import Protocol

import msgspec
from loguru import logger

from dummy_service.app.pacing import Pacer
from streamforge_common.errors import FatalError, TransientError
from streamforge_common.job import Completed, Ending, JobRun, Stopped

_STEP_S = 0.1
"""Records that are due within a step are done together, and their place is kept once."""
_STEP_RECORDS = 5_000
"""Bounds what is in memory."""


class Fault(StrEnum):
    """How a task goes wrong on its way."""

    ERROR = "error"
    """It reports an error that another try may mend, and exits with 1."""
    FATAL_ERROR = "fatal-error"
    """It reports an error that no other try mends, and exits with 42."""
    VANISH = "vanish"
    """It is gone without a word, as after `kill -9`."""
    QUIT = "quit"
    """It exits with 0 without having said how it ended."""
    HANG = "hang"
    """It stands still: no event, no answer on `/health`, and neither `stop` nor SIGTERM ends it."""


class End(StrEnum):
    """How a task ends when its work is done."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    """Though nobody has asked it to."""
    ERROR = "error"
    """For good."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a task is to do."""

    rate: float
    """Records a second, at most."""
    fault: Fault | None
    fault_after: int
    """Records after which the fault comes, those of earlier starts counted. With 0 every start fails."""
    end: End


class Place(msgspec.Struct, frozen=True):
    """How far a task is, as it is kept between its starts."""

    done: int
    """Records in all attempts."""
    attempt: int
    written: int
    """Those of the attempt."""

    def plus(self, records: int) -> "Place":
        """Return the place so many records further."""
        return Place(self.done + records, self.attempt, self.written + records)

    def encode(self) -> str:
        """Return the text to be kept."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def resume(cls, attempt: int, kept: Iterable[str]) -> "Place":
        """Go on from the furthest of what was kept: one text per partition.

        Raises:
            FatalError: Somebody else wrote it (`bad_checkpoint`): the task was not a simulated one before.
        """
        try:
            places = [msgspec.json.decode(text, type=cls) for text in kept]
        except msgspec.MsgspecError as exc:
            raise FatalError(f"the kept place is not of a simulated task: {exc}", code="bad_checkpoint") from exc
        last = max(places, key=lambda place: place.done, default=cls(0, attempt, 0))
        return last if last.attempt == attempt else cls(last.done, attempt, 0)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a simulated task, for whoever has started it."""

    queue_id: str
    telemetry_id: str
    attempt: int
    records_written: int
    """By this attempt."""
    ending: str
    """`completed`, `stopped`, `interrupted`, `error` or `ended before it began`."""
    exit_code: int

    def text(self) -> str:
        """Return it as a sentence."""
        return f"{self.telemetry_id}, attempt {self.attempt}: {self.ending}, {self.records_written:,} records"


class Role(Protocol):
    """What tasks of one kind do with records."""

    @property
    def known(self) -> Mapping[str, object]:
        """What the first event of the work tells besides."""

    async def kept(self) -> Iterable[str]:
        """Return what was kept of the place, in no order; empty before the first start."""

    async def do(self, place: Place, most: int) -> Place:
        """Do up to so many records more, keep the place behind them, and return it; it may be the same."""

    async def rest(self, seconds: float) -> None:
        """Do nothing for so long, or until something is wanted."""

    async def is_through(self, place: Place) -> bool:
        """Say whether no record is left, and none will come."""

    async def completed(self, message: str) -> Completed:
        """Say what the last event tells."""


class Simulation:
    """One task's work."""

    def __init__(self, run: JobRun, script: Script, role: Role, leave: Callable[[Fault], None]) -> None:
        """Get ready.

        Args:
            run: Of the job.
            script: What to do.
            role: What to do with records.
            leave: Carries out the faults that end or stop the process as it is.
        """
        self._run = run
        self._script = script
        self._role = role
        self._leave = leave

    async def play(self) -> Ending:
        """Play the script, as far as the commands let it, and return how it ended."""
        place = Place.resume(self._run.start.attempt, await self._role.kept())
        if place.done:
            logger.info("going on behind {} records", place.done)
        self._run.records_written = place.written
        await self._run.report_progress(_message(place), **self._role.known)
        if place.done == self._script.fault_after == 0:
            self._fail()
        pacer = Pacer(self._script.rate, monotonic_ns())
        while (ending := self._run.ending) is None:
            if self._run.is_paused:
                await self._run.report_progress("paused")
                await self._role.rest(_STEP_S)
                pacer.begin_anew(monotonic_ns())
            elif await self._role.is_through(place):
                return await self._end(place)
            else:
                place = await self._step(place, pacer)
        return ending

    async def _step(self, place: Place, pacer: Pacer) -> Place:
        """Do what is due, up to the fault."""
        to_fault = self._script.fault_after - place.done if self._script.fault else 0
        most = min(_STEP_RECORDS, to_fault) if to_fault > 0 else _STEP_RECORDS
        if due := pacer.take(monotonic_ns(), most):
            behind = await self._role.do(place, due)
            if behind.done == place.done:
                # Nothing was there to be done: what comes later is no longer late.
                pacer.begin_anew(monotonic_ns())
            self._run.records_written = behind.written
            await self._run.report_progress(_message(behind))
            if place.done < self._script.fault_after == behind.done:
                self._fail()
            place = behind
        early_s = pacer.early_ns(monotonic_ns()) / 1e9
        if early_s > 0:
            await self._role.rest(min(max(early_s, _STEP_S), 10 * _STEP_S))
        return place

    def _fail(self) -> None:
        fault = self._script.fault
        match fault:
            case None:
                return
            case Fault.ERROR:
                raise TransientError("an error as the script has it")
            case Fault.FATAL_ERROR:
                raise FatalError("an error for good, as the script has it", code="simulated")
            case _:
                logger.warning("now comes what the script has: {}", fault)
                self._leave(fault)

    async def _end(self, place: Place) -> Ending:
        match self._script.end:
            case End.COMPLETED:
                return await self._role.completed(_message(place))
            case End.STOPPED:
                return Stopped(f"{_message(place)}; stopped as the script has it")
            case End.ERROR:
                raise FatalError(f"{_message(place)}; an error at the end, as the script has it", code="simulated")


def _message(place: Place) -> str:
    return f"{place.done} records played"
