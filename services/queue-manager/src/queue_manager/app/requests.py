"""What a person asks for, checked: from the body of `POST /workflows` to a dataset that can be loaded."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from queue_manager.app.catalog import Offer, is_archived, offers_of
from streamforge_common.contract.backfill import BACKFILL_OPTION, backfill_range
from streamforge_common.contract.baskets import BASKET, EVERY_SYMBOL, FEWEST, MOST, MOST_LIVE, SYMBOLS_OPTION
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.source_choice import SOURCE_OPTION, SourceChoice
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS
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

    symbol: str | None = None
    """As the exchange names it, e.g. `BTCUSDT`; lower case is raised. Either this or `symbols`."""
    symbols: list[str] | None = None
    """A basket of 2 to 1,000 symbols, each once: one topic, one collection, one loader."""
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
    """`rate`: the share of the exchange's limits to use at most, up to 1.

    Live types: `duration`, after how many seconds the workflow is complete (without it, it runs until stopped);
    `backfill`, history comes first, from so many seconds before now on or from an RFC 3339 instant on. Order books:
    `levels` of each side, `every` so many seconds; what is polled: `every`; depth snapshots: `limit`.

    Types with a time range: `source`, where `api_` records come from: `rest`, `dump` (the archives, REST for what they
    lack) or `auto`, the default (REST as far as it reaches and is quick enough, the archives for what is older).
    """


class CheckedRequest(BaseModel):
    """A request that can be carried out."""

    model_config = ConfigDict(frozen=True)

    exchange: str
    market: str
    symbol: str
    """`MULTI` for a basket, whose symbols are among the options."""
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

    symbols = _check_symbols(request, fault)
    if request.collection_name is not None and not COLLECTION_PATTERN.fullmatch(request.collection_name):
        fault("collection_name", f"must match {COLLECTION_PATTERN.pattern}")
    data_type = _check_combination(request, fault)
    if data_type is not None and request.symbols is None and symbols == [EVERY_SYMBOL]:
        _check_every_symbol(request, data_type, fault)
    if data_type is not None and data_type.source.is_live:
        start = now
        _check_live(request, data_type, now, fault)
    else:
        start = _check_bounded(request, data_type, now, fault)
    if errors:
        raise InvalidRequestError(errors)
    return CheckedRequest(
        exchange=request.exchange,
        market=request.market,
        symbol=BASKET if request.symbols is not None else symbols[0],
        type=request.type,
        time_range=request.time_range,
        start=start,
        collection_name=request.collection_name,
        options={**request.options, **({} if request.symbols is None else {SYMBOLS_OPTION: symbols})},
    )


def _check_symbols(request: WorkflowRequest, fault: Fault) -> list[str]:
    """Return the symbols that are asked for, in capitals; where they are wrong it does not matter which."""
    if request.symbol is not None and request.symbols is not None:
        fault("symbols", "ask for one symbol or for several symbols, not for both")
    elif request.symbols is not None:
        return _check_basket(request.symbols, fault)
    elif request.symbol is not None:
        return [_check_one_symbol(request.symbol.upper(), fault)]
    else:
        fault("symbol", "nothing is asked for; name a symbol here, or several in symbols")
    return []


def _check_one_symbol(symbol: str, fault: Fault) -> str:
    if symbol == BASKET:
        fault("symbol", f"{BASKET} stands for a basket; list its symbols in symbols")
    elif symbol == EVERY_SYMBOL:
        return symbol
    elif why := _why_no_symbol(symbol):
        fault("symbol", why)
    return symbol


def _check_every_symbol(request: WorkflowRequest, data_type: DataType, fault: Fault) -> None:
    of_all = {
        (market.exchange, market.market, str(DataType(Source.WS, stream.kind.name)))
        for market in STREAM_MARKETS.values()
        for stream in market.streams.values()
        if stream.is_of_all
    }
    if (request.exchange, request.market, str(data_type)) not in of_all:
        there = ", ".join(" ".join(it) for it in sorted(of_all))
        fault("symbol", f"there is no stream of all symbols of that, but of {there}; or list the symbols in symbols")


def _check_basket(symbols: Sequence[str], fault: Fault) -> list[str]:
    if not FEWEST <= len(symbols) <= MOST:
        fault("symbols", f"a basket has {FEWEST} to {MOST:,} symbols, not {len(symbols):,}; one is asked for in symbol")
        return []
    raised: dict[str, None] = {}
    for at, symbol in enumerate(map(str.upper, symbols)):
        if symbol in (BASKET, EVERY_SYMBOL):
            fault(f"symbols/{at}", f"{symbol} is the name of no single symbol")
        elif why := _why_no_symbol(symbol):
            fault(f"symbols/{at}", why)
        elif symbol in raised:
            fault(f"symbols/{at}", f"{symbol} is listed already")
        raised[symbol] = None
    return list(raised)


def _why_no_symbol(symbol: str) -> str | None:
    if SYMBOL_PATTERN.fullmatch(symbol):
        return None
    return f"{symbol!r} is not a symbol such as BTCUSDT: it must match {SYMBOL_PATTERN.pattern}"


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


def _check_rate(value: Any, fault: Fault) -> None:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        fault("options/rate", "expected the share of the exchange's limits to use at most, more than 0 and at most 1")


def _check_live(request: WorkflowRequest, data_type: DataType, now: datetime, fault: Fault) -> None:
    if request.symbols is not None:
        _check_live_basket(request.symbols, request, data_type.source, fault)
    if request.time_range:
        fault("time_range", "live types have none: they begin now; leave it out, or ask for the api type of the kind")
    known = options_of(request.exchange, request.market, data_type)
    for option, value in request.options.items():
        if option in known:
            continue
        if option == "rate":
            _check_rate(value, fault)
        elif option == BACKFILL_OPTION:
            _check_backfill(request, data_type.kind, now, fault)
        elif option != "duration":
            taken = ", ".join(["duration (seconds)", "rate", BACKFILL_OPTION, *known])
            fault(f"options/{option}", f"unknown option; such types take {taken}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_S:
            fault("options/duration", f"expected seconds, more than 0 and at most {_LONGEST_S}")
    for option, detail in option_faults(known, request.options):
        fault(f"options/{option}", detail)


def _check_live_basket(symbols: Sequence[str], request: WorkflowRequest, source: Source, fault: Fault) -> None:
    if source is not Source.WS:
        fault("symbols", "polled types take one symbol in this version; ask for a workflow for each")
    elif len(symbols) > MOST_LIVE:
        fault("symbols", f"live types take {MOST_LIVE} symbols in this version; ask for several workflows")
    if BACKFILL_OPTION in request.options:
        fault(f"options/{BACKFILL_OPTION}", "not for several symbols in this version; load the api type besides")


def _check_backfill(request: WorkflowRequest, kind: str, now: datetime, fault: Fault) -> None:
    """Refuse history that the exchange does not give over REST."""
    market = REST_MARKETS[request.exchange, request.market]
    if kind not in market.histories:
        fault(f"options/{BACKFILL_OPTION}", market.lacks.get(kind, f"the exchange gives no history of {kind}"))
        return
    try:
        time_range = backfill_range(request.options[BACKFILL_OPTION], now)
    except ValueError as exc:
        fault(f"options/{BACKFILL_OPTION}", str(exc))
        return
    if why := market.fault_of_reach(kind, time_range.start_ms, time_range.end_ms):
        fault(f"options/{BACKFILL_OPTION}", why)


def _check_bounded(request: WorkflowRequest, data_type: DataType | None, now: datetime, fault: Fault) -> datetime:
    """Return the start of the range; now where that is not known."""
    known = {} if data_type is None else options_of(request.exchange, request.market, data_type)
    for option, value in request.options.items():
        if option == "rate":
            _check_rate(value, fault)
        elif option in known:
            continue
        elif option != SOURCE_OPTION or known:
            taken = ", ".join(["rate", *known]) if known else "rate, and source: auto, rest or dump"
            fault(f"options/{option}", f"unknown option; types with a time range take {taken}")
    for option, detail in option_faults(known, request.options):
        fault(f"options/{option}", detail)
    if data_type is not None and _is_momentary(request, data_type):
        time_range = _check_time_range(request.time_range, now, fault) if request.time_range else None
        return now if time_range is None else time_range.start
    is_over_rest = data_type is not None and _check_source(request, data_type, fault)
    time_range = _check_time_range(request.time_range, now, fault)
    if time_range is None:
        return now
    if data_type is not None and is_over_rest:
        _check_reach(request, data_type.kind, time_range.start_ms, now, fault)
    return time_range.start


def _is_momentary(request: WorkflowRequest, data_type: DataType) -> bool:
    """Say whether the record is of the moment of loading: a time range may be given, and is of no account."""
    poll = REST_MARKETS[request.exchange, request.market].polls.get(data_type.kind)
    return data_type.source is Source.API and poll is not None and poll.kind.is_momentary


def _check_source(request: WorkflowRequest, data_type: DataType, fault: Fault) -> bool:
    """Say whether REST alone is left to load it."""
    has_files = is_archived(request.exchange, request.market, data_type.kind)
    try:
        choice = SourceChoice.of(data_type.source, request.options)
    except ValueError as exc:
        fault(f"options/{SOURCE_OPTION}", str(exc))
        return False
    if choice is SourceChoice.DUMP and data_type.source is Source.API and not has_files:
        detail = f"{request.exchange} {request.market} has no {data_type.kind} in archives; leave it out"
        fault(f"options/{SOURCE_OPTION}", detail)
    return choice is SourceChoice.REST or (choice is SourceChoice.AUTO and not has_files)


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
