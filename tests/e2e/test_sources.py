"""One range from the archives, over REST and live: in whatever order they come, the same documents are left.

Recorded live trades, and the same as lines of a file and rows of an answer: each read by the parser of its source and
stored by the connector's own code as its source has it.
"""

import asyncio
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arango.database import StandardDatabase

from arango_connector.adapters.database import RecordStore
from arango_connector.app.batches import Sorting
from arango_connector.app.dataset import Dataset
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.records import Headers, Record, RecordMessage
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS, STREAM_MARKETS
from streamforge_common.exchanges.archives import LineReader, Period
from streamforge_common.exchanges.streams import Pushed
from streamforge_common.settings import ArangoSettings
from tests.e2e.conftest import read_documents
from tests.embedded.platform import EmbeddedPlatform

CAPTURE = Path(__file__).parents[3] / "shared/data/binance-ws-2024-08/btcusdt_20240808.gz"
DAY = Period(1_723_075_200_000, 1_723_161_600_000, is_month=False)
TRADES = 2_000


@dataclass(frozen=True)
class Message:
    value: bytes
    offset: int
    partition: int = 0
    headers: Headers = ()


def captured() -> Iterator[bytes]:
    """The messages of single trades, as they were pushed."""
    if not CAPTURE.exists():
        pytest.skip("the recorded connections in ../shared/data are not here")
    read = STREAM_MARKETS["binance", "spot"].read
    with gzip.open(CAPTURE, "rb") as lines:
        for line in lines:
            _, _, frame = line.partition(b" ")
            if b'"stream"' in frame and isinstance(pushed := read(frame), Pushed) and pushed.stream == "btcusdt@trade":
                yield pushed.message


@pytest.fixture(scope="module")
def by_source() -> dict[str, Sequence[Record]]:
    """The same trades as each source gives them; live ones lack what the exchange does not push, the volume."""
    messages = [message for _, message in zip(range(TRADES), captured(), strict=False)]
    stream = STREAM_MARKETS["binance", "spot"].streams["trades"]
    rows = [
        {
            "id": told["t"],
            "price": told["p"],
            "qty": told["q"],
            "quoteQty": f"{float(told['p']) * float(told['q']):.8f}",
            "time": told["T"],
            "isBuyerMaker": told["m"],
            "isBestMatch": told["M"],
        }
        for told in map(json.loads, messages)
    ]
    lines = "".join(",".join(map(str, row.values())) + "\n" for row in rows).encode()
    archive = ARCHIVE_MARKETS["binance", "spot"].archives["trades"]
    return {
        "ws": [record for message in messages for record in stream.parse(message, "BTCUSDT", 0).records],
        "api": REST_MARKETS["binance", "spot"].histories["trades"].parse(json.dumps(rows).encode(), "BTCUSDT"),
        "dump": LineReader(archive, "BTCUSDT", DAY, lines).read(lines).records,
    }


def dataset_of(source: str, collection: str) -> Dataset:
    identity = {"queue_id": "wf-a-20240808-a1b2c3", "telemetry_id": "arango-connector__a1b2c3"}
    return Dataset.of(
        Command(
            command=CommandKind.START,
            target="arango-connector",
            **identity,
            attempt=1,
            exchange="binance",
            market="spot",
            symbol="BTCUSDT",
            type=f"{source}_trades",
            time_range="" if source == "ws" else "2024-08-08:2024-08-09",
            collection_name=collection,
            timestamp=0.0,
        )
    )


async def store(
    settings: ArangoSettings, database: StandardDatabase, dataset: Dataset, records: Sequence[Record]
) -> None:
    messages: list[RecordMessage] = [Message(msgspec.json.encode(it), at) for at, it in enumerate(records)]
    sorting = Sorting(dataset)
    sorting.add(messages)
    batch = sorting.batch()
    assert (batch.rejected, batch.out_of_range) == ([], 0)
    patience: dict[str, Any] = {"outage_seconds": 60, "is_ending": lambda: False}
    async with RecordStore(settings, database, dataset, **patience) as collected:
        await collected.store(batch.documents)


@pytest.mark.parametrize("order", [*permutations(("ws", "api", "dump"))], ids="-".join)
def test_any_order_of_sources_leaves_the_same_documents_with_all_that_any_source_gave(
    platform: EmbeddedPlatform, database: StandardDatabase, by_source: dict[str, Sequence[Record]], order: tuple[str]
) -> None:
    names = "arango_url", "arango_database", "arango_username", "arango_password"
    settings = ArangoSettings.model_validate({name: platform.info[name] for name in names})
    collection = f"sources_{'_'.join(order)}"

    async def store_all() -> None:
        for source in order:
            await store(settings, database, dataset_of(source, collection), by_source[source])

    asyncio.run(store_all())

    wanted: dict[str, dict[str, Any]] = {}
    for records in by_source.values():
        assert len(records) == TRADES
        for record in records:
            fields = msgspec.json.decode(msgspec.json.encode(record))
            wanted[fields["_key"]] = {**wanted.get(fields["_key"], {}), **fields}
    assert len(wanted) == TRADES
    assert all("quote_quantity" in document for document in wanted.values())
    assert read_documents(database, collection) == wanted
