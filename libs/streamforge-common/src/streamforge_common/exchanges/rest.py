"""What an exchange module declares about one market's REST API, so that nothing else knows an exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record


@dataclass(frozen=True, slots=True)
class Request:
    """One GET, relative to the market's base URL."""

    path: str
    params: Mapping[str, str]
    weight: int
    """What it costs in the market's pool."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A rate limit that requests share, per address they come from."""

    name: str
    weight_per_minute: int
    """As documented; what the exchange itself says counts more."""
    used_weight_header: str
    """Response header: the weight that this address has used in the running minute."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the exchange answered with an error, in its own words."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class EndRequests:
    """How the ends of a time range are asked for, apart from the pages between them."""

    first: Callable[[str, int], Request]
    """(symbol, Unix milliseconds) to the request for the first record at or after that time, alone."""
    last: Callable[[str, int], Request]
    """(symbol, Unix milliseconds) to the request for the last record before that time, alone."""


@dataclass(frozen=True, slots=True)
class History:
    """How the records of one kind are asked for, page by page."""

    kind: RecordKind
    page_size: int
    """Records in a full page."""
    request: Callable[[str, int, int], Request]
    """(symbol, first id, last id; both inclusive) to the request for a page."""
    parse: Callable[[bytes, str], Sequence[Record]]
    """(body, symbol) to records, one per row. Raises RejectedRecordError: the body is not such a page."""
    rows: Callable[[bytes], list[bytes]]
    """Body to its rows as they came, in the order of `parse`, for those that are refused."""
    ends: EndRequests | None
    """None where the grid alone tells which ids a time range has, as for candles."""
    runs_on: bool
    """Whether an answer is as long as was asked for and so, where ids are missing, goes on behind its page."""


@dataclass(frozen=True, slots=True)
class RestMarket:
    """One exchange's market, as far as REST history goes."""

    exchange: str
    market: str
    base_url_setting: str
    """The field of `ExchangeSettings` that holds the base URL."""
    pool: Pool
    histories: Mapping[str, History]
    """Kind to how it is asked for: every kind that the market has."""
    time_request: Request
    parse_time: Callable[[bytes], int]
    """Body of `time_request`'s answer to the exchange's clock, Unix ms. Raises RejectedRecordError."""
    limits_request: Callable[[str], Request]
    """Symbol to the request whose answer tells the pool's limit; a symbol that does not exist is refused here."""
    parse_weight_per_minute: Callable[[bytes], int | None]
    """Body of `limits_request`'s answer to the pool's limit as it is today, None where it is not told. Raises
    RejectedRecordError."""
    parse_refusal: Callable[[bytes], Refusal | None]
    """Body of an answer that is not 200 to the reason; None where the body has none."""
