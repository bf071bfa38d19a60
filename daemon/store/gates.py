"""The gates of all upstream hosts: asked in memory before each request, written through to disk."""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from daemon.columns import DAMAGED_TIME
from daemon.contract import Access, SourceThrottled
from daemon.gate import Gate, restored, shut
from daemon.store.database import Database
from daemon.store.upsert import put
from daemon.tables import gates


class GateKeeper:
    """One gate for each host and kind of access, shared by every source that uses the host."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gates: dict[tuple[str, Access], Gate] = {}

    async def load(self) -> None:
        """At start: gates that were shut stay shut."""
        now = self._database.clock()
        rows = await self._database.read(lambda connection: connection.execute(select(gates)).all())
        self._gates = {
            (row.host, row.access): restored(Gate(row.opens_at, row.strikes), now)
            for row in rows
            if row.opens_at != DAMAGED_TIME
        }

    def require_open(self, host: str, access: Access) -> None:
        """Raises SourceThrottled while the gate is shut."""
        gate = self._gates.get((host, access))
        if gate is not None and gate.shut_at(self._database.clock()):
            raise SourceThrottled(_sentence(access, gate.opens_at), access, gate.opens_at)

    async def shut(self, host: str, access: Access, wait: timedelta | None) -> SourceThrottled:
        """Shut the gate, durably; `wait` as the server named it, or None. Returns what to raise."""
        now = self._database.clock()
        gate = shut(self._gates.get((host, access)), wait, now=now, spread=random.random())
        self._gates[host, access] = gate
        await self._database.write(lambda connection, _: put_gates(connection, {(host, access): gate}))
        # The clock may have been set meanwhile, and the gate with it.
        opens_at = self._gates.get((host, access), gate).opens_at
        return SourceThrottled(_sentence(access, opens_at), access, opens_at)

    async def passed(self, host: str, access: Access) -> None:
        """A request was answered without a rate limit: earlier strikes are forgotten.

        One that was under way when the gate was shut does not open it.
        """
        gate = self._gates.get((host, access))
        if gate is None or gate.shut_at(self._database.clock()):
            return
        del self._gates[host, access]

        def operation(connection: Connection, _: datetime) -> None:
            connection.execute(delete(gates).where(gates.c.host == host, gates.c.access == access))

        await self._database.write(operation)

    def shift(self, step: timedelta) -> Mapping[tuple[str, Access], Gate]:
        """After the wall clock was set: shut gates stay shut for as long as before. For `put_gates`."""
        self._gates = {key: Gate(gate.opens_at + step, gate.strikes) for key, gate in self._gates.items()}
        return dict(self._gates)


def put_gates(connection: Connection, changed: Mapping[tuple[str, Access], Gate]) -> None:
    """Write gates in a transaction of the caller's."""
    for (host, access), gate in changed.items():
        put(connection, gates, {"host": host, "access": access, "opens_at": gate.opens_at, "strikes": gate.strikes})


def _sentence(access: Access, opens_at: datetime) -> str:
    return f"rate limit for {access}s until {opens_at:%Y-%m-%d %H:%M:%S} UTC"
