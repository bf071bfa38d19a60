"""What a source lists without an id that could be used: it cannot be delivered once, and is kept to be looked at."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from daemon.contract import Unidentified
from daemon.store.upsert import insert_missing
from daemon.tables import unidentified


def set_aside(connection: Connection, now: datetime, source: str, aside: Iterable[Unidentified]) -> int:
    """Keep what is not known yet, in a transaction of the caller's; how many those were."""
    rows = [
        {
            "source": source,
            "digest": sha256(item.raw.encode("utf-8", "surrogatepass")).digest(),
            "raw": item.raw.encode("utf-8", "backslashreplace").decode(),
            "reason": item.reason,
            "seen_at": now,
        }
        for item in aside
    ]
    return insert_missing(connection, unidentified, rows) if rows else 0
