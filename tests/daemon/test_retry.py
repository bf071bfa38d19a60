"""What follows from an outcome for the delivery."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import retry
from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import LONGEST_RETRY_AFTER
from daemon.quantities import duration_text
from daemon.retry import DEFAULT_WAITS, JITTER, STOPPED_WAIT, Verdict, back_off, jittered, judge, wish

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SPREAD = st.floats(0, 1)
ANY_WAIT = st.none() | st.timedeltas()
TRY_LATER = st.builds(TryLater, st.text(max_size=5), ANY_WAIT, st.booleans())
OUTCOMES: st.SearchStrategy[Outcome] = (
    st.builds(Delivered) | st.builds(Rejected, st.text(max_size=5)) | st.builds(Closed, st.text(max_size=5)) | TRY_LATER
)
WAITS = st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=30)), max_size=5)


def after(outcome: Outcome, failures: int = 0, waits: tuple[timedelta, ...] = DEFAULT_WAITS, **more: Any) -> Verdict:
    return judge(outcome, failures=failures, waits=waits, now=NOON, spread=0, **more)


def seconds(verdict: Verdict) -> float:
    assert verdict.due_at is not None
    return (verdict.due_at - NOON).total_seconds()


def test_the_sum_of_the_default_waits_is_the_one_that_is_stated() -> None:
    assert sum(DEFAULT_WAITS, timedelta()) == timedelta(hours=75, minutes=42, seconds=35)
    assert "75 h 42 min 35 s" in inspect.getsource(retry)


def test_the_default_waits_are_those_of_the_documentation() -> None:
    texts = ["5s", "30s", "2m", "10m", "30m", "2h", "5h", "10h", "14h", "20h", "1d"]
    assert [duration_text(wait) for wait in DEFAULT_WAITS] == texts


def test_a_delivery_is_tried_twelve_times_at_the_documented_moments_and_then_given_up() -> None:
    failures, moments = 0, []
    while (verdict := after(TryLater("HTTP 500"), failures)).state == "waiting":
        failures = verdict.failures
        moments.append(timedelta(seconds=seconds(verdict)))
    assert moments == list(DEFAULT_WAITS)
    assert verdict == Verdict("gave_up", "HTTP 500 (attempt 12 was the last)", 12, None)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Delivered("200"), Verdict("delivered", "200", 3)),
        (Rejected("HTTP 400"), Verdict("rejected", "HTTP 400", 3)),
        (Closed("HTTP 410"), Verdict("waiting", "HTTP 410", 3, NOON + STOPPED_WAIT)),
        (TryLater("HTTP 503"), Verdict("waiting", "HTTP 503", 4, NOON + DEFAULT_WAITS[3])),
        (TryLater("busy", timedelta(hours=3)), Verdict("waiting", "busy", 3, NOON + timedelta(hours=3))),
        (TryLater("busy", timedelta(seconds=1)), Verdict("waiting", "busy", 3, NOON + DEFAULT_WAITS[3])),
    ],
)
def test_each_outcome_has_its_consequence(outcome: Outcome, verdict: Verdict) -> None:
    assert after(outcome, 3) == verdict


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (TryLater("429", throttled=True), True),
        (TryLater("429", timedelta(seconds=7), throttled=True), True),
        (TryLater("503", timedelta(seconds=7)), True),
        (TryLater("500"), False),
    ],
)
def test_a_rate_limit_a_wish_and_a_probe_use_up_no_attempt(outcome: TryLater, counts: bool) -> None:
    last = len(DEFAULT_WAITS)
    verdict = after(outcome, last, counts=counts)
    assert (verdict.state, verdict.failures) == ("waiting", last)


def test_a_rate_limit_does_not_make_a_delivery_wait_as_long_as_its_failures_did() -> None:
    assert seconds(after(TryLater("429", timedelta(seconds=7), throttled=True), failures=9)) == 7
    assert seconds(after(TryLater("429", throttled=True), failures=9)) == 5


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(seconds=-5), timedelta(hours=24, seconds=1), timedelta.max])
def test_a_wish_that_makes_no_sense_counts_as_none(wait: timedelta) -> None:
    assert wish(TryLater("x", wait)) is None
    assert after(TryLater("x", wait)) == after(TryLater("x"))


def test_a_wish_of_a_whole_day_is_obeyed_in_full() -> None:
    assert seconds(after(TryLater("x", LONGEST_RETRY_AFTER))) == 24 * 3600


def test_without_any_waits_the_first_failure_is_the_last() -> None:
    assert after(TryLater("no"), waits=()).state == "gave_up"
    assert seconds(after(TryLater("no", throttled=True), waits=())) == 1


@given(OUTCOMES, st.integers(0, 200), WAITS, SPREAD, st.booleans())
def test_no_wait_is_shorter_than_the_wish_or_longer_than_its_cap(
    outcome: Outcome, failures: int, waits: list[timedelta], spread: float, counts: bool
) -> None:
    verdict = judge(outcome, failures=failures, waits=waits, now=NOON, spread=spread, counts=counts)
    assert (verdict.due_at is not None) == (verdict.state == "waiting")
    assert failures <= verdict.failures <= failures + 1
    if verdict.due_at is None:
        return
    wait = verdict.due_at - NOON
    assert timedelta(seconds=1) <= wait <= max([*waits, LONGEST_RETRY_AFTER]) * (1 + JITTER) + timedelta(seconds=1)
    if isinstance(outcome, TryLater) and (wished := wish(outcome)) is not None:
        assert wait >= wished


@given(st.lists(st.tuples(TRY_LATER, SPREAD), min_size=13, max_size=40))
def test_whatever_the_order_a_delivery_is_given_up_after_its_twelfth_counted_failure(
    answers: list[tuple[TryLater, float]],
) -> None:
    failures = counted = 0
    for outcome, spread in answers:
        counted += wish(outcome) is None and not outcome.throttled
        verdict = judge(outcome, failures=failures, waits=DEFAULT_WAITS, now=NOON, spread=spread)
        assert (verdict.state, verdict.failures) == ("gave_up" if counted == 12 else "waiting", counted)
        if counted == 12:
            return
        failures = verdict.failures


@given(st.timedeltas(timedelta(0), timedelta(days=30)), SPREAD)
def test_jitter_only_lengthens_and_by_a_tenth_at_most(wait: timedelta, spread: float) -> None:
    assert wait <= jittered(wait, spread) <= wait * 1.1 + timedelta(microseconds=1)


def test_back_off_doubles_up_to_its_limit() -> None:
    first, longest = timedelta(seconds=1), timedelta(minutes=15)
    waits = [back_off(strikes, first=first, longest=longest, spread=0).total_seconds() for strikes in range(13)]
    assert waits == [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@given(
    st.integers(-5, 10**9),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=3000)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=3000)),
    SPREAD,
)
def test_back_off_never_overflows_nor_leaves_its_bounds(
    strikes: int, first: timedelta, longest: timedelta, spread: float
) -> None:
    wait = back_off(strikes, first=first, longest=longest, spread=spread)
    assert min(first, longest) <= wait <= longest
    assert back_off(strikes + 1, first=first, longest=longest, spread=spread) >= wait
