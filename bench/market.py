"""The market data that everything is measured with: minute candles of exchange-sim's simulated market.

Pages are the very bytes that the exchange answers, records the very bytes that the loader makes of them.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from uuid import uuid4

import httpx
import msgspec

from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.data_types import DataType
from streamforge_common.exchanges.binance import SPOT
from streamforge_common.exchanges.rest import Request
from streamforge_common.ids import QueueId, make_data_topic, make_telemetry_id
from streamforge_common.settings import JobSettings

SYMBOL, TYPE = "BTCUSDT", "api_candles_1m"
INTERVAL = DataType.parse(TYPE).interval
HISTORY = SPOT.histories[DataType.parse(TYPE).kind]
PAGE = HISTORY.page_size
_START = datetime(2021, 1, 1, tzinfo=UTC)

_encode = msgspec.json.Encoder().encode


def range_of(records: int) -> str:
    """Return the time range that has so many records."""
    end = _START + timedelta(minutes=records)
    return f"{_START:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"


def page_request(number: int) -> Request:
    """Return the request for a page, counted from 0."""
    first_ms = INTERVAL.advance(int(_START.timestamp() * 1000), number * PAGE)
    return HISTORY.request(SYMBOL, first_ms, INTERVAL.advance(first_ms, PAGE - 1))


def fetch_pages(exchange_url: str, count: int) -> list[bytes]:
    """Return so many full pages, oldest first, as the exchange answers them."""
    with httpx.Client(base_url=exchange_url, trust_env=False, timeout=60.0) as http:
        requests = (page_request(number) for number in range(count))
        return [http.get(it.path, params=dict(it.params)).raise_for_status().content for it in requests]


def save_pages(pages: list[bytes], path: Path) -> None:
    """Keep pages for the processes of the sides."""
    path.write_bytes(msgspec.msgpack.encode(pages))


def read_pages(path: str) -> list[bytes]:
    """Read what `save_pages` has kept."""
    return msgspec.msgpack.decode(Path(path).read_bytes(), type=list[bytes])


def make_records(pages: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the (key, value) pairs that the loader publishes for these pages."""
    candles = (candle for page in pages for candle in HISTORY.parse(page, SYMBOL))
    return [(candle.key.encode(), _encode(candle)) for candle in candles]


def start_command(target: str, records: int, collection: str = "") -> Command:
    """Return a `start` as queue-manager writes it, of a workflow that nobody else has."""
    suffix = uuid4().hex[:6]
    queue_id = QueueId(f"wf-bench-{suffix}")
    return Command(
        command=CommandKind.START,
        queue_id=queue_id,
        target=target,
        telemetry_id=make_telemetry_id(target, suffix),
        attempt=1,
        exchange=SPOT.exchange,
        market=SPOT.market,
        symbol=SYMBOL,
        type=TYPE,
        time_range=range_of(records),
        kafka_topic=make_data_topic(queue_id),
        collection_name=collection,
        timestamp=time(),
    )


def job_settings(start: Command, bootstrap_servers: str) -> JobSettings:
    """Return the environment that the launcher gives to the job of a command."""
    return JobSettings(
        kafka_bootstrap_servers=bootstrap_servers,
        queue_id=start.queue_id,
        target=start.target,
        telemetry_id=start.telemetry_id,
    )
