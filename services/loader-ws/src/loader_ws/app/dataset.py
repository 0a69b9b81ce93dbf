"""What the `start` command asks for, checked against what the exchanges have."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime

from streamforge_common.contract.backfill import BACKFILL_OPTION, backfill_range
from streamforge_common.contract.baskets import EVERY_SYMBOL, MOST_LIVE, basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS
from streamforge_common.exchanges.options import choose
from streamforge_common.exchanges.rest import History, Latest
from streamforge_common.exchanges.streams import Stream, StreamMarket


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records of one kind and symbol from now on, and the topic to publish them on."""

    market: StreamMarket
    stream: Stream
    symbol: str
    type: str
    kafka_topic: str
    duration_s: float | None
    """How long to listen; None until stopped."""
    backfill: float | str | None = None
    """From when on there is to be history too: seconds before now, or an instant; None where there is to be none."""
    levels: int = 0
    """Of order books: how many of each side are published."""
    every_s: float = 0.0
    """Of order books: how far apart; 0 for one after every difference."""

    @property
    def stream_name(self) -> str:
        """The exchange's name of the stream."""
        return self.stream.name(self.symbol)

    @property
    def fills_from(self) -> History | Latest | None:
        """How the exchange is asked for what was missed; None where it cannot be."""
        rest, kind = REST_MARKETS[self.market.exchange, self.market.market], self.stream.kind.name
        return rest.histories.get(kind) or rest.latest.get(kind)

    @classmethod
    def of(cls, start: Command) -> "Dataset":
        """Read a `start` command.

        Raises:
            FatalError: This loader cannot load that (`unsupported_dataset`).
        """
        market = STREAM_MARKETS.get((start.exchange, start.market))
        if market is None:
            raise unsupported(f"no live streams of {start.exchange!r} {start.market!r}")
        try:
            data_type = DataType.parse(start.type)
        except ValueError as exc:
            raise unsupported(str(exc)) from exc
        if data_type.source is not Source.WS:
            raise unsupported(f"{start.type!r} is not live")
        stream = market.streams.get(data_type.kind)
        if stream is None:
            raise unsupported(f"{start.exchange!r} {start.market!r} does not push {data_type.kind!r}")
        if start.symbol == EVERY_SYMBOL and not stream.is_of_all:
            raise unsupported(f"of {start.type!r} there is no stream of {start.symbol!r}")
        chosen = read_options(start, data_type)
        return cls(
            market,
            stream,
            start.symbol,
            start.type,
            start.kafka_topic,
            read_duration(start),
            backfill=read_backfill(start, REST_MARKETS[start.exchange, start.market].histories),
            levels=int(chosen.get("levels", 0)),
            every_s=chosen.get("every", 0.0),
        )


def basket_of(start: Command) -> list[str]:
    """Return the symbols of a basket; none where the dataset has one.

    Raises:
        FatalError: It does not say which, or has more than one loader keeps the place of (`unsupported_dataset`).
    """
    try:
        symbols = basket_symbols(start.symbol, start.options)
    except ValueError as exc:
        raise unsupported(str(exc)) from exc
    if len(symbols) > MOST_LIVE:
        raise unsupported(f"{len(symbols)} symbols where {MOST_LIVE} are the most")
    return symbols


def read_options(start: Command, data_type: DataType) -> dict[str, float]:
    """Return what is chosen of pace and depth, or holds where nothing is. Raises FatalError."""
    try:
        return choose(start.exchange, start.market, data_type, start.options)
    except ValueError as exc:
        raise unsupported(str(exc)) from exc


def read_duration(start: Command) -> float | None:
    """Return how long to listen, None until stopped. Raises FatalError."""
    duration_s = start.options.get("duration")
    if duration_s is None or (isinstance(duration_s, int | float) and duration_s > 0):
        return duration_s
    raise unsupported(f"the duration is {duration_s!r}, expected seconds")


def read_backfill(start: Command, histories: Container[str]) -> float | str | None:
    """Return from when on there is to be history too. Raises FatalError."""
    option = start.options.get(BACKFILL_OPTION)
    if option is None:
        return None
    kind = DataType.parse(start.type).kind
    if kind not in histories:
        raise unsupported(f"{start.exchange!r} {start.market!r} gives no history of {kind!r}")
    try:
        backfill_range(option, datetime.now(UTC))
    except ValueError as exc:
        raise unsupported(f"option {BACKFILL_OPTION}: {exc}") from exc
    assert isinstance(option, int | float | str)
    return option


def unsupported(why: str) -> FatalError:
    """Make the failure of a dataset that cannot be loaded."""
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
