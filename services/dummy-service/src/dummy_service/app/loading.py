"""The load: so many records a second of one size onto a topic, and what was reached.

Two hands take what is due and bring it to the broker, each with one handful under way. Where the broker is slow both
are full, nothing more is taken, and memory stays as it is; the handfuls that follow are larger, up to a limit. What is
late is told as such, not left out; what is not sent when the time is over is not sent at all.
"""

import asyncio
import itertools
import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from dummy_service.app.figures import Latencies, LoadReport
from dummy_service.app.pacing import Pacer
from streamforge_common.errors import StreamForgeError

_HANDS = 2
"""One handful is at the broker while the next is taken. The client holds no more than that of a partition; further ones
would only push each other aside, and some of them starve."""
_HANDFUL_BYTES = 512 * 1024
"""The size of a batch of the client; with the hands it bounds what is under way."""
_OVERHEAD_BYTES = 100
"""What a record weighs in memory besides its value."""
_TICK_S = 0.005
"""Records that are due within a tick travel together: a request for each would measure this machine, not the broker."""
_LAST_ACKNOWLEDGEMENTS_S = 6.0
"""How long the end waits for them; with closing the clients below the 10 s after which a launcher kills."""
_NOISE_BYTES = 4 * 1024 * 1024


class Topic(Protocol):
    """Where records go."""

    async def publish(self, records: Sequence[tuple[bytes, bytes]], headers: Sequence[tuple[str, bytes]]) -> None:
        """Return when the broker has acknowledged all of them. Raises StreamForgeError."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is wanted."""

    topic: str
    rate: float
    """Records a second."""
    size: int
    """Bytes of a value."""
    seconds: float

    @property
    def total(self) -> int:
        """Records in all: those that are due before the time is over, the first one at its beginning."""
        # As they were typed: 0.1 as a double is a little more than a tenth.
        return math.ceil(Fraction(str(self.rate)) * Fraction(str(self.seconds)))


class Load:
    """One load."""

    def __init__(self, plan: LoadPlan, topic: Topic, clock_ns: Callable[[], int], *, patience_s: float) -> None:
        """Begin.

        Args:
            plan: What is wanted.
            topic: Where to.
            clock_ns: A clock that only goes forward, nanoseconds.
            patience_s: How long an acknowledgement is waited for. An idempotent producer itself waits for ever.
        """
        self._patience_s = patience_s
        self._plan = plan
        self._topic = topic
        self._clock_ns = clock_ns
        self._began_ns = clock_ns()
        self._last_ns = self._began_ns
        self._pacer = Pacer(plan.rate, self._began_ns, plan.total)
        self._records = _records(plan.size)
        self._most = max(1, _HANDFUL_BYTES // (plan.size + _OVERHEAD_BYTES))
        self._taking = asyncio.Lock()
        self._is_over = False
        """The time is over, and what was due then is taken as far as it fits into one handful."""
        self._stopping = asyncio.Event()
        self._interrupted = False
        self._sent = 0
        self._acknowledged = 0
        self._latencies = Latencies()
        self._behind_max_ns = 0
        self._behind_last_ns = 0
        self._errors: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Records sent and neither acknowledged nor given up."""
        return self._sent - self._acknowledged - self._errors.total()

    def interrupt(self) -> None:
        """Send nothing more, and end with the report of what was sent."""
        self._interrupted = True
        self._last_ns = self._clock_ns()
        self._stopping.set()

    async def run(self) -> LoadReport:
        """Send until the time is over, something fails or it is interrupted; the report tells which.

        A failure ends the load: a producer that has lost a batch does not recover, and the figures would be of
        something else.
        """
        async with asyncio.TaskGroup() as group:
            hands = [group.create_task(self._hand()) for _ in range(_HANDS)]
            impatience = group.create_task(self._give_up_on(hands))
            await asyncio.wait(hands)
            impatience.cancel()
        if self.under_way:
            self._errors[f"no acknowledgement within {_LAST_ACKNOWLEDGEMENTS_S:g} s of the end"] += self.under_way
        return self._report()

    async def _give_up_on(self, hands: Sequence["asyncio.Task[None]"]) -> None:
        await self._stopping.wait()
        await asyncio.sleep(_LAST_ACKNOWLEDGEMENTS_S)
        for hand in hands:
            hand.cancel()

    async def _hand(self) -> None:
        while records := await self._take():
            self._sent += len(records)
            sent_ns = self._clock_ns()
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._topic.publish(records, [])
            except (StreamForgeError, TimeoutError) as exc:
                self._errors[str(exc) or f"no acknowledgement within {self._patience_s:g} s"] += len(records)
                self._stopping.set()
                return
            self._last_ns = self._clock_ns()
            self._latencies.add(self._last_ns - sent_ns, len(records))
            self._acknowledged += len(records)

    async def _take(self) -> list[tuple[bytes, bytes]]:
        """Wait for what is due and take it; nothing where nothing is to come."""
        async with self._taking:
            while not (self._pacer.is_through or self._is_over or self._stopping.is_set()):
                now_ns = self._clock_ns()
                early_ns = self._pacer.early_ns(now_ns)
                if number := self._pacer.take(now_ns, self._most):
                    self._is_over = now_ns - self._began_ns >= self._plan.seconds * 1e9
                    self._behind_last_ns = -early_ns
                    self._behind_max_ns = max(self._behind_max_ns, -early_ns)
                    return list(itertools.islice(self._records, number))
                await self._pass_time(max(_TICK_S, early_ns / 1e9))
        return []

    async def _pass_time(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _report(self) -> LoadReport:
        lasted_s = (self._last_ns - self._began_ns) / 1e9
        elapsed_s = lasted_s if self._stopping.is_set() else max(lasted_s, self._plan.seconds)
        per_second = self._acknowledged / elapsed_s if elapsed_s else 0.0
        return LoadReport(
            topic=self._plan.topic,
            rate=self._plan.rate,
            size=self._plan.size,
            seconds=self._plan.seconds,
            wanted=self._plan.total,
            sent=self._sent,
            acknowledged=self._acknowledged,
            unacknowledged=self._sent - self._acknowledged,
            bytes_acknowledged=self._acknowledged * self._plan.size,
            elapsed_s=round(elapsed_s, 3),
            records_per_second=round(per_second, 1),
            bytes_per_second=round(per_second * self._plan.size, 1),
            latency_p50_ms=self._latencies.percentile_ms(50),
            latency_p99_ms=self._latencies.percentile_ms(99),
            latency_max_ms=self._latencies.percentile_ms(100),
            behind_max_ms=round(self._behind_max_ns / 1e6, 3),
            behind_last_ms=round(self._behind_last_ns / 1e6, 3),
            interrupted=self._interrupted,
            errors=dict(self._errors),
        )


def _records(size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield records, numbered by their keys, that no compression makes smaller: values are cut out of noise.

    No two of a batch are from the same place.
    """
    noise = secrets.token_bytes(max(_NOISE_BYTES, 2 * size))
    places = len(noise) // size
    for number in itertools.count():
        start = number % places * size
        yield b"%d" % number, noise[start : start + size]
