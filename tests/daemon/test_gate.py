"""When an upstream may be called again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.gate import LONGEST_WAIT, Gate, restored, shut
from daemon.http import LONGEST_RETRY_AFTER

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SPREAD = st.floats(0, 1)
WISH = st.none() | st.timedeltas(timedelta(milliseconds=1), LONGEST_RETRY_AFTER)


def test_a_gate_is_shut_until_it_opens_and_open_from_then_on() -> None:
    gate = Gate(NOON)
    assert gate.shut_at(NOON - timedelta(microseconds=1))
    assert not gate.shut_at(NOON)


def test_a_wait_that_was_asked_for_is_kept_in_full() -> None:
    assert shut(None, timedelta(hours=24), now=NOON, spread=1).opens_at == NOON + timedelta(hours=24)
    assert shut(None, timedelta(milliseconds=250), now=NOON, spread=1).opens_at == NOON + timedelta(milliseconds=250)


def test_without_a_wish_the_wait_doubles_from_a_second_to_a_quarter_of_an_hour() -> None:
    gate, now, waits = None, NOON, []
    for _ in range(12):
        gate = shut(gate, None, now=now, spread=0)
        waits.append((gate.opens_at - now).total_seconds())
        now = gate.opens_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_a_later_answer_never_opens_a_gate_earlier() -> None:
    long = shut(None, timedelta(hours=1), now=NOON, spread=0)
    assert shut(long, timedelta(seconds=1), now=NOON, spread=0) == Gate(long.opens_at, 2)


@pytest.mark.parametrize(
    ("opens", "kept"),
    [
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=400), LONGEST_RETRY_AFTER),
        (-timedelta(days=1), -timedelta(days=1)),
    ],
)
def test_a_gate_read_from_disk_is_shut_no_longer_than_any_wish_that_is_obeyed(
    opens: timedelta, kept: timedelta
) -> None:
    assert restored(Gate(NOON + opens, 3), NOON) == Gate(NOON + kept, 3)


@given(st.lists(st.tuples(WISH, SPREAD, st.timedeltas(timedelta(0), timedelta(hours=2))), min_size=1, max_size=40))
def test_i11_no_gate_opens_before_any_wish_has_passed_or_stays_shut_beyond_the_caps(
    answers: list[tuple[timedelta | None, float, timedelta]],
) -> None:
    gate, now, promised = None, NOON, NOON
    for wait, spread, later in answers:
        before = gate
        gate = shut(gate, wait, now=now, spread=spread)
        promised = max(promised, now + (wait or timedelta(seconds=1)))
        assert gate.opens_at >= promised
        assert gate.opens_at <= max(now + (wait or LONGEST_WAIT), before.opens_at if before else NOON)
        assert gate.strikes == (before.strikes if before else 0) + 1
        now += later
