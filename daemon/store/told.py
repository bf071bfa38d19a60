"""The rows behind what the operator has been told, for transactions of others."""

from sqlalchemy import ColumnElement, Connection, exists, func, literal, or_, select, update

from daemon.store.text import storable
from daemon.tables import notices

LONGEST_KEY = 200
TURN = " is "
"""Between a matter and one of the turns it can take; the first is some `alert.kind:name`."""


def matter_key(key: str) -> str:
    """How a matter is called in the table, whatever it is called outside."""
    return storable(key)[:LONGEST_KEY]


def all_turns(matter: str) -> ColumnElement[bool]:
    """The rows of a matter, given by its key, and of each turn that it took."""
    return or_(notices.c.key == matter, notices.c.key.startswith(f"{matter}{TURN}", autoescape=True))


def settle_notice(connection: Connection, key: str) -> bool:
    """Note that a matter is over, in a transaction of the caller's; whether it had been told."""
    active = all_turns(matter_key(key)), notices.c.active.is_(True)
    return connection.execute(update(notices).where(*active).values(active=False)).rowcount > 0


def rename_notice(connection: Connection, old: str, new: str) -> None:
    """Let what was told of one matter count as told of another, in a transaction of the caller's.

    What was told of the other one already goes before; then the first is over.
    """
    if connection.execute(select(exists().where(all_turns(matter_key(new))))).scalar():
        settle_notice(connection, old)
        return
    rest = func.substr(notices.c.key, len(matter_key(old)) + 1)
    connection.execute(update(notices).where(all_turns(matter_key(old))).values(key=literal(matter_key(new)) + rest))
