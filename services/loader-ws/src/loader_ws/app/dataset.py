"""What the `start` command asks for, checked against what the exchanges have."""

from dataclasses import dataclass

from streamforge_common.contract.baskets import EVERY_SYMBOL, MOST_LIVE, basket_symbols
from streamforge_common.contract.commands import Command
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.errors import FatalError
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS
from streamforge_common.exchanges.options import option_faults, options_of
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
            raise _unsupported(f"no live streams of {start.exchange!r} {start.market!r}")
        try:
            data_type = DataType.parse(start.type)
        except ValueError as exc:
            raise _unsupported(str(exc)) from exc
        if data_type.source is not Source.WS:
            raise _unsupported(f"{start.type!r} is not live")
        stream = market.streams.get(data_type.kind)
        if stream is None:
            raise _unsupported(f"{start.exchange!r} {start.market!r} does not push {data_type.kind!r}")
        if start.symbol == EVERY_SYMBOL and not stream.is_of_all:
            raise _unsupported(f"of {start.type!r} there is no stream of {start.symbol!r}")
        chosen = read_options(start, data_type)
        return cls(
            market,
            stream,
            start.symbol,
            start.type,
            start.kafka_topic,
            read_duration(start),
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
        raise _unsupported(str(exc)) from exc
    if len(symbols) > MOST_LIVE:
        raise _unsupported(f"{len(symbols)} symbols where {MOST_LIVE} are the most")
    return symbols


def read_options(start: Command, data_type: DataType) -> dict[str, float]:
    """Return what is chosen of pace and depth, or holds where nothing is. Raises FatalError."""
    known = options_of(start.exchange, start.market, data_type)
    for name, fault in option_faults(known, start.options):
        raise _unsupported(f"option {name}: {fault}")
    return {name: start.options.get(name, option.default) for name, option in known.items()}


def read_duration(start: Command) -> float | None:
    """Return how long to listen, None until stopped. Raises FatalError."""
    duration_s = start.options.get("duration")
    if duration_s is None or (isinstance(duration_s, int | float) and duration_s > 0):
        return duration_s
    raise _unsupported(f"the duration is {duration_s!r}, expected seconds")


def _unsupported(why: str) -> FatalError:
    return FatalError(f"this loader cannot load the dataset: {why}", code="unsupported_dataset")
