"""Handing out deliveries for an attempt that is counted before it is made, in a transaction of the caller's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, exists, func, insert, or_, select, update

from daemon.columns import DAMAGED_TIME
from daemon.contract import Cause, Delivery, Event
from daemon.store.counters import Count, count_up
from daemon.store.renames import FORMER_SINKS, FORMER_SOURCES, receivers_id
from daemon.store.text import digest_of
from daemon.store.verdicts import Claim
from daemon.tables import WAITING, attempts, deliveries, events

DEATHS_TO_QUARANTINE = 3
"""An event that the process did not survive sending so often is not sent again by itself, to whichever sink."""

MOST_CHARACTERS = 4 * 1024 * 1024
"""Of stored content in one claim, some thousands of events as they usually are; one that is larger goes alone."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What may be sent now, and when to look again if it was nothing."""

    claims: tuple[Claim, ...]
    next_due_at: datetime | None
    quarantined: int = 0
    cause: Cause | None = None
    """Set if they are to be told as one message."""


INNOCENT = or_(deliveries.c.deaths == 0, deliveries.c.claimed_at.is_not(None))
"""What an earlier process died over, or beside, is not claimed with the rest: see `daemon/rounds/suspects.py`.
What is still claimed was claimed by this process, which lives: its attempt got lost in another way."""

CLAIMABLE = (
    select(
        deliveries.c.id,
        deliveries.c.attempt,
        deliveries.c.failures,
        deliveries.c.deaths,
        deliveries.c.replays,
        deliveries.c.claimed_at,
        deliveries.c.progress,
        deliveries.c.event_id,
        events.c.deaths.label("event_deaths"),
        events.c.source,
        events.c.external_id,
        events.c.channel,
        events.c.kind,
        events.c.occurred_at,
        events.c.data,
        events.c.raw,
        events.c.digest,
        FORMER_SINKS.label("former_sinks"),
        FORMER_SOURCES.label("former_sources"),
    )
    .join(events, events.c.id == deliveries.c.event_id)
    .where(WAITING)
)
_NEXT_DUE = select(func.min(deliveries.c.due_at)).where(WAITING, INNOCENT, deliveries.c.sink == bindparam("sink_name"))


_GIVE_UP_EVENTLESS = (
    update(deliveries)
    .where(WAITING, deliveries.c.sink == bindparam("sink_name"), ~exists().where(events.c.id == deliveries.c.event_id))
    .values(state="gave_up", reason="its event is missing; not sent", due_at=None, settled_at=bindparam("at"))
)


def found_due(connection: Connection, query: Select[Any], asked: Mapping[str, Any]) -> list[Any]:
    """The first rows that a query like `CLAIMABLE` brings, no more than memory should hold for each of many lanes."""
    rows: list[Any] = []
    size = 0
    with connection.execute(query, asked) as found:
        for row in found:
            size += sum(len(text) for text in (row.data, row.raw) if isinstance(text, str))
            if rows and size > MOST_CHARACTERS:
                break
            rows.append(row)
    return rows


def hand_out(connection: Connection, now: datetime, sink: str, rows: Sequence[Any], lease: timedelta) -> Claimed:
    """Claim these rows, as `CLAIMABLE` brings them; what is damaged, or killed us too often, is given up instead."""
    claims: list[Claim] = []
    quarantined = 0
    for row in rows:
        deaths = max(row.deaths, row.event_deaths)
        if row.claimed_at is not None:
            deaths += 1
            note_cut_off(connection, row)
        whole = row.digest == digest_of(row.kind, row.channel, row.data, row.raw) and row.occurred_at != DAMAGED_TIME
        damaged = not (whole and isinstance(row.source, str) and isinstance(row.external_id, str))
        if damaged or deaths >= DEATHS_TO_QUARANTINE:
            quarantined += 1
            died = f"the daemon died {deaths} times while sending it"
            _quarantine(connection, now, row.id, f"{'its stored content is damaged' if damaged else died}; not sent")
            count_up(connection, [Count.of_delivery(str(row.source), str(row.kind), sink, "gave_up", now)])
        else:
            claims.append(_claim(row, sink, now, cut_off=row.claimed_at is not None))
    if claims:
        taken = {"row_ids": [claim.row_id for claim in claims], "until": now + lease, "at": now}
        connection.execute(_TAKE, taken)
    next_due_at = connection.execute(_NEXT_DUE, {"sink_name": sink}).scalar()
    if not rows and next_due_at is not None and next_due_at <= now:
        # What can never be claimed must not look as if it were due for ever: the lane would not rest.
        quarantined = connection.execute(_GIVE_UP_EVENTLESS, {"sink_name": sink, "at": now}).rowcount
    return Claimed(tuple(claims), next_due_at, quarantined)


_TAKE = (
    update(deliveries)
    .where(deliveries.c.id.in_(bindparam("row_ids", expanding=True)))
    .values(
        due_at=bindparam("until"),
        attempt=deliveries.c.attempt + 1,
        claimed_at=bindparam("at"),
        tried_at=bindparam("at"),
        failures=case((deliveries.c.claimed_at.is_(None), deliveries.c.failures), else_=deliveries.c.failures + 1),
    )
)
"""One statement for all: with one for each row the driver would hand the interpreter back and forth each time."""


def _claim(row: Any, sink: str, now: datetime, *, cut_off: bool) -> Claim:
    event = Event(row.source, row.external_id, row.channel, row.kind, row.occurred_at, json.loads(row.data))
    delivery = Delivery(
        id=receivers_id(row, sink, event_id=row.event_id, row_id=row.id),
        event=event,
        attempt=row.attempt + 1,
        progress=row.progress or {},
        replays=row.replays,
    )
    return Claim(row.id, delivery, row.failures + cut_off, now, suspect=row.deaths > 0)


def note_cut_off(connection: Connection, row: Any) -> None:
    """Put on record that an attempt got no verdict."""
    connection.execute(
        insert(attempts).values(
            delivery_id=row.id,
            attempt=row.attempt,
            started_at=row.claimed_at,
            outcome="cut_off",
            reason="the daemon ended before an answer was recorded; the receiver may have it",
        )
    )
    connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(deaths=deliveries.c.deaths + 1))


def _quarantine(connection: Connection, now: datetime, row_id: int, reason: str) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == row_id)
        .values(state="gave_up", reason=reason, due_at=None, claimed_at=None, settled_at=now)
    )
