"""What the `start` command asks for, checked against what the exchanges have."""

from dataclasses import dataclass, replace

from streamforge_common.contract.baskets import basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.repair import Repair
from streamforge_common.contract.source_choice import SourceChoice
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
    repair: Repair | None = None
    """What to load in place of the whole time range."""

    @classmethod
    def of(cls, start: Command) -> "Dataset":
        """Read a `start` command.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        market = REST_MARKETS.get((start.exchange, start.market))
        if market is None:
            raise _unsupported(f"no REST history of {start.exchange!r} {start.market!r}")
        repair = repair_of(start)
        # What an archive lacked may be had over REST: the records are the same.
        kind, time_range = _parse(start, Source.API, *([] if repair is None else [Source.DUMP]))
        history = market.histories.get(kind)
        if history is None:
            raise _unsupported(f"{start.exchange!r} {start.market!r} has no {kind!r}")
        return cls(market, history, start.symbol, time_range, start.type, start.kafka_topic, repair)

    def of_symbol(self, symbol: str) -> "Dataset":
        """Return a basket as if it had this symbol alone; what has one symbol is that."""
        repair = self.repair
        if repair is not None and repair.symbols:
            repair = repair.of_symbol(symbol)
        return replace(self, symbol=symbol, repair=repair)


@dataclass(frozen=True, slots=True)
class ArchiveDataset:
    """The same, from the exchange's archives."""

    market: ArchiveMarket
    rest: RestMarket
    """The same market's REST interface, which knows what there should be."""
    archive: Archive
    history: History | None
    """How the same records are asked for over REST, for what the archive lacks; None where they cannot be."""
    symbol: str
    time_range: TimeRange
    type: str
    kafka_topic: str
    rest_from_ms: int | None = None
    """From where on the plan has REST in place of files; None where it has files to the end."""

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
        kind, time_range = _parse(start, Source.DUMP, Source.API)
        archive = market.archives.get(kind)
        if archive is None:
            raise _unsupported(f"the archives of {start.exchange!r} {start.market!r} have no {kind!r}")
        rest = REST_MARKETS[key]
        history = rest.histories.get(kind)
        return cls(market, rest, archive, history, start.symbol, time_range, start.type, start.kafka_topic)

    def of_symbol(self, symbol: str) -> "ArchiveDataset":
        """Return a basket as if it had this symbol alone."""
        return replace(self, symbol=symbol)

    @property
    def ends(self) -> EndRequests | None:
        """How REST is asked for the ends of the range; None where it does not reach so far back, or needs not be."""
        return self.history.ends if self.history is not None and self.history.reach is None else None


def datasets_of(start: Command, now_ms: int) -> tuple[Dataset | None, ArchiveDataset | None]:
    """Read a `start` command: what is to be loaded over REST and from archives, by each way that is open to it.

    Raises:
        FatalError: No way is, or the options name another one (`unsupported_dataset`).
    """
    kind, time_range = _parse(start, Source.API, Source.DUMP)
    archives = ARCHIVE_MARKETS.get((start.exchange, start.market))
    has_files = archives is not None and kind in archives.archives
    try:
        choice = SourceChoice.of(DataType.parse(start.type).source, start.options)
    except ValueError as exc:
        raise _unsupported(str(exc)) from exc
    if repair_of(start) is not None:
        # REST can be asked for what is missing alone, where it reaches back.
        rest = REST_MARKETS[start.exchange, start.market]
        is_in_reach = kind in rest.histories and rest.fault_of_reach(kind, time_range.start_ms, now_ms) is None
        choice = SourceChoice.REST if is_in_reach or not has_files else SourceChoice.DUMP
    if choice is SourceChoice.DUMP:
        return None, ArchiveDataset.of(start)
    return Dataset.of(start), ArchiveDataset.of(start) if has_files and choice is SourceChoice.AUTO else None


def repair_of(start: Command) -> Repair | None:
    """Return what a `start` command asks to repair, None where it asks for the whole dataset.

    Raises:
        FatalError: It is not told as it should be (`unsupported_dataset`).
    """
    try:
        return Repair.of(start)
    except ValueError as exc:
        raise _unsupported(f"no repair: {exc}") from exc


def basket_of(start: Command) -> list[str]:
    """Return the symbols of a basket, in a repair those that lack something; none where the dataset has one.

    Raises:
        FatalError: It is a basket and does not say of which symbols (`unsupported_dataset`).
    """
    try:
        symbols = basket_symbols(start.symbol, start.options)
    except ValueError as exc:
        raise _unsupported(str(exc)) from exc
    repair = repair_of(start)
    return symbols if repair is None or not symbols else list(repair.symbols)


def _parse(start: Command, *sources: Source) -> tuple[str, TimeRange]:
    """Return the kind of records and their time range."""
    try:
        data_type = DataType.parse(start.type)
        time_range = TimeRange.parse(start.time_range)
    except ValueError as exc:
        raise _unsupported(str(exc)) from exc
    if data_type.source not in sources:
        raise _unsupported(f"{start.type!r} is not history")
    return data_type.kind, time_range


def _unsupported(why: str) -> FatalError:
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
