"""What an exchange module declares about one market's REST API, so that nothing else knows an exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.errors import RejectedRecordError


@dataclass(frozen=True, slots=True)
class Pool:
    """A rate limit that requests share, per address they come from."""

    name: str
    limit: int
    """Weight (or requests) in one window, as documented; what the exchange itself says counts more."""
    window_s: int = 60
    used_header: str | None = None
    """Response header: what this address has used in the running window. None where nothing tells."""


@dataclass(frozen=True, slots=True)
class Request:
    """One GET, relative to the market's base URL."""

    path: str
    params: Mapping[str, str]
    weight: int
    """What it costs in its pool."""
    pool: Pool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the exchange answered with an error, in its own words."""

    code: int
    message: str
    retry_after_s: float | None = None
    """When to ask again; where it is above 0 nothing at all may be sent until then. None: it is the final word."""


class RefusedError(RejectedRecordError):
    """The body is no answer but a refusal, whatever the HTTP status says."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code} {refusal.message}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class End:
    """The record at one end of a time range."""

    id: int
    time_ms: int
    """Its event time."""


@dataclass(frozen=True, slots=True)
class EndRequests:
    """How the ends of a time range are asked for, apart from the pages between them."""

    first: Callable[[str, int], Request]
    """(symbol, Unix milliseconds) to the request for the first record at or after that time, alone."""
    last: Callable[[str, int], Request]
    """(symbol, Unix milliseconds) to the request for the last record before that time, alone."""
    parse_first: Callable[[bytes, str], Sequence[End]]
    """(body, symbol) of the answer to `first` to as many ends as it has rows. Raises RejectedRecordError."""
    parse_last: Callable[[bytes, str], Sequence[End]]
    """The same of `last`."""


@dataclass(frozen=True, slots=True)
class SpacingRequest:
    """How the exchange is asked how far apart two neighbours may be."""

    request: Callable[[str], Request]
    """Symbol to the request."""
    parse: Callable[[bytes, str], int]
    """(body, symbol) to milliseconds. Raises RejectedRecordError."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back the exchange answers."""

    back_ms: int
    """From now on, milliseconds; with room for the time between a request's check and its page."""
    told: str
    """The same for people, e.g. `48 hours`."""
    instead: str | None
    """What to ask for instead, e.g. `dump_agg_trades`; None where this version has nothing."""

    def fault_of(self, what: str, start_ms: int, now_ms: int) -> str | None:
        """Say why a range that begins then cannot be had, None where it can."""
        if start_ms >= now_ms - self.back_ms:
            return None
        instead = f": ask for {self.instead}" if self.instead else ", from where this version does not load it"
        return (
            f"the exchange gives {what} over REST for the last {self.told} only, and the range begins before; "
            f"what is older is in its archives alone{instead}"
        )


@dataclass(frozen=True, slots=True)
class History:
    """How the records of one kind are asked for, page by page."""

    kind: RecordKind
    page_size: int
    """Ids of the grid in a page. As many rows in an answer, where every id has a record."""
    request: Callable[[str, int, int], Request]
    """(symbol, first id, last id; both inclusive) to the request for a page."""
    parse: Callable[[bytes, str], Sequence[Record]]
    """(body, symbol) to records, one per row, oldest first. Raises RejectedRecordError: the body is not such a page."""
    rows: Callable[[bytes], list[bytes]]
    """Body to its rows as they came, in the order of `parse`, for those that are refused."""
    ends: EndRequests | None = None
    """None where the grid alone tells which ids a time range has, as for candles."""
    runs_on: bool = False
    """Whether an answer is as long as was asked for and so, where ids are missing, goes on behind its page."""
    spacing: SpacingRequest | None = None
    """Of a kind that is spaced: how the exchange names the interval."""
    rows_max: int | None = None
    """Of a kind that is spaced: an answer of so many rows is cut off, and its page was laid out too long."""
    reach: Reach | None = None
    """None where the exchange answers however old the range is."""

    @property
    def pool(self) -> Pool:
        """What its pages are counted in, whatever page is asked for."""
        return self.request("", 0, 0).pool


@dataclass(frozen=True, slots=True)
class Poll:
    """How one kind is asked for as it is now."""

    kind: RecordKind
    request: Callable[[str, int], Request]
    """(symbol, limit) to the request; the limit is of no account where there are no `limits`."""
    parse: Callable[[bytes, str, int, int], Record]
    """(body, symbol, limit, receipt time in Unix ms) to the record. Raises RejectedRecordError: the body is none."""
    limits: Sequence[int] = ()
    """How many levels may be asked for, of books."""
    default_limit: int = 0

    def least_every_s(self, limit: int) -> float:
        """Return the seconds from one request to the next at which the limit of its pool is used up."""
        request = self.request("", limit)
        return request.weight * request.pool.window_s / request.pool.limit


@dataclass(frozen=True, slots=True)
class Latest:
    """How the latest records of a kind are asked for, where the exchange pages no history of it."""

    kind: RecordKind
    request: Callable[[str], Request]
    """Symbol to the request for as many as the exchange gives."""
    parse: Callable[[bytes, str], Sequence[Record]]
    """(body, symbol) to records, oldest first, none left out in between. Raises RejectedRecordError."""


@dataclass(frozen=True, slots=True)
class RestMarket:
    """One exchange's market, as far as REST history goes."""

    exchange: str
    market: str
    base_url_setting: str
    """The field of `ExchangeSettings` that holds the base URL; markets that share it share their limits and bans."""
    pool: Pool
    """The pool of most requests, and the one whose limit the exchange tells."""
    histories: Mapping[str, History]
    """Kind to how it is asked for: every kind that the market has."""
    time_request: Request
    parse_time: Callable[[bytes], int]
    """Body of `time_request`'s answer to the exchange's clock, Unix ms. Raises RejectedRecordError."""
    symbol_request: Callable[[str], Request]
    """Symbol to the request for what the exchange says of it, and of the pool's limit."""
    parse_limit: Callable[[bytes, str], int | None]
    """(body, symbol) of `symbol_request`'s answer to the pool's limit as it is today, None where it is not told. Raises
    RejectedRecordError; RefusedError where there is no such symbol."""
    parse_refusal: Callable[[int, bytes], Refusal | None]
    """HTTP status and body of an answer that is not 200 to the reason; None where the body has none."""
    latest: Mapping[str, Latest] = field(default_factory=dict)
    """Kind to its latest records, of kinds that have no history: what a live loader has missed may be among them."""
    other_pools: Sequence[Pool] = ()
    """Those that some requests use instead."""
    polls: Mapping[str, Poll] = field(default_factory=dict)
    """Kind to how it is asked for as it is now."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Kind that the exchange does not give over REST to why, and what to ask for instead."""

    def untold_pools_of(self, kind: str) -> frozenset[Pool]:
        """Return the pools that loading a kind may use and whose use the exchange does not tell."""
        pools = {self.pool, *([self.histories[kind].pool] if kind in self.histories else [])}
        return frozenset(pool for pool in pools if pool.used_header is None)

    def fault_of_reach(self, kind: str, start_ms: int, now_ms: int) -> str | None:
        """Say why the records of a kind from a time on cannot be had, None where they can or there is no such kind."""
        reach = self.histories[kind].reach if kind in self.histories else None
        return None if reach is None else reach.fault_of(kind, start_ms, now_ms)
