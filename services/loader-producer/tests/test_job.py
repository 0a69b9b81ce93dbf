"""The whole loader as a process, between a real broker and the recorded exchange."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings

ServingRecording = Callable[[Path], AbstractAsyncContextManager[str]]
KLINES, AGG_TRADES = "/api/v3/klines", "/api/v3/aggTrades"
RANGE = "2022-07-14:2022-08-17"
CANDLES = 9_792
COLUMNS = {
    "open_time": 0,
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "close_time": 6,
    "quote_volume": 7,
    "trades": 8,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}


async def ask(exchange: str, path: str) -> list[dict[str, Any]]:
    """Read one of the simulator's own pages, a JSON list or JSON lines."""
    async with aiohttp.ClientSession() as session, session.get(exchange + path) as response:
        text = await response.text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


async def plan_faults(exchange: str, faults: list[dict[str, object]]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=faults) as response:
        assert response.status == 200, await response.text()


def driver_of(broker: Broker, **fields: object) -> TaskDriver:
    defaults = {
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "api_candles_5m",
        "time_range": RANGE,
    }
    return TaskDriver(broker.bootstrap_servers, "loader-producer", secrets.token_hex(3), **{**defaults, **fields})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loader.log"


async def test_every_recorded_candle_is_published_once_and_in_order(
    kafka_broker: Broker, exchange_sim: str, recorded_rows: list[list[str]], log: Path
) -> None:
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 0, job.log()

    messages = await driver.read(driver.kafka_topic)
    records = [json.loads(message.value) for message in messages]
    assert len(records) == CANDLES
    for message, record, row in zip(messages, records, recorded_rows, strict=True):
        assert {name: record[name] for name in COLUMNS} == {name: float(row[at]) for name, at in COLUMNS.items()}
        assert message.key.decode() == record["_key"] == f"binance:spot:BTCUSDT:candles_5m:{row[0]}"
        assert dict(message.headers)["receipt_time_ms"].isdigit()
    events = await driver.events()
    assert events[0].status is TaskStatus.STARTING
    assert events[-1].status is TaskStatus.COMPLETED
    assert events[-1].finished
    assert events[-1].end_offsets == {"0": CANDLES}
    assert events[-1].records_written == CANDLES


async def test_a_symbol_that_the_exchange_refuses_ends_the_job_with_the_exchanges_words(
    kafka_broker: Broker, exchange_sim: str, log: Path
) -> None:
    driver = driver_of(kafka_broker, symbol="NOSUCHCOIN")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await driver.events())[-1]
    assert last.status is TaskStatus.ERROR
    assert last.finished
    assert last.error is not None
    assert last.error.code == "exchange_refused"
    assert "-1121 Invalid symbol." in last.error.detail


async def test_after_a_kill_the_job_goes_on_and_repeats_at_most_a_page(
    kafka_broker: Broker, exchange_sim: str, log: Path
) -> None:
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        await plan_faults(exchange_sim, [{"path": KLINES, "kind": "slow", "count": 20, "after": 2, "seconds": 1.5}])
        # A page is reported before its checkpoint is saved, so that of the first one is only sure after another page.
        await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 1_000)
        job.process.kill()
        await job.exit_code()
    await plan_faults(exchange_sim, [])
    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 0, job.log()

    keys = [message.key for message in await driver.read(driver.kafka_topic)]
    assert len(set(keys)) == CANDLES
    assert len(keys) <= CANDLES + 1_000
    last = (await driver.events())[-1]
    assert last.end_offsets == {"0": len(keys)}
    # The page that the kill fell into may be on the topic without having been counted.
    assert CANDLES <= last.records_written <= len(keys)
    assert "going on from " in await asyncio.to_thread(job.log)


@pytest.mark.parametrize(
    ("environment", "exit_code"), [({}, 0), ({"INTERRUPTED_EXIT_CODE": "143"}, 143)], ids=["local", "cluster"]
)
async def test_sigterm_ends_the_job_well_and_reports_nothing_final(
    kafka_broker: Broker, exchange_sim: str, log: Path, environment: dict[str, str], exit_code: int
) -> None:
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    await driver.tell(CommandKind.PAUSE)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim, **environment) as job:
        await driver.wait_for(TaskStatus.PAUSED)
        job.process.send_signal(signal.SIGTERM)
        assert await job.exit_code() == exit_code, job.log()

    assert await driver.read(driver.kafka_topic) == []
    assert not any(event.finished for event in await driver.events())


async def test_sigterm_while_the_broker_hangs_ends_the_job_well(tmp_path: Path, exchange_sim: str, log: Path) -> None:
    with Broker(tmp_path / "kafka", install(Settings.from_environment())) as broker:
        driver = driver_of(broker)
        await driver.create_topics()
        await driver.tell(CommandKind.START)
        await plan_faults(exchange_sim, [{"path": KLINES, "kind": "slow", "count": 20, "after": 1, "seconds": 1}])
        async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim, INTERRUPTED_EXIT_CODE="143") as job:
            await driver.wait_for(TaskStatus.LOADING)
            os.kill(broker._process.pid, signal.SIGSTOP)
            job.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await job.exit_code() == 143, job.log()
        os.kill(broker._process.pid, signal.SIGCONT)


async def test_a_stop_ends_a_paused_job_as_stopped(kafka_broker: Broker, exchange_sim: str, log: Path) -> None:
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    await driver.tell(CommandKind.PAUSE)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim, INTERRUPTED_EXIT_CODE="143") as job:
        await driver.wait_for(TaskStatus.PAUSED)
        await driver.tell(CommandKind.STOP)
        assert await job.exit_code() == 0, job.log()

    last = (await driver.events())[-1]
    assert (last.status, last.finished) == (TaskStatus.STOPPED, True)


async def test_whatever_the_exchange_does_on_the_way_the_same_candles_are_published(
    kafka_broker: Broker, exchange_sim: str, recorded_rows: list[list[str]], log: Path
) -> None:
    kinds = ["500", "503", "html", "truncated_json", "malformed_json", "reset"]
    kinds += ["short_page", "missing_rows", "duplicated_rows", "429", "418"]
    faults = [{"path": KLINES, "kind": kind, "after": at, "seconds": 1} for at, kind in enumerate(kinds)]
    await plan_faults(exchange_sim, faults)
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 0, job.log()

    assert {fault["kind"] for fault in await ask(exchange_sim, "/_sim/faults") if fault["fired"] == 1} == set(kinds)
    keys = [message.key.decode() for message in await driver.read(driver.kafka_topic)]
    assert keys == [f"binance:spot:BTCUSDT:candles_5m:{row[0]}" for row in recorded_rows]
    last = (await driver.events())[-1]
    assert (last.status, last.exchange_gaps) == (TaskStatus.COMPLETED, None)
    requests = await ask(exchange_sim, "/_sim/requests")
    already_under_way = 3
    assert len([request for request in requests if request["in_ban"]]) <= already_under_way


async def test_nothing_is_sent_during_a_ban_not_even_after_a_kill(
    kafka_broker: Broker, exchange_sim: str, log: Path
) -> None:
    await plan_faults(exchange_sim, [{"path": KLINES, "kind": "418", "after": 2, "seconds": 5}])
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        told = await driver.wait_for(TaskStatus.LOADING, lambda event: event.banned_until is not None)
        job.process.kill()
        await job.exit_code()
    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 0, job.log()

    requests = await ask(exchange_sim, "/_sim/requests")
    (ban,) = [request for request in requests if request["fault"] == "418"]
    assert told.banned_until is not None
    assert abs(told.banned_until * 1000 - (ban["at"] + 5_000)) < 1_000
    assert [request for request in requests if request["in_ban"] and request["ban_age_ms"] > 1_000] == []
    assert len({message.key for message in await driver.read(driver.kafka_topic)}) == CANDLES


async def test_a_loader_that_is_told_of_a_ban_asks_nothing_before_it_is_over(
    kafka_broker: Broker, exchange_sim: str, log: Path
) -> None:
    banned_until_s = time() + 6
    driver = driver_of(kafka_broker, options={"banned_until": banned_until_s})
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        assert await job.exit_code() == 0, job.log()

    requests = await ask(exchange_sim, "/_sim/requests")
    assert min(request["at"] for request in requests) >= banned_until_s * 1000 - 5


async def test_a_loader_that_is_told_of_a_ban_while_it_runs_is_quiet_until_it_is_over(
    kafka_broker: Broker, exchange_sim: str, log: Path
) -> None:
    await plan_faults(exchange_sim, [{"path": KLINES, "kind": "slow", "count": 1_000, "seconds": 1}])
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=exchange_sim) as job:
        await driver.wait_for(TaskStatus.LOADING)
        told_at_s = time()
        await driver.tell(CommandKind.START, options={"banned_until": told_at_s + 6})
        assert await job.exit_code() == 0, job.log()

    heard_at_s, over_at_s = told_at_s + 2, told_at_s + 6
    requests = [request["at"] / 1000 for request in await ask(exchange_sim, "/_sim/requests")]
    assert [at for at in requests if heard_at_s < at < over_at_s - 0.005] == []
    assert max(requests) > over_at_s
    assert len({message.key for message in await driver.read(driver.kafka_topic)}) == CANDLES


async def test_candles_that_the_exchange_does_not_have_are_asked_for_again_and_reported(
    kafka_broker: Broker, serving_recording: ServingRecording, recorded_rows: list[list[str]], log: Path
) -> None:
    holes = {0, 1, 999, 1_000, 5_500, 9_791}
    with_holes = log.with_name("BTCUSDT-5m-holes.csv")
    rows = [row for at, row in enumerate(recorded_rows) if at not in holes]
    with_holes.write_text("".join(",".join(row) + "\n" for row in rows))
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with (
        serving_recording(with_holes) as exchange,
        driver.job(log, BINANCE_SPOT_REST_URL=exchange) as job,
    ):
        assert await job.exit_code() == 0, job.log()

    last = (await driver.events())[-1]
    open_times = [int(row[0]) for row in recorded_rows]
    assert (last.first_id, last.last_id) == (open_times[0], open_times[-1])
    found = [(gap.start, gap.end, gap.missing) for gap in last.exchange_gaps or ()]
    assert found == [
        (open_times[0], open_times[2], 2),
        (open_times[999], open_times[1_001], 2),
        (open_times[5_500], open_times[5_501], 1),
        (open_times[9_791], open_times[9_791] + 300_000, 1),
    ]
    assert last.end_offsets == {"0": CANDLES - len(holes)}


async def test_trades_are_loaded_by_id_from_the_first_to_the_last_of_the_range(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    start_ms, end_ms = 1_709_600_400_000, 1_709_600_700_000
    in_range = "2024-03-05T01:00:00Z/2024-03-05T01:05:00Z"
    faults = [{"path": AGG_TRADES, "kind": kind, "after": 2} for kind in ("missing_rows", "duplicated_rows", "html")]
    await plan_faults(simulated_exchange, faults)
    driver = driver_of(kafka_broker, type="api_agg_trades", time_range=in_range)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=simulated_exchange) as job:
        assert await job.exit_code() == 0, job.log()

    assert [fault["fired"] for fault in await ask(simulated_exchange, "/_sim/faults")] == [1, 1, 1]
    query = f"?symbol=BTCUSDT&startTime={start_ms - 1}&endTime={end_ms}&limit=1000"
    around: list[dict[str, Any]] = []
    while rows := await ask(simulated_exchange, AGG_TRADES + query):
        around += rows
        query = f"?symbol=BTCUSDT&fromId={rows[-1]['a'] + 1}&limit=1000"
        if rows[-1]["T"] > end_ms:
            break
    served = [row for row in around if start_ms <= row["T"] < end_ms]
    records = [json.loads(message.value) for message in await driver.read(driver.kafka_topic)]
    assert records == [
        {
            "_key": f"binance:spot:BTCUSDT:agg_trades:{row['a']}",
            "exchange": "binance",
            "market": "spot",
            "symbol": "BTCUSDT",
            "type": "agg_trades",
            "agg_trade_id": row["a"],
            "price": float(row["p"]),
            "quantity": float(row["q"]),
            "first_trade_id": row["f"],
            "last_trade_id": row["l"],
            "trade_time": row["T"],
            "is_buyer_maker": row["m"],
        }
        for row in served
    ]
    last = (await driver.events())[-1]
    assert (last.first_id, last.last_id, last.exchange_gaps) == (served[0]["a"], served[-1]["a"], None)


async def test_a_range_before_the_first_trade_ever_completes_with_nothing(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    driver = driver_of(kafka_broker, type="api_agg_trades", time_range="2017-02-01:2017-02-02")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, BINANCE_SPOT_REST_URL=simulated_exchange) as job:
        assert await job.exit_code() == 0, job.log()

    last = (await driver.events())[-1]
    assert (last.status, last.first_id, last.last_id) == (TaskStatus.COMPLETED, None, None)
    assert last.end_offsets == {"0": 0}


async def test_ids_that_the_exchange_does_not_have_are_asked_for_again_and_reported(
    kafka_broker: Broker, serving_recording: ServingRecording, log: Path
) -> None:
    holes = [(5_010, 5_011), (5_990, 7_500)]
    missing = {number for first, end in holes for number in range(first, end)}
    start_ms = 1_709_600_400_000
    trades = [number for number in range(5_000, 8_200) if number not in missing]
    recording = log.with_name("BTCUSDT-aggTrades-2024-03-05.csv")
    recording.write_text("".join(f"{it},1.5,0.25,{it},{it},{start_ms + it - 5_000},True,True\n" for it in trades))
    driver = driver_of(
        kafka_broker, type="api_agg_trades", time_range="2024-03-05T01:00:00.005Z/2024-03-05T01:00:03.100Z"
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with (
        serving_recording(recording) as exchange,
        driver.job(log, BINANCE_SPOT_REST_URL=exchange) as job,
    ):
        assert await job.exit_code() == 0, job.log()

    keys = [message.key.decode() for message in await driver.read(driver.kafka_topic)]
    assert keys == [f"binance:spot:BTCUSDT:agg_trades:{it}" for it in trades if 5_005 <= it < 8_100]
    last = (await driver.events())[-1]
    assert (last.first_id, last.last_id) == (5_005, 8_099)
    found = [(gap.start, gap.end, gap.missing) for gap in last.exchange_gaps or ()]
    assert found == [(first, end, end - first) for first, end in holes]
