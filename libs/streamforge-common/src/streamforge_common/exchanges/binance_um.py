"""Binance USDⓈ-M futures: REST market data.

Source: docstrings of the official connector, state of 2026-08-21 (read 2026-11-21).
"""

from streamforge_common.contract.intervals import INTERVALS, Interval
from streamforge_common.exchanges import binance_shared as shared
from streamforge_common.exchanges.rest import History, Pool, Reach, Refusal, RefusedError, Request, RestMarket

_MARKET = "um"
_HOUR_MS = 3_600_000
_INTERVALS = [Interval(name) for name in INTERVALS if name != "1s"]
_WEIGHT = Pool("um", limit=2_400, used_header="X-MBX-USED-WEIGHT-1M")


def _klines(path: str) -> shared.Endpoint:
    """A page of up to 499 rows weighs 2, one of 1,500 weighs 10: short pages bring more rows a minute."""
    return shared.Endpoint(f"/fapi/v1/{path}", rows=499, weight=2, pool=_WEIGHT)


def _pair(symbol: str) -> dict[str, str]:
    """Name the pair of a contract, which is all that an index has: that of BTCUSDT_261225 is BTCUSDT."""
    return {"pair": symbol.partition("_")[0]}


_AGG_TRADES = shared.Endpoint("/fapi/v1/aggTrades", rows=1_000, weight=20, pool=_WEIGHT)
_AGG_TRADES_REACH = Reach(48 * _HOUR_MS, "48 hours", "dump_agg_trades")


def _candles_of(interval: Interval) -> list[History]:
    """Declare the candles of all four prices."""
    computed = shared.parse_price_candles
    return [
        shared.candles(_MARKET, "candles", interval, _klines("klines"), shared.parse_candles),
        shared.candles(_MARKET, "mark_candles", interval, _klines("markPriceKlines"), computed),
        shared.candles(_MARKET, "index_candles", interval, _klines("indexPriceKlines"), computed, _pair),
        shared.candles(_MARKET, "premium_candles", interval, _klines("premiumIndexKlines"), computed),
    ]


_HISTORIES = (
    *(history for interval in _INTERVALS for history in _candles_of(interval)),
    shared.agg_trades(_MARKET, _AGG_TRADES, _AGG_TRADES_REACH),
)


def _parse_limit(body: bytes, symbol: str) -> int | None:
    """Read the limit. Raises RefusedError where the symbol is not listed."""
    info = shared.parse_exchange_info(body)
    if all(listed.symbol != symbol for listed in info.symbols):
        raise RefusedError(Refusal(-1121, f"Invalid symbol. {symbol!r} is not listed."))
    return info.weight_per_minute


UM = RestMarket(
    exchange=shared.EXCHANGE,
    market=_MARKET,
    base_url_setting="binance_futures_rest_url",
    pool=_WEIGHT,
    histories={history.kind.name: history for history in _HISTORIES},
    time_request=Request("/fapi/v1/time", {}, 1, _WEIGHT),
    parse_time=shared.parse_time,
    # Of one symbol alone the exchange cannot be asked.
    symbol_request=lambda _: Request("/fapi/v1/exchangeInfo", {}, 1, _WEIGHT),
    parse_limit=_parse_limit,
    parse_refusal=shared.parse_refusal,
    lacks={
        "trades": "over REST it gives single trades for one month and to holders of a key only; ask for agg_trades",
    },
)
