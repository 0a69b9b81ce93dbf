"""Binance spot: REST market data.

Source: binance-spot-api-docs, rest-api.md, state of 2026-07-21 (read 2026-11-21).
"""

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.exchanges import binance_shared as shared
from streamforge_common.exchanges.rest import Pool, Request, RestMarket

_MARKET = "spot"
_WEIGHT = Pool("spot", limit=6_000, used_header="X-MBX-USED-WEIGHT-1M")

# A request weighs the same however many rows are asked for.
_KLINES = shared.Endpoint("/api/v3/klines", rows=1_000, weight=2, pool=_WEIGHT)
_AGG_TRADES = shared.Endpoint("/api/v3/aggTrades", rows=1_000, weight=4, pool=_WEIGHT)
_TRADES = shared.Endpoint("/api/v3/historicalTrades", rows=1_000, weight=25, pool=_WEIGHT)
_DEFAULT_LEVELS = 100


def _weigh_depth(limit: int) -> int:
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most)


_HISTORIES = (
    *(shared.candles(_MARKET, "candles", Interval(name), _KLINES, shared.parse_candles) for name in INTERVALS),
    shared.agg_trades(_MARKET, _AGG_TRADES),
    shared.trades(_MARKET, _TRADES, _AGG_TRADES),
)


def _parse_limit(body: bytes, _symbol: str) -> int | None:
    """Read the limit; a symbol that does not exist was refused with a status of its own."""
    return shared.parse_exchange_info(body).weight_per_minute


SPOT = RestMarket(
    exchange=shared.EXCHANGE,
    market=_MARKET,
    base_url_setting="binance_spot_rest_url",
    pool=_WEIGHT,
    histories={history.kind.name: history for history in _HISTORIES},
    time_request=Request("/api/v3/time", {}, 1, _WEIGHT),
    parse_time=shared.parse_time,
    symbol_request=lambda symbol: Request("/api/v3/exchangeInfo", {"symbol": symbol}, 20, _WEIGHT),
    parse_limit=_parse_limit,
    parse_refusal=shared.parse_refusal,
    polls={
        "depth_snapshot": shared.depth_snapshot(
            _MARKET, "/api/v3/depth", _WEIGHT, range(1, 5_001), _DEFAULT_LEVELS, _weigh_depth
        )
    },
    lacks=dict.fromkeys(
        ("mark_candles", "index_candles", "premium_candles", "funding_rate", "open_interest"),
        "spot has no such thing; ask for it in market um",
    ),
)
