"""What follows from an outcome for the sink: its health, how fast it goes, what may go out now (pure)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import LONGEST_RETRY_AFTER
from daemon.retry import back_off, wish

Health = Literal["ok", "slowed", "failing", "stopped"]
OUT_OF_ORDER: tuple[Health, ...] = ("failing", "stopped")
"""What goes out then is a probe."""

STRIKES_TO_FAIL = 5
"""So many TryLater in a row, and the sink is probed with single deliveries instead of all of them."""
REFUSALS_TO_STOP = 5
"""So many different events turned away with no success between them, and the sink stops."""
FIRST_PROBE, LONGEST_PROBE = timedelta(seconds=30), timedelta(minutes=15)
FIRST_STOPPED_PROBE, LONGEST_STOPPED_PROBE = timedelta(minutes=15), timedelta(hours=6)
FIRST_THROTTLE, LONGEST_THROTTLE = timedelta(seconds=2), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Lane:
    """How one sink is doing."""

    since: datetime
    """When `health` last changed."""
    health: Health = "ok"
    reason: str = ""
    strikes: int = 0
    """TryLater in a row."""
    throttles: int = 0
    held_until: datetime | None = None
    """Nothing goes out before this time."""
    probes: int = 0
    last_probed: int | None = None
    """The delivery tried last as a probe; the next probe takes another."""
    probe: bool = True
    """Whether a stopped sink may be tried by itself now and then."""
    stopped_by: Literal["", "receiver", "refusals", "operator"] = ""
    refused: tuple[int, ...] = ()
    """The deliveries turned away since the last success."""


_STORED = TypeAdapter(Lane)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may go out now."""

    batches: int
    probe: bool = False
    flows: bool = False
    """Deliveries go out as they come: not held, not one by one, not stopped."""
    until: datetime | None = None
    """When to ask again if nothing may go out; None: only when something happens."""


def allowance(lane: Lane, *, now: datetime, under_way: int, concurrency: int) -> Allowance:
    """How many batches may be started now."""
    if lane.health == "stopped" and (lane.stopped_by == "operator" or not lane.probe):
        return Allowance(0)
    if lane.held_until is not None and now < lane.held_until:
        return Allowance(0, until=lane.held_until)
    if lane.health in OUT_OF_ORDER:
        return Allowance(0 if under_way else 1, probe=True)
    return Allowance(max(0, concurrency - under_way), flows=True)


def after(lane: Lane, outcome: Outcome, *, delivery: int, probe: bool, now: datetime, spread: float) -> Lane:
    """The lane after one outcome. `spread` is chance, 0 to 1."""
    if lane.stopped_by == "operator":
        return lane
    # Nothing goes out during a hold, so this was sent before it began and says nothing about now.
    belated = lane.held_until is not None and now < lane.held_until
    match outcome:
        case Delivered() | Rejected():
            # That an event is rejected does not yet show that others would be taken.
            refused = lane.refused if isinstance(outcome, Rejected) and lane.health != "stopped" else ()
            if belated:
                return replace(lane, strikes=0, refused=refused)
            healthy = Lane(since=lane.since if lane.health == "ok" else now, refused=refused)
            return lane if lane == healthy else healthy
        case Closed(reason, may_probe):
            probes = lane.probes + (not belated) if lane.health == "stopped" else 1
            wait = back_off(probes, first=FIRST_STOPPED_PROBE, longest=LONGEST_STOPPED_PROBE, spread=spread)
            stopped = _turned(lane, "stopped", reason, now)
            return replace(
                stopped,
                stopped_by="receiver",
                probe=may_probe and lane.probe,
                probes=probes,
                held_until=_later(lane.held_until, now + wait),
                last_probed=delivery,
                refused=(),
            )
        case TryLater():
            probe = probe or (lane.health == "stopped" and not belated)
            return _after_try_later(lane, outcome, delivery=delivery, probe=probe, now=now, spread=spread)


def _after_try_later(
    lane: Lane, outcome: TryLater, *, delivery: int, probe: bool, now: datetime, spread: float
) -> Lane:
    wished = wish(outcome)
    if outcome.refused and lane.health != "stopped":
        lane = replace(lane, refused=tuple(sorted({*lane.refused, delivery})))
        if len(lane.refused) >= REFUSALS_TO_STOP:
            return _stopped_by_refusals(lane, outcome, wished, delivery=delivery, now=now, spread=spread)
    if probe:
        first = FIRST_STOPPED_PROBE if lane.stopped_by == "receiver" else FIRST_PROBE
        longest = LONGEST_STOPPED_PROBE if lane.health == "stopped" else LONGEST_PROBE
        wait = max(back_off(lane.probes + 1, first=first, longest=longest, spread=spread), wished or timedelta())
        return replace(
            lane,
            probes=lane.probes + 1,
            held_until=_later(lane.held_until, now + wait),
            last_probed=delivery,
            reason=outcome.reason,
        )
    if outcome.throttled:
        throttles = lane.throttles + 1
        wait = wished or back_off(throttles, first=FIRST_THROTTLE, longest=LONGEST_THROTTLE, spread=spread)
        slowed = _turned(lane, "slowed", outcome.reason, now) if lane.health == "ok" else lane
        return replace(slowed, throttles=throttles, held_until=_later(lane.held_until, now + wait))
    strikes = lane.strikes + 1
    held = _later(lane.held_until, now + wished) if wished else lane.held_until
    if strikes >= STRIKES_TO_FAIL and lane.health in ("ok", "slowed"):
        failing = _turned(lane, "failing", outcome.reason, now)
        wait = back_off(1, first=FIRST_PROBE, longest=LONGEST_PROBE, spread=spread)
        return replace(failing, strikes=strikes, held_until=_later(held, now + wait), last_probed=delivery)
    return replace(lane, strikes=strikes, held_until=held)


def _stopped_by_refusals(
    lane: Lane, outcome: TryLater, wished: timedelta | None, *, delivery: int, now: datetime, spread: float
) -> Lane:
    """Stop, but look again soon: what a deploy of a minute turned away waits for about as long."""
    wait = max(back_off(1, first=FIRST_PROBE, longest=LONGEST_STOPPED_PROBE, spread=spread), wished or timedelta())
    stopped = _turned(lane, "stopped", f"{outcome.reason}, for {len(lane.refused)} events with no success between", now)
    return replace(
        stopped,
        stopped_by="refusals",
        probes=1,
        held_until=_later(lane.held_until, now + wait),
        last_probed=delivery,
        refused=(),
    )


def _turned(lane: Lane, health: Health, reason: str, now: datetime) -> Lane:
    since = lane.since if lane.health == health else now
    return replace(lane, health=health, reason=reason, since=since)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def stopped_by_operator(lane: Lane, now: datetime) -> Lane:
    """Stop a sink on command; only a command resumes it."""
    return replace(_turned(lane, "stopped", "stopped by the operator", now), stopped_by="operator", held_until=None)


def resumed(now: datetime) -> Lane:
    """A lane as new: on command, or because the sink's settings changed."""
    return Lane(since=now)


def shifted(lane: Lane, step: timedelta) -> Lane:
    """The same wait after the wall clock was set by `step`."""
    return lane if lane.held_until is None else replace(lane, held_until=lane.held_until + step)


def to_json(lane: Lane) -> dict[str, Any]:
    """For the store."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(lane).items()
        if value is not None
    }


def from_json(stored: Mapping[str, Any], now: datetime) -> Lane:
    """From the store; a hold is never longer than any receiver may ask for. What is damaged begins anew."""
    try:
        lane = _STORED.validate_python(stored)
        held = lane.held_until
        lane = replace(lane, held_until=None if held is None else min(held, now + LONGEST_RETRY_AFTER))
        return lane if lane.since.tzinfo is not None else resumed(now)
    except (ValidationError, TypeError):
        return resumed(now)
