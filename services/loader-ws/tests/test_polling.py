"""What is polled: one record for each poll, and every missed one counted and told."""

import asyncio
import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loader_ws.app.backlog import Backlog
from loader_ws.app.polling import PollDataset, Polling
from loader_ws.app.sequence import Mark
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.records import OpenInterest, Record
from streamforge_common.errors import FatalError
from streamforge_common.exchanges.rest import Poll
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker
from streamforge_local.testing import exchange_served

EVERY_S = 0.1


def dataset_of(**fields: object) -> PollDataset:
    defaults = {"exchange": "binance", "market": "um", "symbol": "BTCUSDT", "type": "poll_open_interest"}
    identity = {"queue_id": "wf-a", "target": "loader-ws", "telemetry_id": "loader-ws__a", "attempt": 1}
    command = {"command": CommandKind.START, "kafka_topic": "wf-a-data", "timestamp": 0.0}
    return PollDataset.of(Command.model_validate({**defaults, **identity, **command, **fields}))


class ScriptedRest:
    """Answers with the times that it is given; does not answer where there is none."""

    trouble = ""

    def __init__(self, times: list[int | None]) -> None:
        self._times = times
        self.is_over = asyncio.Event()

    async def poll(self, poll: Poll, symbol: str, limit: int) -> Record:
        if not self._times:
            self.is_over.set()
            await asyncio.Event().wait()
        time_ms = self._times.pop(0)
        if time_ms is None:
            await asyncio.Event().wait()
            raise AssertionError("the wait has no end")
        identity = {"exchange": "binance", "market": "um", "symbol": symbol, "type": "open_interest"}
        return OpenInterest(
            key=f"binance:um:{symbol}:open_interest:{time_ms}", **identity, time=time_ms, open_interest=1.5
        )


async def poll(times: list[int | None], mark: Mark | None = None) -> tuple[Polling, list[dict[str, Any]]]:
    rest, backlog = ScriptedRest(times), Backlog()
    polling = Polling(replace(dataset_of(), every_s=EVERY_S), rest, backlog, mark or Mark())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(polling.receive())
        await rest.is_over.wait()
        task.cancel()
    return polling, [json.loads(value) for _, value, _ in backlog.take()]


async def test_what_is_not_answered_before_the_next_poll_is_due_is_missed_and_told() -> None:
    polling, records = await poll([1, None, None, 2, 2, 3])
    assert [record["time"] for record in records] == [1, 2, 3]
    missed = {what: count for count, what in polling.counts}
    # A busy machine misses more of them.
    assert missed["polls missed"] >= 2
    assert missed["received before"] == 1
    assert (polling.mark.last - polling.mark.first) % round(EVERY_S * 1000) in (0, 1, round(EVERY_S * 1000) - 1)
    gap = polling.untold_gaps[0]
    assert (gap.start, gap.missing) == (polling.mark.first, None)
    assert gap.end - gap.start >= 3 * EVERY_S * 1000 - 1


async def test_polls_that_a_restart_has_missed_are_told() -> None:
    polling, _ = await poll([1], Mark(1_000, 2_000))
    assert [gap.start for gap in polling.untold_gaps] == [2_000]
    assert polling.mark.first == 1_000


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"market": "spot"}, "cannot be asked for 'open_interest'"),
        ({"options": {"every": 0.5}}, "1 to 86400"),
        ({"type": "poll_depth_snapshot", "options": {"limit": 7}}, "one of 5, 10, 20"),
        ({"market": "spot", "type": "poll_depth_snapshot", "options": {"limit": 5_001}}, "1 to 5000"),
    ],
)
def test_what_cannot_be_polled_is_refused(fields: dict[str, object], why: str) -> None:
    with pytest.raises(FatalError, match=why):
        dataset_of(**fields)


@pytest.mark.parametrize(
    ("exchange", "market", "kind", "path"),
    [
        ("binance", "um", "open_interest", "/fapi/v1/openInterest"),
        ("binance", "spot", "depth_snapshot", "/api/v3/depth"),
    ],
)
async def test_each_answer_is_a_record_and_one_that_never_comes_is_missed(
    kafka_broker: Broker, tmp_path: Path, exchange: str, market: str, kind: str, path: str
) -> None:
    fields = {"exchange": exchange, "market": market, "symbol": "BTCUSDT", "type": f"poll_{kind}", "time_range": ""}
    options = {"every": 1, "duration": 6}
    driver = TaskDriver(kafka_broker.bootstrap_servers, "loader-ws", secrets.token_hex(3), **fields, options=options)
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    async with exchange_served() as url, aiohttp.ClientSession(url) as session:
        faults = [{"path": path, "kind": "timeout", "after": 1}]
        async with session.put("/_sim/faults", json=faults) as response:
            assert response.status == 200
        names = ("BINANCE_SPOT_REST_URL", "BINANCE_FUTURES_REST_URL", "BYBIT_REST_URL")
        async with driver.job(tmp_path / "log", **dict.fromkeys(names, url)) as job:
            assert await job.exit_code() == 0, job.log()
        query = {"market": f"{exchange}:{market}", "kind": kind}
        async with session.get("/_sim/served", params=query) as response:
            served = len((await response.text()).splitlines())

    messages = await driver.read(driver.kafka_topic)
    records = [json.loads(message.value) for message in messages]
    # What was on its way when the time was over is not part of it.
    assert served - 1 <= len(records) <= served
    assert len({record["_key"] for record in records}) == len(records) >= 2
    events = await driver.events()
    assert [gap for event in events for gap in event.gaps or ()]
    assert "polls missed" in events[-1].message
    assert events[-1].status is TaskStatus.COMPLETED
