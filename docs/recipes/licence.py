#!/usr/bin/env python3
"""Gives out one licence for each purchase, whichever way and however often Eventferry tells of it.

    licence.py DATABASE < event.json

Exit codes, as the command sink understands them: 0 done, 75 try later, 1 this event will never do.
"""

import json
import secrets
import sqlite3
import sys
from contextlib import closing
from typing import Any

DONE, NEVER, LATER = 0, 1, 75

TABLE = """
CREATE TABLE IF NOT EXISTS licences (
    delivery TEXT PRIMARY KEY,   -- the same at every repeat of this delivery
    purchase TEXT UNIQUE,        -- the same for two events that tell of one purchase
    user_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    licence TEXT NOT NULL,
    given_at TEXT NOT NULL
)
"""


def main(database: str) -> int:
    """Read one event, and see to it that its purchase has a licence."""
    event = json.load(sys.stdin)
    data = event["data"]
    if "purchase" not in event["type"].lower():
        return told("not a purchase: nothing to do")
    if event.get("test"):
        return told("only a test: nothing given out")
    user, resource = text(data.get("user_id")), text(data.get("resource_id"))
    if not user or not resource:
        return told("this purchase names no user_id or no resource_id", NEVER)
    # BuiltByBit tells no number of a purchase: this tells one from another, and is the same in every event of it.
    parts = [user, resource, *(text(data.get(name)) for name in ("addon_id", "bundle_id", "purchase_date"))]
    purchase = json.dumps(parts) if parts[-1] else event["key"]
    try:
        with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
            connection.execute(TABLE)
            given = connection.execute(
                "INSERT OR IGNORE INTO licences VALUES (?, ?, ?, ?, ?, ?)",
                (event["delivery_id"], purchase, user, resource, secrets.token_hex(16), event["timestamp"]),
            )
            # Here, before the end of the transaction, goes the call of your licence server, with the delivery's id as
            # its idempotency key: if it fails, raise, and nothing is stored here either.
    except sqlite3.OperationalError as error:
        return told(f"the database cannot be used just now: {error}", LATER)
    # The licence itself is not told: what a command prints is kept with the attempt, and `show` shows it.
    return told(f"user {user} {'has a licence' if given.rowcount else 'already had one'} for resource {resource}")


def text(value: Any) -> str:
    """Ids come as numbers or as text; none, "" and "0" say that there is none."""
    return "" if value in (None, 0, "0") else str(value).strip()


def told(what: str, code: int = DONE) -> int:
    """Say what was done, and with which code to end."""
    print(what)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
