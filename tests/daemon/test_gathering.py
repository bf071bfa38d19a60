"""What keeps an event back, for whom and until when; and how messages are counted."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.contract import OWN_SOURCE
from daemon.gathering import Gathering, Hold, Window, window_at
from daemon.quantities import Rate
from daemon.timing import parse_digest, parse_quiet_hours
from tests.events import event
from tests.ledger import NOON

UTC = ZoneInfo("UTC")
RATE = Rate(20, timedelta(minutes=1))
DIGEST, QUIET = parse_digest("12:30"), parse_quiet_hours("11:00-13:00")
OLD = event(occurred_at=NOON - timedelta(hours=2))
NEW = event(occurred_at=NOON - timedelta(minutes=59))


@pytest.mark.parametrize(
    ("gathering", "cause", "minutes"),
    [
        (Gathering(None, RATE, None, UTC), None, 0),
        (Gathering(DIGEST, RATE, None, UTC), "digest", 30),
        (Gathering(None, RATE, QUIET, UTC), "quiet", 60),
        (Gathering(DIGEST, RATE, QUIET, UTC), "digest", 60),
    ],
)
def test_a_digest_comes_before_quiet_hours_and_waits_for_their_end(
    gathering: Gathering, cause: str | None, minutes: int
) -> None:
    hold = gathering.hold(NEW, NOON)
    assert (hold and hold.cause, hold and hold.until) == (cause, cause and NOON + timedelta(minutes=minutes))
    assert gathering.general_hold(NOON) == hold
    for kind in ("alert.sink", "report.weekly", "test.purchase"):
        assert gathering.hold(event(source=OWN_SOURCE, kind=kind), NOON, first=True) is None


def test_only_what_is_old_at_a_first_sweep_is_late_and_only_where_bursts_are_limited() -> None:
    limited = Gathering(None, RATE, None, UTC)
    assert limited.hold(OLD, NOON, first=True) == Hold("late", NOON)
    assert limited.hold(NEW, NOON, first=True) is limited.hold(OLD, NOON) is None
    assert Gathering(None, None, QUIET, UTC).hold(OLD, NOON + timedelta(hours=2), first=True) is None


@given(moments=st.lists(st.integers(0, 600), max_size=200).map(sorted), number=st.integers(1, 5))
def test_no_more_than_the_rate_are_sent_in_a_window_that_begins_with_its_first(moments: list[int], number: int) -> None:
    rate, window, sent = Rate(number, timedelta(minutes=1)), None, list[int]()
    for moment in moments:
        window = window_at(NOON + timedelta(seconds=moment), rate, window)
        if window.sent < number:
            window = Window(window.ends_at, window.sent + 1)
            sent.append(moment)
    begins = sent[:1]
    for moment in sent:
        if moment >= begins[-1] + 60:
            begins.append(moment)
    assert all(sum(begin <= moment < begin + 60 for moment in sent) <= number for begin in begins)
    assert all(any(begin <= moment < begin + 60 for begin in begins) for moment in moments)


def test_a_window_of_a_clock_that_was_wrong_is_over() -> None:
    far_off = Window(NOON + timedelta(days=1), 20)
    assert window_at(NOON, RATE, far_off) == Window(NOON + timedelta(minutes=1), 0)
    assert window_at(NOON, RATE, Window(NOON, 20)) == Window(NOON + timedelta(minutes=1), 0)
