"""What a person asks for, checked: from the body of `POST /workflows` to a dataset that can be loaded."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.catalog import Offer, offers_of
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.options import option_faults, options_of
from streamforge_common.ids import COLLECTION_PATTERN, SYMBOL_PATTERN

Fault = Callable[[str, str], None]
"""(field, detail): notes what is wrong with a field."""
_LONGEST_S = 10 * 366 * 24 * 3_600
"""Of a live workflow that ends by itself; as long as a time range may be."""


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    """JSON pointer of the field, as a URI fragment."""
    detail: str


class InvalidRequestError(Exception):
    """The request is understood and cannot be carried out; says which fields and why."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in errors))
        self.errors = errors


class WorkflowRequest(BaseModel):
    """The body of `POST /workflows`, for one dataset."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    symbol: str
    """As the exchange names it, e.g. `BTCUSDT`; lower case is raised."""
    type: str
    """`<source>_<kind>`, e.g. `api_candles_5m`; `GET /catalog` lists all."""
    time_range: str = ""
    """`YYYY-MM-DD:YYYY-MM-DD` or two RFC 3339 instants joined by `/`; UTC, end exclusive. Empty for live types."""
    exchange: str = "binance"
    """`binance` or `bybit`."""
    market: str = "spot"
    """`spot`, `um` (Binance USDⓈ-M futures) or `linear` (Bybit)."""
    collection_name: str | None = None
    """Where to store; named after the dataset when absent."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Live types: `duration`, after how many seconds the workflow is complete; without it, it runs until stopped. Order
    books: `levels` of each side, `every` so many seconds; what is polled: `every`, depth snapshots also `limit`."""


class CheckedRequest(BaseModel):
    """A request that can be carried out."""

    model_config = ConfigDict(frozen=True)

    exchange: str
    market: str
    symbol: str
    type: str
    time_range: str
    start: datetime
    """The range's start, of live types the creation, UTC; its day is part of names."""
    collection_name: str | None
    options: dict[str, Any]


def check_request(request: WorkflowRequest, now: datetime) -> CheckedRequest:
    """Check a request as a whole.

    Raises:
        InvalidRequestError: It cannot be carried out; all faults are named at once.
    """
    errors: list[FieldError] = []

    def fault(field: str, detail: str) -> None:
        errors.append(FieldError(pointer=f"#/{field}", detail=detail))

    symbol = request.symbol.upper()
    if not SYMBOL_PATTERN.fullmatch(symbol):
        fault("symbol", f"{request.symbol!r} is not a symbol such as BTCUSDT: it must match {SYMBOL_PATTERN.pattern}")
    if request.collection_name is not None and not COLLECTION_PATTERN.fullmatch(request.collection_name):
        fault("collection_name", f"must match {COLLECTION_PATTERN.pattern}")
    data_type = _check_combination(request, fault)
    if data_type is not None and data_type.source.is_live:
        start = now
        _check_live(request, data_type, fault)
    else:
        start = _check_bounded(request, data_type, now, fault)
    if errors:
        raise InvalidRequestError(errors)
    return CheckedRequest(
        exchange=request.exchange,
        market=request.market,
        symbol=symbol,
        type=request.type,
        time_range=request.time_range,
        start=start,
        collection_name=request.collection_name,
        options=request.options,
    )


def _check_combination(request: WorkflowRequest, fault: Fault) -> DataType | None:
    """Return the type, None where it is none or there is no such market."""
    exchanges = sorted({exchange for exchange, _ in REST_MARKETS})
    if request.exchange not in exchanges:
        fault("exchange", f"unknown exchange {request.exchange!r}; available: {', '.join(exchanges)}")
        return None
    offers = offers_of(request.exchange, request.market)
    if not offers:
        markets = ", ".join(sorted(market for exchange, market in REST_MARKETS if exchange == request.exchange))
        fault("market", f"{request.exchange} has no market {request.market!r} here; available: {markets}")
        return None
    try:
        data_type = DataType.parse(request.type)
    except ValueError as exc:
        fault("type", str(exc))
        return None
    if data_type.source not in offers or data_type.kind not in offers[data_type.source].kinds:
        why = _why(data_type, offers)
        fault("type", f"{request.exchange} {request.market} cannot give {request.type!r}: {why}")
    return data_type


def _why(data_type: DataType, offers: Mapping[Source, Offer]) -> str:
    """Say why there is no such type, and what to ask for instead."""
    kind, family = data_type.kind, data_type.family
    own = offers.get(data_type.source, offers[Source.API])
    if why := own.lacks.get(kind) or own.lacks.get(family or ""):
        return why
    others = [str(DataType(source, kind)) for source, offer in offers.items() if kind in offer.kinds]
    if others:
        return f"not in this version; ask for {' or '.join(others)}"
    source = data_type.source if data_type.source in offers else Source.API
    types = [DataType(source, known) for known in own.kinds]
    intervals = [known.interval.name for known in types if family and known.family == family]
    if intervals:
        return f"there is no such interval; ask for {source}_{family}_<interval> with one of {', '.join(intervals)}"
    names = [f"{known.source}_{known.family}_<interval>" if known.family else str(known) for known in types]
    return f"not in this version; ask for one of {', '.join(dict.fromkeys(names))}"


def _check_live(request: WorkflowRequest, data_type: DataType, fault: Fault) -> None:
    if request.time_range:
        fault("time_range", "live types have none: they begin now; leave it out, or ask for the api type of the kind")
    known = options_of(request.exchange, request.market, data_type)
    for option, value in request.options.items():
        if option in known:
            continue
        if option != "duration":
            taken = ", ".join(["duration (seconds)", *known])
            fault(f"options/{option}", f"unknown option; {request.type} takes {taken}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_S:
            fault("options/duration", f"expected seconds, more than 0 and at most {_LONGEST_S}")
    for option, detail in option_faults(known, request.options):
        fault(f"options/{option}", detail)


def _check_bounded(request: WorkflowRequest, data_type: DataType | None, now: datetime, fault: Fault) -> datetime:
    """Return the start of the range; now where that is not known."""
    known = {} if data_type is None else options_of(request.exchange, request.market, data_type)
    for option in sorted(request.options.keys() - known.keys()):
        fault(f"options/{option}", f"unknown option; {request.type} takes {', '.join(known) or 'none in this version'}")
    for option, detail in option_faults(known, request.options):
        fault(f"options/{option}", detail)
    if data_type is not None and not request.time_range and _is_momentary(request, data_type):
        return now
    time_range = _check_time_range(request.time_range, now, fault)
    if time_range is None:
        return now
    if data_type is not None and data_type.source is Source.API:
        _check_reach(request, data_type.kind, time_range.start_ms, now, fault)
    return time_range.start


def _is_momentary(request: WorkflowRequest, data_type: DataType) -> bool:
    """Say whether the record is of the moment of loading: a time range may be given, and is of no account."""
    poll = REST_MARKETS[request.exchange, request.market].polls.get(data_type.kind)
    return data_type.source is Source.API and poll is not None and poll.kind.is_momentary


def _check_reach(request: WorkflowRequest, kind: str, start_ms: int, now: datetime, fault: Fault) -> None:
    """Refuse what the exchange will not give any more; the loader looks again, by the exchange's clock."""
    market = REST_MARKETS[request.exchange, request.market]
    if why := market.fault_of_reach(kind, start_ms, int(now.timestamp() * 1000)):
        fault("time_range", why)


def _check_time_range(text: str, now: datetime, fault: Fault) -> TimeRange | None:
    try:
        time_range = TimeRange.parse(text)
    except ValueError as exc:
        fault("time_range", str(exc))
        return None
    if time_range.end_ms > now.timestamp() * 1000:
        fault("time_range", f"the end must not lie in the future; it is {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} now")
        return None
    return time_range
