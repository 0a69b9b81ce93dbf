"""Reading archive files: what a file holds is told by its name, and every line is checked before the exchange opens."""

import gzip
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exchange_sim.clock import to_us
from exchange_sim.errors import RecordingError
from exchange_sim.intervals import BY_FILE_NAME
from exchange_sim.recording import layouts
from exchange_sim.recording.tables import Table

_NAME: Final = re.compile(
    rf"(?P<symbol>[A-Z0-9][A-Z0-9_-]*?)-(?P<what>{'|'.join(BY_FILE_NAME)}|aggTrades|trades)-.+\.(?:csv|csv\.gz|csv\.zip|zip)"
)

_log = logging.getLogger(__name__)

Tables = dict[tuple[str, str], Table]
"""By symbol and kind (`candles_5m`, `agg_trades`, `trades`)."""


def has_recording(path: Path) -> bool:
    """Say by the names of files whether there is one of the archive's."""
    return any(_NAME.fullmatch(found.name) for found in (path.rglob("*") if path.is_dir() else [path]))


def read_recording(path: Path) -> Tables:
    """Read one file, or every file below a folder whose name says that it is one of the archive's.

    Raises:
        RecordingError: There is nothing to replay, or a line is malformed.
    """
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    tables: Tables = {}
    for file in files:
        name = _NAME.fullmatch(file.name)
        if name is None:
            _log.info("%s: left out, its name is not <SYMBOL>-<interval|aggTrades|trades>-*.csv[.gz|.zip]", file)
            continue
        key, layout = _contents(name["symbol"], name["what"])
        _read_file(file, tables.setdefault(key, Table(layout)))
    if not tables:
        raise RecordingError(f"{path}: no file named <SYMBOL>-<interval|aggTrades|trades>-*.csv[.gz|.zip]")
    for table in tables.values():
        table.settle()
    return tables


def _contents(symbol: str, what: str) -> tuple[tuple[str, str], layouts.Layout]:
    if what == "aggTrades":
        return (symbol, "agg_trades"), layouts.AGG_TRADES
    if what == "trades":
        return (symbol, "trades"), layouts.TRADES
    return (symbol, f"candles_{what}"), layouts.CANDLES


def _read_file(path: Path, table: Table) -> None:
    layout, match = table.layout, table.layout.pattern.fullmatch
    number = 0
    try:
        with _lines(path) as lines:
            for number, ended_line in enumerate(lines, start=1):
                line = ended_line.rstrip(b"\r\n")
                if (fields := match(line)) is not None:
                    table.append(int(fields["id"]), to_us(int(fields["time"])), line)
                elif line and not (number == 1 and layout.is_header(line)):
                    raise RecordingError(f"{path}, line {number}: {layout.explain(line)}")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as exc:
        raise RecordingError(f"{path}, after line {number}: cannot be read: {exc}") from exc


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a file of any of the three packings as lines of bytes."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise RecordingError(f"{path}: expected one CSV file inside, found {len(names)}")
            with archive.open(names[0]) as file:
                yield iter(file)
    elif path.suffix == ".gz":
        with gzip.open(path) as packed:
            yield iter(packed)
    else:
        with path.open("rb") as plain:
            yield iter(plain)
