"""One thread that owns the only writing connection and commits what is queued in groups."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from daemon.clock import Clock

T = TypeVar("T")
Operation = Callable[[Connection, datetime], T]
"""Runs inside a transaction that it shares with others; may be run again, so it has no other effect."""

GROUP_LIMIT = 512
FULL_PAUSE_SECONDS = 1.0
_FATAL = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
}


class StoreBroken(Exception):
    """The database can no longer be trusted or used; the process must stop (exit code 74)."""


class StoreClosed(Exception):
    """The store was closed before this write was committed; it has not happened."""


@dataclass(slots=True)
class _Queued:
    operation: Operation[Any]
    future: "asyncio.Future[Any]"


class Writer:
    """Takes operations from the event loop, commits them in order, answers after the commit.

    A caller that is cancelled must assume that its write happened: the thread goes on.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closing = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[StoreBroken] = self._loop.create_future()
        """Resolved, once, when the database turned out broken."""
        self.disk_full = False
        """Nothing can be written now; what is queued waits for space."""
        self._thread.start()

    async def write(self, operation: Operation[T]) -> T:
        """Run and commit one operation; returns when it is on disk.

        Raises StoreBroken, StoreClosed, or whatever the operation raised (it is then rolled back).
        """
        if self._closing.is_set():
            raise StoreClosed
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Queued(operation, future))
        return await future

    async def close(self) -> None:
        """Commit what is queued, then end the thread. On a full disk what is queued is given up."""
        self._closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            self._report_broken(_sentence(error))
            connection = None
        while (first := self._queue.get()) is not None:
            group, ended = [first], False
            while len(group) < GROUP_LIMIT and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    group.append(more)
            if connection is None or self.broken.done():
                self._answer(group, error=StoreBroken("the database is broken"))
            else:
                self._commit(connection, group)
            if ended:
                break
        if connection is not None:
            connection.close()

    def _commit(self, connection: Connection, group: list[_Queued]) -> None:
        while True:
            try:
                with connection.begin():
                    now = self._clock()
                    results = [queued.operation(connection, now) for queued in group]
            except Exception as error:  # noqa: BLE001 - whatever an operation raises belongs to its caller
                if not self._survive(connection, group, error):
                    return
            else:
                self.disk_full = False
                self._answer(group, results=results)
                return

    def _survive(self, connection: Connection, group: list[_Queued], error: Exception) -> bool:
        """Deal with a failed commit; True: try the same group again."""
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            self.disk_full = True
            if self._closing.wait(FULL_PAUSE_SECONDS):
                self._answer(group, error=StoreClosed("the disk is full"))
                return False
            return True
        if code == sqlite3.SQLITE_BUSY:
            return not self._closing.wait(0.05)
        if code in _FATAL:
            self._report_broken(_sentence(error))
            self._answer(group, error=StoreBroken(_sentence(error)))
        elif len(group) == 1:
            self._answer(group, error=error)
        else:
            for queued in group:
                self._commit(connection, [queued])
        return False

    def _report_broken(self, sentence: str) -> None:
        def report() -> None:
            if not self.broken.done():
                self.broken.set_result(StoreBroken(sentence))

        self._loop.call_soon_threadsafe(report)

    def _answer(
        self, group: list[_Queued], *, results: list[Any] | None = None, error: Exception | None = None
    ) -> None:
        def answer() -> None:
            for position, queued in enumerate(group):
                if queued.future.done():
                    continue
                if error is not None:
                    queued.future.set_exception(error)
                elif results is not None:
                    queued.future.set_result(results[position])

        self._loop.call_soon_threadsafe(answer)


def _code(error: Exception) -> int | None:
    """SQLite's primary result code, where the error has one."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _sentence(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(origin, "sqlite_errorname", type(origin).__name__)
    return f"{name}: {origin}"
