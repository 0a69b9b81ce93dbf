"""What a load has reached."""

import math
from collections import Counter

import msgspec

_STEP = 1.02
"""From one class of latencies to the next: a percentile is right to two hundredths, in a few hundred classes."""


class Latencies:
    """Latencies of any number of records in little memory: only how many fell into which class."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self._longest_ns = 0

    def add(self, latency_ns: int, records: int) -> None:
        """Note that so many records took so long."""
        self._classes[math.ceil(math.log(max(1, latency_ns), _STEP))] += records
        self._longest_ns = max(self._longest_ns, latency_ns)

    def percentile_ms(self, percent: float) -> float | None:
        """Return within how many milliseconds so many percent of the records were through, None without records."""
        wanted = math.ceil(self._classes.total() * percent / 100)
        through = 0
        for number, records in sorted(self._classes.items()):
            through += records
            if through >= wanted:
                return _ms(min(_STEP**number, self._longest_ns))
        return None


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a load."""

    topic: str
    rate: float
    """Records a second, as wanted."""
    size: int
    """Bytes of a record's value."""
    seconds: float
    """How long it was to go on."""
    wanted: int
    """Records that were due in this time."""
    sent: int
    """Those that were handed over to the client; fewer than wanted where it could not keep its pace."""
    acknowledged: int
    unacknowledged: int
    """Sent and not known to be in the log."""
    bytes_acknowledged: int
    """Of values; keys and what Kafka adds are not counted."""
    elapsed_s: float
    """To the last acknowledgement; where it was not ended early, at least as long as it was to go on."""
    records_per_second: float
    bytes_per_second: float
    latency_p50_ms: float | None
    """From handing a record over to its acknowledgement; None where nothing was acknowledged."""
    latency_p99_ms: float | None
    latency_max_ms: float | None
    behind_max_ms: float
    """How late a record was handed over at most, against its own pace."""
    behind_last_ms: float
    """How late the last one was: far above the latency, it was never caught up with."""
    interrupted: bool
    """Ended by a signal before its time."""
    errors: dict[str, int]
    """Why records were not acknowledged, and how many for each reason."""

    def text(self) -> str:
        """Return the report in sentences."""
        lines = [
            f"{self.acknowledged:,} records of {self.size:,} bytes acknowledged on {self.topic!r} "
            f"in {self.elapsed_s:.1f} s: {self.records_per_second:,.1f} records/s, "
            f"{self.bytes_per_second / 1e6:,.2f} MB/s",
            f"wanted were {self.wanted:,} in {self.seconds:g} s, {self.rate:,.10g} records/s; {self.sent:,} were sent",
        ]
        if self.interrupted:
            lines.append("ended by a signal before its time")
        if self.latency_p50_ms is not None:
            lines.append(
                f"latency to acknowledgement: p50 {self.latency_p50_ms:,.1f} ms, p99 {self.latency_p99_ms:,.1f} ms, "
                f"longest {self.latency_max_ms:,.1f} ms"
            )
        lines.append(
            f"behind its own pace: {self.behind_max_ms:,.1f} ms at most, {self.behind_last_ms:,.1f} ms at the end"
        )
        lines += [f"{records:,} records not acknowledged: {reason}" for reason, records in self.errors.items()]
        return "\n".join(lines)


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)
