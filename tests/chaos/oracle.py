"""What must hold when all is over: served by the exchange = stored + rejected, and no trace of the trouble.

The two ends are compared without the services' code: the exchange's ledger on one side, the database's HTTP API on
the other, and between them a conversion of our own.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.arena import KIND, MINUTE_MS, Arena, Order
from tests.embedded.offsets import ends_and_places
from tests.embedded.processes import processes_of
from tests.embedded.workflows import Document

_FIELDS = ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades")
_TAKER_FIELDS = ("taker_buy_volume", "taker_buy_quote_volume")
_INTEGERS = frozenset({"open_time", "close_time", "trades"})
_ANSWER_WITHIN_S = 60.0
_GONE_WITHIN_S = 10.0
_SHOWN = 3
"""Keys named in a finding."""


@dataclass(frozen=True)
class Expectation:
    """What a kind of fault leaves behind rightly."""

    rejected: frozenset[str] = frozenset()
    """Keys of documents that the database was told to refuse."""
    killed: frozenset[str] = frozenset()
    """Components that the fault kills; every other has to live through it."""
    writers_after_the_end: bool = False
    """Whether a loader that nobody waits for goes on writing to the topic."""


def find_faults(
    arena: Arena, orders: Sequence[Order], ended: Sequence[Document], expectation: Expectation
) -> list[str]:
    """Return what is wrong, one sentence each; empty where everything holds."""
    return [
        f"{document['queue_id']}: {finding}"
        for order, document in zip(orders, ended, strict=True)
        for finding in _of_workflow(arena, order, document, expectation)
    ]


def _of_workflow(arena: Arena, order: Order, document: Document, expectation: Expectation) -> Iterator[str]:
    if document["status"] != "completed":
        yield f"ended {document['status']}: {document['error']}"
        return
    trail = arena.workflows.audit_trail(document["queue_id"])
    yield from _of_trail(trail)
    yield from _of_jobs(arena, document)
    yield from _of_drain(arena, document, trail, expectation)
    rejected = _rejected_keys(arena, document)
    served = _served(arena, order)
    yield from _of_quality(arena, order, document, served.keys(), rejected, expectation)
    stored = _stored(arena, document["datasets"][0]["collection_name"])
    yield from _of_records(order, served, stored, rejected)


def _of_trail(trail: Sequence[Document]) -> Iterator[str]:
    numbers = [item["seq"] for item in trail]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the audit trail has holes or repeats: {numbers}"
    events = Counter(json.dumps(item["data"], sort_keys=True) for item in trail if item["kind"] == "event")
    if twice := [event for event, times in events.items() if times > 1]:
        yield f"{len(twice)} events are in the audit trail more than once, e.g. {twice[0]}"
    statuses = [item["data"]["status"] for item in trail if item["kind"] == "status" and "status" in item["data"]]
    if statuses.count("completed") != 1 or statuses[-1] != "completed":
        yield f"the statuses went {statuses}"


def _of_jobs(arena: Arena, document: Document) -> Iterator[str]:
    """A job may still be on its last lines when its workflow is seen to be completed, but not for long."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    while True:
        left = [each.command for each in processes_of(arena.home) if each.is_job_of == document["queue_id"]]
        if not left:
            return
        if time.monotonic() > deadline:
            yield f"processes of it live on: {left}"
            return
        time.sleep(0.1)


def _of_drain(arena: Arena, document: Document, trail: Sequence[Document], expectation: Expectation) -> Iterator[str]:
    group = next(task["telemetry_id"] for task in document["tasks"] if task["target"] == "arango-connector")
    broker = arena.platform.info["kafka_bootstrap_servers"]
    ends, places = ends_and_places(broker, document["datasets"][0]["kafka_topic"], group)
    drains = [item["data"] for item in trail if item["kind"] == "command" and item["data"]["command"] == "drain"]
    if not drains:
        yield "no drain is in the audit trail"
        return
    told = drains[-1]["end_offsets"]
    if any(places.get(int(partition), 0) < end for partition, end in told.items()):
        yield f"completed at {places}, before the end {told}"
    if places != ends and not expectation.writers_after_the_end:
        yield f"the connector's place is {places}, the topic ends at {ends}"


def _of_quality(
    arena: Arena,
    order: Order,
    document: Document,
    served: Set[str],
    rejected: frozenset[str],
    expectation: Expectation,
) -> Iterator[str]:
    """The report must say what is so: what was never served is a gap of the exchange, and nothing else is missing."""
    quality = arena.workflows.find(document["queue_id"], "/quality")
    (dataset,) = quality["datasets"]
    keys = order.keys(served)
    ours = expectation.rejected & keys
    stored = len(keys & served) - len(ours)
    wanted = ("incomplete" if ours else "complete", len(keys), stored, len(ours))
    told = (quality["verdict"], dataset["expected"], dataset["stored"], dataset["rejected"])
    if told != wanted or rejected != ours:
        yield f"quality says {told}, wanted {wanted}; rejected are {sorted(rejected)[:_SHOWN]}"
    for cause, missing in (("exchange", keys - served), ("unexplained", ours)):
        if (gaps := _keys_of_gaps(order, dataset["gaps"], cause)) != missing:
            yield f"gaps with cause {cause} hold {len(gaps)} records, wanted {len(missing)}"


def _keys_of_gaps(order: Order, gaps: Sequence[Document], cause: str) -> set[str]:
    return {key for gap in gaps if gap["cause"] == cause for key in order.keys_between(gap["from"], gap["to"])}


def _of_records(
    order: Order, served: Mapping[str, Document], stored: Mapping[str, Document], rejected: frozenset[str]
) -> Iterator[str]:
    for what, keys in (
        ("served and neither stored nor rejected", served.keys() - stored.keys() - rejected),
        ("stored and never served", stored.keys() - served.keys()),
        ("both stored and rejected", stored.keys() & rejected),
        ("served although not of the range", served.keys() - order.keys(served.keys())),
        ("stored otherwise than served", {key for key in served.keys() & stored.keys() if served[key] != stored[key]}),
    ):
        if keys:
            yield f"{len(keys)} {what}, e.g. {sorted(keys)[:_SHOWN]}"


def _served(arena: Arena, order: Order) -> dict[str, Document]:
    """Return what the exchange says it gave, as documents, by `_key`."""
    query = {"symbol": order.symbol, "kind": order.kind}
    documents = {}
    with httpx.stream(
        "GET", f"{arena.platform.exchange_url}/_sim/served", params=query, timeout=_ANSWER_WITHIN_S
    ) as lines:
        for line in lines.iter_lines():
            document = _DOCUMENTS[order.kind](order.symbol, json.loads(line)["item"])
            documents[document["_key"]] = document
    return documents


def _trade_document(symbol: str, row: Mapping[str, Any]) -> Document:
    return {
        "_key": f"binance:spot:{symbol}:trades:{row['id']}",
        "exchange": "binance",
        "market": "spot",
        "symbol": symbol,
        "type": "trades",
        "trade_id": row["id"],
        "price": float(row["price"]),
        "quantity": float(row["qty"]),
        "quote_quantity": float(row["quoteQty"]),
        "trade_time": row["time"],
        "is_buyer_maker": row["isBuyerMaker"],
    }


def _candle_document(symbol: str, row: Sequence[Any]) -> Document:
    values = dict(zip(_FIELDS, row[:9], strict=True)) | dict(zip(_TAKER_FIELDS, row[9:11], strict=True))
    numbers = {field: int(value) if field in _INTEGERS else float(value) for field, value in values.items()}
    identity = {"exchange": "binance", "market": "spot", "symbol": symbol, "type": KIND}
    assert numbers["close_time"] == numbers["open_time"] + MINUTE_MS - 1
    return {"_key": f"binance:spot:{symbol}:{KIND}:{numbers['open_time']}", **identity, **numbers}


_DOCUMENTS: Mapping[str, Callable[[str, Any], Document]] = {KIND: _candle_document, "trades": _trade_document}
"""Kind to how a row of the exchange is stored."""


def _stored(arena: Arena, collection: str) -> dict[str, Document]:
    aql = "FOR record IN @@collection RETURN UNSET(record, '_id', '_rev')"
    return {document["_key"]: document for document in query(arena, aql, {"@collection": collection})}


def _rejected_keys(arena: Arena, document: Document) -> frozenset[str]:
    """Return the `_key` of every rejected record; all of them are records here, as the exchange sends no other."""
    # Before the first reject of a platform the collection may not be there.
    aql = "FOR record IN rejected_records FILTER record.queue_id == @queue_id RETURN record.value"
    values = query(arena, aql, {"queue_id": document["queue_id"]})
    return frozenset(json.loads(value)["_key"] for value in values)


def query(arena: Arena, aql: str, bind: Document) -> list[Any]:
    """Ask the database over its HTTP API."""
    url, login = arena.database
    url = f"{url}/_db/{arena.platform.info['arango_database']}/_api/cursor"
    with httpx.Client(auth=login, timeout=_ANSWER_WITHIN_S) as http:
        answer = _checked(http.post(url, json={"query": aql, "bindVars": bind, "batchSize": 5_000}))
        result: list[Any] = answer["result"]
        while answer["hasMore"]:
            answer = _checked(http.post(f"{url}/{answer['id']}"))
            result += answer["result"]
        return result


def _checked(answer: httpx.Response) -> Document:
    assert answer.status_code in (200, 201), answer.text
    body: Document = answer.json()
    return body
