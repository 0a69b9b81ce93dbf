"""A real exchange on a free port, over files that the test wrote."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from exchange_sim.books import Books
from exchange_sim.clock import real_time_us
from exchange_sim.exchange import Exchange, OtherMarkets
from exchange_sim.market import Market
from exchange_sim.recording.files import read_recording
from exchange_sim.recording.market import RecordedMarket
from exchange_sim.server import serving
from exchange_sim.streaming.feed import Feed
from exchange_sim.streaming.server import DAY_S

FIRST_MS = 1_657_756_800_000
STEP_MS = 300_000

Open = Callable[..., Awaitable[ClientSession]]


@pytest.fixture
async def open_exchange() -> AsyncIterator[Open]:
    """Serve a market; the answer is a client session whose base URL is the exchange."""
    async with AsyncExitStack() as stack:

        async def open_(
            market: Market,
            *,
            weight_limit: int = 6000,
            clock: Callable[[], int] = real_time_us,
            others: OtherMarkets | None = None,
            feed: Feed | None = None,
            books: Books | None = None,
            connection_s: float = DAY_S,
        ):
            exchange = Exchange(
                market,
                weight_limit=weight_limit,
                clock=clock,
                others=others,
                feed=feed,
                books=books,
                connection_s=connection_s,
            )
            url = await stack.enter_async_context(serving(exchange, "127.0.0.1", 0))
            return await stack.enter_async_context(ClientSession(url))

        yield open_


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedMarket:
    """ABCUSDT: 2,500 candles of 5m with the candle 700 missing, 30 aggregated trades in microseconds, 5 trades."""
    candles = [
        f"{FIRST_MS + n * STEP_MS},1.0{n},2.50000000,0.50,1.{n}0,10.{n},{FIRST_MS + (n + 1) * STEP_MS - 1},"
        f"12.{n},{n},5.{n},6.{n},0"
        for n in range(2500)
        if n != 700
    ]
    (tmp_path / "ABCUSDT-5m-2022-07.csv").write_text("\n".join(candles) + "\n")
    trades = [f"{100 + n},0.{n + 1},3.{n},{n},{n},{(FIRST_MS + n // 3) * 1000 + 7},True,True" for n in range(30)]
    (tmp_path / "ABCUSDT-aggTrades-2025-01-01.csv").write_text("\n".join(trades) + "\n")
    single = [f"{900 + n},0.5,2.0,1.00,{FIRST_MS + n},true" for n in range(5)]
    (tmp_path / "ABCUSDT-trades-2022-07-14.csv").write_text("id,price,qty,quote_qty,time,is_buyer_maker\n")
    with (tmp_path / "ABCUSDT-trades-2022-07-14.csv").open("a") as file:
        file.write("\n".join(single))
    return RecordedMarket(read_recording(tmp_path))
