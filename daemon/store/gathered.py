"""Deliveries that people are told together: kept back until their time, and then handed out as one message."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, not_, null, select, update

from daemon.contract import OWN_SOURCE, Cause
from daemon.gathering import LATE, REASONS, Gathering, Hold, Window, goes_at_once, window_at
from daemon.quantities import Rate
from daemon.store.claims import CLAIMABLE, INNOCENT, Claimed, found_due, hand_out
from daemon.store.facts import window_name
from daemon.store.upsert import put
from daemon.store.verdicts import Claim
from daemon.tables import WAITING, deliveries, events, meta

MOST_TOGETHER = 2000
"""Deliveries in one message; what is beyond comes in a further one."""
DEATHS_TO_PART = 2
"""Of the process over one message; then each of its deliveries is tried alone, so that the culprit is found."""

_ours = select(events.c.id).where(events.c.id == deliveries.c.event_id, events.c.source == OWN_SOURCE).exists()
_DUE = (WAITING, INNOCENT, deliveries.c.sink == bindparam("sink_name"), deliveries.c.due_at <= bindparam("at"))
_GATHERABLE = (*_DUE, deliveries.c.replays == 0, not_(_ours))
"""Not what the daemon itself has to say, nor what a person asked for again: see `goes_at_once`."""
_ALONE = deliveries.c.gathered.is_(None)
_KEEP_BACK = update(deliveries).values(
    due_at=bindparam("until"),
    gathered=func.coalesce(deliveries.c.gathered, bindparam("cause")),
    reason=case((_ALONE, bindparam("why")), else_=deliveries.c.reason),
)
_BEYOND = (
    select(deliveries.c.id)
    .where(*_GATHERABLE, _ALONE)
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .offset(bindparam("room"))
)
_KEEP_ALL_BACK = _KEEP_BACK.where(*_GATHERABLE)
_KEEP_SINGLE_BACK = _KEEP_BACK.where(*_GATHERABLE, _ALONE)
_KEEP_REST_BACK = _KEEP_BACK.where(deliveries.c.id.in_(_BEYOND))
_MARK_LATE = (
    update(deliveries)
    .where(
        *_GATHERABLE,
        _ALONE,
        select(events.c.id)
        .where(events.c.id == deliveries.c.event_id, events.c.stored_at < bindparam("before"))
        .exists(),
    )
    .values(gathered="late", reason=REASONS["late"])
)
_GATHERED = CLAIMABLE.add_columns(deliveries.c.gathered, deliveries.c.tried_at)
_DUE_TOGETHER = (
    _GATHERED.where(*_DUE, deliveries.c.gathered.is_not(None))
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(MOST_TOGETHER)
    .with_for_update(skip_locked=True, of=deliveries)
)
_ANY_DUE_TOGETHER = select(deliveries.c.id).where(*_DUE, deliveries.c.gathered.is_not(None)).limit(1)
_DUE_ALONE = (
    CLAIMABLE.where(*_DUE, _ALONE)
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(bindparam("number"))
    .with_for_update(skip_locked=True, of=deliveries)
)
_PLANNED = (
    WAITING,
    deliveries.c.tried_at.is_(None),
    deliveries.c.claimed_at.is_(None),
    deliveries.c.gathered.in_(["digest", "quiet"]),
)
"""What waits for a time of day, unlike what waits for a span of time to pass."""


def claim_for_people(
    connection: Connection, now: datetime, sink: str, gathering: Gathering, *, limit: int, lease: timedelta
) -> Claimed:
    """Keep back what is not to be told now, then hand out one message's worth of gathered deliveries, or single ones.

    In a transaction of the caller's.
    """
    asked = {"sink_name": sink, "at": now}
    if (quiet_until := gathering.quiet_until(now)) is not None:
        connection.execute(_KEEP_ALL_BACK, asked | _keeping(Hold("quiet", quiet_until)))
    elif (hold := gathering.general_hold(now)) is not None:
        connection.execute(_KEEP_SINGLE_BACK, asked | _keeping(hold))
    elif gathering.limit is not None:
        connection.execute(_MARK_LATE, asked | {"before": now - LATE})
        return _claim_within(connection, now, sink, gathering.limit, limit=limit, lease=lease)
    return _claim_next(connection, now, sink, limit=limit, lease=lease)


def _claim_within(
    connection: Connection, now: datetime, sink: str, rate: Rate, *, limit: int, lease: timedelta
) -> Claimed:
    """Claim no more than the window has room for; what is beyond waits for its end, to be told as one message."""
    asked = {"sink_name": sink, "at": now}
    window = window_at(now, rate, _stored_window(connection, sink))
    room = rate.number - window.sent
    kept = _keeping(Hold("burst", window.ends_at))
    if room <= 0:
        connection.execute(_KEEP_ALL_BACK, asked | kept)
    else:
        summary_due = connection.execute(_ANY_DUE_TOGETHER, asked).first() is not None
        connection.execute(_KEEP_REST_BACK, asked | kept | {"room": room - summary_due})
    claimed = _claim_next(connection, now, sink, limit=limit, lease=lease)
    if sent := _counted(claimed.claims, claimed.cause):
        _store_window(connection, sink, replace(window, sent=window.sent + sent))
    return claimed


def _counted(claims: Sequence[Claim], cause: Cause | None) -> int:
    """How many messages these are, as the limit counts."""
    news = [claim for claim in claims if not goes_at_once(claim.delivery.event) and not claim.delivery.replays]
    return 1 if cause else len(news)


def count_back(connection: Connection, sink: str, claims: Sequence[Claim], cause: Cause | None) -> None:
    """What was claimed and not sent counts for nothing, in a transaction of the caller's."""
    if (window := _stored_window(connection, sink)) is not None:
        _store_window(connection, sink, replace(window, sent=max(0, window.sent - _counted(claims, cause))))


def _claim_next(connection: Connection, now: datetime, sink: str, *, limit: int, lease: timedelta) -> Claimed:
    asked = {"sink_name": sink, "at": now}
    if rows := found_due(connection, _DUE_TOGETHER, asked):
        return _hand_out_together(connection, now, sink, rows, lease)
    rows = found_due(connection, _DUE_ALONE, asked | {"number": limit})
    return hand_out(connection, now, sink, rows, lease)


def claim_suspects(connection: Connection, now: datetime, sink: str, row_id: int, lease: timedelta) -> Claimed:
    """Hand out one suspect, with those that were in the same message, in a transaction of the caller's."""
    suspected = _GATHERED.where(deliveries.c.deaths > 0)
    rows = connection.execute(suspected.where(deliveries.c.id == row_id)).all()
    if rows and rows[0].gathered is not None and rows[0].event_deaths < DEATHS_TO_PART:
        same = deliveries.c.sink == sink, deliveries.c.tried_at.is_not_distinct_from(rows[0].tried_at)
        found = connection.execute(suspected.where(*same).order_by(deliveries.c.id).limit(MOST_TOGETHER)).all()
        rows = [*rows, *(row for row in found if row.id != row_id and row.event_deaths < DEATHS_TO_PART)]
        return _hand_out_together(connection, now, sink, rows, lease)
    return hand_out(connection, now, sink, rows, lease)


def _hand_out_together(
    connection: Connection, now: datetime, sink: str, rows: Sequence[Any], lease: timedelta
) -> Claimed:
    """Claim those that can be told in one message with the first."""
    first = rows[0]
    alike = [row for row in rows if (row.gathered, row.progress or {}) == (first.gathered, first.progress or {})]
    claimed = hand_out(connection, now, sink, alike, lease)
    oldest_first = sorted(claimed.claims, key=lambda claim: (claim.delivery.event.occurred_at, claim.row_id))
    together = len(oldest_first) > 1 or (first.gathered == "digest" and oldest_first)
    return replace(claimed, claims=tuple(oldest_first), cause=first.gathered if together else None)


def replan(connection: Connection, now: datetime, sink: str, gathering: Gathering | None) -> None:
    """What waits for a time of day waits for the next one, by today's settings and clock; or for none.

    Not what was due while we were not there, nor what was tried: that goes on as it is.
    """
    hold = None if gathering is None else gathering.general_hold(now)
    plan = {"due_at": now, "gathered": None, "reason": None} if hold is None else held(hold)
    later = *_PLANNED, deliveries.c.sink == sink, deliveries.c.due_at > now
    connection.execute(update(deliveries).where(*later).values(**plan))
    if gathering is None:
        gathered = WAITING, deliveries.c.sink == sink, deliveries.c.gathered.is_not(None)
        connection.execute(update(deliveries).where(*gathered).values(gathered=null()))


def waiting_together(connection: Connection) -> dict[str, list[tuple[Cause, int, datetime]]]:
    """For each sink: how many deliveries are kept back, why, and until when the first of them."""
    query = (
        select(deliveries.c.sink, deliveries.c.gathered, func.count(), func.min(deliveries.c.due_at))
        .where(WAITING, deliveries.c.gathered.is_not(None), deliveries.c.claimed_at.is_(None))
        .group_by(deliveries.c.sink, deliveries.c.gathered)
        .order_by(deliveries.c.sink, func.min(deliveries.c.due_at))
    )
    found: dict[str, list[tuple[Cause, int, datetime]]] = {}
    for sink, cause, number, due_at in connection.execute(query):
        found.setdefault(sink, []).append((cause, number, due_at))
    return found


def held(hold: Hold) -> dict[str, Any]:
    """What stands in the row of a delivery that is kept back."""
    return {"due_at": hold.until, "gathered": hold.cause, "reason": REASONS[hold.cause]}


def _keeping(hold: Hold) -> dict[str, Any]:
    return {"until": hold.until, "cause": hold.cause, "why": REASONS[hold.cause]}


def _stored_window(connection: Connection, sink: str) -> Window | None:
    stored = connection.execute(select(meta.c.value).where(meta.c.name == window_name(sink))).scalar()
    try:
        ends_at, _, sent = (stored or "").partition(" ")
        return Window(datetime.fromisoformat(ends_at), int(sent))
    except ValueError:
        return None


def _store_window(connection: Connection, sink: str, window: Window) -> None:
    """Before the messages are sent: a restart must not begin to count anew."""
    put(connection, meta, {"name": window_name(sink), "value": f"{window.ends_at.isoformat()} {window.sent}"})
