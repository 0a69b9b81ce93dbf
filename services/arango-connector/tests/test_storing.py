"""Which batches are stored at the same time, and in which order they are acknowledged."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from arango_connector.app.batches import Rejected
from arango_connector.app.dataset import Dataset
from arango_connector.app.storing import Stored, Storing
from arango_connector.app.tally import Tally
from streamforge_common.contract.records import Headers, RecordMessage
from streamforge_common.errors import TransientError
from streamforge_common.job import Completed, Ending, JobRun, Stopped


@dataclass(frozen=True)
class Message:
    """Its value is its key."""

    value: bytes | None
    offset: int
    partition: int = 0
    headers: Headers = ()


@dataclass(frozen=True)
class Record:
    key: str


class Check:
    def check(self, value: bytes) -> Record:
        return Record(value.decode())


DATASET = cast(
    "Dataset",
    SimpleNamespace(
        type="api_candles_5m",
        check=Check(),
        kind=SimpleNamespace(time_of=lambda record: 0),
        time_range=None,
        first_wins=False,
    ),
)


class Topic:
    """A reader that gives one batch after another, each one's messages named by their keys."""

    def __init__(self, *batches: str) -> None:
        self._parts: list[list[RecordMessage]] = []
        self.end = self.committed = 0
        for keys in batches:
            # A batch ends where nothing more has come.
            self._parts += [[Message(key.encode(), self.end + number) for number, key in enumerate(keys)], []]
            self.end += len(keys)

    async def poll(self, *, max_records: int, wait_ms: int) -> list[RecordMessage]:
        await asyncio.sleep(0)
        return self._parts.pop(0) if self._parts else []

    async def idle(self, *, wait_ms: int) -> None:
        raise AssertionError("nobody has paused")

    async def ack(self, messages: Sequence[RecordMessage], note: str) -> None:
        await asyncio.sleep(0)
        assert messages[0].offset == self.committed, "a batch is acknowledged before an earlier one"
        self.committed = messages[-1].offset + 1

    async def has_committed(self, end_offsets: Mapping[int, int]) -> bool:
        return self.committed >= end_offsets[0]

    def lag(self) -> int:
        return len(self._parts)


class Database:
    """A store whose imports, named by the keys, end when the test says, and in that order."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Future[None]] = {}

    async def store(self, messages: Sequence[RecordMessage]) -> Stored:
        keys = "".join((message.value or b"").decode() for message in messages)
        answer = self.under_way[keys] = asyncio.get_running_loop().create_future()
        await answer
        return Stored(len(messages), 0, ())

    async def keep_rejected(self, rejected: Sequence[Rejected]) -> None:
        raise AssertionError("nothing is rejected")

    def answer(self, keys: str, error: Exception | None = None) -> None:
        if error is None:
            self.under_way.pop(keys).set_result(None)
        else:
            self.under_way.pop(keys).set_exception(error)


class Connector:
    """The connector's work between the two."""

    def __init__(self, *batches: str) -> None:
        self.topic, self.database = Topic(*batches), Database()
        self.run = SimpleNamespace(ending=None, is_paused=False, end_offsets={0: self.topic.end})
        self.run.report_progress = self._report_progress
        self.storing = Storing(cast("JobRun", self.run), DATASET, Tally(1), reader=self.topic, store=self.database)

    async def _report_progress(self, message: str, **fields: Any) -> bool:
        return False

    async def has_given(self, *imports: str) -> None:
        """Let the work go on as far as it can, and see what the database has to store now."""
        for _ in range(100):
            await asyncio.sleep(0)
        assert list(self.database.under_way) == list(imports)


async def test_two_batches_are_stored_at_a_time_and_acknowledged_in_order() -> None:
    connector = Connector("ab", "cd", "ef")
    async with asyncio.TaskGroup() as group:
        work = group.create_task(connector.storing.store())
        await connector.has_given("ab", "cd")
        connector.database.answer("cd")
        await connector.has_given("ab")
        assert connector.topic.committed == 0, "the second is acknowledged while the first may still fail"
        connector.database.answer("ab")
        await connector.has_given("ef")
        connector.database.answer("ef")
    assert isinstance(work.result(), Completed)
    assert connector.topic.committed == connector.run.records_written == 6


async def test_a_later_document_of_the_same_key_is_stored_later() -> None:
    connector = Connector("ab", "bc", "d")
    async with asyncio.TaskGroup() as group:
        work = group.create_task(connector.storing.store())
        await connector.has_given("ab")
        connector.database.answer("ab")
        await connector.has_given("bc", "d")
        connector.database.answer("bc")
        connector.database.answer("d")
    assert isinstance(work.result(), Completed)


async def test_a_failure_ends_the_work_and_acknowledges_nothing_behind_it() -> None:
    connector = Connector("a", "b", "c")
    failed = False
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(connector.storing.store())
            await connector.has_given("a", "b")
            connector.database.answer("b", TransientError("the database is away"))
    except* TransientError:
        failed = True
    assert failed
    assert connector.topic.committed == 0
    assert connector.database.under_way["a"].cancelled(), "an import goes on that nobody waits for"


async def test_a_stop_acknowledges_what_is_stored_and_leaves_the_rest() -> None:
    connector = Connector("a", "b", "c")
    async with asyncio.TaskGroup() as group:
        work: asyncio.Task[Ending] = group.create_task(connector.storing.store())
        await connector.has_given("a", "b")
        connector.run.ending = Stopped("stopped on request")
        connector.database.answer("a")
        await connector.has_given("b")
        connector.database.answer("b", TransientError("the database is away"))
    assert work.result() == Stopped("stopped on request")
    assert connector.topic.committed == 1
