"""Connections to the SQLite file, each with the settings that our promises rest on."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from daemon.store.errors import Displaced
from daemon.store.place import inodes

_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: the upstream forgets what we complete, so a commit must survive a power cut
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "journal_size_limit": 64 * 1024 * 1024,
    "temp_store": 2,
}


def writing_engine(path: Path) -> Engine:
    """For the one writer: each transaction takes the write lock as it begins, so that none fails half-way for it.

    A file that was removed or exchanged can still be written to, for nobody: committing to it is an error.
    """
    engine = _engine(path, "BEGIN IMMEDIATE", mode="rw")

    @event.listens_for(engine, "begin")
    def _remember(connection: Connection) -> None:
        connection.info.setdefault("inodes", inodes(path))

    @event.listens_for(engine, "commit")
    def _require_in_place(connection: Connection) -> None:
        if inodes(path) != connection.info["inodes"]:
            raise Displaced(path)

    return engine


def reading_engine(path: Path) -> Engine:
    """For the owner's readers, beside the writer."""
    return _engine(path, "BEGIN", mode="rw", query_only=True)


def looking_engine(path: Path) -> Engine:
    """For who does not own the database, or does not know yet what the file is: it is never changed."""
    return _engine(path, "BEGIN", mode="ro", query_only=True)


def _engine(path: Path, begin: str, *, mode: str, query_only: bool = False) -> Engine:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),  # to name it in errors
        creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # Without this pysqlite opens its own deferred transactions, and updates can be lost silently.
        connection.isolation_level = None
        connection.text_factory = _text
        for name, value in _PRAGMAS.items():
            if name == "journal_mode" and mode == "ro":
                continue
            connection.execute(f"PRAGMA {name}={value}").fetchall()
            got = connection.execute(f"PRAGMA {name}").fetchone()
            if got is not None and got[0] != value:
                raise sqlite3.OperationalError(f"PRAGMA {name} is {got[0]!r} although {value!r} was asked for")
        if query_only:
            connection.execute("PRAGMA query_only=1")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _text(stored: bytes) -> str:
    """Text that the disk damaged is still read, so that its digest gives it away and the rows beside it flow."""
    return stored.decode("utf-8", "replace")
