"""What is listed again although it is known: with other content, or completed already."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from daemon.retry import back_off
from daemon.store.upsert import insert_missing
from daemon.tables import events, tombstones, variants

FIRST_RELIST_WAIT, LONGEST_RELIST_WAIT = timedelta(seconds=30), timedelta(hours=6)
TIMES_TO_TELL = 3


def keep_variant(connection: Connection, now: datetime, known: Any, row: Mapping[str, Any]) -> bool:
    """Keep other content beside what came first; whether it is new."""
    if known.digest == row["digest"]:
        return False
    variant = {name: row[name] for name in ("digest", "kind", "data", "raw")}
    return insert_missing(connection, variants, [{**variant, "event_id": known.id, "seen_at": now}]) > 0


def complete_again(connection: Connection, now: datetime, known: Any) -> bool:
    """Let an event be completed once more, if it was; whether it came back so often that people should know."""
    if known.acknowledged_at is None:
        return False
    times: int = known.relisted + 1
    connection.execute(
        update(events)
        .where(events.c.id == known.id)
        .values(acknowledged_at=None, acknowledged_by=None, relisted=times, ack_due_at=now + _wait(times))
    )
    return times >= TIMES_TO_TELL


def complete_pruned(connection: Connection, now: datetime, source: str, external_id: str, times: int) -> bool:
    """The same for an event of which only the key is left."""
    connection.execute(
        update(tombstones)
        .where(tombstones.c.source == source, tombstones.c.external_id == external_id)
        .values(relisted=times, ack_due_at=now + _wait(times))
    )
    return times >= TIMES_TO_TELL


def _wait(times: int) -> timedelta:
    """The first return is completed again at once, later ones ever more slowly."""
    if times == 1:
        return timedelta()
    return back_off(times - 1, first=FIRST_RELIST_WAIT, longest=LONGEST_RELIST_WAIT, spread=0)
