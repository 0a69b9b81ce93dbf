import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arango_connector.app.batches import Batch, Rejected, Sorting, document_line, rejected_line
from arango_connector.app.dataset import Dataset
from streamforge_common.contract.commands import Command, CommandKind
from streamforge_common.contract.records import Headers
from streamforge_common.errors import FatalError

START_MS, STEP_MS = 1_483_228_800_000, 300_000


@dataclass(frozen=True)
class Message:
    value: bytes | None
    offset: int = 0
    partition: int = 0
    headers: Headers = ()


def dataset(data_type: str = "api_candles_5m") -> Dataset:
    return Dataset.of(
        Command(
            command=CommandKind.START,
            queue_id="wf-btcusdt-api_candles_5m-20240801-a1b2c3",
            target="arango-connector",
            telemetry_id="arango-connector__a1b2c3",
            attempt=1,
            exchange="binance",
            market="spot",
            symbol="BTCUSDT",
            type=data_type,
            time_range="2017-01-01T00:00:00Z/2017-01-01T00:15:00Z",
            kafka_topic="wf-btcusdt-api_candles_5m-20240801-a1b2c3-data",
            collection_name="btcusdt",
            timestamp=1.0,
        )
    )


def candle(index: int, close: float, *, pretty: bool = False) -> bytes:
    open_time = START_MS + index * STEP_MS
    record = {
        "_key": f"binance:spot:BTCUSDT:candles_5m:{open_time}",
        "exchange": "binance",
        "market": "spot",
        "symbol": "BTCUSDT",
        "type": "candles_5m",
        "open_time": open_time,
        "close_time": open_time + STEP_MS - 1,
        **dict.fromkeys(("open", "high", "low", "volume"), 1.0),
        "close": close,
    }
    return json.dumps(record, indent=2 if pretty else None).encode()


def sort_batch(messages: list[Message], dataset: Dataset, part: int = 1) -> Batch:
    sorting = Sorting(dataset)
    for first in range(0, len(messages), part):
        sorting.add(messages[first : first + part])
    assert len(sorting) == len(messages)
    return sorting.batch()


inputs = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 9)) | st.binary(max_size=5))


@given(inputs, st.booleans(), st.integers(1, 4))
def test_each_message_is_a_document_a_repetition_or_rejected(
    items: list[tuple[int, float] | bytes], live: bool, part: int
) -> None:
    messages = [Message(it if isinstance(it, bytes) else candle(*it), offset) for offset, it in enumerate(items)]
    batch = sort_batch(messages, dataset("ws_candles_5m" if live else "api_candles_5m"), part)

    wins: dict[int, Message] = {}
    for message, it in zip(messages, items, strict=True):
        if not isinstance(it, bytes) and not (live and it[0] in wins):
            wins[it[0]] = message
    assert list(batch.documents) == list(wins.values())
    assert [it.message for it in batch.rejected] == [
        m for m, it in zip(messages, items, strict=True) if isinstance(it, bytes)
    ]
    assert len(batch.documents) + len(batch.rejected) + batch.repeated == len(messages)
    behind_the_range = [it for it in items if not isinstance(it, bytes) and it[0] >= 3]
    assert batch.out_of_range == (0 if live else len(behind_the_range))


def test_what_the_loader_refused_is_rejected_with_its_reason_though_it_looks_like_a_record() -> None:
    message = Message(candle(0, 1.0), headers=[("receipt_time_ms", b"1"), ("rejected", b"off the grid \xff")])
    [rejected] = sort_batch([message], dataset()).rejected
    assert rejected.reason == "off the grid \ufffd"


def test_a_record_over_several_lines_becomes_one() -> None:
    line = document_line(Message(candle(3, 1.5, pretty=True)))
    assert b"\n" not in line
    assert json.loads(line) == json.loads(candle(3, 1.5))


@given(st.none() | st.binary())
def test_a_rejected_value_can_be_had_back_byte_for_byte(value: bytes | None) -> None:
    rejected = Rejected(Message(value, offset=12, partition=3), "why")
    document = json.loads(rejected_line(rejected, dataset(), datetime(2024, 8, 1, 12, tzinfo=UTC)))
    kept = document.pop("value")
    encoding = document.pop("value_encoding")
    assert (base64.b64decode(kept) if encoding == "base64" else kept if kept is None else kept.encode()) == value
    assert document == {
        "_key": "a1b2c3-3-12",
        "queue_id": "wf-btcusdt-api_candles_5m-20240801-a1b2c3",
        "reason": "why",
        "topic": "wf-btcusdt-api_candles_5m-20240801-a1b2c3-data",
        "partition": 3,
        "offset": 12,
        "at": "2024-08-01T12:00:00Z",
    }


@pytest.mark.parametrize("data_type", ["", "candles_5m", "api_candles_7m", "api_prophecies"])
def test_a_type_that_is_not_known_is_refused_for_good(data_type: str) -> None:
    with pytest.raises(FatalError) as refused:
        dataset(data_type)
    assert refused.value.code == "unsupported_dataset"
