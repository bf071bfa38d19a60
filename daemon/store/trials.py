"""A message that a person sends to try a sink out: handed out by itself, and not kept waiting when it fails."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from daemon.contract import OWN_SOURCE
from daemon.store.claims import CLAIMABLE, Claimed, hand_out
from daemon.store.database import Database
from daemon.store.discarding import discard
from daemon.tables import attempts, deliveries, events

TESTS = select(events.c.id).where(events.c.source == OWN_SOURCE, events.c.kind.startswith("test."))
"""The events that `daemon.contract.is_test` means."""


class Trials:
    """Deliveries of tests. Nothing else can claim them, so they wait behind nothing and are never told together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, external_id: str, sink: str, *, lease: timedelta) -> Claimed:
        """Make a delivery of one of our own events and hand it out at once."""

        def operation(connection: Connection, now: datetime) -> Claimed:
            event_id = select(events.c.id).where(events.c.source == OWN_SOURCE, events.c.external_id == external_id)
            row = {"event_id": event_id.scalar_subquery(), "sink": sink, "state": "waiting", "due_at": now}
            connection.execute(insert(deliveries).values(row))
            rows = connection.execute(
                CLAIMABLE.where(deliveries.c.event_id == event_id.scalar_subquery(), deliveries.c.sink == sink)
            ).all()
            return hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def conclude(self, row_id: int) -> dict[str, Any]:
        """What came of one: outcome of the attempt, reason, answer, milliseconds.

        One that did not arrive is discarded: nobody waits for a test that comes hours later, or counts it as lost.
        """

        def operation(connection: Connection, now: datetime) -> dict[str, Any]:
            made = select(attempts).where(attempts.c.delivery_id == row_id).order_by(attempts.c.id.desc()).limit(1)
            attempt = connection.execute(made).first()
            settled = {"state": "discarded", "due_at": None, "claimed_at": None, "settled_at": now}
            failed = deliveries.c.id == row_id, deliveries.c.state != "delivered"
            connection.execute(update(deliveries).where(*failed).values(settled))
            if attempt is None:
                return {"outcome": "unknown", "reason": "the attempt got lost; the log may say why", "answer": ""}
            names = ("outcome", "reason", "answer", "milliseconds")
            return {name: "" if getattr(attempt, name) is None else getattr(attempt, name) for name in names}

        return await self._database.write(operation)


def discard_cut_off(connection: Connection, now: datetime) -> None:
    """Settle the tests that an earlier process died over, in a transaction of the caller's; not those sent again."""
    reason = "the daemon ended while it was sent; a test is not sent again by itself"
    discard(connection, now, reason, deliveries.c.replays == 0, deliveries.c.event_id.in_(TESTS))
