"""Recorded candles that a platform replays, and what of them has to be in the database then."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RECORDED_CANDLES = 9_792
FIRST_MS = 1_657_756_800_000
"""2022-07-14 00:00 UTC."""
FIVE_MINUTES_MS, MINUTE_MS = 300_000, 60_000
TIME_RANGE = "2022-07-14:2022-08-17"

_NUMBERS = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
"""Field of a document to column of the archive's rows."""


@dataclass(frozen=True)
class Recording:
    """A file in the archive's columns, and its rows in the exchange's own strings."""

    path: Path
    rows: Sequence[Sequence[str]]

    def documents(self, symbol: str = "BTCUSDT", kind: str = "candles_5m") -> dict[str, dict[str, object]]:
        """Return what a database must hold, by `_key`; numbers are the doubles nearest to the strings."""
        return {str(document["_key"]): document for document in (_document(row, symbol, kind) for row in self.rows)}


def _document(row: Sequence[str], symbol: str, kind: str) -> dict[str, object]:
    identity = {"exchange": "binance", "market": "spot", "symbol": symbol, "type": kind}
    times = {"open_time": int(row[0]), "close_time": int(row[6]), "trades": int(row[8])}
    numbers = {field: float(row[column]) for field, column in _NUMBERS.items()}
    return {"_key": f"binance:spot:{symbol}:{kind}:{row[0]}", **identity, **times, **numbers}


def candle_row(open_ms: int, interval_ms: int, number: int) -> list[str]:
    """Invent a candle; every number differs from its neighbours', in awkward decimals."""
    close = f"{0.1 + number * 0.0137:.8f}"
    high, low = f"{1.3 + number * 0.0137:.8f}", f"{0.05 + number * 0.0137:.8f}"
    volume = f"{number % 97}.{number:08d}"
    times = (str(open_ms), str(open_ms + interval_ms - 1))
    return [times[0], close, high, low, close, volume, times[1], f"{number * 3.3:.8f}", str(number), volume, close, "0"]


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> Recording:
    """Write a recording."""
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return Recording(path, rows)


def invented_candles(folder: Path) -> Recording:
    """Write candles on the grid of the recorded file."""
    rows = [
        candle_row(FIRST_MS + number * FIVE_MINUTES_MS, FIVE_MINUTES_MS, number) for number in range(RECORDED_CANDLES)
    ]
    return write_rows(folder / "BTCUSDT-5m-2022-07-14_2022-08-16.csv", rows)
