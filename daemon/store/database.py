"""Opening the database safely: one owner, right settings, right schema, intact."""

import asyncio
import math
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from daemon.clock import Clock
from daemon.store import errors, schema
from daemon.store.connections import looking_engine, reading_engine, writing_engine
from daemon.store.errors import (
    StoreBroken,
    StoreClosed,
    StoreForbidden,
    StoreMisplaced,
    StoreOverdue,
    StoreRefused,
    refusing,
)
from daemon.store.place import make_file, read_or_make_key, require_plain_file, require_usable_place, take_lock_within
from daemon.store.writer import Operation, Writer

T = TypeVar("T")

FULL_CHECK_LIMIT = 256 * 1024 * 1024
"""Up to this size the start runs `integrity_check`, above it the cheaper `quick_check`."""
BACKGROUND_CHECK_FROM = 16 * 1024 * 1024
"""From this size the check runs beside the work, so that a start takes no longer for it."""
READ_SECONDS = 30.0
"""As long as a query lasts, SQLite cannot begin its log anew: without a limit that would grow without one."""
STEPS_PER_LOOK = 20_000
"""Steps of SQLite's machine between two looks at the clock: a few milliseconds."""


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
        self._closed = False
        self._key = b""

    async def open(self, *, within: float = 0.0) -> Self:
        """Take ownership, check, migrate, start the writer; wait so many seconds for another owner to let go.

        Raises StoreRefused or StoreInUse.
        """
        with refusing(self.path):
            require_usable_place(self.path)
            self._lock = await take_lock_within(self.path, within)
            preparing = asyncio.get_running_loop().run_in_executor(None, self._prepare)
            try:
                self._key = await asyncio.shield(preparing)
            except BaseException:
                # The thread goes on though we were cancelled: until it is done nobody else may open the file.
                await asyncio.wait([preparing])
                self._release()
                raise
        self._write_engine = writing_engine(self.path)
        self._read_engine = reading_engine(self.path)
        self._writer = Writer(self._write_engine, self.clock)
        return self

    def open_read_only(self) -> Self:
        """Look at the database beside its owner; writes are impossible. Raises StoreRefused."""
        with refusing(self.path):
            if not self.path.exists():
                raise StoreMisplaced(f"{self.path}: there is no database yet; it is made when the daemon first runs")
            require_plain_file(self.path)
            if not os.access(self.path, os.R_OK):
                raise StoreForbidden(f"{self.path}: not readable for you; use sudo or the account of the daemon")
            if _journal(self.path).exists():
                raise StoreMisplaced(
                    f"{self.path}: the very first start was cut short; the database is made when the daemon runs again"
                )
            engine = looking_engine(self.path)
            try:
                with engine.connect() as connection:
                    schema.require_current(connection, self.path)
            except BaseException:
                engine.dispose()
                raise
        self._read_engine = engine
        return self

    def _prepare(self) -> bytes:
        key_file = self.path.with_name(self.path.name + ".key")
        fresh = self._is_blank()
        if fresh and key_file.exists():
            raise StoreRefused(
                f"{self.path}: the database has vanished, but {key_file.name} shows that there was one. "
                f"Restore it, or remove {key_file.name} to begin with an empty one"
            )
        if not self.path.exists():
            os.close(make_file(self.path))
        engine = writing_engine(self.path)
        try:
            with engine.connect() as connection:
                if self.path.stat().st_size < BACKGROUND_CHECK_FROM:
                    check_integrity(connection, self.path)
                schema.bring_up_to_date(connection, self.path, fresh=fresh)
        finally:
            engine.dispose()
        return read_or_make_key(key_file)

    def _is_blank(self) -> bool:
        if self.path.exists() and _journal(self.path).exists():
            # The very first start was cut short while it wrote: who may only look cannot roll that back.
            with closing(sqlite3.connect(self.path)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not self.path.exists() or self.path.stat().st_size == 0:
            return True
        engine = looking_engine(self.path)
        try:
            with engine.connect() as connection:
                return schema.is_blank(connection, self.path)
        finally:
            engine.dispose()

    async def write(self, operation: Operation[T]) -> T:
        """Run one operation in a transaction, grouped with others; returns after the commit.

        Raises StoreBroken, StoreClosed, or whatever the operation raised.
        """
        if self._closed:
            raise StoreClosed(f"{self.path}: closed")
        if self._writer is None:
            raise StoreRefused(f"{self.path}: opened for reading only")
        return await self._writer.write(operation)

    async def read(self, query: Callable[[Connection], T], *, within: float | None = None) -> T:
        """Run a query on a reading connection, off the event loop, for at most so many seconds.

        Raises StoreBroken, StoreClosed or StoreOverdue.
        """
        if self._closed:
            raise StoreClosed(f"{self.path}: closed")
        if self._writer is not None and self._writer.broken.done():
            raise self._writer.broken.result()
        seconds = READ_SECONDS if within is None else within
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._run_query, query, seconds)
        except DBAPIError as error:
            if errors.code(error) == sqlite3.SQLITE_INTERRUPT:
                if self._closed:
                    raise StoreClosed(f"{self.path}: closed") from None
                raise StoreOverdue(f"{self.path}: a query was ended after {seconds:g} s; ask for less") from None
            if errors.code(error) in errors.UNTRUSTWORTHY and self._writer is not None:
                raise self._writer.give_up(error) from None
            raise

    def _run_query(self, query: Callable[[Connection], T], seconds: float) -> T:
        if self._read_engine is None:
            raise StoreRefused(f"{self.path}: not open")
        end = time.monotonic() + seconds
        with self._read_engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(lambda: self._closed or time.monotonic() > end, STEPS_PER_LOOK)
            return query(connection)

    async def unless_full(self, work: Awaitable[T]) -> T:
        """Do what must not wait for room on the disk. Raises StoreRefused when there is none."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and not self.disk_full:
                await asyncio.wait([task], timeout=0.1)
            if not task.done():
                raise StoreRefused(f"{self.path}: the disk is full; make room, then start again")
            return task.result()
        finally:
            task.cancel()

    async def require_in_place(self) -> None:
        """Break if the file or its log was removed or exchanged. Raises StoreBroken or StoreClosed."""
        await self.write(lambda connection, now: None)

    async def check_in_background(self) -> None:
        """Check a large database beside the work. Raises StoreRefused if it is damaged."""
        if self.path.stat().st_size < BACKGROUND_CHECK_FROM:
            return
        try:
            await self.read(lambda connection: check_integrity(connection, self.path), within=math.inf)
        except StoreRefused as refused:
            if self._writer is not None:
                self._writer.give_up(refused)
            raise

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
        self._closed = True
        if self._writer is not None:
            await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        for engine in (self._read_engine, self._write_engine):
            if engine is not None:
                engine.dispose()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _journal(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def check_integrity(connection: Connection, path: Path) -> None:
    """Ask SQLite whether the file is intact. Raises StoreRefused."""
    pragma = "integrity_check" if path.stat().st_size <= FULL_CHECK_LIMIT else "quick_check"
    answer = connection.exec_driver_sql(f"PRAGMA {pragma}(1)").scalar()
    connection.rollback()
    if answer != "ok":
        what = " ".join(str(answer).split())[:120]
        raise StoreRefused(f"{path}: the database is damaged ({what}); restore a copy, nothing was changed")
