"""How an upstream is doing, and when it is asked next (pure); kept apart for reads and writes."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from daemon.contract import SourceRefused, SourceThrottled, SourceTrouble
from daemon.retry import back_off

Health = Literal["ok", "throttled", "failing", "refused"]

FIRST_BACK_OFF, LONGEST_BACK_OFF = timedelta(seconds=2), timedelta(minutes=5)
REFUSED_WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""After a refusal: asked again after 1 and 5, then every 15 minutes; a storm would look like abuse."""
COOLING = 1.25
"""Each sweep that brings nothing new lengthens a hot interval by this factor."""
IDLE_COOLING = 1.1
IDLE_AFTER = timedelta(minutes=10)
"""Quiet for so long, and the interval grows on towards `poll_max`, where that is set."""
SLOWER, RECOVERY, SLOWEST = 2.0, 0.95, 8.0
"""Each rate limit doubles the interval (eightfold at most); each good sweep takes 5 % of that back."""
JITTER = 0.1
LONGEST_INTERVAL = timedelta(days=1)
"""The longest that a config may ask for; more is damage."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How often a source is asked."""

    poll: timedelta
    poll_min: timedelta
    poll_max: timedelta | None


@dataclass(frozen=True, slots=True)
class Upstream:
    """One kind of access (reads or writes) to one source."""

    since: datetime
    """When `health` last changed."""
    health: Health = "ok"
    reason: str = ""
    failures: int = 0
    """Troubles in a row."""
    interval: timedelta = timedelta()
    """The present interval before slowing and jitter; zero: not yet known."""
    last_new_at: datetime | None = None
    slowness: float = 1.0


_STORED = TypeAdapter(Upstream)


def after_success(upstream: Upstream, *, now: datetime) -> Upstream:
    """It answered as it should."""
    since = upstream.since if upstream.health == "ok" else now
    slowness = max(1.0, upstream.slowness * RECOVERY)
    return replace(upstream, since=since, health="ok", reason="", failures=0, slowness=slowness)


def after_sweep(upstream: Upstream, *, new: int, polling: Polling, now: datetime) -> Upstream:
    """A whole sweep went well and brought so many new events."""
    calm = after_success(upstream, now=now)
    if new:
        return replace(calm, interval=polling.poll_min, last_new_at=now)
    interval = _interval(calm, polling)
    if interval < polling.poll:
        interval = min(interval * COOLING, polling.poll)
    elif polling.poll_max is not None and (calm.last_new_at is None or now - calm.last_new_at >= IDLE_AFTER):
        interval = min(interval * IDLE_COOLING, polling.poll_max)
    return replace(calm, interval=interval, last_new_at=calm.last_new_at or now)


def after_trouble(upstream: Upstream, trouble: SourceTrouble, *, now: datetime) -> Upstream:
    """It did not answer as it should."""
    match trouble:
        case SourceThrottled():
            health: Health = "throttled"
        case SourceRefused():
            health = "refused"
        case _:
            health = "failing"
    same = upstream.health == health
    return replace(
        upstream,
        since=upstream.since if same else now,
        health=health,
        reason=str(trouble),
        failures=upstream.failures + 1 if same else 1,
        slowness=min(upstream.slowness * SLOWER, SLOWEST) if health == "throttled" else upstream.slowness,
    )


def next_sweep(upstream: Upstream, *, polling: Polling, spread: float) -> timedelta:
    """How long to wait after a good sweep. `spread` is chance, 0 to 1."""
    return _interval(upstream, polling) * upstream.slowness * (1 - JITTER + 2 * JITTER * spread)


def _interval(upstream: Upstream, polling: Polling) -> timedelta:
    """The present interval, within what is configured now."""
    return min(max(upstream.interval or polling.poll, polling.poll_min), polling.poll_max or polling.poll)


def next_try(upstream: Upstream, trouble: SourceTrouble, *, now: datetime, spread: float) -> timedelta:
    """How long to wait after trouble. `spread` is chance, 0 to 1."""
    match trouble:
        case SourceThrottled():
            return max(trouble.until - now, timedelta()) + timedelta(milliseconds=50 + 450 * spread)
        case SourceRefused():
            return REFUSED_WAITS[min(upstream.failures, len(REFUSED_WAITS)) - 1]
        case _:
            return back_off(upstream.failures, first=FIRST_BACK_OFF, longest=LONGEST_BACK_OFF, spread=spread)


def to_json(upstream: Upstream) -> dict[str, Any]:
    """For the store."""
    fields = asdict(upstream)
    fields["since"] = upstream.since.isoformat()
    fields["interval"] = upstream.interval.total_seconds()
    fields["last_new_at"] = upstream.last_new_at.isoformat() if upstream.last_new_at else None
    return fields


def from_json(stored: Any, now: datetime) -> Upstream:
    """From the store. A refusal is asked again at once after a restart; what is missing or damaged begins anew."""
    try:
        upstream = replace(_STORED.validate_python(stored), failures=0)
    except ValidationError:
        return Upstream(since=now)
    times = upstream.since, upstream.last_new_at or now
    sane = timedelta() <= upstream.interval <= LONGEST_INTERVAL and 1 <= upstream.slowness <= SLOWEST
    return upstream if sane and all(time.tzinfo for time in times) else Upstream(since=now)
