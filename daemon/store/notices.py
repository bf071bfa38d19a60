"""What the operator has been told, so that it is said once and not at every round."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from daemon.store.database import Database
from daemon.store.text import storable
from daemon.store.upsert import put
from daemon.tables import notices


class Notices:
    """The memory behind alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_news(self, key: str, *, again_after: timedelta | None) -> bool:
        """Note that `key` is the case; whether the operator should be told now.

        `again_after`: tell again if it was last told longer ago; None: once, until it was over.
        """

        def operation(connection: Connection, now: datetime) -> bool:
            name = storable(key)
            row = connection.execute(select(notices).where(notices.c.key == name)).first()
            if row is not None and row.active and (again_after is None or now - row.told_at < again_after):
                return False
            times = 1 if row is None else row.times + 1
            put(connection, notices, {"key": name, "told_at": now, "times": times, "active": True})
            return True

        return await self._database.write(operation)

    async def is_over(self, key: str) -> bool:
        """Note that `key` is no longer the case; whether it had been told."""

        def operation(connection: Connection, _: datetime) -> bool:
            told = notices.c.key == storable(key), notices.c.active.is_(True)
            return connection.execute(update(notices).where(*told).values(active=False)).rowcount > 0

        return await self._database.write(operation)
