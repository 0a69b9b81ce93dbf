"""One module per exchange: declarations and pure parsers, no I/O.

- `rest`: what the declarations are made of.
- `binance`: Binance spot.

`REST_MARKETS` is the table of what can be asked for; adding an exchange is adding a module and a line here.
"""

from streamforge_common.exchanges import binance
from streamforge_common.exchanges.rest import RestMarket

REST_MARKETS: dict[tuple[str, str], RestMarket] = {
    (market.exchange, market.market): market for market in (binance.SPOT,)
}
"""(exchange, market) to its REST history."""
