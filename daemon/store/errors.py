"""What can be wrong with the database: in words for people, and in SQLite's codes."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

UNTRUSTWORTHY = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""After one of these the file may differ from what SQLite believes; only a new start looks at it afresh."""
UNUSABLE = UNTRUSTWORTHY | {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
"""What no writer can go on after."""

_NEXT_STEP = {
    sqlite3.SQLITE_IOERR: "look for errors of the disk (dmesg), then start again: the file is checked then",
    sqlite3.SQLITE_CORRUPT: "look for errors of the disk (dmesg), or restore a copy",
    sqlite3.SQLITE_NOTADB: "restore a copy",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_BUSY: "end the other program that uses it",
    sqlite3.SQLITE_CANTOPEN: "check the owner of the file and its folder",
    sqlite3.SQLITE_READONLY: "check the owner of the file and its folder",
}


class StoreRefused(Exception):
    """The database cannot be used; one line that names the file and the next step."""

    exit_code = 74


class StoreMisplaced(StoreRefused):
    """The place cannot hold a database (exit code 78)."""

    exit_code = 78


class StoreForbidden(StoreRefused):
    """The account may not use the file (exit code 77)."""

    exit_code = 77


class StoreInUse(StoreRefused):
    """Another process owns this database (exit code 75)."""

    exit_code = 75


class StoreBroken(Exception):
    """The database can no longer be trusted or used; the process must stop (exit code 74)."""

    exit_code = 74


class StoreClosed(Exception):
    """The store was closed before this was done; a write has then not happened."""


class StoreOverdue(Exception):
    """A query took too long and was ended (exit code 75)."""

    exit_code = 75


class Displaced(sqlite3.OperationalError):
    """What SQLite would say had it looked: the file that it writes to is not the one that is there."""

    sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
    sqlite_errorname = "SQLITE_READONLY_DBMOVED"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} or {path.name}-wal was removed or exchanged while it was in use")


def code(error: Exception) -> int | None:
    """SQLite's primary result code, where the error has one."""
    found = getattr(_origin(error), "sqlite_errorcode", None)
    return found & 0xFF if isinstance(found, int) else None


def sentence(error: Exception) -> str:
    """What SQLite says and what to do, without the statement and its parameters, which hold event data."""
    origin = _origin(error)
    name = getattr(origin, "sqlite_errorname", None)
    return f"{name}: {origin}; {_next_step(error)}" if name else str(origin)


def _next_step(error: Exception) -> str:
    if isinstance(_origin(error), Displaced):
        return "put back what was there, or restore a copy, then start again"
    return _NEXT_STEP.get(code(error) or 0, "restore a copy")


def _origin(error: Exception) -> BaseException:
    return error.orig or error if isinstance(error, DBAPIError) else error


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """While opening: turn what the system or SQLite complains of into one line. Raises StoreRefused."""
    try:
        yield
    except PermissionError as error:
        name = Path(os.fsdecode(error.filename)).name if error.filename else path.name
        raise StoreForbidden(
            f"{path}: uid {os.geteuid()} may not use {name}; check the owner of the file and its folder"
        ) from None
    except OSError as error:
        step = "make room on the disk, " if error.errno == errno.ENOSPC else ""
        raise StoreRefused(f"{path}: cannot be used ({error.strerror}); {step}nothing was changed") from None
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreRefused(
            f"{path}: cannot be used ({_origin(error)}); {_next_step(error)}, nothing was changed"
        ) from None
