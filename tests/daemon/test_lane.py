"""What follows from an outcome for the sink."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import LONGEST_RETRY_AFTER
from daemon.lane import (
    LONGEST_PROBE,
    LONGEST_STOPPED_PROBE,
    STRIKES_TO_FAIL,
    Allowance,
    Lane,
    after,
    allowance,
    from_json,
    resumed,
    shifted,
    stopped_by_operator,
    to_json,
)
from daemon.retry import wish

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FRESH = Lane(since=NOON)
DOWN, BUSY = TryLater("HTTP 503"), TryLater("HTTP 429", throttled=True)
WAITS = st.none() | st.timedeltas(timedelta(seconds=-9), timedelta(days=3))
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Delivered()),
    st.just(Rejected("no")),
    st.builds(Closed, st.just("gone"), st.booleans()),
    st.builds(TryLater, st.just("later"), WAITS, st.booleans(), st.booleans()),
)


def go_on(lane: Lane, *outcomes: Outcome, now: datetime = NOON, probe: bool = False, delivery: int = 1) -> Lane:
    for outcome in outcomes:
        lane = after(lane, outcome, delivery=delivery, probe=probe, now=now, spread=0)
    return lane


def may(lane: Lane, now: datetime = NOON, *, under_way: int = 0) -> Allowance:
    return allowance(lane, now=now, under_way=under_way, concurrency=4)


FAILING = go_on(FRESH, *[DOWN] * STRIKES_TO_FAIL)
STOPPED = go_on(FRESH, Closed("HTTP 401"))
GONE = go_on(FRESH, Closed("HTTP 404", probe=False))
HELD = go_on(FRESH, TryLater("HTTP 429", timedelta(minutes=1), throttled=True))
BY_HAND = stopped_by_operator(FAILING, NOON)


def test_a_lane_that_works_may_fill_its_concurrency() -> None:
    assert [may(FRESH, under_way=number).batches for number in range(6)] == [4, 3, 2, 1, 0, 0]


def test_the_states_can_all_be_reached() -> None:
    assert [lane.health for lane in (FRESH, HELD, FAILING, STOPPED)] == ["ok", "slowed", "failing", "stopped"]
    assert [lane.reason for lane in (HELD, FAILING, STOPPED)] == ["HTTP 429", "HTTP 503", "HTTP 401"]


def test_four_failures_in_a_row_are_not_yet_trouble_and_the_fifth_is() -> None:
    four = go_on(FRESH, *[DOWN] * 4)
    assert (four.health, may(four).batches) == ("ok", 4)
    assert go_on(four, DOWN).health == "failing"
    assert go_on(four, Delivered(), DOWN).health == "ok"
    assert go_on(four, Rejected("HTTP 400"), DOWN).health == "ok"


def test_a_rate_limit_is_no_failure_however_often_it_comes() -> None:
    assert go_on(FRESH, *[BUSY] * 50).health == "slowed"
    assert go_on(FRESH, *[BUSY] * 50).strikes == 0


def test_a_rate_limit_without_a_wish_backs_off_from_two_seconds_to_five_minutes() -> None:
    waits, lane, now = [], FRESH, NOON
    for _ in range(10):
        lane = go_on(lane, BUSY, now=now)
        assert lane.held_until is not None
        waits.append((lane.held_until - now).total_seconds())
        now = lane.held_until
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("throttled", [True, False])
def test_i11_nothing_goes_out_before_the_receivers_wish_has_passed(throttled: bool) -> None:
    lane = go_on(FRESH, TryLater("later", timedelta(hours=24), throttled))
    opens = NOON + timedelta(hours=24)
    assert may(lane, opens - timedelta(microseconds=1)) == Allowance(0, until=opens)
    assert may(lane, opens).batches == 4


@pytest.mark.parametrize(
    "outcome", [Delivered(), Rejected("no"), DOWN, BUSY, Closed("gone"), TryLater("x", timedelta(1))]
)
def test_i11_an_answer_that_was_under_way_does_not_shorten_the_receivers_wish(outcome: Outcome) -> None:
    later = go_on(HELD, outcome, now=NOON + timedelta(seconds=1))
    assert HELD.held_until is not None
    assert later.held_until is not None
    assert later.held_until >= HELD.held_until
    assert may(later, HELD.held_until - timedelta(seconds=1)).batches == 0


def test_after_the_wish_has_passed_a_delivery_makes_the_lane_as_new() -> None:
    later = NOON + timedelta(minutes=1)
    assert go_on(HELD, Delivered(), now=later) == Lane(since=later)


def test_a_failing_lane_waits_and_then_lets_one_probe_out_at_a_time() -> None:
    opens = NOON + timedelta(seconds=30)
    assert may(FAILING) == Allowance(0, until=opens)
    assert may(FAILING, opens) == Allowance(1, probe=True)
    assert may(FAILING, opens, under_way=1) == Allowance(0, probe=True)


def test_probes_of_a_failing_lane_come_ever_more_slowly_and_remember_what_they_tried() -> None:
    lane, now, waits = FAILING, NOON + timedelta(seconds=30), []
    for number in range(8):
        lane = go_on(lane, DOWN, now=now, probe=True, delivery=number)
        assert (lane.last_probed, lane.held_until) == (number, may(lane, now).until)
        assert lane.held_until is not None
        waits.append((lane.held_until - now).total_seconds())
        now = lane.held_until
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_a_probe_that_is_asked_to_wait_longer_waits_longer() -> None:
    lane = go_on(FAILING, TryLater("503", timedelta(hours=2)), now=NOON + timedelta(minutes=1), probe=True)
    assert lane.held_until == NOON + timedelta(hours=2, minutes=1)


def test_one_successful_probe_makes_a_failing_lane_as_new() -> None:
    now = NOON + timedelta(minutes=1)
    assert go_on(FAILING, Delivered(), now=now, probe=True) == Lane(since=now)


def test_an_event_that_fails_alone_does_not_hold_a_failing_lane_up_for_others() -> None:
    now = NOON + timedelta(minutes=1)
    assert may(go_on(FAILING, DOWN, now=now), now) == Allowance(1, probe=True)


def test_a_closed_receiver_stops_the_lane_which_probes_ever_more_slowly() -> None:
    lane, now, waits = FRESH, NOON, []
    for _ in range(8):
        lane = go_on(lane, Closed("HTTP 401"), now=now, probe=True)
        assert (lane.health, lane.stopped_by) == ("stopped", "receiver")
        assert lane.held_until is not None
        assert may(lane, lane.held_until) == Allowance(1, probe=True)
        waits.append((lane.held_until - now).total_seconds() / 60)
        now = lane.held_until
    assert waits == [15, 30, 60, 120, 240, 360, 360, 360]


def test_what_was_under_way_when_a_lane_stopped_does_not_slow_its_first_probe() -> None:
    lane = go_on(FRESH, *[Closed("HTTP 401")] * 4)
    assert lane.held_until == NOON + timedelta(minutes=15)


def test_the_last_delivery_of_a_stopped_lane_slows_it_down_like_a_probe() -> None:
    now = NOON + timedelta(minutes=15)
    assert go_on(STOPPED, DOWN, now=now).held_until == now + timedelta(minutes=30)
    assert go_on(STOPPED, Closed("HTTP 401"), now=now).held_until == now + timedelta(minutes=30)


def test_a_receiver_that_is_gone_for_good_is_never_tried_by_itself() -> None:
    assert may(GONE, NOON + timedelta(days=365)) == Allowance(0)
    assert may(go_on(GONE, Closed("HTTP 401"), DOWN, BUSY, Delivered()), NOON + timedelta(days=365)) == Allowance(0)


def test_a_stopped_receiver_that_answers_again_resumes_by_itself() -> None:
    now = NOON + timedelta(minutes=15)
    assert go_on(STOPPED, Delivered(), now=now, probe=True) == Lane(since=now)


@pytest.mark.parametrize("outcome", [Delivered(), Rejected("no"), DOWN, BUSY, Closed("gone")])
def test_what_the_operator_stopped_only_the_operator_resumes(outcome: Outcome) -> None:
    assert go_on(BY_HAND, outcome, now=NOON + timedelta(days=1)) == BY_HAND
    assert may(BY_HAND, NOON + timedelta(days=365)) == Allowance(0)
    assert may(resumed(NOON)).batches == 4


def test_the_moment_of_change_is_kept_while_the_health_stays() -> None:
    later = NOON + timedelta(minutes=5)
    assert go_on(FAILING, DOWN, now=later, probe=True).since == NOON
    assert go_on(FRESH, Delivered(), now=later).since == NOON
    assert go_on(FAILING, Closed("gone"), now=later).since == later


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(seconds=-5), timedelta(days=2), timedelta.max])
def test_a_wish_that_makes_no_sense_holds_nothing_up(wait: timedelta) -> None:
    assert go_on(FRESH, TryLater("x", wait)).held_until is None
    assert go_on(FRESH, TryLater("x", wait, throttled=True)).held_until == NOON + timedelta(seconds=2)


def test_a_step_of_the_wall_clock_moves_the_hold_along() -> None:
    assert HELD.held_until is not None
    assert shifted(HELD, timedelta(hours=-3)).held_until == HELD.held_until - timedelta(hours=3)
    assert shifted(FRESH, timedelta(hours=3)) == FRESH


@pytest.mark.parametrize("lane", [FRESH, HELD, FAILING, STOPPED, GONE, BY_HAND])
def test_a_lane_comes_back_from_the_store_as_it_was(lane: Lane) -> None:
    assert from_json(json.loads(json.dumps(to_json(lane))), NOON) == lane


@pytest.mark.parametrize(
    "damage",
    [
        {"since": None},
        {"since": "2026-03-04T12:00:00"},
        {"health": "odd"},
        {"strikes": "x"},
        {"held_until": "2026-03-05T12:00:00"},
        {"refused": 5},
        {"stopped_by": []},
    ],
)
def test_f14_a_lane_that_is_damaged_in_the_store_begins_anew(damage: dict[str, Any]) -> None:
    assert from_json(to_json(HELD) | damage, NOON) == resumed(NOON)
    assert from_json({}, NOON) == resumed(NOON)


def test_i12_a_hold_from_the_store_is_never_longer_than_any_wish_that_is_obeyed() -> None:
    far = replace(HELD, held_until=NOON + timedelta(days=4000))
    assert from_json(to_json(far), NOON).held_until == NOON + LONGEST_RETRY_AFTER


@given(
    st.lists(
        st.tuples(
            OUTCOMES,
            st.booleans(),
            st.timedeltas(timedelta(0), timedelta(hours=9)),
            st.floats(0, 1),
            st.integers(1, 9),
        ),
        max_size=30,
    )
)
def test_whatever_is_answered_wishes_are_kept_and_no_lane_is_held_beyond_its_caps(answers: list[Any]) -> None:
    lane, now, promised = FRESH, NOON, NOON
    for outcome, probe, later, spread, delivery in answers:
        now += later
        lane = after(lane, outcome, delivery=delivery, probe=probe, now=now, spread=spread)
        if isinstance(outcome, TryLater) and (wished := wish(outcome)) is not None:
            promised = max(promised, now + wished)
        allowed = may(lane, now)
        assert allowed.batches == 0 or now >= promised
        if lane.held_until is not None:
            assert lane.held_until <= now + max(LONGEST_RETRY_AFTER, LONGEST_PROBE, LONGEST_STOPPED_PROBE)
        assert (lane.health == "stopped") == (lane.stopped_by != "")
        assert (allowed.until is None) or (allowed.until > now and allowed.batches == 0)
        assert from_json(json.loads(json.dumps(to_json(lane))), now) == lane
