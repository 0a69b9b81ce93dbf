"""Files in the order of the plan: one is fetched ahead, and none is left open."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from loader_producer.app.dataset import ArchiveDataset
from loader_producer.app.file_queue import ArchiveFile, FileQueue, Lack
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.archives import Lines

GIB = 1024**3


class File:
    def __init__(self, packed_bytes: int = 1) -> None:
        self.packed_bytes = packed_bytes
        self.sha256, self.received_ms, self.head, self.offset, self.is_read = "", 0, b"", 0, True
        self.is_closed = False

    async def seek(self, offset: int) -> None:
        raise AssertionError("nobody reads it")

    async def read(self, parse: Callable[[bytes], Lines]) -> Lines:
        raise AssertionError("nobody reads it")

    def close(self) -> None:
        self.is_closed = True


class Archive:
    """Has what a test says, by the end of a file's name; everything else is missing."""

    trouble = ""

    def __init__(self, **found: File | FatalError) -> None:
        self._found = found
        self.asked: list[str] = []

    async def fetch(self, path: str) -> ArchiveFile | None:
        name = path.removesuffix(".zip").rpartition("aggTrades-")[2]
        self.asked.append(name)
        await asyncio.sleep(0)
        found = self._found.get(f"d{name.replace('-', '')}")
        if isinstance(found, FatalError):
            raise found
        return found


def dataset_of(time_range: str) -> ArchiveDataset:
    return ArchiveDataset.of(
        Command(
            command=CommandKind.START,
            queue_id="wf-a-20240801-a1b2c3",
            target="loader-producer",
            telemetry_id="loader-producer__a1b2c3",
            attempt=1,
            exchange="binance",
            market="spot",
            symbol="BTCUSDT",
            type="dump_agg_trades",
            time_range=time_range,
            timestamp=0.0,
        )
    )


async def has_settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("packed_bytes", "ahead"), [(1, ["2024-08-02"]), (2 * GIB, [])])
async def test_one_file_is_fetched_ahead_unless_they_are_large_and_what_is_not_taken_is_closed(
    packed_bytes: int, ahead: list[str]
) -> None:
    first, second = File(packed_bytes), File()
    archive = Archive(d20240801=first, d20240802=second, d20240803=File())
    dataset = dataset_of("2024-08-01:2024-08-04")
    async with asyncio.TaskGroup() as group:
        with FileQueue(dataset, archive, dataset.time_range.start_ms, group) as files:
            found = await files.next()
            await has_settled()
            assert archive.asked == ["2024-08-01", *ahead]
    assert found is not None
    assert found[1] is first
    assert (first.is_closed, second.is_closed) == (False, bool(ahead))


async def test_days_take_the_place_of_a_month_and_what_is_spoilt_or_left_to_rest_is_a_lack() -> None:
    spoilt = FatalError("it stays wrong", code="archive_corrupt")
    archive = Archive(d20240701=File(), d20240702=spoilt)
    dataset = dataset_of("2024-07-01:2024-08-02")
    dataset = replace(dataset, rest_from_ms=dataset.time_range.end_ms - 86_400_000)
    found = []
    async with asyncio.TaskGroup() as group:
        with FileQueue(dataset, archive, dataset.time_range.start_ms, group) as files:
            while (one := await files.next()) is not None:
                found.append(one)
    days = [f"2024-07-{day:02}" for day in range(1, 32)]
    assert archive.asked == ["2024-07", *days], "what REST has is not asked for"
    assert [period.name for period, _ in found] == [*days, "2024-08-01"]
    first, *rest = [file for _, file in found]
    assert isinstance(first, File)
    lacks = [file for file in rest if isinstance(file, Lack)]
    assert len(lacks) == 31
    assert [lack.fault for lack in lacks if lack.fault is not None] == [spoilt]
