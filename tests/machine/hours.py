"""Time that passes only when it is told to, for a daemon's clock and the event loop it runs in alike."""

import asyncio
import heapq
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple
from unittest.mock import patch

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_HOPS = 20_000
MOST_LOOKS = 1_000
QUIET_LOOKS = 2
LOOKS = 8


class Died(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Hours:
    """One machine's time: even seconds, and a wall clock that somebody can set."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._epoch = datetime(2026, 3, 4, tzinfo=UTC)

    def even(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return self._epoch + timedelta(seconds=self.seconds)

    def set_wall(self, by: timedelta) -> None:
        self._epoch += by


class _Mortal(selectors.DefaultSelector):
    """Ends the loop after so many turns, as a kill does: nothing of it runs on, not even a `finally`."""

    def __init__(self) -> None:
        super().__init__()
        self.turns_left: int | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self.turns_left is not None:
            self.turns_left -= 1
            if self.turns_left < 0:
                raise Died
        return super().select(timeout)


class Loop(asyncio.SelectorEventLoop):
    """An event loop that knows when its next timer is due, and that can be killed."""

    def __init__(self) -> None:
        self._mortal = _Mortal()
        super().__init__(self._mortal)
        self._timers: list[asyncio.TimerHandle] = []
        self.steps = 0
        """That any task was asked to make: it grows no more once nothing moves."""
        self.in_threads = 0
        """Things that threads were given to do, the store's writer aside."""

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._back_from_thread)
        return future

    def _back_from_thread(self, _: object) -> None:
        self.in_threads -= 1

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        heapq.heappush(self._timers, handle)
        return handle

    def next_timer(self, now: float) -> float | None:
        while self._timers and (self._timers[0].cancelled() or self._timers[0].when() <= now):
            heapq.heappop(self._timers)
        return self._timers[0].when() if self._timers else None

    def die_after(self, turns: int | None) -> None:
        self._mortal.turns_left = turns

    def bury(self) -> None:
        """Let go of what was under way, without letting it run on."""
        self.set_exception_handler(lambda *_: None)
        for task in asyncio.all_tasks(self):
            coroutine = task.get_coro()
            if coroutine is not None:
                # What it does in a `finally` may want the loop that runs no more.
                with suppress(RuntimeError):
                    coroutine.close()
        self.close()


class Stuck(AssertionError):
    """Something waits for what will never come."""


def run(loop: Loop, hours: Hours, work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end in this time; raises Died if the loop was killed meanwhile."""
    with patch("time.monotonic", lambda: hours.seconds):
        return loop.run_until_complete(work)


async def rest(barrier: Callable[[], Awaitable[object]]) -> None:
    """Wait until all that can happen at this moment has happened; `barrier` returns once the store has written."""
    loop, quiet, moved = _loop(), 0, 0
    while quiet < QUIET_LOOKS:
        if moved > MOST_LOOKS:
            raise Stuck("it goes on and on, and no time passes")
        before = loop.steps
        await barrier()
        for _ in range(LOOKS):
            await asyncio.sleep(0)
        # Our own steps are one for each look, and one for the barrier's answer.
        calm = loop.steps - before <= LOOKS + 1
        moved += not calm
        quiet = quiet + 1 if calm and not loop.in_threads else 0


async def drive(hours: Hours, barrier: Callable[[], Awaitable[object]], work: Coroutine[Any, Any, T]) -> T:
    """Do something, and let as much time pass as that takes."""
    task = asyncio.ensure_future(work)
    for _ in range(MOST_HOPS):
        await rest(barrier)
        if task.done():
            return task.result()
        if not _hop(hours, None):
            break
    raise Stuck("nothing moves any more, and no timer is left that could change that")


async def pass_time(hours: Hours, barrier: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Let so much time pass, from one thing that falls due to the next."""
    until = hours.seconds + seconds
    for _ in range(MOST_HOPS):
        await rest(barrier)
        if hours.seconds >= until:
            return
        _hop(hours, until)
    raise Stuck("so much falls due that time does not get on")


def _hop(hours: Hours, until: float | None) -> bool:
    due = _loop().next_timer(hours.seconds)
    moments = [moment for moment in (due, until) if moment is not None]
    if moments:
        hours.seconds = min(moments)
    return bool(moments)


async def in_truth(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait for what a thread does, in the time that everybody else has."""
    deadline = time.perf_counter() + patience
    while not condition():
        if time.perf_counter() > deadline:
            raise Stuck("a thread did not do what it was to do")
        await asyncio.to_thread(time.sleep, 0.001)


def _loop() -> Loop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop
