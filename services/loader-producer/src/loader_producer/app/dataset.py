"""What the `start` command asks for, checked against what the exchanges have."""

from dataclasses import dataclass

from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import History, RestMarket


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records of one kind and symbol in a time range, and the topic to publish them on."""

    market: RestMarket
    history: History
    symbol: str
    time_range: TimeRange
    type: str
    kafka_topic: str

    @classmethod
    def of(cls, start: Command) -> "Dataset":
        """Read a `start` command.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        market = REST_MARKETS.get((start.exchange, start.market))
        if market is None:
            raise _unsupported(f"no REST history of {start.exchange!r} {start.market!r}")
        try:
            data_type = DataType.parse(start.type)
            time_range = TimeRange.parse(start.time_range)
        except ValueError as exc:
            raise _unsupported(str(exc)) from exc
        if data_type.source is not Source.API:
            raise _unsupported(f"{start.type!r} does not come from REST history")
        history = market.histories.get(data_type.kind)
        if history is None:
            raise _unsupported(f"{start.exchange!r} {start.market!r} has no {data_type.kind!r}")
        return cls(market, history, start.symbol, time_range, start.type, start.kafka_topic)


def _unsupported(why: str) -> FatalError:
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
