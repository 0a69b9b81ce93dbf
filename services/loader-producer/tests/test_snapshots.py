"""Order books of the moment, one for each run, between a real broker and the simulated exchanges."""

import json
import secrets
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamforge_common.contract.commands import CommandKind
from streamforge_common.contract.events import TaskStatus
from streamforge_common.testing import TaskDriver
from streamforge_local.kafka.broker import Broker

NAMES = ("BINANCE_SPOT_REST_URL", "BINANCE_FUTURES_REST_URL", "BYBIT_REST_URL")


async def served(exchange: str, market: str) -> list[Any]:
    """The books that the exchange has answered with, each with its id and its sides."""
    query = {"market": market, "kind": "depth_snapshot"}
    async with aiohttp.ClientSession() as session, session.get(f"{exchange}/_sim/served", params=query) as response:
        items = [json.loads(line)["item"] for line in (await response.text()).splitlines()]
    if market.startswith("bybit:"):
        results = [item["result"] for item in items]
        return [(result["u"], result["b"], result["a"]) for result in results]
    return [(item["lastUpdateId"], item["bids"], item["asks"]) for item in items]


@pytest.mark.parametrize(
    ("exchange", "market", "options", "limit", "path"),
    [
        ("binance", "spot", {"limit": 300}, 300, "/api/v3/depth"),
        ("bybit", "linear", {}, 100, "/v5/market/orderbook"),
    ],
)
async def test_one_book_is_loaded_whatever_the_exchange_does_first(
    kafka_broker: Broker,
    simulated_exchange: str,
    tmp_path: Path,
    exchange: str,
    market: str,
    options: dict[str, int],
    limit: int,
    path: str,
) -> None:
    fields = {"exchange": exchange, "market": market, "symbol": "BTCUSDT", "type": "api_depth_snapshot"}
    suffix = secrets.token_hex(3)
    driver = TaskDriver(kafka_broker.bootstrap_servers, "loader-producer", suffix, **fields, options=options)
    await driver.create_topics()
    await driver.tell(CommandKind.START)
    faults = [{"path": path, "kind": kind} for kind in ("truncated_json", "503", "html")]
    async with aiohttp.ClientSession() as session, session.put(f"{simulated_exchange}/_sim/faults", json=faults):
        pass
    addresses = dict.fromkeys(NAMES, simulated_exchange)
    # A restart finds it on the topic.
    for _ in range(2):
        async with driver.job(tmp_path / "log", **addresses) as job:
            assert await job.exit_code() == 0, job.log()

    (message,) = await driver.read(driver.kafka_topic)
    record = json.loads(message.value)
    truth = (await served(simulated_exchange, f"{exchange}:{market}"))[-1]
    levels = [[[float(price), float(quantity)] for price, quantity in side] for side in truth[1:]]
    assert [record["update_id"], record["bids"], record["asks"]] == [truth[0], *levels]
    assert (record["limit"], len(record["bids"])) == (limit, len(truth[1]))
    assert record["_key"] == f"{exchange}:{market}:BTCUSDT:depth_snapshot:{record['update_id']}-{limit}"
    assert message.key.decode() == f"{exchange}:{market}:BTCUSDT:depth_snapshot"
    assert ("receipt_time" in record) == (market == "spot" and exchange == "binance")
    last = (await driver.events())[-1]
    assert (last.status, last.records_written, last.end_offsets) == (TaskStatus.COMPLETED, 1, {"0": 1})
