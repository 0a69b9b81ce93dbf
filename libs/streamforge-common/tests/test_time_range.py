from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge_common.contract.time_range import TimeRange

EARLIEST = datetime(2017, 1, 1, tzinfo=UTC)
LATEST = datetime(2026, 1, 1, tzinfo=UTC)
instants = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))


@given(st.dates(date(2017, 1, 1), date(2026, 1, 1)), st.integers(1, 3_660))
def test_days_are_midnights_in_utc(first: date, days: int) -> None:
    parsed = TimeRange.parse(f"{first}:{first + timedelta(days=days)}")
    assert parsed.start == datetime(first.year, first.month, first.day, tzinfo=UTC)
    assert parsed.end_ms - parsed.start_ms == days * 86_400_000


@given(instants, st.timedeltas(timedelta(milliseconds=1), timedelta(days=3_660)), st.integers(-14 * 60, 14 * 60))
def test_instants_mean_the_same_in_every_time_zone(start: datetime, length: timedelta, offset_minutes: int) -> None:
    end = start + length
    abroad = end.astimezone(timezone(timedelta(minutes=offset_minutes)))
    parsed = TimeRange.parse(f"{start.isoformat().replace('+00:00', 'Z')}/{abroad.isoformat()}")
    assert parsed.start_ms == (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parsed.end_ms == (end - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[:/T ].{0,30}", fullmatch=True))
def test_any_text_is_a_range_or_a_value_error(text: str) -> None:
    try:
        parsed = TimeRange.parse(text)
    except ValueError:
        return
    assert parsed.start >= EARLIEST
    assert 0 <= parsed.end_ms - parsed.start_ms <= 3_660 * 86_400_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-08-02:2024-08-02", "before the end"),
        ("2024-08-03:2024-08-02", "before the end"),
        ("2016-12-31:2017-01-02", "must not lie before 2017-01-01"),
        ("2017-01-01:2027-01-10", "longer than 3660 days"),
        ("2024-02-30:2024-03-02", "no such day"),
        ("2024-08-01T00:00:00/2024-08-02T00:00:00Z", "no time zone"),
        ("0001-01-01T00:00:00+23:00/2024-08-02T00:00:00Z", "outside the calendar"),
        ("yesterday", "YYYY-MM-DD"),
        ("", "YYYY-MM-DD"),
    ],
)
def test_what_is_no_range_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TimeRange.parse(text)
