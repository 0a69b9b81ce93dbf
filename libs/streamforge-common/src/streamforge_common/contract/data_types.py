"""What is loaded and how: a type is `<source>_<kind>`, e.g. `api_candles_5m` (contract section 6)."""

from dataclasses import dataclass
from enum import StrEnum

from streamforge_common.contract.intervals import Interval

FAMILIES = ("candles", "mark_candles", "index_candles", "premium_candles", "open_interest")
"""Kinds whose name ends with an interval: of the candles, or between two measurements."""


class Source(StrEnum):
    """Where the records of a type come from."""

    API = "api"
    """REST history."""
    DUMP = "dump"
    """The exchange's public archives."""
    WS = "ws"
    """Live, pushed by the exchange."""
    POLL = "poll"
    """Live, asked for again and again."""

    @property
    def is_live(self) -> bool:
        """Whether a dataset of this source has no end."""
        return self in (Source.WS, Source.POLL)


@dataclass(frozen=True, slots=True)
class DataType:
    """A parsed type."""

    source: Source
    kind: str

    @classmethod
    def parse(cls, text: str) -> "DataType":
        """Split a type into its source and kind.

        Raises:
            ValueError: The source is unknown, or a candle interval is.
        """
        source, _, kind = text.partition("_")
        if source not in set(Source) or not kind:
            raise ValueError(f"unknown type {text!r}: expected <source>_<kind> such as api_candles_5m")
        parsed = cls(Source(source), kind)
        if parsed.family is not None:
            _ = parsed.interval
        return parsed

    @property
    def family(self) -> str | None:
        """The kind without its interval, None where it has none."""
        return next((family for family in FAMILIES if self.kind.startswith(f"{family}_")), None)

    @property
    def interval(self) -> Interval:
        """The interval of the candles or measurements.

        Raises:
            ValueError: The kind has none, or not one that there is.
        """
        if self.family is None:
            raise ValueError(f"{self.kind!r} has no interval")
        return Interval(self.kind.removeprefix(f"{self.family}_"))

    def __str__(self) -> str:
        return f"{self.source}_{self.kind}"
