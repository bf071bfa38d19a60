"""Settling deliveries that nobody wants any more."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from daemon.tables import WAITING, deliveries


def discard(connection: Connection, now: datetime, reason: str, *which: ColumnElement[bool]) -> None:
    """Discard those of them that wait, in a transaction of the caller's; they stay on record and can be replayed."""
    settled: dict[str, Any] = {"state": "discarded", "due_at": None, "claimed_at": None, "settled_at": now}
    connection.execute(update(deliveries).where(WAITING, *which).values(**settled, reason=reason))
