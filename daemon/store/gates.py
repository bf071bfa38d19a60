"""The gates of all upstream hosts: asked in memory before each request, written through to disk."""

import random
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

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
        self._gates = {(row.host, row.access): restored(Gate(row.opens_at, row.strikes), now) for row in rows}

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

        def operation(connection: Connection, _: datetime) -> None:
            row = {"host": host, "access": access, "opens_at": gate.opens_at, "strikes": gate.strikes}
            put(connection, gates, row)

        await self._database.write(operation)
        return SourceThrottled(_sentence(access, gate.opens_at), access, gate.opens_at)

    async def passed(self, host: str, access: Access) -> None:
        """A request was answered without a rate limit: earlier strikes are forgotten."""
        if self._gates.pop((host, access), None) is None:
            return

        def operation(connection: Connection, _: datetime) -> None:
            connection.execute(delete(gates).where(gates.c.host == host, gates.c.access == access))

        await self._database.write(operation)

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: shut gates stay shut for as long as before."""
        self._gates = {key: Gate(gate.opens_at + step, gate.strikes) for key, gate in self._gates.items()}


def _sentence(access: Access, opens_at: datetime) -> str:
    return f"rate limit for {access}s until {opens_at:%Y-%m-%d %H:%M:%S} UTC"
