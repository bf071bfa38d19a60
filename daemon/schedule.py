"""When each round runs; the only file that knows APScheduler."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from daemon import log
from daemon.clock import SteadyClock, even_seconds
from daemon.retry import back_off
from daemon.store import StoreBroken, StoreClosed

Round = Callable[[], Awaitable[timedelta | None]]
"""One round of work; answers how long to wait for the next, None: until it is hastened."""

FIRST_CRASH_WAIT, LONGEST_CRASH_WAIT = timedelta(seconds=5), timedelta(minutes=5)
TOO_EARLY_SECONDS = 1.0
SLEPT = timedelta(seconds=5)
CUT_OFF_SECONDS = 1.0

_log = log.get(__name__)


@dataclass(slots=True)
class _Job:
    round: Round
    due: float | None = None
    """In even seconds; None: not planned."""
    running: bool = False
    again_in: timedelta | None = None
    """Hastened while running."""
    crashes: int = 0


class Schedule:
    """Runs each round when it wants to run, never the same one twice at a time.

    APScheduler counts in wall time, so a clock that is set back would silence it: `rearm` plans
    everything anew from our own monotonic deadlines.
    """

    def __init__(self) -> None:
        # Its default grace of one second would drop a round after a short stall. A round plans its next run
        # while it still counts as running, hence two; `_run` sees to it that there is only one.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2}
        )
        self._jobs: dict[str, _Job] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._stopping = False

    def start(self) -> None:
        """Begin to run what is planned."""
        self._scheduler.start()

    def add(self, name: str, round_: Round, *, first: timedelta = timedelta()) -> None:
        """Know a round, and run it for the first time after this long."""
        self._jobs[name] = _Job(round_)
        self._plan(name, first)

    def hasten(self, name: str, within: timedelta = timedelta()) -> None:
        """Run a round no later than this; one that crashed waits out its back-off all the same.

        One that was not added (`once` adds none) is nobody's to hasten.
        """
        job = self._jobs.get(name)
        if job is None or job.crashes:
            return
        if job.running:
            job.again_in = within if job.again_in is None else min(job.again_in, within)
        elif job.due is None or job.due > even_seconds() + within.total_seconds():
            self._plan(name, within)

    def rearm(self) -> None:
        """The wall clock was set: plan everything anew."""
        for name, job in self._jobs.items():
            if job.due is not None and not job.running:
                self._plan(name, timedelta(seconds=max(0.0, job.due - even_seconds())))

    def _plan(self, name: str, wait: timedelta) -> None:
        if self._stopping:
            return
        self._jobs[name].due = even_seconds() + wait.total_seconds()
        self._scheduler.add_job(
            self._run, DateTrigger(datetime.now(UTC) + wait, timezone=UTC), args=[name], id=name, replace_existing=True
        )

    async def _run(self, name: str) -> None:
        job = self._jobs[name]
        if job.running or self._stopping:
            return
        early = 0.0 if job.due is None else job.due - even_seconds()
        if early > TOO_EARLY_SECONDS:
            # The wall clock was set forward, and `rearm` was not told yet.
            self._plan(name, timedelta(seconds=early))
            return
        job.running, job.due, job.again_in = True, None, None
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            wait = await self._once(name, job)
        finally:
            job.running = False
            if task is not None:
                self._tasks.discard(task)
        wishes = [wish for wish in (wait, None if job.crashes else job.again_in) if wish is not None]
        if wishes:
            self._plan(name, min(wishes))

    async def _once(self, name: str, job: _Job) -> timedelta | None:
        try:
            wait = await job.round()
        except (StoreClosed, StoreBroken):
            return None
        except asyncio.CancelledError:
            if self._stopping:  # it was cut off, and APScheduler would log that as a crash
                return None
            raise
        except Exception as error:  # noqa: BLE001 - one round's fault must not end the others, or itself
            job.crashes += 1
            _log.error("round.crashed", round=name, exc_info=error)
            return back_off(job.crashes, first=FIRST_CRASH_WAIT, longest=LONGEST_CRASH_WAIT, spread=0)
        job.crashes = 0
        return wait

    async def stop(self, within: timedelta) -> None:
        """Start nothing more and wait so long for what runs; then cut it off."""
        self._stopping = True
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within.total_seconds())
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CUT_OFF_SECONDS)
        # With wait=True it would cancel running rounds instead of waiting for them.
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)


async def watch_clock(clock: SteadyClock, on_step: Callable[[timedelta], Awaitable[None]]) -> None:
    """Look every second whether somebody set the wall clock, and tell how far.

    A machine that slept is told of as a step of nothing: timers do not count that time, what waits does.
    """
    while True:
        before = clock()
        await asyncio.sleep(1)
        slept = clock() - before > SLEPT
        if (step := clock.resync()) is not None:
            _log.warning("clock.stepped", seconds=round(step.total_seconds(), 1))
        if step is not None or slept:
            await on_step(step or timedelta())


def after_one(earlier: Round, round_: Round) -> Round:
    """A round that runs another one once before it runs for the first time."""
    to_do = [earlier]

    async def either() -> timedelta | None:
        while to_do:
            await to_do.pop()()
        return await round_()

    return either
