"""What the database file says, read from outside, as another process would."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Stored:
    """An event, as it is on disk."""

    content: tuple[str, Any]
    stored_at: datetime
    acknowledged: bool
    relisted: int
    ack_due_at: datetime | None
    variants: frozenset[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery, as it is on disk."""

    state: str
    attempt: int
    replays: int
    claimed: bool
    settled_at: datetime | None
    reason: str | None
    outcomes: tuple[str, ...]
    """Of its attempts on record, oldest first."""

    @property
    def settled(self) -> bool:
        return self.state != "waiting"


Key = tuple[str, str]
"""Source and external id."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the promises are about."""

    events: dict[Key, Stored]
    deliveries: dict[tuple[Key, str], Owed]
    """By event and sink."""
    tombstones: dict[Key, datetime]
    """When each was pruned."""
    cursor: str | None
    rows: int
    """Of events, whatever they are called."""

    def of(self, key: Key) -> dict[str, Owed]:
        return {sink: owed for (event, sink), owed in self.deliveries.items() if event == key}

    def told(self, kind: str) -> bool:
        return any(stored.content[0] == kind for (source, _), stored in self.events.items() if source == "eventferry")


class Witness:
    """Looks at the file; sees what was committed and nothing else."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None, timeout=10)

    def owed(self, source: str, external_id: str, sink: str) -> tuple[str, int, bool] | None:
        """State, attempt and whether it is claimed, at this moment."""
        row = self._connection.execute(
            "SELECT state, attempt, claimed_at IS NOT NULL FROM deliveries JOIN events ON events.id = event_id "
            "WHERE source = ? AND external_id = ? AND sink = ?",
            (source, external_id, sink),
        ).fetchone()
        return None if row is None else (row[0], row[1], bool(row[2]))

    def look(self) -> Snapshot:
        ask = self._connection.execute
        ask("BEGIN")
        variants: dict[int, set[tuple[str, Any]]] = {}
        for event_id, kind, data in ask("SELECT event_id, kind, data FROM variants"):
            variants.setdefault(event_id, set()).add(_content(kind, data))
        outcomes: dict[int, list[str]] = {}
        for delivery_id, outcome in ask("SELECT delivery_id, outcome FROM attempts ORDER BY id"):
            outcomes.setdefault(delivery_id, []).append(outcome)
        keys: dict[int, Key] = {}
        events = {}
        for row_id, source, external_id, kind, data, stored_at, acknowledged, relisted, ack_due_at in ask(
            "SELECT id, source, external_id, kind, data, stored_at, acknowledged_at IS NOT NULL, relisted, ack_due_at "
            "FROM events"
        ):
            keys[row_id] = (source, external_id)
            events[source, external_id] = Stored(
                _content(kind, data) if source != "eventferry" else (kind, None), _moment(stored_at),
                bool(acknowledged), relisted, ack_due_at and _moment(ack_due_at),
                frozenset(variants.get(row_id, ())),
            )  # fmt: skip
        deliveries = {
            (keys[event_id], sink): Owed(
                state, attempt, replays, bool(claimed), settled_at and _moment(settled_at), reason,
                tuple(outcomes.get(row_id, ())),
            )
            for row_id, event_id, sink, state, attempt, replays, claimed, settled_at, reason in ask(
                "SELECT id, event_id, sink, state, attempt, replays, claimed_at IS NOT NULL, settled_at, reason "
                "FROM deliveries"
            )
        }  # fmt: skip
        buried = {
            (source, name): _moment(at)
            for source, name, at in ask("SELECT source, external_id, pruned_at FROM tombstones")
        }
        cursors = ask("SELECT cursor FROM sources WHERE name = 'shop'").fetchone()
        ask("COMMIT")
        return Snapshot(events, deliveries, buried, cursors and cursors[0], len(keys))

    def close(self) -> None:
        self._connection.close()


def _content(kind: str, data: str) -> tuple[str, Any]:
    return kind, json.loads(data).get("n")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
