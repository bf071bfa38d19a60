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

from daemon.clock import Clock, as_of_now
from daemon.store import errors
from daemon.store.errors import StoreBroken, StoreClosed

T = TypeVar("T")
Operation = Callable[[Connection, datetime], T]
"""Runs inside a transaction that it shares with others; may be run again, so it has no other effect."""

GROUP_LIMIT = 512
PAUSE_SECONDS = {sqlite3.SQLITE_FULL: 1.0, sqlite3.SQLITE_BUSY: 0.05}
"""What passes by itself, and how long to wait before the same group is tried again."""


@dataclass(slots=True)
class _Queued:
    operation: Operation[Any]
    clock: Clock
    """As it ran when this was asked for: a step is an operation among others, and moves what was stored before it."""
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
        self._fault: StoreBroken | None = None
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
            raise StoreClosed("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Queued(operation, as_of_now(self._clock), future))
        return await future

    async def close(self) -> None:
        """Commit what is queued, then end the thread. What waits for disk space is given up."""
        self._closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def give_up(self, error: Exception) -> StoreBroken:
        """Write nothing more: SQLite would go on after a failed flush as if nothing had happened."""
        if self._fault is None:
            self._fault = StoreBroken(f"{self._engine.url.database}: {errors.sentence(error)}")
            self._loop.call_soon_threadsafe(self._report)
        return self._fault

    def _report(self) -> None:
        if self._fault is not None and not self.broken.done():
            self.broken.set_result(self._fault)

    def _run(self) -> None:
        connection: Connection | None = None
        try:
            connection = self._engine.connect()
        except Exception as error:  # noqa: BLE001 - whatever keeps us from connecting, callers must not wait for ever
            self.give_up(error)
        ended = False
        while not ended and (first := self._queue.get()) is not None:
            group, ended = self._gather(first)
            self._commit(connection, group)
        if connection is not None:
            connection.close()

    def _gather(self, first: _Queued) -> tuple[list[_Queued], bool]:
        """What else is queued already, up to a limit; and whether the end was met."""
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return group, True
            group.append(more)
        return group, False

    def _commit(self, connection: Connection | None, group: list[_Queued]) -> None:
        while self._fault is None and connection is not None:
            try:
                with connection.begin():
                    results = [queued.operation(connection, queued.clock()) for queued in group]
            except Exception as error:  # noqa: BLE001 - whatever an operation raises belongs to its caller
                if not self._again(connection, group, error):
                    return
            else:
                self.disk_full = False
                self._answer(group, results=results)
                return
        self._answer(group, error=self._fault)

    def _again(self, connection: Connection, group: list[_Queued], error: Exception) -> bool:
        """Deal with a failed commit; True: try the same group again, False: it was answered."""
        code = errors.code(error)
        if code in PAUSE_SECONDS:
            self.disk_full = code == sqlite3.SQLITE_FULL
            if self._closing.wait(PAUSE_SECONDS[code]):
                self._answer(group, error=StoreClosed("closed while nothing could be written"))
                return False
            return True
        if code in errors.UNUSABLE:
            self.give_up(error)
            return True
        if len(group) == 1:
            self._answer(group, error=error)
        else:
            for queued in group:
                self._commit(connection, [queued])
        return False

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
