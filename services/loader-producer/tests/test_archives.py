"""The whole loader as a process between a real broker and the simulated archives, which misbehave."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

AUGUST_2024_MS, DAY_MS, STEP_MS = 1_722_470_400_000, 86_400_000, 300_000
SPOT, UM = "/data/spot", "/data/futures/um"
CANDLES = SPOT + "/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2024-08-0"


def driver_of(broker: Broker, **fields: object) -> TaskDriver:
    defaults = {
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "dump_candles_5m",
        "time_range": "2024-08-01:2024-08-04",
    }
    return TaskDriver(broker.bootstrap_servers, "loader-producer", secrets.token_hex(3), **{**defaults, **fields})


def addresses(exchange: str) -> dict[str, str]:
    names = "BINANCE_SPOT_REST_URL", "BINANCE_FUTURES_REST_URL", "BINANCE_DUMPS_URL"
    return dict.fromkeys(names, exchange)


async def plan_faults(exchange: str, *faults: dict[str, object]) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{exchange}/_sim/faults", json=faults) as response:
        assert response.status == 200, await response.text()


async def ask(exchange: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(exchange + path) as response:
        text = await response.text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


async def ids_on(driver: TaskDriver) -> list[int]:
    return [int(message.key.decode().rpartition(":")[2]) for message in await driver.read(driver.kafka_topic)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loader.log"


async def test_the_files_of_a_range_are_proven_and_their_candles_published_in_order(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    driver = driver_of(kafka_broker, time_range="2024-06-29T12:00:00Z/2024-08-02T06:00:00Z")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    first, last = AUGUST_2024_MS - 32 * DAY_MS - DAY_MS // 2, AUGUST_2024_MS + DAY_MS * 5 // 4
    assert await ids_on(driver) == list(range(first, last, STEP_MS))
    asked = [it["path"].rpartition("5m-")[2] for it in await ask(simulated_exchange, "/_sim/requests")]
    wanted = ["2024-06-29", "2024-06-30", "2024-07", "2024-08-01", "2024-08-02"]
    assert asked == [f"{name}.zip{ending}" for name in wanted for ending in (".CHECKSUM", "")]
    events = await driver.events()
    assert (events[-1].status, events[-1].exchange_gaps) == (TaskStatus.COMPLETED, None)
    told = [event.message for event in events if "SHA-256" in event.message]
    assert [message.split(".zip")[0] for message in told] == [f"BTCUSDT-5m-{name}" for name in wanted]
    checksum = (await fetch(simulated_exchange, f"{CANDLES}1.zip.CHECKSUM")).split()[0]
    assert told[3].endswith(checksum)


async def fetch(exchange: str, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(exchange + path) as response:
        return await response.text()


async def test_faults_that_pass_are_outlasted_without_loss_or_repeat(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    faults: list[dict[str, object]] = [
        {"path": f"{CANDLES}1.zip.CHECKSUM", "kind": "wrong_checksum"},
        {"path": f"{CANDLES}1.zip", "kind": "corrupt_zip", "after": 1},
        {"path": f"{CANDLES}2.zip*", "kind": "corrupt_zip", "count": 2},
        {"path": f"{CANDLES}2.zip", "kind": "missing_file", "after": 1},
        {"path": f"{CANDLES}3.zip.CHECKSUM", "kind": "missing_file"},
        *(
            {"path": f"{CANDLES}3.zip", "kind": kind, "after": at}
            for at, kind in enumerate(("500", "reset", "429", "cut_file"))
        ),
    ]
    await plan_faults(simulated_exchange, *faults)
    driver = driver_of(kafka_broker)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert [it["remaining"] for it in await ask(simulated_exchange, "/_sim/faults")] == [0] * len(faults)
    assert await ids_on(driver) == list(range(AUGUST_2024_MS, AUGUST_2024_MS + 3 * DAY_MS, STEP_MS))
    assert (await driver.events())[-1].exchange_gaps is None


async def test_what_the_archive_lacks_comes_over_rest_and_the_checksum_of_each_file_is_told(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    await plan_faults(
        simulated_exchange,
        {"path": f"{SPOT}/monthly/*", "kind": "missing_file", "count": 1_000},
        {"path": f"{CANDLES}2.zip*", "kind": "missing_file", "count": 1_000},
        {"path": f"{CANDLES}3.zip*", "kind": "wrong_checksum", "count": 1_000},
    )
    driver = driver_of(kafka_broker, time_range="2024-08-01:2024-09-01")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert await ids_on(driver) == list(range(AUGUST_2024_MS, AUGUST_2024_MS + 31 * DAY_MS, STEP_MS))
    *events, last = await driver.events()
    assert (last.status, last.exchange_gaps) == (TaskStatus.COMPLETED, None)
    told = [event.message for event in events if event.message.endswith(": REST has it")]
    assert ["08-02" in told[0], "08-03" in told[1], len(told)] == [True, True, 2]
    files = [event.archive_file for event in events if event.archive_file is not None]
    assert len(files) == 29
    for file in files[:2]:
        assert (await fetch(simulated_exchange, f"{file.path}.CHECKSUM")).startswith(file.sha256)


async def test_today_which_is_in_no_file_yet_comes_over_rest(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    midnight = now.replace(hour=0, minute=0)
    start, end = midnight - timedelta(minutes=3), now - timedelta(minutes=1)
    if end < midnight + timedelta(minutes=1):
        pytest.skip("today is too young")
    driver = driver_of(
        kafka_broker,
        market="um",
        symbol="LTCUSDT",
        type="dump_agg_trades",
        time_range=f"{start.isoformat()}/{min(end, midnight + timedelta(minutes=3)).isoformat()}",
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    ids, last = await ids_on(driver), (await driver.events())[-1]
    assert last.first_id is not None
    assert last.last_id is not None
    assert ids == list(range(last.first_id, last.last_id + 1))
    assert last.exchange_gaps is None


async def test_what_rest_does_not_reach_comes_from_the_archives_and_the_rest_over_rest(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start, yesterday = now - timedelta(days=33), now.replace(hour=0) - timedelta(days=1)
    driver = driver_of(
        kafka_broker, market="um", type="api_open_interest_5m", time_range=f"{start.isoformat()}/{now.isoformat()}"
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 1_000)
        job.process.kill()
        await job.exit_code()
    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    ids = await ids_on(driver)
    assert sorted(set(ids)) == list(range(ms(start), ms(now), STEP_MS))
    assert len(ids) - len(set(ids)) <= 288, "a day's file is one chunk"
    *events, last = await driver.events()
    assert last.exchange_gaps is None
    plan = next(event.message for event in events if event.status is TaskStatus.LOADING)
    assert f"from {start:%Y-%m-%dT%H:%M:%SZ} 32 files of the archive" in plan
    assert f"from {yesterday:%Y-%m-%dT%H:%M:%SZ} over REST, 4 pages at once: " in plan
    requests = await ask(simulated_exchange, "/_sim/requests")
    asked = [dict(parse_qsl(it["query"])) for it in requests if it["path"] == "/futures/data/openInterestHist"]
    assert min(int(query["startTime"]) for query in asked) == ms(yesterday)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@pytest.mark.parametrize(("choice", "path"), [("dump", "/data/"), ("rest", "/api/"), ("auto", "/api/")])
async def test_the_request_may_choose_the_source(
    kafka_broker: Broker, simulated_exchange: str, log: Path, choice: str, path: str
) -> None:
    driver = driver_of(kafka_broker, type="api_candles_5m", options={"source": choice})
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    assert await ids_on(driver) == list(range(AUGUST_2024_MS, AUGUST_2024_MS + 3 * DAY_MS, STEP_MS))
    assert {it["path"][: len(path)] for it in await ask(simulated_exchange, "/_sim/requests")} == {path}


async def test_a_file_that_nothing_stands_in_for_is_a_gap(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    await plan_faults(
        simulated_exchange, {"path": f"{UM}/daily/metrics/*-08-02.zip*", "kind": "missing_file", "count": 1_000}
    )
    driver = driver_of(kafka_broker, market="um", type="dump_open_interest_5m")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    last = (await driver.events())[-1]
    [gap] = last.exchange_gaps or ()
    # Of 2 August the midnight is in the file of the day before.
    assert (gap.start, gap.end, gap.missing) == (
        AUGUST_2024_MS + DAY_MS + STEP_MS,
        AUGUST_2024_MS + 2 * DAY_MS + STEP_MS,
        288,
    )
    assert "which lacks 1" in last.message
    assert len(await ids_on(driver)) == 3 * 288 - 288


async def test_funding_is_loaded_from_the_months_that_are_out_and_over_rest(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    await plan_faults(
        simulated_exchange, {"path": f"{UM}/monthly/*-2024-08.zip*", "kind": "missing_file", "count": 1_000}
    )
    driver = driver_of(kafka_broker, market="um", type="dump_funding_rate", time_range="2024-07-30:2024-09-03")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    records = [json.loads(message.value) for message in await driver.read(driver.kafka_topic)]
    due = range(AUGUST_2024_MS - 2 * DAY_MS, AUGUST_2024_MS + 33 * DAY_MS, DAY_MS // 3)
    assert [record["funding_time"] for record in records] == [*due]
    over_rest = {record["funding_time"] for record in records if "mark_price" in record}
    assert over_rest == {at for at in due if AUGUST_2024_MS <= at < AUGUST_2024_MS + 31 * DAY_MS}
    *events, last = await driver.events()
    assert last.exchange_gaps is None
    assert {event.spacing_ms for event in events} == {None, DAY_MS // 3}


@pytest.mark.parametrize("kind", ["wrong_checksum", "corrupt_zip"])
async def test_a_file_that_stays_wrong_ends_the_job_where_nothing_stands_in_and_no_row_of_it_is_used(
    kafka_broker: Broker, simulated_exchange: str, log: Path, kind: str
) -> None:
    spoilt = f"{UM}/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-08-02.zip*"
    await plan_faults(simulated_exchange, {"path": spoilt, "kind": kind, "count": 1_000})
    driver = driver_of(kafka_broker, market="um", type="dump_open_interest_5m")
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await driver.events())[-1]
    assert last.error is not None
    assert (last.error.code, last.finished) == ("archive_corrupt", True)
    assert "BTCUSDT-metrics-2024-08-02.zip" in last.error.detail
    assert set(await ids_on(driver)) <= set(range(AUGUST_2024_MS, AUGUST_2024_MS + DAY_MS + 1, STEP_MS))
    await plan_faults(simulated_exchange)
    driver.attempt = 2
    await driver.tell(CommandKind.START)
    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()
    assert sorted(set(await ids_on(driver))) == list(range(AUGUST_2024_MS, AUGUST_2024_MS + 3 * DAY_MS, STEP_MS))


@pytest.mark.timeout(300)
async def test_after_a_kill_the_job_goes_on_and_repeats_at_most_a_chunk(
    kafka_broker: Broker, simulated_exchange: str, log: Path
) -> None:
    driver = driver_of(
        kafka_broker, symbol="SOLUSDT", type="dump_trades", market="um", time_range="2024-08-01:2024-08-02"
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        await driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 20_000)
        job.process.kill()
        await job.exit_code()
    before = len(await ids_on(driver))
    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    ids = await ids_on(driver)
    *events, last = await driver.events()
    assert {(event.first_id, event.last_id) for event in events} == {(None, None)}, "only all of the files can tell"
    assert last.first_id is not None
    assert last.last_id is not None
    assert sorted(set(ids)) == list(range(last.first_id, last.last_id + 1))
    chunk = 10_000
    assert len(ids) - len(set(ids)) <= chunk
    assert 0 < before < len(set(ids))


@pytest.mark.parametrize(("market", "kind"), [("spot", "agg_trades"), ("spot", "trades"), ("um", "agg_trades")])
async def test_trades_of_a_part_of_a_day_are_those_that_rest_gives(
    kafka_broker: Broker, simulated_exchange: str, log: Path, market: str, kind: str
) -> None:
    driver = driver_of(
        kafka_broker,
        market=market,
        symbol="LTCUSDT",
        type=f"dump_{kind}",
        time_range="2024-08-01T23:00:00Z/2024-08-02T01:00:00.500Z",
    )
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 0, job.log()

    records = [json.loads(message.value) for message in await driver.read(driver.kafka_topic)]
    start, end = AUGUST_2024_MS + DAY_MS - 3_600_000, AUGUST_2024_MS + DAY_MS + 3_600_500
    id_field, time_field = ("a", "T") if kind == "agg_trades" else ("id", "time")
    served = await ask(simulated_exchange, f"/_sim/served?symbol=LTCUSDT&kind={kind}&market=binance:{market}")
    wanted = [it["item"] for it in served if start <= it["item"][time_field] < end]
    ids = [record["agg_trade_id" if kind == "agg_trades" else "trade_id"] for record in records]
    assert ids == [item[id_field] for item in wanted]
    assert [record["price"] for record in records] == [float(item["p" if "p" in item else "price"]) for item in wanted]
    last = (await driver.events())[-1]
    assert (last.first_id, last.last_id, last.exchange_gaps) == (ids[0], ids[-1], None)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"symbol": "NOSUCHUSDT"}, "exchange_refused", "-1121"),
        ({"symbol": "NOSUCHUSDT", "type": "dump_agg_trades"}, "not_in_archive", "NOSUCHUSDT-aggTrades-2024-08-01"),
        ({"market": "um", "type": "dump_agg_trades", "time_range": "2018-01-01:2018-01-02"}, "not_in_archive", "retry"),
        ({"type": "dump_funding_rate"}, "unsupported_dataset", "spot"),
    ],
)
async def test_what_is_not_there_ends_the_job_with_a_reason(
    kafka_broker: Broker, simulated_exchange: str, log: Path, fields: dict[str, object], code: str, words: str
) -> None:
    if fields.get("market") == "um":
        await plan_faults(simulated_exchange, {"path": f"{UM}/*", "kind": "missing_file", "count": 1_000})
    driver = driver_of(kafka_broker, **fields)
    await driver.create_topics()
    await driver.tell(CommandKind.START)

    async with driver.job(log, **addresses(simulated_exchange)) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await driver.events())[-1]
    assert last.error is not None
    assert last.error.code == code
    assert words in last.error.detail
    assert await driver.read(driver.kafka_topic) == []
