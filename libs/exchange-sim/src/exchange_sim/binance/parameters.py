"""Reading a query string as strictly as the exchange does, with the refusals it has for each mistake.

Source: Binance spot API, errors.md (2026-07); the wording of -1100 to -1105 as recorded from the live interface.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from exchange_sim.clock import HOUR_US, MINUTE_US, SECOND_US, last_us, to_us
from exchange_sim.errors import ExchangeError
from exchange_sim.intervals import INTERVALS, Interval

_SYMBOL: Final = "^[A-Z0-9-_.]{1,20}$"
_SYMBOLS: Final = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
_NUMBER: Final = "^[0-9]{1,20}$"
_TIME_ZONE: Final = r"([+-]?)(\d{1,2})(?::(\d{2}))?"

_LARGEST_LONG: Final = 2**63 - 1

_LATEST_US: Final = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * SECOND_US
"""The far future is one moment: beyond the year 9999 there is no calendar to lay months on."""


class Parameters:
    """The parameters of one request, known to be ones that the endpoint has, each sent once and not empty."""

    def __init__(self, sent: Sequence[tuple[str, str]], known: Sequence[str], mandatory: Sequence[str]) -> None:
        """Check names before values, in the exchange's order.

        Raises:
            ExchangeError: -1101, -1102, -1104 or -1105.
        """
        values = dict(sent)
        if len(values) < len(sent):
            raise ExchangeError(-1101, "Duplicate values for a parameter detected.")
        for name in mandatory:
            if name not in values:
                raise missing(name)
        if len(values) > len(known):
            raise ExchangeError(-1101, f"Too many parameters; expected '{len(known)}' and received '{len(values)}'.")
        if unread := values.keys() - set(known):
            read = len(values) - len(unread)
            raise ExchangeError(
                -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(values)}'."
            )
        for name, value in values.items():
            if not value:
                raise ExchangeError(-1105, f"Parameter '{name}' was empty.")
        self._values: Mapping[str, str] = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def symbol(self, name: str = "symbol") -> str:
        """The parameter `symbol`, or `pair`; whether the symbol exists is for the market to say."""
        return self._legal(name, _SYMBOL)

    def text(self, name: str) -> str:
        """A mandatory parameter as it is."""
        return self._values[name]

    def symbols(self) -> list[str]:
        """The parameter `symbols`, a JSON array without blanks."""
        return re.findall(r'"([^"]+)"', self._legal("symbols", _SYMBOLS))

    def interval(self) -> Interval:
        """The parameter `interval`."""
        interval = INTERVALS.get(self._values["interval"])
        if interval is None:
            raise ExchangeError(-1120, "Invalid interval.")
        return interval

    def number(self, name: str) -> int | None:
        """A whole number that need not be sent."""
        if name not in self._values:
            return None
        number = int(self._legal(name, _NUMBER))
        if number > _LARGEST_LONG:
            raise _not_valid(name)
        return number

    def start_us(self) -> int | None:
        """The parameter `startTime`, which may be in ms or us."""
        start = self.number("startTime")
        return None if start is None else min(to_us(start), _LATEST_US)

    def end_us(self) -> int | None:
        """The parameter `endTime`; given in ms it includes the whole of that millisecond."""
        end = self.number("endTime")
        return None if end is None else min(last_us(end), _LATEST_US)

    def limit(self, default: int, most: int) -> int:
        """The parameter `limit`: more than the endpoint gives is not refused but cut."""
        limit = self.number("limit")
        if limit == 0:
            raise _not_valid("limit")
        return default if limit is None else min(limit, most)

    def offset_us(self) -> int:
        """The parameter `timeZone`: `8`, `-1:00`, `05:45`, from -12:00 to +14:00."""
        if "timeZone" not in self._values:
            return 0
        match = re.fullmatch(_TIME_ZONE, self._values["timeZone"], re.ASCII)
        if match is None:
            raise _not_valid("timeZone")
        offset_us = int(match[2]) * HOUR_US + int(match[3] or 0) * MINUTE_US
        offset_us = -offset_us if match[1] == "-" else offset_us
        if not -12 * HOUR_US <= offset_us <= 14 * HOUR_US or int(match[3] or 0) > 59:
            raise _not_valid("timeZone")
        return offset_us

    def _legal(self, name: str, pattern: str) -> str:
        value = self._values[name]
        if re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value, re.ASCII) is None:
            raise ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")
        return value


def missing(name: str) -> ExchangeError:
    """The refusal of a request without a parameter that it needs."""
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def bad_combination() -> ExchangeError:
    """The refusal of parameters that exclude each other."""
    return ExchangeError(-1128, "Combination of optional parameters invalid.")


def _not_valid(name: str) -> ExchangeError:
    return ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")
