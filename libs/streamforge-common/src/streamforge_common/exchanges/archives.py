"""What an exchange module declares about one market's public archives, and how the lines of a file are read.

An archive has one packed CSV file for each symbol, kind and day or month, and beside it the file's checksum.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.errors import RejectedRecordError

ArchiveTime = Annotated[int, msgspec.Meta(ge=0, le=32_503_680_000_000_000)]
"""Unix time up to the year 3000, in milliseconds or microseconds."""
_MICROSECONDS_FROM = 10**14
"""As milliseconds this would be the year 5138, as microseconds it is 1973: the magnitude tells the unit."""
_HEADER = re.compile(rb"[A-Za-z_]+(?:,[A-Za-z_]+)*")


@dataclass(frozen=True, slots=True)
class Period:
    """What one file covers: a day or a month, UTC."""

    start_ms: int
    end_ms: int
    """Exclusive."""
    is_month: bool

    @property
    def name(self) -> str:
        """As in the names of files: `2024-08`, `2024-08-01`."""
        return f"{datetime.fromtimestamp(self.start_ms / 1000, UTC):{'%Y-%m' if self.is_month else '%Y-%m-%d'}}"


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the files of one kind are, and how they are read."""

    kind: RecordKind
    path: Callable[[str, Period], str]
    """(symbol, period) to the path of the file, relative to the base URL."""
    time_column: int
    """Which column, from 0, has a time: its magnitude tells the unit of the file's times."""
    parse: Callable[[bytes, str, int], Sequence[Record]]
    """(lines as a JSON array of arrays of strings, symbol, how many units of time make a millisecond) to records, one
    per line. Raises RejectedRecordError: a line is none."""
    has_days: bool = True
    """Whether there are files of a day."""
    has_months: bool = True
    """Whether there are files of a month."""
    runs_on_ms: int = 0
    """How far behind the end of its period a file's records may lie; within that two files may tell of one record."""


@dataclass(frozen=True, slots=True)
class ArchiveMarket:
    """One exchange's market, as far as its archives go."""

    exchange: str
    market: str
    base_url_setting: str
    """The field of `ExchangeSettings` that holds the base URL."""
    archives: Mapping[str, Archive]
    """Kind to its files: every kind that can be loaded."""
    checksum_path: Callable[[str], str]
    """Path of a file to that of its checksum."""
    parse_checksum: Callable[[bytes, str], str]
    """(body, path of the file) to its SHA-256, lower-case hexadecimal. Raises RejectedRecordError."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What some lines of a file hold."""

    records: Sequence[Record]
    """In the order of the file."""
    refused: Sequence[tuple[bytes, str]]
    """Lines that are no records of the file, as they came, each with the reason."""


class LineReader:
    """Reads the lines of one file."""

    def __init__(self, archive: Archive, symbol: str, period: Period, head: bytes) -> None:
        """Learn from the head of a file whether it has a header, and the unit of its times.

        Args:
            archive: Where the file is from.
            symbol: Whose records it has.
            period: What it covers.
            head: Its first bytes, two lines at least where it has as many.
        """
        self._archive = archive
        self._symbol = symbol
        self._period = period
        self._end_ms = period.end_ms + archive.runs_on_ms
        first, newline, rest = head.partition(b"\n")
        has_header = _HEADER.fullmatch(first.rstrip(b"\r")) is not None
        self.begin = len(first + newline) if has_header else 0
        """Where in the file the first record begins, bytes."""
        self._units_per_ms = _units_per_ms(rest.partition(b"\n")[0] if has_header else first, archive.time_column)

    def read(self, chunk: bytes) -> Lines:
        """Read some whole lines."""
        lines = chunk.replace(b"\r\n", b"\n").removesuffix(b"\n")
        if not lines:
            return Lines((), ())
        try:
            records = self._parse(lines)
        except RejectedRecordError:
            return self._read_one_by_one(lines)
        return Lines(records, ()) if self._are_good(records) else self._read_one_by_one(lines)

    def _parse(self, lines: bytes) -> Sequence[Record]:
        """Read lines by the decoder of JSON, which knows how to check many fields at once."""
        if b'"' in lines or b"\\" in lines:
            raise RejectedRecordError("a quotation mark or a backslash, where there are numbers only")
        quoted = b'[["' + lines.replace(b",", b'","').replace(b"\n", b'"],["') + b'"]]'
        return self._archive.parse(quoted, self._symbol, self._units_per_ms)

    def _are_good(self, records: Sequence[Record]) -> bool:
        times = [*map(self._archive.kind.time_of, records)]
        is_inside = self._period.start_ms <= min(times) and max(times) < self._end_ms
        return is_inside and not any(map(self._archive.kind.fault_of, records))

    def _read_one_by_one(self, lines: bytes) -> Lines:
        records: list[Record] = []
        refused: list[tuple[bytes, str]] = []
        for line in lines.split(b"\n"):
            try:
                [record] = self._parse(line)
            except RejectedRecordError as exc:
                refused.append((line, str(exc)))
                continue
            if fault := self._fault_of(record):
                refused.append((line, fault))
            else:
                records.append(record)
        return Lines(records, refused)

    def _fault_of(self, record: Record) -> str | None:
        kind, period = self._archive.kind, self._period
        time_ms = kind.time_of(record)
        if not period.start_ms <= time_ms < self._end_ms:
            return f"time {time_ms} lies outside of {period.name}, which the file is of"
        return kind.fault_of(record)


def _units_per_ms(line: bytes, time_column: int) -> int:
    """Tell the unit from a line; one that is none is refused when it is read."""
    time = [*line.split(b","), *[b""] * time_column][time_column].strip()
    return 1_000 if time.isdigit() and int(time[:20]) >= _MICROSECONDS_FROM else 1
