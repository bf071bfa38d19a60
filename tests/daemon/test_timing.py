"""Digest times, quiet hours and bursts: what is understood, and which moment follows when clocks change."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.quantities import Rate
from daemon.timing import parse_burst, parse_digest, parse_quiet_hours

BERLIN, NEW_YORK, KATHMANDU, LORD_HOWE = map(
    ZoneInfo, ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
)
ZONES = st.sampled_from([BERLIN, NEW_YORK, KATHMANDU, LORD_HOWE, ZoneInfo("UTC"), None])
CHANGES = [datetime.fromisoformat(f"2026-{day}+00:00") for day in ("03-29 01", "10-25 01", "03-08 07", "04-04 15")]
"""When clocks are set in Berlin, New York and on Lord Howe (by half an hour)."""
MINUTES = st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))
MOMENTS = MINUTES.map(lambda span: datetime(2025, 1, 1, tzinfo=UTC) + span) | st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds), st.sampled_from(CHANGES), st.integers(-90000, 90000)
)
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


def local(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("digest", "now", "due"),
    [
        ("09:00", "2026-03-04 08:59:59", "2026-03-04 09:00"),
        ("9:00", "2026-03-04 09:00", "2026-03-05 09:00"),
        (" 09:00 ", "2026-03-04 09:00:00.000001", "2026-03-05 09:00"),
        ("mon 09:00", "2026-03-04 12:00", "2026-03-09 09:00"),
        ("Sun 23:59", "2026-03-04 12:00", "2026-03-08 23:59"),
        ("0 9,17 * * mon-fri", "2026-03-06 12:00", "2026-03-06 17:00"),
        ("0 9,17 * * mon-fri", "2026-03-06 17:00", "2026-03-09 09:00"),
        ("*/15 * * * *", "2026-03-04 12:01", "2026-03-04 12:15"),
        ("0 9 1 * *", "2026-03-04 12:00", "2026-04-01 09:00"),
        # cron's days: 0 and 7 are Sunday, 1 is Monday
        ("0 9 * * 1", "2026-03-04 12:00", "2026-03-09 09:00"),
        ("0 9 * * 0", "2026-03-04 12:00", "2026-03-08 09:00"),
        ("0 9 * * 7", "2026-03-04 12:00", "2026-03-08 09:00"),
        ("0 9 * * 1-5", "2026-03-06 12:00", "2026-03-09 09:00"),
        ("0 9 * * fri-mon", "2026-03-04 12:00", "2026-03-06 09:00"),
        ("0 9 * * fri-mon", "2026-03-09 09:00", "2026-03-13 09:00"),
        ("0 9 * * */3", "2026-03-04 12:00", "2026-03-07 09:00"),
        # the night in which the clock is set forward, and that in which it is set back
        ("09:00", "2026-03-28 12:00", "2026-03-29 09:00"),
        ("09:00", "2026-10-24 12:00", "2026-10-25 09:00"),
        ("02:30", "2026-03-28 12:00", "2026-03-29 03:30"),
        ("02:30", "2026-03-29 12:00", "2026-03-30 02:30"),
        ("00:00", "2026-03-29 01:59", "2026-03-30 00:00"),
    ],
)
def test_a_digest_is_due_at_the_next_such_time_of_its_zone(digest: str, now: str, due: str) -> None:
    assert parse_digest(digest).next(local(now), BERLIN) == local(due)


def test_a_time_that_the_clock_shows_twice_is_a_digest_once_for_what_came_before() -> None:
    times = parse_digest("02:30")
    first = times.next(local("2026-10-24 12:00"), BERLIN)
    assert first == local("2026-10-25 02:30")
    assert times.next(first, BERLIN) == local("2026-10-26 02:30")
    assert times.next(local("2026-10-25 02:10", fold=1), BERLIN) == local("2026-10-26 02:30")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])
def test_whenever_in_a_year_it_is_asked_the_next_digest_is_the_same_chain_of_one_a_day(zone: str) -> None:
    times, place = parse_digest("02:00"), ZoneInfo(zone)
    moment, chain = datetime(2026, 1, 1, tzinfo=UTC), []
    while moment.year == 2026:
        moment = times.next(moment, place)
        chain.append(moment)
    assert len({moment.astimezone(place).date() for moment in chain}) == len(chain) >= 365
    for earlier, later in pairwise(chain):
        for hours in (0.1, 0.9, 1.5, 2.5, 12, 21, 22.5):
            if (asked := earlier + timedelta(hours=hours)) < later:
                assert times.next(asked, place) == later


@pytest.fixture
def machine_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the zone of this machine."""

    def use(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Cairo", "Pacific/Chatham"])
def test_this_machines_clock_counts_like_its_zone_by_name(zone: str, machine_in: Callable[[str], None]) -> None:
    machine_in(zone)
    times = [parse_digest(each) for each in ("00:00", "02:30", "03:00", "*/20 0-3 * * *")]
    quiet = parse_quiet_hours("23:10-02:50")
    for day in range(365):
        for hours in (0.0, 11.5, 13.9, 22.4, 23.5):
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hours)
            assert [each.next(moment, None) for each in times] == [each.next(moment, ZoneInfo(zone)) for each in times]
            assert quiet.until(moment, None) == quiet.until(moment, ZoneInfo(zone))


@given(digest=CLOCK, now=MOMENTS, zone=ZONES)
def test_the_next_digest_is_always_later_and_within_a_day_and_an_hour(
    digest: str, now: datetime, zone: ZoneInfo | None
) -> None:
    due = parse_digest(digest).next(now, zone)
    assert now < due <= now + timedelta(hours=25)
    assert due.utcoffset() == timedelta()


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "9", "24:00", "12:60", "monday 09:00", "mon", "09:00 mon", "* * * *", "0 9 * * * *", "0 9 * * xyz"),
        *("0 9 * * 8", "61 9 * * *", "0 9 31 2 *", "*/0 * * * *", "0 9 * * 1,", "a b * d e", "1" * 300),
        *(9, 9.5, True, None, ["09:00"], "09:00\n\n* * *"),
    ],
)
def test_nonsense_is_no_digest_and_is_told_in_one_line(wrong: object) -> None:
    with pytest.raises(ValueError, match=r'^not a time for a digest; write "09:00"') as caught:
        parse_digest(wrong)
    assert "\n" not in str(caught.value)


def test_a_digest_that_cron_and_others_read_differently_is_refused() -> None:
    with pytest.raises(ValueError, match=r"both a day of the month and a day of the week; leave one of them \*"):
        parse_digest("0 9 1 * mon")


# Quiet hours


@pytest.mark.parametrize(
    ("span", "now", "ends"),
    [
        ("22:00-07:00", "2026-03-04 21:59:59", None),
        ("22:00-07:00", "2026-03-04 22:00", "2026-03-05 07:00"),
        ("22:00-07:00", "2026-03-05 00:00", "2026-03-05 07:00"),
        ("22:00-07:00", "2026-03-05 06:59:59", "2026-03-05 07:00"),
        ("22:00-07:00", "2026-03-05 07:00", None),
        ("12:00-13:30", "2026-03-05 12:30", "2026-03-05 13:30"),
        ("12:00-13:30", "2026-03-05 13:30", None),
        ("22:00-00:00", "2026-03-05 23:00", "2026-03-06 00:00"),
        ("22:00-00:00", "2026-03-05 00:00", None),
        ("0:00-6:00", "2026-03-05 00:00", "2026-03-05 06:00"),
        # the night in which the clock is set forward, and that in which it is set back
        ("22:00-07:00", "2026-03-28 23:00", "2026-03-29 07:00"),
        ("22:00-07:00", "2026-10-24 23:00", "2026-10-25 07:00"),
        ("22:00-02:30", "2026-03-28 23:00", "2026-03-29 03:30"),
        ("22:00-02:30", "2026-10-24 23:00", "2026-10-25 02:30"),
    ],
)
def test_quiet_hours_end_at_their_time_of_the_zone(span: str, now: str, ends: str | None) -> None:
    assert parse_quiet_hours(span).until(local(now), BERLIN) == (local(ends) if ends else None)


def test_quiet_hours_that_the_clock_goes_back_into_end_at_their_second_end() -> None:
    quiet = parse_quiet_hours("22:00-02:30")
    assert quiet.until(local("2026-10-25 02:10", fold=1), BERLIN) == local("2026-10-25 02:30", fold=1)


@given(begins=CLOCK, ends=CLOCK, now=MOMENTS, zone=ZONES)
def test_quiet_hours_always_end_and_it_is_quiet_only_between_their_times(
    begins: str, ends: str, now: datetime, zone: ZoneInfo | None
) -> None:
    if begins == ends:
        return
    quiet = parse_quiet_hours(f"{begins}-{ends}")
    until = quiet.until(now, zone)
    shown = f"{now.astimezone(zone):%H:%M}"
    inside = begins <= shown < ends if begins < ends else shown >= begins or shown < ends
    assert (until is not None) == inside
    if until is not None:
        assert now < until <= now + timedelta(hours=25)
        assert quiet.until(until, zone) is None


@pytest.mark.parametrize(
    "wrong", ["", "22:00", "22-07", "22:00-22:00", "24:00-07:00", "22:00 to 07:00", 22, None, True]
)
def test_nonsense_is_no_quiet_hours(wrong: object) -> None:
    with pytest.raises(ValueError, match=r'^not a part of a day; write from when to when, such as "22:00-07:00"$'):
        parse_quiet_hours(wrong)


# Bursts


def test_a_burst_is_a_rate_or_none_at_all() -> None:
    assert parse_burst("20/1m") == Rate(20, timedelta(minutes=1))
    assert parse_burst("20/1h") == parse_burst(Rate(20, timedelta(hours=1)))
    assert parse_burst(False) is parse_burst("false") is False


@pytest.mark.parametrize(
    "wrong", ["", "20", "20/", "/1m", "0/1m", "-1/1m", "20/2d", "20/1m/1m", True, 20, None, "true"]
)
def test_nonsense_is_no_burst(wrong: object) -> None:
    with pytest.raises(ValueError, match=r'^must be how many messages in which time, at most a day, such as "20/1m"'):
        parse_burst(wrong)
