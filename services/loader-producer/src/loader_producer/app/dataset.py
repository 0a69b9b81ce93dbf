"""What the `start` command asks for, checked against what the exchanges have."""

from dataclasses import dataclass

from streamforge_common.contract.baskets import basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS
from streamforge_common.exchanges.archives import Archive, ArchiveMarket
from streamforge_common.exchanges.rest import EndRequests, History, RestMarket


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
        kind, time_range = _parse(start, Source.API)
        history = market.histories.get(kind)
        if history is None:
            raise _unsupported(f"{start.exchange!r} {start.market!r} has no {kind!r}")
        return cls(market, history, start.symbol, time_range, start.type, start.kafka_topic)


@dataclass(frozen=True, slots=True)
class ArchiveDataset:
    """The same, from the exchange's archives."""

    market: ArchiveMarket
    rest: RestMarket
    """The same market's REST interface, which knows what there should be."""
    archive: Archive
    ends: EndRequests | None
    """How REST is asked for the ends of the range; None where it does not reach so far back, or needs not be asked."""
    symbol: str
    time_range: TimeRange
    type: str
    kafka_topic: str

    @classmethod
    def of(cls, start: Command) -> "ArchiveDataset":
        """Read a `start` command.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        key = start.exchange, start.market
        market = ARCHIVE_MARKETS.get(key)
        if market is None:
            raise _unsupported(f"no archives of {start.exchange!r} {start.market!r}")
        kind, time_range = _parse(start, Source.DUMP)
        archive = market.archives.get(kind)
        if archive is None:
            raise _unsupported(f"the archives of {start.exchange!r} {start.market!r} have no {kind!r}")
        rest = REST_MARKETS[key]
        history = rest.histories.get(kind)
        ends = history.ends if history is not None and history.reach is None else None
        return cls(market, rest, archive, ends, start.symbol, time_range, start.type, start.kafka_topic)


def is_archived(start: Command) -> bool:
    """Say whether a `start` command asks for records from archives."""
    return start.type.startswith(f"{Source.DUMP}_")


def basket_of(start: Command) -> list[str]:
    """Return the symbols of a basket; none where the dataset has one.

    Raises:
        FatalError: It is a basket and does not say of which symbols (`unsupported_dataset`).
    """
    try:
        return basket_symbols(start.symbol, start.options)
    except ValueError as exc:
        raise _unsupported(str(exc)) from exc


def _parse(start: Command, source: Source) -> tuple[str, TimeRange]:
    """Return the kind of records and their time range."""
    try:
        data_type = DataType.parse(start.type)
        time_range = TimeRange.parse(start.time_range)
    except ValueError as exc:
        raise _unsupported(str(exc)) from exc
    if data_type.source is not source:
        raise _unsupported(f"{start.type!r} is not history")
    return data_type.kind, time_range


def _unsupported(why: str) -> FatalError:
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
