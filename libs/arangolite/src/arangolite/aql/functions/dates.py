"""Functions of dates: milliseconds since 1970 or ISO 8601 strings, in UTC unless a time zone is named."""

import calendar
import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from arangolite.aql.functions.registry import Implementation, function, strict_function, wrong_argument
from arangolite.aql.operators import Warn, number, to_number, to_string
from arangolite.errors import ArangoError, Problem, not_supported
from arangolite.values import Value, truthy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ISO = re.compile(
    r"\s*(?P<year>\d{1,4})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?)?"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
    r"\s*(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?\s*",
    re.ASCII,
)
_UNITS = {
    **dict.fromkeys(("y", "year", "years"), "year"),
    **dict.fromkeys(("m", "month", "months"), "month"),
    **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("h", "hour", "hours"), "hour"),
    **dict.fromkeys(("i", "minute", "minutes"), "minute"),
    **dict.fromkeys(("s", "second", "seconds"), "second"),
    **dict.fromkeys(("f", "millisecond", "milliseconds"), "millisecond"),
}
_FIXED_MS = {
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}
_AVERAGE_MS = {**_FIXED_MS, "year": 365.2425 * 86_400_000, "month": 365.2425 / 12 * 86_400_000}
_DURATION = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,3}))?S)?)?",
    re.ASCII | re.IGNORECASE,
)


class InvalidDateError(ValueError):
    """A value is no date."""


def parse_moment(value: Value) -> datetime:
    """Read a date."""
    kind = type(value)
    try:
        if kind is int or kind is float:
            return _EPOCH + timedelta(milliseconds=math.floor(value))
        if kind is str:
            return _parse(value)
    except (OverflowError, ValueError) as exc:
        raise InvalidDateError from exc
    raise InvalidDateError


def _parse(text: str) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise InvalidDateError
    parts = match.groupdict()
    milliseconds = int((parts["fraction"] or "0").ljust(3, "0")[:3])
    zone = parts["zone"] or "Z"
    offset = timedelta(0)
    if zone not in "Zz":
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0)) * (-1 if zone[0] == "-" else 1)
    hours, minutes, seconds = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    day = datetime(int(parts["year"]), int(parts["month"] or 1), int(parts["day"] or 1), tzinfo=UTC)
    if hours > 24 or minutes > 59 or seconds > 59:
        raise InvalidDateError
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds) - offset


def _zone(name: Value) -> tzinfo:
    """Find a time zone by its IANA name; an unknown one ends the query, as in ArangoDB."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name if type(name) is str else "")
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ArangoError(
            Problem.QUERY_ARGUMENT_TYPE, f"AQL: unknown time zone {to_string(name)!r} (while executing)"
        ) from exc


def timestamp_of(moment: datetime) -> int:
    """Give the milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def iso_text(moment: datetime) -> str:
    """Write a date as AQL does, in UTC with milliseconds."""
    utc = moment.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _unit(value: Value) -> str:
    unit = _UNITS.get(to_string(value).lower())
    if unit is None:
        raise InvalidDateError
    return unit


def _checked(run: Implementation) -> Implementation:
    """Make a function answer null, with a warning, to what is no date."""

    def checked(warn: Warn, *arguments: Value) -> Value:
        try:
            return run(*arguments)
        except (InvalidDateError, OverflowError):
            warn(Problem.QUERY_INVALID_DATE)
            return None

    return checked


def _from_parts(*parts: Value) -> datetime:
    """Make a date of one value, or of year, month, day and so on; what is too large carries over."""
    if len(parts) == 1:
        return parse_moment(parts[0])
    if len(parts) < 3:
        raise InvalidDateError
    numbers = [int(to_number(part)) for part in parts]
    if any(part < 0 for part in numbers):
        raise InvalidDateError
    year, month, day, hour, minute, second, millisecond = (*numbers, *(0,) * (7 - len(numbers)))
    months = year * 12 + max(month, 1) - 1
    try:
        first = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
        return first + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second, milliseconds=millisecond)
    except (ValueError, OverflowError) as exc:
        raise InvalidDateError from exc


function("DATE_NOW", 0, deterministic=False)(lambda: time.time_ns() // 1_000_000)
strict_function("DATE_TIMESTAMP", 1, 7)(_checked(lambda *parts: timestamp_of(_from_parts(*parts))))
strict_function("DATE_ISO8601", 1, 7)(_checked(lambda *parts: iso_text(_from_parts(*parts))))
function("IS_DATESTRING", 1)(lambda value: type(value) is str and _ISO.fullmatch(value) is not None)


def _part(name: str, read: Callable[[datetime], Value]) -> None:
    """Enter a function that reads one part of a date."""
    strict_function(name, 1, 2)(_checked(lambda date, zone=None: read(parse_moment(date).astimezone(_zone(zone)))))


for _name, _read in {
    "DATE_YEAR": lambda moment: moment.year,
    "DATE_MONTH": lambda moment: moment.month,
    "DATE_DAY": lambda moment: moment.day,
    "DATE_HOUR": lambda moment: moment.hour,
    "DATE_MINUTE": lambda moment: moment.minute,
    "DATE_SECOND": lambda moment: moment.second,
    "DATE_MILLISECOND": lambda moment: moment.microsecond // 1000,
    "DATE_DAYOFWEEK": lambda moment: moment.isoweekday() % 7,
    "DATE_DAYOFYEAR": lambda moment: moment.timetuple().tm_yday,
    "DATE_ISOWEEK": lambda moment: moment.isocalendar().week,
    "DATE_ISOWEEKYEAR": lambda moment: {"week": moment.isocalendar().week, "year": moment.isocalendar().year},
    "DATE_LEAPYEAR": lambda moment: calendar.isleap(moment.year),
    "DATE_QUARTER": lambda moment: (moment.month + 2) // 3,
    "DATE_DAYS_IN_MONTH": lambda moment: calendar.monthrange(moment.year, moment.month)[1],
}.items():
    _part(_name, _read)


def _truncate(date: Value, unit: Value, zone: Value = None) -> Value:
    moment, name = parse_moment(date).astimezone(_zone(zone)), _unit(unit)
    fields = ("year", "month", "day", "hour", "minute", "second", "millisecond")
    if name not in fields:
        raise InvalidDateError
    reset = {field: 1 if field in ("month", "day") else 0 for field in fields[fields.index(name) + 1 : -1]}
    microsecond = moment.microsecond // 1000 * 1000 if name == "millisecond" else 0
    return iso_text(moment.replace(**reset, microsecond=microsecond))  # type: ignore[arg-type]


def _round(date: Value, amount: Value, unit: Value, zone: Value = None) -> Value:
    moment, step = parse_moment(date).astimezone(_zone(zone)), _FIXED_MS.get(_unit(unit))
    count = to_number(amount)
    if step is None or count < 1 or _unit(unit) == "week":
        raise InvalidDateError
    offset = (moment.utcoffset() or timedelta(0)) // _MILLISECOND
    width = int(count) * step
    local = timestamp_of(moment) + offset
    return iso_text(_EPOCH + timedelta(milliseconds=local - local % width - offset))


strict_function("DATE_TRUNC", 2, 3)(_checked(_truncate))
strict_function("DATE_ROUND", 3, 4)(_checked(_round))


def _add_months(moment: datetime, months: int) -> datetime:
    """Move by months; a day that the month does not have runs over into the next one, as in ArangoDB."""
    total = moment.year * 12 + moment.month - 1 + months
    try:
        first = moment.replace(year=total // 12, month=total % 12 + 1, day=1)
    except ValueError as exc:
        raise InvalidDateError from exc
    return first + timedelta(days=moment.day - 1)


def _moved(moment: datetime, amount: Value, unit: Value, sign: int) -> datetime:
    if unit is None:
        return move_by_duration(moment, to_string(amount), sign)
    if type(amount) not in (int, float):
        raise InvalidDateError
    name = _unit(unit)
    if name in ("year", "month"):
        return _add_months(moment, sign * int(amount * (12 if name == "year" else 1)))
    return moment + timedelta(milliseconds=sign * amount * _FIXED_MS[name])


def move_by_duration(moment: datetime, text: str, sign: int) -> datetime:
    """Move a date by an ISO 8601 duration, forwards or backwards."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidDateError
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:7])
    milliseconds = int((match[8] or "0").ljust(3, "0"))
    moved = _add_months(moment, sign * (years * 12 + months))
    return moved + sign * timedelta(
        weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
    )


def _mover(sign: int) -> Implementation:
    def move(date: Value, amount: Value, unit: Value = None, zone: Value = None) -> Value:
        return iso_text(_moved(parse_moment(date).astimezone(_zone(zone)), amount, unit, sign))

    return move


strict_function("DATE_ADD", 2, 4)(_checked(_mover(1)))
strict_function("DATE_SUBTRACT", 2, 4)(_checked(_mover(-1)))


def _difference(first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """Subtract the first date from the second; with time zones, what the clocks there show."""
    as_float, *zones = rest if rest and type(rest[0]) is not str else (False, *rest)
    start, end = _on_clocks(first, second, zones)
    exact = (timestamp_of(end) - timestamp_of(start)) / _AVERAGE_MS[_unit(unit)]
    return number(exact if truthy(as_float) else math.trunc(exact))


def _on_clocks(first: Value, second: Value, zones: Sequence[Value]) -> tuple[datetime, datetime]:
    """Read two dates as the clocks of one or two time zones show them."""
    left_zone, right_zone = (_zone(zone) for zone in (*zones, *zones)[:2]) if zones else (UTC, UTC)
    left, right = parse_moment(first).astimezone(left_zone), parse_moment(second).astimezone(right_zone)
    return left.replace(tzinfo=UTC), right.replace(tzinfo=UTC)


strict_function("DATE_DIFF", 3, 6)(_checked(_difference))


def _compare(first: Value, second: Value, start: Value, end: Value = None, *zones: Value) -> Value:
    left, right = _on_clocks(first, second, zones)
    fields = ("year", "month", "day", "hour", "minute", "second", "millisecond")
    begin = _unit(start)
    stop = begin if end is None else _unit(end)
    if begin not in fields or stop not in fields:
        raise InvalidDateError
    wanted = fields[fields.index(begin) : fields.index(stop) + 1]
    return all(_field(left, name) == _field(right, name) for name in wanted)


def _field(moment: datetime, name: str) -> int:
    return moment.microsecond // 1000 if name == "millisecond" else int(getattr(moment, name))


strict_function("DATE_COMPARE", 3, 6)(_checked(_compare))


def _local_text(moment: datetime) -> str:
    """Write a moment of some time zone without naming the zone."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _converting(convert: Callable[[Value, tzinfo], str]) -> Implementation:
    def run(date: Value, zone: Value, with_details: Value = False) -> Value:
        if truthy(with_details):
            raise not_supported("the details of a time zone in DATE_UTCTOLOCAL() and DATE_LOCALTOUTC()")
        return convert(date, _zone(zone))

    return _checked(run)


strict_function("DATE_UTCTOLOCAL", 2, 3)(
    _converting(lambda date, zone: _local_text(parse_moment(date).astimezone(zone)))
)
strict_function("DATE_LOCALTOUTC", 2, 3)(
    _converting(lambda date, zone: iso_text(parse_moment(date).replace(tzinfo=zone)))
)
function("DATE_TIMEZONE", 0)(lambda: "UTC")
function("DATE_TIMEZONES", 0)(lambda: sorted(available_timezones()))


_PLACEHOLDER = re.compile(
    r"%(yyyyyy|yyyy|yy|y|mmmm|mmm|mm|m|dd|d|hh|h|ii|i|ss|s|fff|f|xxx|x|kk|k|wwww|www|w|t|z|l|q|a|&|%)?", re.IGNORECASE
)
_FORMATS: dict[str, Callable[[datetime], str]] = {
    "t": lambda moment: str(timestamp_of(moment)),
    "z": iso_text,
    "w": lambda moment: str(moment.isoweekday() % 7),
    "y": lambda moment: str(moment.year),
    "yy": lambda moment: f"{moment.year % 100:02}",
    "yyyy": lambda moment: f"{moment.year:04}",
    "yyyyyy": lambda moment: f"+{moment.year:06}",
    "m": lambda moment: str(moment.month),
    "mm": lambda moment: f"{moment.month:02}",
    "d": lambda moment: str(moment.day),
    "dd": lambda moment: f"{moment.day:02}",
    "h": lambda moment: str(moment.hour),
    "hh": lambda moment: f"{moment.hour:02}",
    "i": lambda moment: str(moment.minute),
    "ii": lambda moment: f"{moment.minute:02}",
    "s": lambda moment: str(moment.second),
    "ss": lambda moment: f"{moment.second:02}",
    "f": lambda moment: str(moment.microsecond // 1000),
    "fff": lambda moment: f"{moment.microsecond // 1000:03}",
    "x": lambda moment: str(moment.timetuple().tm_yday),
    "xxx": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "k": lambda moment: str(moment.isocalendar().week),
    "kk": lambda moment: f"{moment.isocalendar().week:02}",
    "l": lambda moment: str(int(calendar.isleap(moment.year))),
    "q": lambda moment: str((moment.month + 2) // 3),
    "a": lambda moment: str(calendar.monthrange(moment.year, moment.month)[1]),
    "mmm": lambda moment: calendar.month_abbr[moment.month],
    "mmmm": lambda moment: calendar.month_name[moment.month],
    "www": lambda moment: calendar.day_abbr[moment.weekday()],
    "wwww": lambda moment: calendar.day_name[moment.weekday()],
    "&": lambda _: "",
    "%": lambda _: "%",
    "": lambda _: "",
}


def _format(date: Value, pattern: Value, zone: Value = None) -> Value:
    moment = parse_moment(date).astimezone(_zone(zone))
    return _PLACEHOLDER.sub(lambda match: _FORMATS[(match[1] or "").lower()](moment), to_string(pattern))


@strict_function("DATE_FORMAT", 2, 3)
def _date_format(warn: Warn, date: Value, pattern: Value, zone: Value = None) -> Value:
    if type(pattern) is not str:
        return wrong_argument(warn)
    checked: Value = _checked(_format)(warn, date, pattern, zone)
    return checked
