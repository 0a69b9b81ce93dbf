"""The command line: `exchange-sim serve` builds the exchange from its arguments and serves it until it is stopped."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from exchange_sim.clock import real_time_us
from exchange_sim.errors import RecordingError
from exchange_sim.exchange import Exchange, OtherMarkets
from exchange_sim.market import Market
from exchange_sim.recording.files import read_recording
from exchange_sim.recording.market import RecordedMarket
from exchange_sim.server import serving, wait_for_signal
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket


def main() -> None:
    """Run the command; exit status 0 after a signal, 1 when it cannot start, 2 for wrong arguments."""
    arguments = _parser().parse_args()
    # A recording may take seconds to read; from the first request on, `wait_for_signal` has the word.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: sys.exit(0))
    logging.basicConfig(level=arguments.log_level, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_serve(arguments))
    except (RecordingError, OSError) as exc:
        sys.exit(f"exchange-sim: {exc}")


async def _serve(arguments: argparse.Namespace) -> None:
    market: Market
    others = None
    if arguments.replay is None:
        market = SimulatedMarket(arguments.seed)
        others = OtherMarkets(
            um=SimulatedDerivatives(arguments.seed, "binance:um"),
            bybit_spot=SimulatedMarket(arguments.seed, "bybit:spot"),
            linear=SimulatedDerivatives(arguments.seed, "bybit:linear"),
        )
    else:
        market = RecordedMarket(read_recording(arguments.replay))
    exchange = Exchange(market, weight_limit=arguments.weight_limit, clock=real_time_us, others=others)
    async with serving(exchange, arguments.host, arguments.port) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await wait_for_signal()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="exchange-sim", description="A crypto exchange to develop and test against.")
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="serve the exchange; its URL is printed on stdout once it can be asked")
    serve.add_argument("--port", type=int, required=True, help="0 chooses a free one")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument(
        "--replay",
        type=Path,
        metavar="PATH",
        help="replay a file or folder of <SYMBOL>-<interval|aggTrades|trades>-*.csv[.gz|.zip] in the archive's columns "
        "(default: a simulated market)",
    )
    serve.add_argument("--weight-limit", type=int, default=6000, help="request weight per minute (default %(default)s)")
    serve.add_argument("--speed", type=float, default=1.0, help="pace of live streams; history always comes at once")
    serve.add_argument("--seed", type=int, default=0, help="which simulated market (default %(default)s)")
    serve.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


if __name__ == "__main__":
    main()
