"""The whole connector as a process, between a real broker and a real embedded database."""

import asyncio
import base64
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from arango.client import ArangoClient
from arango.database import StandardDatabase

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.contract.repair import Repair
from streamforge_common.settings import ArangoSettings
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

START_MS, STEP_MS = 1_657_756_800_000, 300_000
COLLECTION = "btcusdt_api_candles_5m_2022_07_14"


PASSWORD = "the database of these tests"


class Database:
    """A real arangolite process that can be stopped, continued and killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = ArangoSettings()
        self.process: asyncio.subprocess.Process | None = None
        self._port = 0

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "arangolite", "serve", "--port", str(self._port), "--data-dir", str(self._folder)),
            *("--root-password", PASSWORD),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        address = (await self.process.stdout.readline()).decode().split()[-1]
        self._port = int(address.rpartition(":")[2].strip("/"))
        self.settings = ArangoSettings.model_validate(
            {"arango_url": f"http://127.0.0.1:{self._port}", "arango_database": "tests", "arango_password": PASSWORD}
        )

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def client(self, name: str = "tests") -> StandardDatabase:
        return ArangoClient(hosts=self.settings.arango_url).db(name, username="root", password=PASSWORD)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ARANGO_URL": self.settings.arango_url,
            "ARANGO_DATABASE": self.settings.arango_database,
            "ARANGO_PASSWORD": PASSWORD,
        }


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "arango")
    await database.start()
    database.client("_system").create_database("tests")
    yield database
    await database.kill()


def trade(number: int, **changes: object) -> dict[str, Any]:
    return {
        "_key": f"binance:spot:BTCUSDT:agg_trades:{number}",
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "agg_trades",
        "agg_trade_id": number,
        "price": 0.5 + number,
        "quantity": 0.25,
        "first_trade_id": number,
        "last_trade_id": number,
        "trade_time": START_MS + number // 3,
        "is_buyer_maker": number % 2 == 0,
        **changes,
    }


def candle(index: int, **changes: object) -> dict[str, Any]:
    open_time = START_MS + index * STEP_MS
    return {
        "_key": f"binance:spot:BTCUSDT:candles_5m:{open_time}",
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "candles_5m",
        "open_time": open_time,
        "close_time": open_time + STEP_MS - 1,
        "open": 1.0 + index,
        "high": 2.0 + index,
        "low": 0.5 + index,
        "close": 1.5 + index,
        "volume": 100.25,
        **changes,
    }


Message = tuple[bytes | None, list[tuple[str, bytes]]]


def message(value: dict[str, Any] | bytes | None, **headers: bytes) -> Message:
    return (json.dumps(value).encode() if isinstance(value, dict) else value, list(headers.items()))


class Case:
    """One topic, one connector, one collection."""

    def __init__(self, broker: Broker, database: Database, **fields: str) -> None:
        self.suffix = secrets.token_hex(3)
        defaults = {
            "exchange": "binance",
            "market": "spot",
            "symbol": "BTCUSDT",
            "type": "api_candles_5m",
            "time_range": "2022-07-14:2022-09-01",
            "collection_name": COLLECTION,
        }
        self.driver = TaskDriver(broker.bootstrap_servers, "arango-connector", self.suffix, **{**defaults, **fields})
        self.database = database

    async def begin(self, messages: Sequence[Message], *, partitions: int = 1) -> None:
        await self.driver.create_topics(partitions=partitions)
        await self.driver.tell(CommandKind.START)
        await self.publish(messages)

    async def publish(self, messages: Sequence[Message]) -> None:
        servers = self.driver.kafka.kafka_bootstrap_servers
        async with AIOKafkaProducer(bootstrap_servers=servers, max_request_size=4_000_000) as producer:
            sent = [
                await producer.send(self.driver.kafka_topic, value, key=str(at).encode(), headers=headers)
                for at, (value, headers) in enumerate(messages)
            ]
            for future in sent:
                await future

    async def drain(self, *ends: int) -> None:
        await self.driver.tell(CommandKind.DRAIN, dict(enumerate(ends)))

    def job(self, log: Path, **environment: str):
        return self.driver.job(log, **self.database.environment, **environment)

    def stored(self) -> dict[str, dict[str, Any]]:
        documents = self._all(COLLECTION)
        return {it["_key"]: {name: it[name] for name in it if name not in ("_id", "_rev")} for it in documents}

    def rejected(self) -> list[dict[str, Any]]:
        return sorted(self._all("rejected_records"), key=lambda it: it["offset"])

    def _all(self, collection: str) -> list[dict[str, Any]]:
        query = "FOR it IN @@collection RETURN it"
        return list(self.database.client().aql.execute(query, bind_vars={"@collection": collection}))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "connector.log"


async def test_all_records_up_to_the_end_offsets_are_stored_and_the_job_completes(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    candles = [candle(index) for index in range(12_000)]
    await case.begin([message(it) for it in candles])
    await case.drain(12_000)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for it in candles}
    last = (await case.driver.events())[-1]
    assert (last.status, last.finished, last.records_written) == (TaskStatus.COMPLETED, True, 12_000)
    fields = [index["fields"] for index in database.client().collection(COLLECTION).indexes()]
    assert ["exchange", "market", "symbol", "type", "open_time"] in fields
    assert ["open_time"] in fields


async def test_trades_are_stored_and_indexed_by_time_and_by_id(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database, type="api_agg_trades")
    trades = [trade(number) for number in range(3_000)]
    await case.begin([*(message(it) for it in trades), message(trade(7, first_trade_id="7")), message(candle(0))])
    await case.drain(3_002)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for it in trades}
    assert [it["offset"] for it in case.rejected()] == [3_000, 3_001]
    fields = [index["fields"] for index in database.client().collection(COLLECTION).indexes()]
    instrument = ["exchange", "market", "symbol", "type"]
    assert fields[1:] == [[*instrument, "trade_time"], [*instrument, "agg_trade_id"], ["trade_time"]]


async def test_an_empty_topic_completes_once_it_is_known_to_stay_empty(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    await case.begin([], partitions=2)

    async with case.job(log) as job:
        await case.driver.wait_for(TaskStatus.LOADING)
        assert job.process.returncode is None
        await case.drain(0, 0)
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {}


async def test_what_is_no_record_is_kept_with_its_reason_and_the_rest_is_stored(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    poison = [
        (message(b"{not json"), "not a candles_5m record"),
        (message(b'{"_key": "\xff\xfe"}'), "not UTF-8"),
        (message(candle(1, open="12.5")), "Expected `float`"),
        (message(candle(2, symbol="ETHUSDT")), "does not belong"),
        (message(candle(3, _key="a/b")), "_key 'a/b'"),
        (message(None), "not a candles_5m record"),
        (message(b'["refused", "row"]', rejected=b"off the grid"), "off the grid"),
        (message(candle(4, note="x" * 2_000_000, close_time=1)), "close time 1"),
    ]
    good = [candle(index) for index in range(10, 20)]
    await case.begin([*(it for it, _ in poison), *(message(it) for it in good)])
    await case.drain(len(poison) + len(good))

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for it in good}
    rejected = case.rejected()
    assert [it["_key"] for it in rejected] == [f"{case.suffix}-0-{offset}" for offset in range(len(poison))]
    for document, ((value, _), reason) in zip(rejected, poison, strict=True):
        assert reason in document["reason"]
        assert document["queue_id"] == case.driver.queue_id
        assert document["topic"] == case.driver.kafka_topic
        assert document["at"].endswith("Z")
        kept = document["value"]
        if document["value_encoding"] == "base64":
            assert base64.b64decode(kept) == value
        else:
            assert (None if kept is None else kept.encode()) == value


async def test_what_the_database_refuses_is_found_and_the_rest_is_stored(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    # A field that the check does not know is skipped by it, and so are its broken bytes.
    broken = {at: json.dumps(candle(at, note="@@")).encode().replace(b"@@", b"\xff\xfe") for at in (7, 8, 400)}
    candles = [candle(index) for index in range(500)]
    await case.begin([message(broken.get(index, it)) for index, it in enumerate(candles)])
    await case.drain(500)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for index, it in enumerate(candles) if index not in broken}
    rejected = case.rejected()
    assert [it["offset"] for it in rejected] == sorted(broken)
    assert all("database" in it["reason"] or "ArangoDB" in it["reason"] for it in rejected)
    assert [base64.b64decode(it["value"]) for it in rejected] == [broken[at] for at in sorted(broken)]


async def test_history_is_merged_and_the_last_repetition_wins(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    await case.begin([message(candle(0, trades=7)), message(candle(1, close=1.0)), message(candle(1, close=9.0))])
    collection = database.client().create_collection(COLLECTION)
    collection.insert({**candle(0), "note": "from elsewhere"})
    await case.drain(3)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    stored = case.stored()
    assert stored[candle(0)["_key"]] == {**candle(0, trades=7), "note": "from elsewhere"}
    assert stored[candle(1)["_key"]] == candle(1, close=9.0)


async def test_live_records_are_stored_once_and_left_alone(kafka_broker: Broker, database: Database, log: Path) -> None:
    case = Case(kafka_broker, database, type="ws_candles_5m")
    await case.begin([message(candle(0, close=3.0)), message(candle(1, close=1.0)), message(candle(1, close=9.0))])
    database.client().create_collection(COLLECTION).insert(candle(0))
    await case.drain(3)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for it in (candle(0), candle(1, close=1.0))}


async def test_after_a_kill_the_same_records_end_in_the_same_collection(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database, time_range="2022-07-14T00:05:00Z/2022-07-21T00:00:00Z")
    candles = [candle(index) for index in range(8_000)]
    await case.begin([message(it) for it in candles], partitions=2)

    async with case.job(log) as job:
        await case.driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written > 0)
        job.process.kill()
        await job.exit_code()
    ends = [0, 0]
    for it in await case.driver.read(case.driver.kafka_topic):
        ends[it.partition] += 1
    await case.drain(*ends)
    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert case.stored() == {it["_key"]: it for it in candles}
    last = (await case.driver.events())[-1]
    in_range = 7 * 288 - 1
    assert (last.records_written, last.out_of_range) == (8_000, 8_000 - in_range)


async def test_several_instances_share_a_topic_and_lose_nothing_when_they_come_and_go(
    kafka_broker: Broker, database: Database, tmp_path: Path
) -> None:
    """Each of the group's changes falls into the work: one comes, another is told to leave, a third is killed."""
    case = Case(kafka_broker, database, type="ws_agg_trades", time_range="")
    trades = [trade(number) for number in range(12_000)]
    await case.begin([message(it) for it in trades[:6_000]], partitions=4)

    def instance(name: str):
        return case.job(tmp_path / f"{name}.log", INSTANCE=name, STAYS_WHEN_DONE="true", INTERRUPTED_EXIT_CODE="143")

    async with instance("first") as first, instance("second") as second, instance("third") as third:
        # Which of them come first to the partitions nobody knows; one that has stored something is told to leave.
        stored = await case.driver.wait_for(TaskStatus.LOADING, lambda it: it.records_written > 0)
        jobs = {"first": first, "second": second, "third": third}
        leaves = jobs.pop(stored.instance or "")
        (_, killed), (stays, last) = jobs.items()
        await case.publish([message(it) for it in trades[6_000:]])
        leaves.process.send_signal(signal.SIGTERM)
        killed.process.kill()
        ends = [0] * 4
        for it in await case.driver.read(case.driver.kafka_topic):
            ends[it.partition] += 1
        await case.drain(*ends)
        done = await case.driver.wait_for(TaskStatus.COMPLETED)
        assert await leaves.exit_code() == 143, leaves.log()
        assert last.process.returncode is None, "a Deployment would start it again"
        last.process.send_signal(signal.SIGTERM)
        assert await last.exit_code() == 0, last.log()

    assert case.stored() == {it["_key"]: it for it in trades}
    assert (done.instance, done.finished) == (stays, True)
    told = {it.instance: it for it in await case.driver.events()}
    assert told[stored.instance].message.startswith("leaves")


async def test_a_database_that_is_away_for_a_while_is_waited_for(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    await case.begin([message(candle(0))])

    async with case.job(log) as job:
        await case.driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written == 1)
        await database.kill()
        await case.publish([message(candle(1))])
        await case.drain(2)
        await database.start()
        assert await job.exit_code() == 0, job.log()

    assert len(case.stored()) == 2


async def test_sigterm_while_the_database_hangs_ends_the_job_well(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    await case.begin([message(candle(0))])

    async with case.job(log) as job:
        await case.driver.wait_for(TaskStatus.LOADING, lambda event: event.records_written == 1)
        assert database.process is not None
        database.process.send_signal(signal.SIGSTOP)
        await case.publish([message(candle(1))])
        job.process.send_signal(signal.SIGTERM)
        assert await job.exit_code() == 0, job.log()
        database.process.send_signal(signal.SIGCONT)

    assert not any(event.finished for event in await case.driver.events())


async def test_a_pause_takes_nothing_until_it_is_over(kafka_broker: Broker, database: Database, log: Path) -> None:
    case = Case(kafka_broker, database)
    await case.begin([message(candle(0))])
    await case.driver.tell(CommandKind.PAUSE)

    async with case.job(log) as job:
        await case.driver.wait_for(TaskStatus.PAUSED)
        await case.drain(1)
        assert (await case.driver.events())[-1].records_written == 0
        await case.driver.tell(CommandKind.RESUME)
        assert await job.exit_code() == 0, job.log()

    assert len(case.stored()) == 1


async def test_records_that_are_gone_end_the_job_instead_of_being_skipped(
    kafka_broker: Broker, database: Database, log: Path
) -> None:
    case = Case(kafka_broker, database)
    await case.begin([message(candle(index)) for index in range(3)])
    await forget(kafka_broker, case, 2)

    async with case.job(log) as job:
        assert await job.exit_code() == 42, job.log()

    last = (await case.driver.events())[-1]
    assert last.error is not None
    assert (last.error.code, last.error.retryable) == ("data_expired", False)


@pytest.mark.parametrize("left", [1, 0])
async def test_a_repair_goes_on_with_what_the_topic_still_holds(
    kafka_broker: Broker, database: Database, log: Path, left: int
) -> None:
    repair = Repair(number=2, ranges=[(START_MS, START_MS + 1)])
    case = Case(kafka_broker, database, options={"repair": repair.model_dump(mode="json")})
    await case.begin([message(candle(index)) for index in range(3)])
    await forget(kafka_broker, case, 3 - left)
    await case.drain(3)

    async with case.job(log) as job:
        assert await job.exit_code() == 0, job.log()

    assert len(case.stored()) == left


async def forget(broker: Broker, case: Case, before_offset: int) -> None:
    """Let a data topic lose its first records, as its retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(case.driver.kafka_topic, 0): RecordsToDelete(before_offset)})
    await admin.close()
