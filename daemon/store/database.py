"""Opening the database safely: one owner, right settings, right schema, intact."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from daemon.clock import Clock
from daemon.store import schema
from daemon.store.place import (
    StoreForbidden,
    StoreMisplaced,
    give_to_owner,
    read_or_make_key,
    require_usable_place,
    take_lock,
)
from daemon.store.schema import StoreRefused
from daemon.store.writer import Operation, StoreBroken, Writer

T = TypeVar("T")

FULL_CHECK_LIMIT = 256 * 1024 * 1024
"""Up to this size the start runs `integrity_check`, above it the cheaper `quick_check`."""
BACKGROUND_CHECK_FROM = 16 * 1024 * 1024
"""From this size the check runs beside the work, so that a start takes no longer for it."""
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


class Database:
    """A SQLite file with its one writer and a few readers."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._lock: int | None = None
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")
        self._read_engine: Engine | None = None
        self._write_engine: Engine | None = None
        self._writer: Writer | None = None
        self._key = b""
        self._reading: list[Any] = []

    async def open(self) -> Self:
        """Take ownership, check, migrate, start the writer. Raises StoreRefused or StoreInUse."""
        require_usable_place(self.path)
        self._lock = take_lock(self.path)
        try:
            self._key = await asyncio.to_thread(self._prepare)
        except BaseException:
            self._release()
            raise
        self._write_engine = _engine(self.path, "BEGIN IMMEDIATE")
        self._read_engine = _engine(self.path, "BEGIN", query_only=True)
        self._writer = Writer(self._write_engine, self.clock)
        return self

    def open_read_only(self) -> Self:
        """Look at the database beside its owner; writes are impossible. Raises StoreRefused."""
        if not self.path.exists():
            raise StoreMisplaced(f"{self.path}: there is no database yet; it is made when the daemon first runs")
        if not os.access(self.path, os.R_OK):
            raise StoreForbidden(f"{self.path}: not readable for you; use sudo or the account of the daemon")
        self._read_engine = _engine(self.path, "BEGIN", query_only=True, read_only=True)
        with refusing(self.path), self._read_engine.connect() as connection:
            schema.require_current(connection, self.path)
        return self

    def _prepare(self) -> bytes:
        key_file = self.path.with_name(self.path.name + ".key")
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        if fresh and key_file.exists():
            raise StoreRefused(
                f"{self.path}: the database has vanished, but {key_file.name} shows that there was one. "
                f"Restore it, or remove {key_file.name} to begin with an empty one"
            )
        if fresh:
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            give_to_owner(handle, self.path.parent)
            os.close(handle)
        engine = _engine(self.path, "BEGIN IMMEDIATE")
        try:
            with refusing(self.path), engine.connect() as connection:
                if not fresh:
                    schema.require_ours(connection, self.path)
                    if self.path.stat().st_size < BACKGROUND_CHECK_FROM:
                        check_integrity(connection, self.path)
                schema.bring_up_to_date(connection, self.path, fresh=fresh)
        finally:
            engine.dispose()
        return read_or_make_key(key_file)

    async def write(self, operation: Operation[T]) -> T:
        """Run one operation in a transaction, grouped with others; returns after the commit."""
        if self._writer is None:
            raise StoreRefused(f"{self.path}: opened for reading only")
        return await self._writer.write(operation)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on a reading connection, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run_query, query)

    def _run_query(self, query: Callable[[Connection], T]) -> T:
        if self._read_engine is None:
            raise StoreRefused(f"{self.path}: not open")
        with self._read_engine.connect() as connection:
            driver = connection.connection.driver_connection
            self._reading.append(driver)
            try:
                return query(connection)
            finally:
                self._reading.remove(driver)

    async def check_in_background(self) -> None:
        """Check a large database beside the work. Raises StoreRefused if it is damaged."""
        if self.path.stat().st_size >= BACKGROUND_CHECK_FROM:
            await self.read(lambda connection: check_integrity(connection, self.path))

    @property
    def disk_full(self) -> bool:
        """Whether writes wait for disk space."""
        return self._writer is not None and self._writer.disk_full

    @property
    def broken(self) -> "asyncio.Future[StoreBroken]":
        """Resolved when the database turned out broken."""
        if self._writer is None:
            raise StoreRefused(f"{self.path}: opened for reading only")
        return self._writer.broken

    def fingerprint(self, text: str) -> bytes:
        """A keyed hash: tells whether secrets changed; of no use without the key file."""
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()

    async def close(self) -> None:
        """Commit what is queued, close all connections, give up ownership."""
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        for driver in list(self._reading):
            driver.interrupt()
        self._readers.shutdown(wait=True)
        for engine in (self._read_engine, self._write_engine):
            if engine is not None:
                engine.dispose()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class refusing:  # noqa: N801 - reads as a statement
    """Turn SQLite's errors while opening into one line with the next step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DBAPIError | sqlite3.Error):
            origin = error.orig if isinstance(error, DBAPIError) else error
            raise StoreRefused(
                f"{self._path}: cannot be used ({origin}); restore a copy, nothing was changed"
            ) from None


def check_integrity(connection: Connection, path: Path) -> None:
    """Ask SQLite whether the file is intact. Raises StoreRefused."""
    pragma = "integrity_check" if path.stat().st_size <= FULL_CHECK_LIMIT else "quick_check"
    answer = connection.exec_driver_sql(f"PRAGMA {pragma}(1)").scalar()
    connection.rollback()
    if answer != "ok":
        raise StoreRefused(
            f"{path}: the database is damaged ({str(answer)[:120]}); restore a copy, nothing was changed"
        )


def _engine(path: Path, begin: str, *, query_only: bool = False, read_only: bool = False) -> Engine:
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # Without this pysqlite opens its own deferred transactions, and updates can be lost silently.
        connection.isolation_level = None
        for name, value in _PRAGMAS.items():
            if name == "journal_mode" and read_only:
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
