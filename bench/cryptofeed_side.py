"""Best prices of BTCUSDT through cryptofeed's Kafka backend, until it is killed: `ADDRESS BOOTSTRAP_SERVERS KEY`.

Runs in an environment that has cryptofeed and nothing of StreamForge.
"""

import asyncio
import sys

from cryptofeed import FeedHandler, connection
from cryptofeed.backends.kafka import TickerKafka
from cryptofeed.connection import WebsocketEndpoint
from cryptofeed.defines import TICKER
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols


def main() -> None:
    """Listen and publish."""
    address, bootstrap_servers, key = sys.argv[1:]
    # It takes addresses with TLS only, which the simulated exchange has not.
    connect = connection.connect
    connection.connect = lambda url, **options: connect(url.replace("wss:", "ws:", 1), **options)
    Binance.websocket_endpoints = [WebsocketEndpoint(address.replace("ws:", "wss:", 1))]
    # It would ask the exchange for all of its symbols.
    Symbols.set(Binance.id, {"BTC-USDT": "BTCUSDT"}, {"instrument_type": {"BTC-USDT": "spot"}})
    handler = FeedHandler()
    # It wants a loop to be there already, which today's Python and uvloop do not make by themselves.
    asyncio.set_event_loop(asyncio.new_event_loop())
    backend = TickerKafka(key=key, bootstrap_servers=bootstrap_servers)
    handler.add_feed(Binance(symbols=["BTC-USDT"], channels=[TICKER], callbacks={TICKER: backend}))
    handler.run()


if __name__ == "__main__":
    main()
