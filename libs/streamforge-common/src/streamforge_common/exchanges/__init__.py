"""One module per exchange and market: declarations and pure parsers, no I/O.

- `rest`, `archives`, `streams`: what the declarations are made of; `decoding`: how their JSON is read.
- `binance`, `binance_um`: Binance spot and USDⓈ-M futures; `binance_shared` has what both use.
- `binance_archives`: the archives of both.
- `bybit`: Bybit v5, spot and linear.
- `binance_streams`, `bybit_streams`: their live streams.
- `options`: what a user may choose of pace and depth.

`REST_MARKETS`, `ARCHIVE_MARKETS` and `STREAM_MARKETS` are the tables of what can be asked for; adding an exchange is
adding a module and a line to each.
"""

from streamforge_common.exchanges import (
    binance,
    binance_archives,
    binance_streams,
    binance_um,
    bybit,
    bybit_streams,
)
from streamforge_common.exchanges.archives import ArchiveMarket
from streamforge_common.exchanges.rest import RestMarket
from streamforge_common.exchanges.streams import StreamMarket

REST_MARKETS: dict[tuple[str, str], RestMarket] = {
    (market.exchange, market.market): market for market in (binance.SPOT, binance_um.UM, bybit.SPOT, bybit.LINEAR)
}
"""(exchange, market) to its REST history."""

ARCHIVE_MARKETS: dict[tuple[str, str], ArchiveMarket] = {
    (market.exchange, market.market): market for market in (binance_archives.SPOT, binance_archives.UM)
}
"""(exchange, market) to its archives."""

STREAM_MARKETS: dict[tuple[str, str], StreamMarket] = {
    (market.exchange, market.market): market
    for market in (binance_streams.SPOT, binance_streams.UM, bybit_streams.SPOT, bybit_streams.LINEAR)
}
"""(exchange, market) to its live streams."""


def at_the_same_address(exchange: str, market: str) -> list[tuple[str, str]]:
    """Return the markets, this one included, that are asked at one address and so are closed together."""
    asked = REST_MARKETS[exchange, market].base_url_setting
    return [key for key, other in REST_MARKETS.items() if other.base_url_setting == asked]
