"""What a person asks for, checked: from the body of `POST /workflows` to a dataset that can be loaded."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.catalog import types_of
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import REST_MARKETS
from streamforge_common.exchanges.rest import RestMarket
from streamforge_common.ids import COLLECTION_PATTERN, SYMBOL_PATTERN

Fault = Callable[[str, str], None]
"""(field, detail): notes what is wrong with a field."""


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
    time_range: str
    """`YYYY-MM-DD:YYYY-MM-DD` or two RFC 3339 instants joined by `/`; UTC, end exclusive."""
    exchange: str = "binance"
    """`binance` or `bybit`."""
    market: str = "spot"
    """`spot`, `um` (Binance USDⓈ-M futures) or `linear` (Bybit)."""
    collection_name: str | None = None
    """Where to store; named after the dataset when absent."""
    options: dict[str, Any] = Field(default_factory=dict)
    """None is defined for the types of this version."""


class CheckedRequest(BaseModel):
    """A request that can be carried out."""

    model_config = ConfigDict(frozen=True)

    exchange: str
    market: str
    symbol: str
    type: str
    time_range: str
    start: datetime
    """The range's start, UTC; its day is part of names."""
    collection_name: str | None


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
    for option in request.options:
        fault(f"options/{option}", "unknown option; the types of this version take none")
    market = _check_combination(request, fault)
    time_range = _check_time_range(request.time_range, now, fault)
    if market is not None and time_range is not None:
        _check_reach(request, market, time_range.start_ms, now, fault)
    if errors or time_range is None:
        raise InvalidRequestError(errors)
    return CheckedRequest(
        exchange=request.exchange,
        market=request.market,
        symbol=symbol,
        type=request.type,
        time_range=request.time_range,
        start=time_range.start,
        collection_name=request.collection_name,
    )


def _check_combination(request: WorkflowRequest, fault: Fault) -> RestMarket | None:
    """Return the market, None where there is none of that name."""
    exchanges = sorted({exchange for exchange, _ in REST_MARKETS})
    if request.exchange not in exchanges:
        fault("exchange", f"unknown exchange {request.exchange!r}; available: {', '.join(exchanges)}")
        return None
    market = REST_MARKETS.get((request.exchange, request.market))
    if market is None:
        markets = ", ".join(sorted(market for exchange, market in REST_MARKETS if exchange == request.exchange))
        fault("market", f"{request.exchange} has no market {request.market!r} here; available: {markets}")
        return None
    try:
        data_type = DataType.parse(request.type)
    except ValueError as exc:
        fault("type", str(exc))
    else:
        types = types_of(market.exchange, market.market)
        if data_type not in types:
            why = _why(data_type, market, types)
            fault("type", f"{request.exchange} {request.market} cannot give {request.type!r}: {why}")
    return market


def _why(data_type: DataType, market: RestMarket, types: Sequence[DataType]) -> str:
    """Say why there is no such type, and what to ask for instead."""
    kind, family = data_type.kind, data_type.family
    same_kind = [str(known) for known in types if known.kind == kind]
    if same_kind and data_type.source is not Source.API:
        return f"not in this version, or not in the archives; ask for {' or '.join(same_kind)}"
    if why := market.lacks.get(kind) or market.lacks.get(family or ""):
        return why
    histories = [known for known in types if known.source is Source.API]
    intervals = [known.interval.name for known in histories if family and known.family == family]
    if intervals:
        return f"there is no such interval; ask for {Source.API}_{family}_<interval> with one of {', '.join(intervals)}"
    names = [f"{known.source}_{known.family}_<interval>" if known.family else str(known) for known in types]
    return f"not in this version; ask for one of {', '.join(dict.fromkeys(names))}"


def _check_reach(request: WorkflowRequest, market: RestMarket, start_ms: int, now: datetime, fault: Fault) -> None:
    """Refuse what the exchange will not give any more; the loader looks again, by the exchange's clock."""
    kind = request.type.removeprefix(f"{Source.API}_")
    reach = market.histories[kind].reach if kind in market.histories else None
    if reach is not None and (why := reach.fault_of(kind, start_ms, int(now.timestamp() * 1000))):
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
