import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamforge_local.testing import exchange_served

CANDLES_FILE = Path(__file__).parents[4] / "shared/data/binance-candles/BTCUSDT-5m-2022-07-14_2022-08-16.csv.gz"


@pytest.fixture(scope="session")
def candles_csv() -> Path:
    if not CANDLES_FILE.exists():
        pytest.skip("the recorded candles in ../shared/data are not here")
    return CANDLES_FILE


@pytest.fixture(scope="session")
def recorded_rows(candles_csv: Path) -> list[list[str]]:
    """The exchange's own strings, one list per candle."""
    with gzip.open(candles_csv, "rt") as lines:
        return [line.rstrip("\n").split(",") for line in lines]


@pytest.fixture
async def exchange_sim(candles_csv: Path) -> AsyncIterator[str]:
    async with exchange_served("--replay", str(candles_csv)) as url:
        yield url


@pytest.fixture
async def simulated_exchange() -> AsyncIterator[str]:
    async with exchange_served() as url:
        yield url


@pytest.fixture
def serving_recording():
    return lambda recording: exchange_served("--replay", str(recording))
