"""What the `start` command asks for, checked against what the exchanges have."""

from dataclasses import dataclass

from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import RestMarket


@dataclass(frozen=True, slots=True)
class Dataset:
    """Candles of one symbol in a time range, and the topic to publish them on."""

    market: RestMarket
    symbol: str
    interval: Interval
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
            interval = data_type.interval
            time_range = TimeRange.parse(start.time_range)
        except ValueError as exc:
            raise _unsupported(str(exc)) from exc
        if data_type.source is not Source.API:
            raise _unsupported(f"{start.type!r} does not come from REST history")
        if interval.name not in market.candles.intervals:
            raise _unsupported(f"{start.exchange!r} {start.market!r} has no candles of {interval.name!r}")
        return cls(market, start.symbol, interval, time_range, start.type, start.kafka_topic)


def _unsupported(why: str) -> FatalError:
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
