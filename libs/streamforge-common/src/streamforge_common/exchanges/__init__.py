"""One module per exchange and market: declarations and pure parsers, no I/O.

- `rest`: what the declarations are made of.
- `binance`, `binance_um`: Binance spot and USDⓈ-M futures; `binance_shared` has the parsers that both use.

`REST_MARKETS` is the table of what can be asked for; adding an exchange is adding a module and a line here.
"""

from streamforge_common.exchanges import binance, binance_um
from streamforge_common.exchanges.rest import RestMarket

REST_MARKETS: dict[tuple[str, str], RestMarket] = {
    (market.exchange, market.market): market for market in (binance.SPOT, binance_um.UM)
}
"""(exchange, market) to its REST history."""
