"""Which workflow the demo asks for: one that the platform's exchange can fulfil, whichever that is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from streamforge_common.contract.intervals import Interval
from streamforge_common.contract.time_range import TimeRange
from streamforge_local.errors import PlatformError
from streamforge_local.exchange import ExchangeKind
from streamforge_local.home import PlatformInfo

_SYMBOL, _KIND = "BTCUSDT", "candles_5m"
_LIVE_DAYS = 30
_SIMULATED_RANGE = "2024-07-14:2024-08-17"
"""34 days, 9,792 candles: ten pages, a few seconds."""
_TRADES_HOURS = 1
"""Some tens of thousands of trades, a few seconds."""
_PAGES_WITHIN_S = 30.0


class Offer(msgspec.Struct, frozen=True):
    """One line of `exchange-sim`'s `/_sim/markets`: a series that can be asked for."""

    mode: str
    """`replay` or `simulated`."""
    symbol: str
    kind: str
    first: int
    """Open time of the first item, Unix ms."""
    last: int
    """Open time of the last item, Unix ms."""
    items: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What the demo asks for."""

    symbol: str
    kind: str
    time_range: str

    @property
    def request(self) -> dict[str, str]:
        """The body of `POST /workflows`."""
        return {"symbol": self.symbol, "type": f"api_{self.kind}", "time_range": self.time_range}


def choose(info: PlatformInfo, now: datetime) -> Choice:
    """Choose what to load from the exchange of a running platform.

    Raises:
        PlatformError: Nothing can be loaded from it.
    """
    if info.asked_sim_url is None:
        return Choice(_SYMBOL, _KIND, _last_days(now))
    return choose_offer(_offers(info.asked_sim_url))


def choose_trades(candles: Choice, exchange_kind: str) -> Choice | None:
    """Choose the aggregated trades of the end of the candles' range; None where a recording may not have them."""
    if exchange_kind == ExchangeKind.REPLAY:
        return None
    end = datetime.fromtimestamp(TimeRange.parse(candles.time_range).end_ms / 1000, UTC)
    return Choice(candles.symbol, "agg_trades", _instants(end - timedelta(hours=_TRADES_HOURS), end))


def choose_offer(offers: Iterable[Offer]) -> Choice:
    """Choose among what `exchange-sim` has: five-minute candles of Bitcoin, else the most candles there are.

    Raises:
        PlatformError: It has no candles.
    """
    candles = [offer for offer in offers if offer.kind.startswith("candles_")]
    if not candles:
        raise PlatformError("the recording has no candles, which are what the demo loads: choose another one")
    best = max(candles, key=lambda offer: ((offer.symbol, offer.kind) == (_SYMBOL, _KIND), offer.items))
    if best.mode == "simulated":
        return Choice(_SYMBOL, _KIND, _SIMULATED_RANGE)
    return Choice(best.symbol, best.kind, _whole_range(best))


def _offers(exchange_sim_url: str) -> list[Offer]:
    try:
        # Without the environment: a proxy cannot reach this machine's loopback.
        answer = httpx.get(f"{exchange_sim_url}/_sim/markets", timeout=_PAGES_WITHIN_S, trust_env=False)
        return [msgspec.json.decode(line, type=Offer) for line in answer.raise_for_status().content.splitlines()]
    except (httpx.HTTPError, msgspec.DecodeError) as exc:
        raise PlatformError(f"{exchange_sim_url} does not say what it has: {exc}") from exc


def _last_days(now: datetime) -> str:
    """Write the last full days, UTC."""
    end = now.astimezone(UTC).date()
    return f"{end - timedelta(days=_LIVE_DAYS)}:{end}"


def _whole_range(offer: Offer) -> str:
    """Write the range of a recording, in days where it starts and ends with one."""
    end_ms = Interval(offer.kind.removeprefix("candles_")).advance(offer.last)
    start, end = (datetime.fromtimestamp(time_ms / 1000, UTC) for time_ms in (offer.first, end_ms))
    if all(moment.time() == datetime.min.time() for moment in (start, end)):
        return f"{start:%Y-%m-%d}:{end:%Y-%m-%d}"
    return _instants(start, end)


def _instants(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"
