"""How much of the database's own pace the connector reaches, and how much of its own pace with it."""

import asyncio
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
from confluent_kafka import Producer

from bench import stage
from bench.connector_sides import Given
from bench.market import fetch_pages, make_records, save_pages, start_command
from bench.results import Figure, Section
from bench.rounds import Measured, run_rounds
from bench.sides import run_side
from streamforge_common.arango.database import ensure_database
from streamforge_common.kafka.topics import Topics
from streamforge_common.settings import ArangoSettings, KafkaSettings

_HOW = (
    "Candles on a topic, stored by the connector's own code (`RecordReader`, `Storing`, `RecordStore`) in an "
    "empty collection of arangolite with the connector's indexes, `waitForSync`. **bare loop**: posts the same "
    "JSON lines from memory to `/_api/import`, in batches of the same size, two at a time as the connector does. "
    "**counted**: the connector against a server that only counts lines. The first batch of each run does not "
    "count."
)


class Target:
    """A topic full of records, and a database to store them in."""

    def __init__(
        self, bootstrap_servers: str, database: ArangoSettings, pages: Path, records: list[tuple[bytes, bytes]]
    ) -> None:
        """Fill a topic.

        Args:
            bootstrap_servers: Of the broker.
            database: It exists.
            pages: The file with the pages.
            records: What the loader makes of them.
        """
        self._database = database
        self._login = (database.arango_username, database.arango_password.get_secret_value())
        self._given = Given(
            bootstrap_servers=bootstrap_servers,
            pages=str(pages),
            topic=asyncio.run(_make_topic(bootstrap_servers)),
            records=len(records),
            arango_url=database.arango_url,
            arango_database=database.arango_database,
            arango_username=self._login[0],
            arango_password=self._login[1],
            import_url=database.arango_url,
            collection="",
        )
        _fill(bootstrap_servers, self._given.topic, records)

    def run(self, side: str, import_url: str | None = None) -> Measured:
        """Store all of it in a new collection, or send it elsewhere."""
        given = msgspec.structs.replace(
            self._given, import_url=import_url or self._given.arango_url, collection=f"bench_{uuid4().hex}"
        )
        told = run_side("bench.connector_sides", side, given)
        self._drop(given.collection, expected=0 if import_url else given.records)
        return told

    def _drop(self, collection: str, *, expected: int) -> None:
        """Drop a collection, after making sure that it holds what it should."""
        url = f"{self._database.arango_url}/_db/{self._database.arango_database}/_api/collection/{collection}"
        with httpx.Client(auth=self._login, trust_env=False, timeout=60.0) as http:
            stored = http.get(f"{url}/count").raise_for_status().json()["count"]
            assert stored == expected, f"{stored} documents instead of {expected}"
            http.delete(url).raise_for_status()


def sections(folder: Path, quick: bool) -> list[Section]:
    """Measure it."""
    pages, rounds = (60, 3) if quick else (300, 7)
    path = folder / "pages"
    with stage.exchange(folder) as exchange:
        bodies = fetch_pages(exchange.url, pages)
    save_pages(bodies, path)
    with (
        stage.broker(folder) as bootstrap_servers,
        stage.arangolite(folder) as database,
        stage.counting_server(folder) as counting,
    ):
        settings = stage.arango_settings(database.url)
        asyncio.run(ensure_database(settings))
        target = Target(bootstrap_servers, settings, path, make_records(bodies))
        told = run_rounds(
            {
                "connector": lambda: target.run("connector"),
                "bare": lambda: target.run("bare"),
                "counted": lambda: target.run("connector", counting.url),
            },
            rounds,
        )
    wall, cpu = "records_per_s", "records_per_cpu_s"
    figures = [
        Figure("**connector / bare loop, wall time**", told.ratio("connector", "bare", wall), at_least=0.8),
        Figure("**connector / connector that is counted**", told.ratio("connector", "counted", wall), at_least=0.5),
        Figure("connector", told.value("connector", wall), "records/s"),
        Figure("bare loop", told.value("bare", wall), "records/s"),
        Figure("connector that is counted", told.value("counted", wall), "records/s"),
        Figure("connector", told.value("connector", cpu), "records per CPU second"),
        Figure("records a batch", told.value("connector", "records_per_batch")),
    ]
    return [Section("Connector: topic to documents on disk", _HOW, figures)]


async def _make_topic(bootstrap_servers: str) -> str:
    topic = start_command("loader-producer", 1).kafka_topic
    async with Topics(KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)) as topics:
        await topics.ensure(topic, 1, {})
    return topic


def _fill(bootstrap_servers: str, topic: str, records: list[tuple[bytes, bytes]]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "compression.type": "zstd",
            # Batches as the loader makes them.
            "batch.size": 512 * 1024,
            "linger.ms": 50,
            "queue.buffering.max.messages": 2_000_000,
        }
    )
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(120) == 0
