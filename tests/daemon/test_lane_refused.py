"""A receiver that turns us away, perhaps only for now: 401, 403, 404, 405 and the like (F40)."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.lane import (
    LONGEST_STOPPED_PROBE,
    REFUSALS_TO_STOP,
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

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FRESH = Lane(since=NOON)
REFUSED, DOWN = TryLater("HTTP 404 Not Found", refused=True), TryLater("HTTP 503")


def told(
    lane: Lane, outcome: Outcome, *deliveries: int, now: datetime = NOON, probe: bool = False, spread: float = 0
) -> Lane:
    for delivery in deliveries:
        lane = after(lane, outcome, delivery=delivery, probe=probe, now=now, spread=spread)
    return lane


def may(lane: Lane, now: datetime) -> Allowance:
    return allowance(lane, now=now, under_way=0, concurrency=4)


def back(lane: Lane) -> Lane:
    """The lane after a restart."""
    return from_json(json.loads(json.dumps(to_json(lane))), NOON)


STOPPED = told(FRESH, REFUSED, 1, 2, 3, 4, 5)


def test_five_different_events_turned_away_stop_the_sink_and_four_do_not() -> None:
    four = told(FRESH, REFUSED, 1, 2, 3, 4)
    assert four.health == "ok"
    stopped = told(four, REFUSED, 5)
    assert (stopped.health, stopped.stopped_by, stopped.probe) == ("stopped", "refusals", True)
    assert stopped.reason == "HTTP 404 Not Found, for 5 events with no success between"


def test_one_event_turned_away_again_and_again_does_not_stop_the_sink() -> None:
    lane = told(FRESH, REFUSED, *[7] * 4)
    assert (lane.health, lane.refused) == ("ok", (7,))
    assert told(lane, REFUSED, 7).health == "failing"  # as with any five failures in a row
    assert STRIKES_TO_FAIL == REFUSALS_TO_STOP == 5


def test_a_success_between_begins_the_count_anew() -> None:
    lane = told(told(FRESH, REFUSED, 1, 2, 3, 4), Delivered(), 9)
    assert told(lane, REFUSED, 5, 6, 7, 8).health == "ok"


@pytest.mark.parametrize("between", [Rejected("HTTP 422"), DOWN, TryLater("HTTP 429", throttled=True)])
def test_what_is_no_success_between_does_not(between: Outcome) -> None:
    lane = told(told(FRESH, REFUSED, 1, 2, 3, 4), between, 9)
    assert told(lane, REFUSED, 5).health == "stopped"


def test_probes_of_a_failing_sink_that_are_turned_away_stop_it_too() -> None:
    lane = told(FRESH, DOWN, 1, 2, 3, 4, 5)
    assert lane.health == "failing"
    now = NOON
    for delivery in (1, 2, 3, 4, 1, 5):
        assert lane.health == "failing"
        assert lane.held_until is not None
        now = lane.held_until
        lane = told(lane, REFUSED, delivery, now=now, probe=True)
    assert (lane.health, lane.stopped_by) == ("stopped", "refusals")


def test_the_count_survives_a_restart_and_a_set_clock() -> None:
    lane = told(FRESH, REFUSED, 1, 2, 3, 4)
    assert back(lane) == lane
    assert told(shifted(back(lane), timedelta(hours=5)), REFUSED, 5).health == "stopped"
    assert back(STOPPED) == STOPPED
    assert from_json({"since": NOON.isoformat(), "health": "ok"}, NOON).refused == ()  # of a release before


def test_it_is_probed_soon_at_first_and_then_ever_more_slowly() -> None:
    """A deploy of a minute must not cost a quarter of an hour."""
    lane, now, waits = STOPPED, NOON, []
    for delivery in range(12):
        assert lane.held_until is not None
        waits.append((lane.held_until - now).total_seconds())
        now = lane.held_until
        assert may(lane, now - timedelta(seconds=1)) == Allowance(0, until=now)
        assert may(lane, now) == Allowance(1, probe=True)
        lane = told(lane, REFUSED, delivery, now=now, probe=True)
        assert lane.health == "stopped"
    assert waits[:5] == [30, 60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_STOPPED_PROBE.total_seconds()


def test_a_wait_that_the_receiver_asks_for_is_kept() -> None:
    patient = TryLater("HTTP 403", timedelta(hours=3), refused=True)
    assert told(FRESH, patient, 1, 2, 3, 4, 5).held_until == NOON + timedelta(hours=3)


def test_one_success_makes_it_as_new() -> None:
    now = NOON + timedelta(seconds=30)
    assert told(STOPPED, Delivered(), 5, now=now, probe=True) == Lane(since=now)
    assert told(STOPPED, Rejected("HTTP 422"), 5, now=now, probe=True) == Lane(since=now)
    assert resumed(now) == Lane(since=now)


@pytest.mark.parametrize("outcome", [Delivered(), Rejected("no"), DOWN, REFUSED])
def test_what_was_under_way_when_it_stopped_changes_nothing(outcome: Outcome) -> None:
    later = told(STOPPED, outcome, 6, 7, 8, now=NOON + timedelta(seconds=1))
    assert (later.health, later.stopped_by, later.held_until) == ("stopped", "refusals", STOPPED.held_until)
    assert later.reason == STOPPED.reason


def test_a_receiver_that_then_says_it_is_gone_is_probed_as_slowly_as_any_such() -> None:
    now = NOON + timedelta(seconds=30)
    gone = told(STOPPED, Closed("HTTP 410"), 6, now=now, probe=True)
    assert (gone.stopped_by, gone.refused) == ("receiver", ())
    assert gone.held_until is not None
    assert gone.held_until - now >= timedelta(minutes=15)


def test_what_the_operator_stopped_stays_so() -> None:
    by_hand = stopped_by_operator(FRESH, NOON)
    assert told(by_hand, REFUSED, 1, 2, 3, 4, 5, 6) == by_hand
