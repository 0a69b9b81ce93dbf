"""What of a batch is a document, what a repetition, what is rejected and why."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from arango_connector.app.dataset import Dataset
from streamforge_common.contract.records import REJECTED_HEADER, SYMBOL_HEADER, RecordMessage
from streamforge_common.errors import RejectedRecordError


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that does not become a document."""

    message: RecordMessage
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What the messages of a batch come to."""

    messages: Sequence[RecordMessage]
    """All of them, to be acknowledged together."""
    by_key: Mapping[str, RecordMessage]
    """One message for each `_key`, in the order in which the keys appeared."""
    rejected: Sequence[Rejected]
    repeated: int
    """Messages whose `_key` another one of this batch carries too."""
    out_of_range: int
    """Records, repetitions included, whose time is outside of the dataset's range; they are stored all the same."""

    @property
    def documents(self) -> Sequence[RecordMessage]:
        """Return the messages to be stored."""
        return list(self.by_key.values())

    def shares_keys(self, other: "Batch") -> bool:
        """Say whether both have a message for the same document."""
        return not self.by_key.keys().isdisjoint(other.by_key)


class Sorting:
    """Checks each message once and takes each `_key` once, as an import may name it only once."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._messages: list[RecordMessage] = []
        self._by_key: dict[str, RecordMessage] = {}
        self._rejected: list[Rejected] = []
        self._out_of_range = 0

    def __len__(self) -> int:
        """Count the messages so far."""
        return len(self._messages)

    def add(self, messages: Sequence[RecordMessage]) -> None:
        """Sort the next messages of the batch."""
        dataset, by_key = self._dataset, self._by_key
        check, time_of, time_range = dataset.check.check, dataset.kind.time_of, dataset.time_range
        self._messages += messages
        for message in messages:
            try:
                if message.headers and (reason := _header(message, REJECTED_HEADER)) is not None:
                    raise RejectedRecordError(reason)
                record = check(message.value or b"")
            except RejectedRecordError as exc:
                self._rejected.append(Rejected(message, str(exc)))
                continue
            if time_range is not None and not time_range.start_ms <= time_of(record) < time_range.end_ms:
                self._out_of_range += 1
            key = record.key
            if not (dataset.first_wins and key in by_key):
                by_key[key] = message

    def batch(self) -> Batch:
        """Return what they come to."""
        repeated = len(self._messages) - len(self._by_key) - len(self._rejected)
        return Batch(self._messages, self._by_key, self._rejected, repeated, self._out_of_range)


def _header(message: RecordMessage, wanted: str) -> str | None:
    return next((value.decode(errors="replace") for name, value in message.headers if name == wanted), None)


def document_line(message: RecordMessage) -> bytes:
    """Return a checked message's value as one line; line breaks in JSON are never part of a string."""
    value = message.value or b""
    return value.replace(b"\n", b" ") if b"\n" in value else value


class _RejectedDocument(msgspec.Struct, rename={"key": "_key"}):
    """A document of `rejected_records` (contract section 7)."""

    key: str
    queue_id: str
    reason: str
    topic: str
    partition: int
    offset: int
    at: datetime
    value: str | None
    value_encoding: str
    """`utf-8`, or `base64` where the value is not."""
    symbol: str | msgspec.UnsetType = msgspec.UNSET
    """Of a basket, where its loader has refused it: whose it is."""


def rejected_line(rejected: Rejected, dataset: Dataset, at: datetime) -> bytes:
    """Return the document that keeps a rejected message; its `_key` is the message's place, so it is kept once."""
    message = rejected.message
    value, encoding = _as_text(message.value)
    document = _RejectedDocument(
        key=f"{dataset.suffix}-{message.partition}-{message.offset}",
        queue_id=dataset.queue_id,
        reason=rejected.reason,
        topic=dataset.kafka_topic,
        partition=message.partition,
        offset=message.offset,
        at=at,
        value=value,
        value_encoding=encoding,
        symbol=_header(message, SYMBOL_HEADER) or msgspec.UNSET,
    )
    return msgspec.json.encode(document)


def _as_text(value: bytes | None) -> tuple[str | None, str]:
    if value is None:
        return None, "utf-8"
    try:
        return value.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(value).decode(), "base64"
