"""How an upstream is doing, and when it is asked next."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.contract import SourceRefused, SourceThrottled, SourceTrouble, SourceUnavailable
from daemon.upstream import (
    IDLE_AFTER,
    SLOWEST,
    Polling,
    Upstream,
    after_success,
    after_sweep,
    after_trouble,
    from_json,
    next_sweep,
    next_try,
    to_json,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FRESH = Upstream(since=NOON)
POLLING = Polling(timedelta(seconds=30), timedelta(seconds=15), None)
PATIENT = replace(POLLING, poll_max=timedelta(minutes=5))
DOWN, REFUSED = SourceUnavailable("HTTP 500"), SourceRefused("403")


def throttled(until: datetime = NOON) -> SourceThrottled:
    return SourceThrottled("rate limit", "read", until)


def troubled(upstream: Upstream, *troubles: SourceTrouble, now: datetime = NOON) -> Upstream:
    for trouble in troubles:
        upstream = after_trouble(upstream, trouble, now=now)
    return upstream


def seconds(upstream: Upstream, polling: Polling = POLLING) -> float:
    return next_sweep(upstream, polling=polling, spread=0.5).total_seconds()


def test_at_first_it_is_asked_at_the_configured_pace() -> None:
    assert seconds(FRESH) == 30
    assert seconds(after_sweep(FRESH, new=0, polling=POLLING, now=NOON)) == 30


def test_an_event_heats_the_pace_which_cools_step_by_step() -> None:
    hot = after_sweep(FRESH, new=3, polling=POLLING, now=NOON)
    steps = [hot]
    for _ in range(5):
        steps.append(after_sweep(steps[-1], new=0, polling=POLLING, now=NOON))
    assert [round(seconds(step), 2) for step in steps] == [15, 18.75, 23.44, 29.3, 30, 30]


def test_after_long_quiet_the_pace_grows_only_where_that_was_wished() -> None:
    quiet = after_sweep(FRESH, new=1, polling=PATIENT, now=NOON)
    patient = usual = quiet
    now = NOON
    for _ in range(200):
        now += timedelta(minutes=1)
        patient = after_sweep(patient, new=0, polling=PATIENT, now=now)
        usual = after_sweep(usual, new=0, polling=POLLING, now=now)
        if now - NOON < IDLE_AFTER:
            assert patient == usual
    assert (seconds(usual), seconds(patient, PATIENT)) == (30, 300)


@pytest.mark.parametrize(
    ("stored", "polling", "expected"),
    [
        (300, POLLING, 30),
        (300, Polling(timedelta(minutes=5), timedelta(seconds=15), None), 300),
        (15, Polling(timedelta(minutes=5), timedelta(minutes=2), None), 120),
        (86400, PATIENT, 300),
    ],
)
def test_a_pace_from_before_a_change_of_the_config_is_brought_within_it(
    stored: float, polling: Polling, expected: float
) -> None:
    old = replace(FRESH, interval=timedelta(seconds=stored), last_new_at=NOON)
    assert seconds(old, polling) == expected


def test_each_rate_limit_doubles_the_pace_up_to_eightfold_and_success_takes_it_back() -> None:
    slow = FRESH
    paces = []
    for _ in range(5):
        slow = troubled(slow, throttled())
        paces.append(seconds(slow))
    assert paces == [60, 120, 240, 240, 240]
    for _ in range(41):
        slow = after_success(slow, now=NOON)
    assert slow.slowness == 1


def test_f29_no_try_comes_before_the_gate_opens() -> None:
    until = NOON + timedelta(hours=2)
    for spread in (0.0, 1.0):
        wait = next_try(troubled(FRESH, throttled(until)), throttled(until), now=NOON, spread=spread)
        assert timedelta(hours=2) < wait <= timedelta(hours=2, seconds=0.5)
    assert next_try(FRESH, throttled(NOON - timedelta(hours=1)), now=NOON, spread=0) > timedelta()


def test_a_refusal_is_asked_about_after_one_and_five_and_then_every_fifteen_minutes() -> None:
    upstream, waits = FRESH, []
    for _ in range(5):
        upstream = troubled(upstream, REFUSED)
        waits.append(next_try(upstream, REFUSED, now=NOON, spread=0).total_seconds() / 60)
    assert waits == [1, 5, 15, 15, 15]


@pytest.mark.parametrize(
    "damage",
    [
        {"since": "x"},
        {"since": "2026-03-04T12:00:00"},
        {"health": 5},
        {"interval": 1e300},
        {"interval": -1},
        {"slowness": float("nan")},
        {"last_new_at": "2026-03-04T12:00:00"},
    ],
)
def test_f14_what_is_damaged_in_the_store_begins_anew(damage: dict[str, Any]) -> None:
    for stored in (to_json(FRESH) | damage, None, [], {}):
        assert from_json(stored, NOON) == Upstream(since=NOON)


def test_f32_after_a_restart_a_refusal_is_asked_about_as_if_it_were_the_first() -> None:
    kept = from_json(to_json(troubled(FRESH, *[REFUSED] * 9)), NOON)
    assert (kept.health, kept.failures) == ("refused", 0)
    assert next_try(troubled(kept, REFUSED), REFUSED, now=NOON, spread=0) == timedelta(minutes=1)


def test_other_trouble_backs_off_to_five_minutes() -> None:
    upstream, waits = FRESH, []
    for _ in range(10):
        upstream = troubled(upstream, DOWN)
        waits.append(next_try(upstream, DOWN, now=NOON, spread=0).total_seconds())
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize(("trouble", "health"), [(DOWN, "failing"), (REFUSED, "refused"), (throttled(), "throttled")])
def test_each_trouble_has_its_name_and_keeps_its_beginning(trouble: SourceTrouble, health: str) -> None:
    first = troubled(FRESH, trouble, now=NOON + timedelta(minutes=1))
    again = troubled(first, trouble, now=NOON + timedelta(minutes=2))
    assert (again.health, again.reason, again.failures) == (health, str(trouble), 2)
    assert again.since == first.since == NOON + timedelta(minutes=1)


def test_another_kind_of_trouble_counts_anew() -> None:
    assert troubled(FRESH, DOWN, DOWN, REFUSED).failures == 1


def test_success_forgets_trouble_and_notes_when_it_ended() -> None:
    well = after_success(troubled(FRESH, DOWN, DOWN), now=NOON + timedelta(hours=1))
    assert well == Upstream(since=NOON + timedelta(hours=1))
    assert after_success(well, now=NOON + timedelta(hours=2)).since == well.since


@given(
    st.lists(st.tuples(st.sampled_from(["new", "none", "down", "refused", "throttled"]), st.floats(0, 1)), max_size=60)
)
def test_whatever_happens_waits_stay_within_their_bounds(steps: list[Any]) -> None:
    upstream, now = FRESH, NOON
    for step, spread in steps:
        if step in ("new", "none"):
            upstream = after_sweep(upstream, new=step == "new", polling=PATIENT, now=now)
            wait = next_sweep(upstream, polling=PATIENT, spread=spread)
            assert PATIENT.poll_max is not None
            assert PATIENT.poll_min * 0.9 <= wait <= PATIENT.poll_max * SLOWEST * 1.1
        else:
            until = now + timedelta(hours=24)
            trouble = {"down": DOWN, "refused": REFUSED, "throttled": throttled(until)}[step]
            upstream = troubled(upstream, trouble, now=now)
            wait = next_try(upstream, trouble, now=now, spread=spread)
            assert timedelta(seconds=2) <= wait
            assert wait <= timedelta(minutes=15) or (now + wait > until and wait < timedelta(hours=24, seconds=1))
        stored = from_json(json.loads(json.dumps(to_json(upstream))), now)
        assert stored == replace(upstream, failures=0)
        now += wait
