"""What the `start` command asks for: which records to expect, and where and how to store them."""

from dataclasses import dataclass

from streamforge_common.contract.baskets import basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.kinds import RecordCheck, RecordKind, record_kind
from streamforge_common.contract.repair import Repair
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.ids import TelemetryId, suffix_of


@dataclass(frozen=True, slots=True)
class Dataset:
    """One topic's records and the collection they go to."""

    queue_id: str
    suffix: str
    """Of the task's name; begins the keys of what is rejected."""
    type: str
    kafka_topic: str
    collection: str
    kind: RecordKind
    time_range: TimeRange | None
    """None for live records, and for those of the moment of loading, which are of any time."""
    check: RecordCheck
    first_wins: bool
    """Live records are stored once and left alone; history is merged over what is there (contract section 7). So any
    order of sources ends in the same documents."""
    is_repaired: bool
    """Whether the topic brings what the collection was found to lack: nothing else on it is still needed."""

    @classmethod
    def of(cls, start: Command) -> "Dataset":
        """Read a `start` command.

        Raises:
            FatalError: This connector does not know such records (`unsupported_dataset`).
        """
        try:
            data_type = DataType.parse(start.type)
            kind = record_kind(data_type.kind)
            is_of_any_time = data_type.source.is_live or kind.is_momentary
            time_range = None if is_of_any_time else TimeRange.parse(start.time_range)
            is_repaired = Repair.of(start) is not None
            basket = basket_symbols(start.symbol, start.options)
        except ValueError as exc:
            raise FatalError(f"this connector cannot store the dataset: {exc}", code="unsupported_dataset") from exc
        return cls(
            queue_id=start.queue_id,
            suffix=suffix_of(TelemetryId(start.telemetry_id)),
            type=start.type,
            kafka_topic=start.kafka_topic,
            collection=start.collection_name,
            kind=kind,
            time_range=time_range,
            check=RecordCheck(start.exchange, start.market, start.symbol, kind, basket),
            first_wins=data_type.source.is_live,
            is_repaired=is_repaired,
        )
