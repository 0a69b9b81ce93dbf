"""What the tests of the whole share: a recording of candles, and its rows as the exchange wrote them."""

import csv
import gzip
from pathlib import Path

import pytest

from tests.e2e.recordings import RECORDED_CANDLES, Recording, invented_candles

SHARED_CANDLES = Path(__file__).parents[2] / "shared/data/binance-candles/BTCUSDT-5m-2022-07-14_2022-08-16.csv.gz"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the platform of the end-to-end tests runs."""
    parser.addoption(
        "--platform",
        choices=["embedded", "cluster"],
        default="embedded",
        help="where end-to-end tests run: `streamforge up`, or an installation on the cluster of KUBECONFIG",
    )


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """34 days of BTCUSDT candles: the real ones where they are at hand, else invented ones on the same grid."""
    if SHARED_CANDLES.exists():
        with gzip.open(SHARED_CANDLES, "rt", newline="") as lines:
            rows = list(csv.reader(lines))
        assert len(rows) == RECORDED_CANDLES
        return Recording(SHARED_CANDLES, rows)
    return invented_candles(tmp_path_factory.mktemp("recording"))
