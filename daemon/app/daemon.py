"""The daemon as a whole: started in the order in which parts need each other, stopped in the reverse."""

import asyncio
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from daemon import __version__, log
from daemon.app.advice import restart
from daemon.app.assembly import SETTLE_PAUSE, Assembly
from daemon.app.build import BuiltSink, build_sinks
from daemon.app.guard import watches
from daemon.app.operator import Operator
from daemon.app.signals import stop_on_signals
from daemon.clock import SteadyClock
from daemon.contract import Sink, Source
from daemon.control import ControlServer, socket_path
from daemon.schedule import Round, Schedule, after_one, watch_clock
from daemon.settings import Loaded
from daemon.store import Store

COMMAND_SECONDS = 3.0
"""For a command that writes to the database at this very moment; another daemon holds it for longer."""
FLUSH_SECONDS = 5.0
"""For completing, at a stop, what was delivered last."""
RECORD_SECONDS = 3.0
"""For storing, at a stop, what came of attempts that were cut off."""
LARGEST_STEP = timedelta(days=1)
"""A wall clock that was set by more may be wrong: until a restart nothing is pruned."""
HELD_LOOK = timedelta(seconds=1)
"""While everything is paused, or the disk is full, rounds only look so often whether they may go on."""
PRUNE_AFTER_START = timedelta(minutes=2)
GARBAGE_THRESHOLD = 10_000
"""Objects. With the usual 700 a delivery or two would set off a collection."""

_log = log.get(__name__)


class Daemon:
    """Everything that runs, built from one configuration."""

    def __init__(
        self, loaded: Loaded, *, sinks: Mapping[str, BuiltSink] | None = None, acknowledging: bool = True
    ) -> None:
        self._loaded = loaded
        self._clock = SteadyClock()
        self.store = Store(loaded.database, self._clock)
        self._sinks = build_sinks(loaded) if sinks is None else sinks
        self._acknowledging = acknowledging
        self._schedule = Schedule()
        self._parts = Assembly(loaded, self._sinks, self.store, self._clock, self._schedule)
        self._tasks: list[asyncio.Task[Any]] = []
        self._control: ControlServer | None = None
        self._stepped_by = timedelta()
        self.operator = Operator(self.store, self._parts.lanes, tuple(loaded.settings.sources))
        self.stop_wanted = asyncio.Event()

    async def open(self) -> None:
        """Take the database, remember what was, build lanes and rounds. Raises StoreRefused."""
        await self.store.database.open(within=COMMAND_SECONDS)
        await self.store.database.unless_full(self._parts.build())

    async def start(self) -> None:
        """Begin to send, to complete what was left over, then to poll."""
        lanes = self._parts.lanes
        self._tasks = [asyncio.create_task(lane.run(), name=f"lane:{name}") for name, lane in lanes.items()]
        self._tasks.append(asyncio.create_task(watch_clock(self._clock, self._stepped), name="clock"))
        looks = watches(self.store.database, on_room=partial(self._parts.wake, lanes))
        self._tasks += [asyncio.create_task(look, name="database") for look in looks]
        self._control = ControlServer(
            socket_path(self._loaded.database), {**self.operator.commands(), "ping": self._ping}
        )
        await self._control.start()
        self._schedule.start()
        self._schedule_rounds()
        # What was made up to here lives as long as the process: no use in looking through it for garbage.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        _log.info(
            "daemon.started",
            version=__version__,
            pid=os.getpid(),
            database=str(self._loaded.database),
            sources=list(self._parts.sources),
            sinks=list(lanes),
        )

    def _schedule_rounds(self) -> None:
        for name, collect in self._parts.collects.items():
            acknowledge = self._acknowledge_round(name)
            self._schedule.add(f"acknowledge:{name}", self._unless_held(acknowledge), first=SETTLE_PAUSE)
            # What an earlier process delivered but did not complete is completed before the first sweep.
            self._schedule.add(f"collect:{name}", self._unless_held(after_one(acknowledge, collect)))
        # Before the first pruning, so that a report that is made is known to be even if it was not noted.
        self._schedule.add("report", self._unless_held(self._parts.reports))
        self._schedule.add("prune", self._parts.prune, first=PRUNE_AFTER_START)
        self._schedule.add("troubles", self._parts.troubles, first=SETTLE_PAUSE)

    def _acknowledge_round(self, name: str) -> Round:
        return self._parts.acknowledges[name] if self._acknowledging else _nothing

    def _unless_held(self, round_: Round) -> Round:
        async def look() -> timedelta | None:
            if self.store.database.disk_full or any(lane.paused for lane in self._parts.lanes.values()):
                return HELD_LOOK
            return await round_()

        return look

    async def serve(self) -> int:
        """Run until told to stop, or until the database breaks; the exit code."""
        stop_on_signals(self.stop_wanted)
        stop = asyncio.ensure_future(self.stop_wanted.wait())
        broken = self.store.database.broken
        waited: set[asyncio.Future[Any]] = {stop, broken}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            stop.cancel()
            _log.error("store.broken", reason=str(broken.result()))
            await self.abandon()
            return 74
        await self.stop()
        return 0

    async def once(self) -> list[str]:
        """One full round: complete, poll, deliver what is due, complete; the troubles there were."""
        self._parts.suspects.hurry()
        self._tasks = [asyncio.create_task(lane.run()) for lane in self._parts.lanes.values()]
        for name, collect in self._parts.collects.items():
            await after_one(self._acknowledge_round(name), collect)()
        await self._parts.reports()
        await self._drain()
        await self._parts.troubles()
        await self._drain()
        for name in self._parts.acknowledges:
            await self._acknowledge_round(name)()
        return [trouble for line in self._parts.lines for trouble in line.troubles()]

    async def _drain(self) -> None:
        # A lane that is done may be given a suspect when another lane's has its verdict.
        while any([await lane.drained() for lane in self._parts.lanes.values()]):
            pass

    async def stop(self) -> None:
        """Start nothing new, let what runs end, flush verdicts and completions, close everything."""
        within = self._loaded.settings.daemon.stop_timeout
        lanes = [asyncio.create_task(lane.stop(within)) for lane in self._parts.lanes.values()]
        schedule = asyncio.create_task(self._schedule.stop(min(within, timedelta(seconds=5))))
        # Verdicts that wait for room on the disk must not keep the process from ending.
        ended, _ = await asyncio.wait([schedule, *lanes], timeout=within.total_seconds() + RECORD_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                for name in self._parts.acknowledges:
                    await self._acknowledge_round(name)()
        await self._close()
        _log.info("daemon.stopped", cut_off=sum(lane.result() for lane in lanes if lane in ended))

    async def abandon(self) -> None:
        """Stop without writing: the database cannot be trusted any more."""
        await self._schedule.stop(timedelta())
        await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._control is not None:
            await self._control.stop()
        sinks = (built.sink for built in self._sinks.values())
        open_ends: list[Sink | Source] = [*sinks, *self._parts.sources.values()]
        for end in open_ends:
            with suppress(Exception):
                await end.close()
        await self.store.database.close()

    async def _stepped(self, step: timedelta) -> None:
        self._stepped_by += step
        if abs(self._stepped_by) > LARGEST_STEP:
            self._parts.prune.suspended = True
        # What is known here moves with the clock at once; what is stored, in its turn among the writes.
        self._parts.shift(step)
        self._schedule.rearm()
        self._schedule.hasten("report")
        await self.store.shift(step, {name: lane.lane for name, lane in self._parts.lanes.items()})
        self._parts.wake(self._parts.lanes)

    async def _ping(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        held = {name: until.isoformat() for name, lane in self._parts.lanes.items() if (until := lane.turn.held())}
        return {
            "pid": os.getpid(),
            "version": __version__,
            "disk_full": self.store.database.disk_full,
            "restart": restart(self._loaded),
            "held": held,
        }


async def _nothing() -> None:
    """A round that is not to take place."""
