"""The command line: `exchange-sim serve` builds the exchange from its arguments and serves it until it is stopped."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from exchange_sim.clock import faster_time_us, real_time_us
from exchange_sim.errors import RecordingError
from exchange_sim.exchange import Exchange, OtherMarkets
from exchange_sim.market import Market
from exchange_sim.recording.files import has_recording, read_recording
from exchange_sim.recording.market import RecordedMarket
from exchange_sim.server import serving, wait_for_signal
from exchange_sim.simulation.derivatives import SimulatedDerivatives
from exchange_sim.simulation.market import SimulatedMarket
from exchange_sim.streaming.captures import CaptureFeed, read_captures
from exchange_sim.streaming.server import DAY_S

_MOST_SPEED = 10_000.0


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
    others, feed, clock = None, None, real_time_us
    if arguments.replay is None and not arguments.speed:
        raise RecordingError("--speed 0 is for recorded connections: a simulated market's time cannot stand still")
    if arguments.replay is None:
        market = SimulatedMarket(arguments.seed)
        others = OtherMarkets(
            um=SimulatedDerivatives(arguments.seed, "binance:um"),
            bybit_spot=SimulatedMarket(arguments.seed, "bybit:spot"),
            linear=SimulatedDerivatives(arguments.seed, "bybit:linear"),
        )
        clock = faster_time_us(arguments.speed)
    else:
        market, feed = _read_replay(arguments.replay, arguments.speed)
    exchange = Exchange(
        market,
        weight_limit=arguments.weight_limit,
        clock=clock,
        others=others,
        feed=feed,
        books=feed,
        seed=arguments.seed,
        connection_s=arguments.connection_seconds,
    )
    async with serving(exchange, arguments.host, arguments.port) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await wait_for_signal()


def _read_replay(path: Path, speed: float) -> tuple[RecordedMarket, CaptureFeed]:
    """Read what there is of archive files and of recorded connections."""
    captured = read_captures(path)
    # Without recorded connections there must be archive files, and the reader of these says so.
    tables = {} if captured and not has_recording(path) else read_recording(path)
    return RecordedMarket(tables), CaptureFeed(captured, speed)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed <= _MOST_SPEED:
        raise ValueError(text)
    return speed


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
        help="replay a file or folder of <SYMBOL>-<interval|aggTrades|trades>-*.csv[.gz|.zip] in the archive's "
        "columns, and of recorded connections (default: a simulated market)",
    )
    serve.add_argument("--weight-limit", type=int, default=6000, help="request weight per minute (default %(default)s)")
    serve.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        help="how many times faster the exchange's clock runs or recorded connections are played; 0 plays them as fast "
        "as they are read (default %(default)s)",
    )
    serve.add_argument(
        "--connection-seconds",
        type=float,
        default=DAY_S,
        help="after which a connection to streams is cut (default: a day)",
    )
    serve.add_argument("--seed", type=int, default=0, help="which simulated market (default %(default)s)")
    serve.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


if __name__ == "__main__":
    main()
