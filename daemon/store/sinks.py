"""What is known about each sink between restarts: its lane, and whether its settings changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from daemon.gathering import Gathering
from daemon.lane import Lane, from_json, resumed, to_json
from daemon.store.database import Database
from daemon.store.gathered import replan
from daemon.store.upsert import put
from daemon.tables import WAITING, deliveries, sinks


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A configured sink, as it is called, what it is, and all of its settings as text."""

    name: str
    kind: str
    settings: str
    gathering: Gathering | None = None
    """How its people want to be told; None: every event by itself, as it comes."""


class Sinks:
    """The lanes' memory."""

    def __init__(self, database: Database, gatherings: dict[str, Gathering]) -> None:
        """`gatherings` is filled in as sinks enroll."""
        self._database = database
        self._gatherings = gatherings

    async def enroll(self, configured: Mapping[str, Enrolled]) -> dict[str, Lane]:
        """At start: the lane of each configured sink; changed settings resume one that was failing or stopped."""
        prints = {name: self._database.fingerprint(item.settings) for name, item in configured.items()}
        for name, item in configured.items():
            self._gatherings.pop(name, None)
            if item.gathering is not None:
                self._gatherings[name] = item.gathering

        def operation(connection: Connection, now: datetime) -> dict[str, Lane]:
            known = {row.name: row for row in connection.execute(select(sinks))}
            lanes: dict[str, Lane] = {}
            for name, item in configured.items():
                row = known.get(name)
                replan(connection, now, name, item.gathering)
                lanes[name] = resumed(now) if row is None else from_json(row.lane, now)
                if row is not None and row.fingerprint == prints[name]:
                    continue
                if lanes[name].stopped_by != "operator":
                    lanes[name] = resumed(now)
                    release_waiting(connection, now, name)
                put(
                    connection,
                    sinks,
                    {
                        "name": name,
                        "kind": item.kind,
                        "lane": to_json(lanes[name]),
                        "fingerprint": prints[name],
                        "first_seen_at": now if row is None else row.first_seen_at,
                        "changed_at": now,
                    },
                )
            return lanes

        return await self._database.write(operation)

    def replan(self, connection: Connection, now: datetime) -> None:
        """After the wall clock was set: what waits for a time of day waits for that of the new clock."""
        for name, gathering in self._gatherings.items():
            replan(connection, now, name, gathering)

    async def set_lane(self, name: str, lane: Lane, *, release: bool = False) -> bool:
        """Store a lane that a command changed; False if no such sink is known.

        `release`: all that waits for this sink falls due now.
        """

        def operation(connection: Connection, now: datetime) -> bool:
            found = save_lane(connection, now, name, lane)
            if release and found:
                release_waiting(connection, now, name)
            return found

        return await self._database.write(operation)


def save_lane(connection: Connection, now: datetime, name: str, lane: Lane) -> bool:
    """Write a lane's state in a transaction of its caller's; False if there is no such sink."""
    values: dict[str, Any] = {"lane": to_json(lane), "changed_at": now}
    return connection.execute(update(sinks).where(sinks.c.name == name).values(values)).rowcount > 0


def release_waiting(connection: Connection, now: datetime, name: str) -> None:
    """The sink works again: what waits after failures, and is not under way, falls due now.

    Not what was gathered and waits for its time.
    """
    connection.execute(
        update(deliveries)
        .where(
            WAITING,
            deliveries.c.sink == name,
            deliveries.c.due_at > now,
            deliveries.c.claimed_at.is_(None),
            or_(deliveries.c.gathered.is_(None), deliveries.c.tried_at.is_not(None)),
        )
        .values(due_at=now)
    )


def waiting_by_sink(connection: Connection) -> dict[str, int]:
    """How many deliveries each sink owes, known to the config or not."""
    query = select(deliveries.c.sink, func.count()).where(WAITING).group_by(deliveries.c.sink)
    return {row[0]: row[1] for row in connection.execute(query)}
