"""What an exchange module declares about one market's WebSocket side, so that nothing else knows an exchange.

connect to base URL + path → send `subscribe` → frames → `read` → messages of the stream → `parse` → records
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Depth, Record


@dataclass(frozen=True, slots=True)
class Pushed:
    """A frame that carries a message of a stream."""

    stream: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame that answers the subscription."""

    refusal: str | None
    """In the exchange's own words; None where it is granted."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A frame that says that the connection lives, which is not data."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A frame that says that the server is about to close the connection."""


Incoming = Pushed | Answered | Heartbeat | Leaving


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a message comes to."""

    records: Sequence[Record] = ()
    """As they came. Empty where the message tells of nothing final, such as a candle that is still open."""
    passed_over: Sequence[int] = ()
    """Ids that the exchange has given to what is no record: they are not missing."""


@dataclass(frozen=True, slots=True)
class BookRules:
    """How the differences of an order book lie one behind the other, and where the book is from that they change."""

    follows: Callable[[Depth, int], bool]
    """(difference, update id of the book) to whether nothing is missing in between."""
    joins: Callable[[Depth, int], bool]
    """(difference, update id of a snapshot) to whether it is the first one behind the snapshot."""
    snapshot_limit: int | None
    """How many levels of each side a snapshot over REST is asked for; None where the stream itself begins with one."""
    levels_max: int
    """Of each side that can be followed, through what a market moves meanwhile."""
    is_linked: bool
    """Whether a difference tells which update is before it, so that stored ones prove that none is missing."""


@dataclass(frozen=True, slots=True)
class Stream:
    """How the records of one kind are pushed."""

    kind: RecordKind
    path: str
    """Where to connect, below the market's base URL."""
    name: Callable[[str], str]
    """Symbol to the stream's name."""
    parse: Callable[[bytes, str, int], Parsed]
    """(message, symbol, receipt time in Unix ms) to records; of order books to the differences that they are made from.
    Raises RejectedRecordError: it is no such message."""
    grid: Grid | None
    """Where the ids lie one behind the other, so that a hole is seen; None where nothing tells."""
    silence_s: float | None
    """Without a message for so long the connection is stale; None where silence is normal."""
    is_of_all: bool = False
    """Whether there is also one of every symbol of the market, to be named and parsed as that of the symbol `ALL`."""
    connections: int = 1
    """To be kept at once: more than one where what is missed cannot be asked for, or not all of it."""
    book: BookRules | None = None
    """Of order books and their differences."""


@dataclass(frozen=True, slots=True)
class StreamMarket:
    """One exchange's market, as far as live streams go."""

    exchange: str
    market: str
    base_url_setting: str
    """The field of `ExchangeSettings` that holds the base URL."""
    streams: Mapping[str, Stream]
    """Kind to how it is pushed: every kind that the market has."""
    subscribe: Callable[[Sequence[str]], bytes]
    """Names of streams to the frame that asks for them."""
    unsubscribe: Callable[[str], bytes]
    """A stream's name to the frame that asks for it no more."""
    read: Callable[[bytes], Incoming]
    """A frame to what it is. Raises RejectedRecordError."""
    names_max: int
    """Streams that one frame may ask for."""
    ask_every_s: float
    """Frames of ours may follow each other on a connection at this pace for ever."""
    connect_every_s: float
    """Connections may follow each other at this pace for ever."""
    life_s: float | None = None
    """After which the exchange cuts a connection; None where it does not."""
    ping: bytes | None = None
    """What the client has to send every `ping_every_s`; None where the protocol's own pings, sent by both, will do."""
    ping_every_s: float = 0.0
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Kind that the exchange does not push to why, and what to ask for instead."""
