"""Recording what came of attempts: the verdict, the proof of what was sent, the counters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, LargeBinary, and_, bindparam, exists, func, insert, select, update

from daemon.contract import Delivery, Report
from daemon.redaction import redact
from daemon.retry import Verdict
from daemon.store.counters import Count, count_up
from daemon.store.text import storable
from daemon.tables import attempts, deliveries, events

BODY_KEPT = 16 * 1024
ANSWER_KEPT = 1024
REASON_KEPT = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery handed out for one attempt."""

    row_id: int
    delivery: Delivery
    failures: int
    claimed_at: datetime
    suspect: bool = False
    """An earlier process died over it, or beside it."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt with its report and what follows from it."""

    claim: Claim
    report: Report
    outcome: str
    verdict: Verdict
    duration: timedelta


def record_verdicts(connection: Connection, now: datetime, sink: str, attempted: Sequence[Attempted]) -> int:
    """Store what came of attempts, in a transaction of the caller's; how many deliveries are settled.

    A verdict that comes after its lease, when the attempt number has moved on, changes nothing.
    """
    asked = {"row_ids": [item.claim.row_id for item in attempted]}
    current = {row.id: row for row in connection.execute(_UNDER_WAY, asked)}
    attempted = [item for item in attempted if _is_current(item.claim, current.get(item.claim.row_id))]
    if not attempted:
        return 0
    reasons = [_shown(item.verdict.reason, REASON_KEPT) for item in attempted]
    connection.execute(
        _SETTLE, [_settlement(item, reason, now) for item, reason in zip(attempted, reasons, strict=True)]
    )
    tries = [_attempt(item, reason) for item, reason in zip(attempted, reasons, strict=True)]
    connection.execute(insert(attempts), tries)
    progressed = [
        {"row_id": item.claim.row_id, "new_progress": dict(item.report.progress)}
        for item in attempted
        if item.report.progress is not None
    ]
    if progressed:
        connection.execute(_PROGRESS, progressed)
    if cleared := [{"row_id": item.claim.row_id} for item in attempted if item.claim.suspect]:
        connection.execute(_CLEARED, cleared)
    count_up(connection, (_counted(item, sink, current[item.claim.row_id], now) for item in attempted))
    return sum(item.verdict.state != "waiting" for item in attempted)


_UNDER_WAY = (
    select(deliveries.c.id, deliveries.c.attempt, deliveries.c.gathered, events.c.stored_at)
    .join(events, events.c.id == deliveries.c.event_id)
    .where(deliveries.c.id.in_(bindparam("row_ids", expanding=True)), deliveries.c.claimed_at.is_not(None))
)
_SETTLE = (
    update(deliveries)
    .where(and_(deliveries.c.id == bindparam("row_id"), deliveries.c.attempt == bindparam("made")))
    .values(
        state=bindparam("new_state"),
        due_at=bindparam("new_due_at"),
        reason=bindparam("new_reason"),
        failures=bindparam("new_failures"),
        settled_at=bindparam("new_settled_at"),
        body=func.coalesce(bindparam("new_body", type_=LargeBinary), deliveries.c.body),
        claimed_at=None,
        deaths=0,
    )
)
_CLEARED = (
    update(events)
    .where(
        events.c.id == select(deliveries.c.event_id).where(deliveries.c.id == bindparam("row_id")).scalar_subquery(),
        ~exists().where(deliveries.c.event_id == events.c.id, deliveries.c.deaths > 0),
    )
    .values(deaths=0)
)
"""None of the event's deliveries is suspected any more, or was given up for it."""
_PROGRESS = update(deliveries).where(deliveries.c.id == bindparam("row_id")).values(progress=bindparam("new_progress"))


def _is_current(claim: Claim, row: Any) -> bool:
    return row is not None and row.attempt == claim.delivery.attempt


def _counted(item: Attempted, sink: str, row: Any, now: datetime) -> Count:
    """One attempt by its fate. What was held back as the config asks, or sent again, was not slow."""
    delivery = item.claim.delivery
    fate = item.outcome if item.verdict.state == "waiting" else item.verdict.state
    on_purpose = row.gathered in ("digest", "quiet") or delivery.replays
    took = now - row.stored_at if fate == "delivered" and not on_purpose else timedelta()
    return Count.of_delivery(delivery.event.source, delivery.event.kind, sink, fate, now, took=took)


def _settlement(item: Attempted, reason: str, now: datetime) -> Mapping[str, Any]:
    verdict = item.verdict
    return {
        "row_id": item.claim.row_id,
        "made": item.claim.delivery.attempt,
        "new_state": verdict.state,
        "new_due_at": verdict.due_at,
        "new_reason": reason,
        "new_failures": verdict.failures,
        "new_settled_at": None if verdict.state == "waiting" else now,
        "new_body": redact(item.report.body.decode("utf-8", "replace")).encode()[:BODY_KEPT] or None,
    }


def _attempt(item: Attempted, reason: str) -> Mapping[str, Any]:
    body = item.report.body
    return {
        "delivery_id": item.claim.row_id,
        "attempt": item.claim.delivery.attempt,
        "started_at": item.claim.claimed_at,
        "milliseconds": round(item.duration.total_seconds() * 1000),
        "outcome": item.outcome,
        "reason": reason,
        "body_size": len(body),
        "body_digest": sha256(body).digest() if body else None,
        "answer": _shown(item.report.answer, ANSWER_KEPT) or None,
    }


def _shown(text: str, limit: int) -> str:
    return storable(redact(text))[:limit]
